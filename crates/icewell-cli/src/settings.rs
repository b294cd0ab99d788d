//! The daemon's settings: one definition, and so one name, for option, environment and file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use icewell::Count;
use icewell_server::Config;
use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::log::LogFormat;
use crate::units::{Free, Size, Span};

/// What can be set, each part optional. As options it is read by clap (which also looks into the environment), as a
/// file by serde.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The cache directory, in the file. As an option it belongs to every verb.
    #[arg(skip)]
    pub(crate) dir: Option<PathBuf>,

    /// Where images come from: a folder, http(s)://…, or a Glance: glance+http(s)://… [default: the folder ./images, made if missing]
    #[arg(long, value_name = "URL", env = "ICEWELL_ORIGIN", hide_env_values = true)]
    pub(crate) origin: Option<String>,

    #[arg(help = with_default("Serve images on this address", |usual| usual.listen.to_string()))]
    #[arg(long, value_name = "ADDRESS", env = "ICEWELL_LISTEN", hide_env_values = true)]
    pub(crate) listen: Option<SocketAddr>,

    /// Speak TLS to clients, with the certificate in this PEM file and those that vouch for it; read again when it changes
    #[arg(long, value_name = "FILE", env = "ICEWELL_TLS_CERT", hide_env_values = true)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in this PEM file
    #[arg(long, value_name = "FILE", env = "ICEWELL_TLS_KEY", hide_env_values = true)]
    pub(crate) tls_key: Option<PathBuf>,

    #[arg(help = with_default("Serve health, metrics and the cache's management on this address, or \"off\"", usual_admin))]
    #[arg(long, value_name = "ADDRESS", env = "ICEWELL_ADMIN", hide_env_values = true)]
    pub(crate) admin: Option<Admin>,

    /// Let whoever has the token in this file's first line manage the cache by HTTP
    #[arg(long, value_name = "FILE", env = "ICEWELL_ADMIN_TOKEN_FILE", hide_env_values = true)]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// In front of a Glance, let whoever has this role of Keystone's manage the cache by HTTP; needs credentials to ask with
    #[arg(long, value_name = "ROLE", env = "ICEWELL_ADMIN_ROLE", hide_env_values = true)]
    pub(crate) admin_role: Option<String>,

    /// Keep everything in the cache directory within this [default: the limit kept on it, else 10GiB]
    #[arg(long, value_name = "SIZE", env = "ICEWELL_MAX_SIZE", hide_env_values = true)]
    pub(crate) max_size: Option<Size>,

    /// What the limit counts: the sizes of files, or the bytes allocated on disk [default: as kept on it, else size]
    #[arg(long, value_name = "WHAT", env = "ICEWELL_COUNT", hide_env_values = true)]
    pub(crate) count: Option<Counted>,

    /// Leave this much of the file system free, as 5% or 20GiB, whoever uses it [default: as kept on it, else 5%]
    #[arg(long, value_name = "SHARE", env = "ICEWELL_MIN_FREE", hide_env_values = true)]
    pub(crate) min_free: Option<Free>,

    #[arg(help = with_default("Remove fills that stood still for this long", |usual| time(usual.stall_time)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_STALL_TIME", hide_env_values = true)]
    pub(crate) stall_time: Option<Span>,

    #[arg(help = with_default("Read each cached image again in this time, and compare it with its digest; 0 never", |usual| time(usual.scrub_every)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_SCRUB_EVERY", hide_env_values = true)]
    pub(crate) scrub_every: Option<Span>,

    #[arg(help = with_default("Read so many bytes a second for that at most", |usual| format!("{}MiB", usual.scrub_rate >> 20)))]
    #[arg(long, value_name = "SIZE", env = "ICEWELL_SCRUB_RATE", hide_env_values = true)]
    pub(crate) scrub_rate: Option<Size>,

    /// Serve what is cached, though stale, while the origin does not answer
    #[arg(long, value_name = "BOOL", env = "ICEWELL_SERVE_STALE", hide_env_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    pub(crate) serve_stale: Option<bool>,

    #[arg(help = with_default("Serve this many connections at once at most", |usual| usual.max_connections.to_string()))]
    #[arg(long, value_name = "NUMBER", env = "ICEWELL_MAX_CONNECTIONS", hide_env_values = true)]
    pub(crate) max_connections: Option<usize>,

    #[arg(help = with_default("Close a connection that sends no request for this long", |usual| time(usual.idle_timeout)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_IDLE_TIMEOUT", hide_env_values = true)]
    pub(crate) idle_timeout: Option<Span>,

    #[arg(help = with_default("Cut a client off that takes nothing of what it is sent for this long", |usual| time(usual.send_timeout)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_SEND_TIMEOUT", hide_env_values = true)]
    pub(crate) send_timeout: Option<Span>,

    #[arg(help = with_default("Remember for this long that a Glance lets a caller have an image, or manage the cache; 0 asks each time", |usual| time(usual.auth_ttl)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_AUTH_TTL", hide_env_values = true)]
    pub(crate) auth_ttl: Option<Span>,

    #[arg(help = with_default("When stopped, let downloads go on for this long at most", |usual| time(usual.drain_timeout)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_DRAIN_TIMEOUT", hide_env_values = true)]
    pub(crate) drain_timeout: Option<Span>,

    #[arg(help = with_default("Give an origin up that sends nothing for this long", |usual| time(usual.origin_timeout)))]
    #[arg(long, value_name = "TIME", env = "ICEWELL_ORIGIN_TIMEOUT", hide_env_values = true)]
    pub(crate) origin_timeout: Option<Span>,

    #[arg(help = with_default("Break a body off that comes from the origin with fewer bytes a second than this; 0 takes any", |usual| format!("{}KiB", usual.origin_min_rate >> 10)))]
    #[arg(long, value_name = "SIZE", env = "ICEWELL_ORIGIN_MIN_RATE", hide_env_values = true)]
    pub(crate) origin_min_rate: Option<Size>,

    /// Trust the certificates in this PEM file when talking to the origin
    #[arg(long, value_name = "FILE", env = "ICEWELL_ORIGIN_CA", hide_env_values = true)]
    pub(crate) origin_ca: Option<PathBuf>,

    /// In front of a Glance, log in as this cloud of clouds.yaml where no client waits [default: as OpenStack's clients do]
    #[arg(long, value_name = "NAME", env = "ICEWELL_OS_CLOUD", hide_env_values = true)]
    pub(crate) os_cloud: Option<String>,

    /// Export traces by OTLP to this receiver, by HTTP: http(s)://HOST:4318, or "off" [default: as OTEL_EXPORTER_OTLP_ENDPOINT says, else off]
    #[arg(long, value_name = "URL", env = "ICEWELL_OTLP_ENDPOINT", hide_env_values = true)]
    pub(crate) otlp_endpoint: Option<String>,

    /// Keep this share of the traces that begin here, from 0 to 1; whether others are kept their clients say [default: 1]
    #[arg(long, value_name = "SHARE", env = "ICEWELL_OTLP_SAMPLE", hide_env_values = true)]
    pub(crate) otlp_sample: Option<f64>,

    /// Give up every file but those of the cache, the origin and these settings, where the kernel can hold it to that [default: true]
    #[arg(long, value_name = "BOOL", env = "ICEWELL_CONFINE", hide_env_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    pub(crate) confine: Option<bool>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "ICEWELL_LOG_FORMAT", hide_env_values = true)]
    pub(crate) log_format: Option<LogFormat>,
}

