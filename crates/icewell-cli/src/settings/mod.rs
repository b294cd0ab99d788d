//! The daemon's settings: one definition, and so one name, for option, environment and file.
//!
//! [`Settings`] says what there is and what it means. From it come the options (clap), the file ([`file`]), what is in force
//! and where each of it comes from ([`in_force`]), the reference page and the file of defaults ([`reference`]), and what a
//! running daemon takes up when it is told to ([`about::takes_effect`]).

pub(crate) mod about;
mod apply;
mod file;
mod in_force;
mod reference;
mod reload;
mod typed;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;

#[cfg(test)]
pub(crate) use file::parse;
pub(crate) use file::{File, Wrong};
pub(crate) use in_force::{InForce, Layer, Row};
pub(crate) use reference::{defaults, page};
pub(crate) use reload::Reload;
pub(crate) use typed::Typed;

use crate::log::LogFormat;
use crate::units::{Free, Size, Span};
use values::{Admin, Counted};

/// What can be set, each part optional: what is not set keeps its default, which [`about::usual`] tells. The first
/// paragraph of each is its help; the rest stands in the long help and in the reference.
///
/// The cache directory is a setting, too; as an option it belongs to every verb (`args::Global`).
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Settings {
    /// Where images come from: a folder, http(s)://…, or a Glance: glance+http(s)://…
    ///
    /// The cache directory is bound to its origin: with another one the daemon does not start on it. A folder must lie
    /// neither in the cache directory nor around it.
    #[arg(long, value_name = "URL", env = "ICEWELL_ORIGIN", hide_env_values = true, help_heading = ORIGIN)]
    pub(crate) origin: Option<String>,

    /// Give an origin up that sends nothing for this long
    #[arg(long, value_name = "TIME", env = "ICEWELL_ORIGIN_TIMEOUT", hide_env_values = true, help_heading = ORIGIN)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) origin_timeout: Option<Span>,

    /// Break a body off that comes from the origin with fewer bytes a second than this; 0 takes any
    #[arg(long, value_name = "SIZE", env = "ICEWELL_ORIGIN_MIN_RATE", hide_env_values = true, help_heading = ORIGIN)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) origin_min_rate: Option<Size>,

    /// Trust the certificates in this PEM file when talking to the origin
    #[arg(long, value_name = "FILE", env = "ICEWELL_ORIGIN_CA", hide_env_values = true, help_heading = ORIGIN)]
    pub(crate) origin_ca: Option<PathBuf>,

    /// In front of a Glance, log in as this cloud of clouds.yaml where no client waits
    #[arg(long, value_name = "NAME", env = "ICEWELL_OS_CLOUD", hide_env_values = true, help_heading = ORIGIN)]
    pub(crate) os_cloud: Option<String>,

    /// Serve what is cached, though stale, while the origin does not answer
    #[arg(long, value_name = "BOOL", env = "ICEWELL_SERVE_STALE", hide_env_values = true, help_heading = ORIGIN)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    pub(crate) serve_stale: Option<bool>,

    /// Remember for this long that a Glance lets a caller have an image, or manage the cache; 0 asks each time
    #[arg(long, value_name = "TIME", env = "ICEWELL_AUTH_TTL", hide_env_values = true, help_heading = ORIGIN)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) auth_ttl: Option<Span>,

    /// Keep everything in the cache directory within this
    ///
    /// The limit is kept on the directory, where every other command finds it. Fills under way count whole.
    #[arg(long, value_name = "SIZE", env = "ICEWELL_MAX_SIZE", hide_env_values = true, help_heading = ROOM)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) max_size: Option<Size>,

    /// What the limit counts: the sizes of files, or the bytes allocated on disk
    #[arg(long, value_name = "WHAT", env = "ICEWELL_COUNT", hide_env_values = true, help_heading = ROOM)]
    pub(crate) count: Option<Counted>,

    /// Leave this much of the file system free, as 5% or 20GiB, whoever uses it
    #[arg(long, value_name = "SHARE", env = "ICEWELL_MIN_FREE", hide_env_values = true, help_heading = ROOM)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) min_free: Option<Free>,

    /// Remove fills that stood still for this long
    #[arg(long, value_name = "TIME", env = "ICEWELL_STALL_TIME", hide_env_values = true, help_heading = ROOM)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) stall_time: Option<Span>,

    /// Read each cached image again in this time, and compare it with its digest; 0 never
    #[arg(long, value_name = "TIME", env = "ICEWELL_SCRUB_EVERY", hide_env_values = true, help_heading = ROOM)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) scrub_every: Option<Span>,

    /// Read so many bytes a second for that at most
    #[arg(long, value_name = "SIZE", env = "ICEWELL_SCRUB_RATE", hide_env_values = true, help_heading = ROOM)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) scrub_rate: Option<Size>,

    /// Serve images on this address
    ///
    /// Sockets that systemd hands over (socket activation) count before it.
    #[arg(long, value_name = "ADDRESS", env = "ICEWELL_LISTEN", hide_env_values = true, help_heading = CLIENTS)]
    pub(crate) listen: Option<SocketAddr>,

    /// Speak TLS to clients, with the certificate in this PEM file and those that vouch for it; read again when it changes
    #[arg(long, value_name = "FILE", env = "ICEWELL_TLS_CERT", hide_env_values = true, help_heading = CLIENTS)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in this PEM file
    #[arg(long, value_name = "FILE", env = "ICEWELL_TLS_KEY", hide_env_values = true, help_heading = CLIENTS)]
    pub(crate) tls_key: Option<PathBuf>,

    /// Serve this many connections at once at most
    ///
    /// More wait to be accepted. It takes as many open files (LimitNOFILE), and 1024 besides.
    #[arg(long, value_name = "NUMBER", env = "ICEWELL_MAX_CONNECTIONS", hide_env_values = true, help_heading = CLIENTS)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) max_connections: Option<usize>,

    /// Close a connection that sends no request for this long
    #[arg(long, value_name = "TIME", env = "ICEWELL_IDLE_TIMEOUT", hide_env_values = true, help_heading = CLIENTS)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<Span>,

    /// Cut a client off that takes nothing of what it is sent for this long
    #[arg(long, value_name = "TIME", env = "ICEWELL_SEND_TIMEOUT", hide_env_values = true, help_heading = CLIENTS)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) send_timeout: Option<Span>,

    /// When stopped, let downloads go on for this long at most
    #[arg(long, value_name = "TIME", env = "ICEWELL_DRAIN_TIMEOUT", hide_env_values = true, help_heading = CLIENTS)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) drain_timeout: Option<Span>,

    /// Serve health, metrics and the cache's management on this address, or "off"
    #[arg(long, value_name = "ADDRESS", env = "ICEWELL_ADMIN", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) admin: Option<Admin>,

    /// Let whoever has the token in this file's first line manage the cache by HTTP
    #[arg(long, value_name = "FILE", env = "ICEWELL_ADMIN_TOKEN_FILE", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// In front of a Glance, let whoever has this role of Keystone's manage the cache by HTTP; needs credentials to ask with
    #[arg(long, value_name = "ROLE", env = "ICEWELL_ADMIN_ROLE", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) admin_role: Option<String>,

    /// What is logged: error, warn, info, debug or trace, also by part, as icewell_server::scrub=debug,info
    ///
    /// The options -q and -v count before it.
    #[arg(long, value_name = "LEVEL", env = "ICEWELL_LOG", hide_env_values = true, help_heading = WATCHING)]
    #[arg(value_parser = crate::log::directives)]
    pub(crate) log: Option<String>,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "ICEWELL_LOG_FORMAT", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) log_format: Option<LogFormat>,

    /// Export traces by OTLP to this receiver, by HTTP: http(s)://HOST:4318, or "off"
    #[arg(long, value_name = "URL", env = "ICEWELL_OTLP_ENDPOINT", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) otlp_endpoint: Option<String>,

    /// Keep this share of the traces that begin here, from 0 to 1; whether others are kept their clients say
    #[arg(long, value_name = "FRACTION", env = "ICEWELL_OTLP_SAMPLE", hide_env_values = true, help_heading = WATCHING)]
    pub(crate) otlp_sample: Option<f64>,

    /// Give up every file but those of the cache, the origin and these settings, where the kernel can hold it to that
    #[arg(long, value_name = "BOOL", env = "ICEWELL_CONFINE", hide_env_values = true, help_heading = WATCHING)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    pub(crate) confine: Option<bool>,
}

const ORIGIN: &str = "Origin";
const ROOM: &str = "Room";
const CLIENTS: &str = "Clients";
const WATCHING: &str = "Watching and managing";
