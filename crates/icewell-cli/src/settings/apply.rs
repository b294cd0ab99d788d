//! Settings into what the daemon is told.

use icewell_server::Config;

use super::Settings;
use super::values::Admin;
use crate::units::{Free, Size, Span};

impl Settings {
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use clap::{Args, Command, FromArgMatches};
    use icewell::{Count, MinFree};

    use super::super::{File, InForce, Typed, file};
    use super::*;
    use crate::glance_conf::GlanceConf;

    fn typed(arguments: &[&str]) -> Typed {
        let command = Typed::augment_args(Command::new("icewell").no_binary_name(true));
        Typed::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
    }

    fn in_file(text: &str) -> File {
        let (values, wrong) = file::parse(text);
        assert_eq!(wrong, []);
        File { path: Some("icewell.toml".into()), values }
    }

    fn applied(typed: &Typed, file: &File) -> Config {
        let mut config = Config::new("/dir".into(), "/origin".into());
        InForce::of(typed, file).settings().unwrap().apply(&mut config);
        config
    }

    #[test]
    fn options_and_file_mean_the_same() {
        let file = in_file(
            "listen = '[::1]:1'\nadmin = '127.0.0.1:2'\nadmin_token_file = '/t'\nadmin_role = 'r'\nmax_size = '30MB'\ncount = 'allocated'\nmin_free = '2.5%'\nstall_time = 60\nscrub_every = '7h'\nscrub_rate = '8MB'\n\
             serve_stale = true\nmax_connections = 3\nidle_timeout = '4s'\nsend_timeout = '8s'\ndrain_timeout = '5s'\norigin_timeout = '6s'\norigin_min_rate = '7KiB'\n\
             origin_ca = '/ca.pem'\ntls_cert = '/cert.pem'\ntls_key = '/key.pem'\n\
             confine = false\n",
        );
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
        for config in [applied(&typed(&[]), &file), applied(&options, &File::default())] {
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
        let file = in_file("max_size = 1\nserve_stale = true\nadmin = 'off'");
        let config = applied(&typed(&["--max-size=2", "--serve-stale=no"]), &file);
        assert_eq!((config.max_size, config.serve_stale, config.admin), (Some(2), false, None));
        let config = applied(&typed(&[]), &file);
        assert_eq!((config.max_size, config.serve_stale), (Some(1), true));
        let config = applied(&typed(&[]), &File::default());
        assert_eq!((config.max_size, config.admin), (None, Some("127.0.0.1:9293".parse().unwrap())));
    }

    #[test]
    fn glances_own_file_counts_after_ours() {
        let glance = GlanceConf {
            image_cache_max_size: Some(7),
            image_cache_stall_time: Some(Duration::from_secs(8)),
            image_cache_dir: Some("/glance".into()),
            ..GlanceConf::default()
        };
        let in_force = InForce::of(&typed(&[]).over(&glance), &in_file("max_size = 1"));
        let mut config = Config::new("/dir".into(), "/origin".into());
        in_force.settings().unwrap().apply(&mut config);
        assert_eq!((config.max_size, config.stall_time), (Some(1), Duration::from_secs(8)));
        assert_eq!(in_force.dir(), Some("/glance".as_ref()));
    }

    #[test]
    fn each_value_tells_where_it_comes_from() {
        let in_force = InForce::of(&typed(&["--count=size"]), &in_file("\nmax_size = 1"));
        let told = |id: &str| {
            let row = in_force.rows.iter().find(|row| row.about.id() == id).unwrap();
            (row.value.clone(), row.from(in_force.file.as_deref()))
        };
        let value = |text: &str, from: &str| (Some(OsString::from(text)), from.to_owned());
        assert_eq!(told("count"), value("size", "--count"));
        assert_eq!(told("max_size"), value("1", "icewell.toml:2"));
        assert_eq!(told("auth_ttl"), value("5s", "default"));
        assert_eq!(told("tls_cert"), (None, "default".into()));
    }
}