/// The help of an option, with what the daemon does if nobody says.
fn with_default(help: &str, default: fn(&Config) -> String) -> String {
    format!("{help} [default: {}]", default(&Config::new(PathBuf::new(), String::new())))
}

fn usual_admin(usual: &Config) -> String {
    usual.admin.map_or_else(|| "off".into(), |address| address.to_string())
}

/// `24h`: days are told in hours, as Glance's documents and ours do.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if time.subsec_nanos() > 0 || seconds == 0 => humantime::format_duration(time).to_string(),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

impl Settings {
    /// Reads a file of settings. One that cannot be read, a key it may not have and a value that makes no sense are
    /// wrong usage, told with file, line and key.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", file.display())))?;
        toml::from_str(&text).map_err(|error| {
            let place = error.span().map(|span| place(&text, span.start)).unwrap_or_default();
            Failure::usage(format!("{}{place}: {}", file.display(), error.message().replace('\n', ", ")))
        })
    }

    /// These settings, and `file`'s where these say nothing.
    pub(crate) fn or(self, file: Settings) -> Self {
        Settings {
            dir: self.dir.or(file.dir),
            origin: self.origin.or(file.origin),
            listen: self.listen.or(file.listen),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            admin: self.admin.or(file.admin),
            admin_token_file: self.admin_token_file.or(file.admin_token_file),
            admin_role: self.admin_role.or(file.admin_role),
            max_size: self.max_size.or(file.max_size),
            count: self.count.or(file.count),
            min_free: self.min_free.or(file.min_free),
            stall_time: self.stall_time.or(file.stall_time),
            scrub_every: self.scrub_every.or(file.scrub_every),
            scrub_rate: self.scrub_rate.or(file.scrub_rate),
            serve_stale: self.serve_stale.or(file.serve_stale),
            max_connections: self.max_connections.or(file.max_connections),
            idle_timeout: self.idle_timeout.or(file.idle_timeout),
            send_timeout: self.send_timeout.or(file.send_timeout),
            auth_ttl: self.auth_ttl.or(file.auth_ttl),
            drain_timeout: self.drain_timeout.or(file.drain_timeout),
            origin_timeout: self.origin_timeout.or(file.origin_timeout),
            origin_min_rate: self.origin_min_rate.or(file.origin_min_rate),
            origin_ca: self.origin_ca.or(file.origin_ca),
            os_cloud: self.os_cloud.or(file.os_cloud),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            otlp_sample: self.otlp_sample.or(file.otlp_sample),
            confine: self.confine.or(file.confine),
            log_format: self.log_format.or(file.log_format),
        }
    }

    /// Puts what is set into `config`; `dir` and `origin` are there already.
    pub(crate) fn apply(self, config: &mut Config) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut config.listen, self.listen);
        set(&mut config.tls_cert, self.tls_cert.map(Some));
        set(&mut config.tls_key, self.tls_key.map(Some));
        set(&mut config.admin, self.admin.map(|Admin(address)| address));
        set(&mut config.admin_token_file, self.admin_token_file.map(Some));
        set(&mut config.admin_role, self.admin_role.map(Some));
        set(&mut config.max_size, self.max_size.map(|Size(bytes)| Some(bytes)));
        set(&mut config.count, self.count.map(|count| Some(count.into())));
        set(&mut config.min_free, self.min_free.map(|Free(min_free)| Some(min_free)));
        set(&mut config.stall_time, self.stall_time.map(|Span(time)| time));
        set(&mut config.scrub_every, self.scrub_every.map(|Span(time)| time));
        set(&mut config.scrub_rate, self.scrub_rate.map(|Size(bytes)| bytes));
        set(&mut config.serve_stale, self.serve_stale);
        set(&mut config.max_connections, self.max_connections);
        set(&mut config.idle_timeout, self.idle_timeout.map(|Span(time)| time));
        set(&mut config.send_timeout, self.send_timeout.map(|Span(time)| time));
        set(&mut config.auth_ttl, self.auth_ttl.map(|Span(time)| time));
        set(&mut config.drain_timeout, self.drain_timeout.map(|Span(time)| time));
        set(&mut config.origin_timeout, self.origin_timeout.map(|Span(time)| time));
        set(&mut config.origin_min_rate, self.origin_min_rate.map(|Size(bytes)| bytes));
        set(&mut config.origin_ca, self.origin_ca.map(Some));
        set(&mut config.confine, self.confine);
    }
}

/// `, line 3, max_size`: where in the file `offset` is.
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count();
    let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => format!(", line {}, {key}", number + 1),
        None => format!(", line {}", number + 1),
    }
}

/// The address of the admin listener, if there is to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Admin(pub(crate) Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "off" => Ok(Admin(None)),
            text => text.parse().map(|address| Admin(Some(address))).map_err(|error| format!("{error}, nor \"off\"")),
        }
    }
}

impl TryFrom<String> for Admin {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

/// [`Count`], as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// The sizes of the files, as Glance does.
    Size,
    /// The bytes allocated on disk: less for images with holes.
    Allocated,
}

impl From<Counted> for Count {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Size => Count::Size,
            Counted::Allocated => Count::Allocated,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Parser};
    use icewell::MinFree;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        settings: Settings,
    }

    fn typed(arguments: &[&str]) -> Settings {
        Typed::try_parse_from([&["icewell"], arguments].concat()).map(|typed| typed.settings).unwrap()
    }

    fn applied(settings: Settings) -> Config {
        let mut config = Config::new("/dir".into(), "/origin".into());
        settings.apply(&mut config);
        config
    }

    #[test]
    fn every_option_is_a_key_of_the_file() {
        let command = Settings::augment_args(clap::Command::new("icewell"));
        for arg in command.get_arguments() {
            let wrong = toml::from_str::<Settings>(&format!("{} = []", arg.get_id())).unwrap_err();
            assert!(!wrong.message().contains("unknown field"), "{wrong}");
        }
    }

    #[test]
    fn help_tells_the_defaults_in_words_that_can_be_typed() {
        let command = Settings::augment_args(clap::Command::new("icewell"));
        let help = |id: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id).unwrap();
            arg.get_help().unwrap().to_string()
        };
        assert!(help("listen").ends_with(" [default: 127.0.0.1:9292]"));
        assert!(help("stall_time").ends_with(" [default: 24h]"));
        for (seconds, text) in [(0.0, "0s"), (0.5, "500ms"), (90.0, "90s"), (120.0, "2m"), (86400.0, "24h")] {
            let told = Duration::from_secs_f64(seconds);
            assert_eq!(time(told), text);
            assert_eq!(text.parse(), Ok(Span(told)));
        }
    }

    #[test]
    fn options_and_file_mean_the_same() {
        let file = toml::from_str(
            "listen = '[::1]:1'\nadmin = '127.0.0.1:2'\nadmin_token_file = '/t'\nadmin_role = 'r'\nmax_size = '30MB'\ncount = 'allocated'\nmin_free = '2.5%'\nstall_time = 60\nscrub_every = '7h'\nscrub_rate = '8MB'\n\
             serve_stale = true\nmax_connections = 3\nidle_timeout = '4s'\nsend_timeout = '8s'\ndrain_timeout = '5s'\norigin_timeout = '6s'\norigin_min_rate = '7KiB'\n\
             origin_ca = '/ca.pem'\ntls_cert = '/cert.pem'\ntls_key = '/key.pem'\n\
             confine = false\n",
        )
        .unwrap();
        let options = typed(&[
            "--listen=[::1]:1",
            "--admin=127.0.0.1:2",
            "--admin-token-file=/t",
            "--admin-role=r",
            "--max-size=30MB",
            "--count=allocated",
            "--min-free=2.5%",
            "--stall-time=1m",
            "--scrub-every=7h",
            "--scrub-rate=8MB",
            "--serve-stale",
            "--max-connections=3",
            "--idle-timeout=4",
            "--send-timeout=8",
            "--drain-timeout=5",
            "--origin-timeout=6",
            "--origin-min-rate=7KiB",
            "--origin-ca=/ca.pem",
            "--tls-cert=/cert.pem",
            "--tls-key=/key.pem",
            "--confine=false",
        ]);
        for config in [applied(file), applied(options)] {
            assert_eq!(config.listen, "[::1]:1".parse().unwrap());
            assert_eq!(config.admin, Some("127.0.0.1:2".parse().unwrap()));
            assert_eq!(config.admin_token_file, Some("/t".into()));
            assert_eq!(config.admin_role.as_deref(), Some("r"));
            assert_eq!((config.max_size, config.count), (Some(30_000_000), Some(Count::Allocated)));
            assert_eq!(config.min_free, Some(MinFree::Share { hundredths: 250 }));
            assert_eq!(config.stall_time, Duration::from_secs(60));
            assert_eq!((config.scrub_every, config.scrub_rate), (Duration::from_secs(7 * 3600), 8_000_000));
            assert!(config.serve_stale);
            assert_eq!(config.max_connections, 3);
            let times = [config.idle_timeout, config.drain_timeout, config.origin_timeout, config.send_timeout];
            assert_eq!(times, [4, 5, 6, 8].map(Duration::from_secs));
            assert_eq!(config.origin_min_rate, 7 << 10);
            assert_eq!(config.origin_ca, Some("/ca.pem".into()));
            assert!(!config.confine);
            assert_eq!((config.tls_cert, config.tls_key), (Some("/cert.pem".into()), Some("/key.pem".into())));
        }
    }

    #[test]
    fn options_count_before_the_file_and_the_file_before_the_defaults() {
        let file = || toml::from_str("max_size = 1\nserve_stale = true\nadmin = 'off'").unwrap();
        let config = applied(typed(&["--max-size=2", "--serve-stale=no"]).or(file()));
        assert_eq!((config.max_size, config.serve_stale, config.admin), (Some(2), false, None));
        let config = applied(typed(&[]).or(file()));
        assert_eq!((config.max_size, config.serve_stale), (Some(1), true));
        let config = applied(typed(&[]));
        assert_eq!((config.max_size, config.admin), (None, Some("127.0.0.1:9293".parse().unwrap())));
    }

    #[test]
    fn a_place_is_a_line_and_a_key() {
        let text = "a = 1\n\nkey = \"x\"\n[table]\n";
        assert_eq!(place(text, text.find("\"x").unwrap()), ", line 3, key");
        assert_eq!(place(text, text.find("table").unwrap()), ", line 4");
        assert_eq!(place(text, 1000), ", line 5");
    }
}
