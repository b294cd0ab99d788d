//! What the daemon is told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use icewell::{Count, DEFAULT_STALL_TIME, MinFree};

use crate::keystone::Credentials;
use crate::traces::Otlp;

/// How many connections are served at a time where nobody says.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// The daemon's settings. [`Config::new`] gives the defaults.
#[derive(Debug)]
pub struct Config {
    /// The cache directory; made if it is missing.
    pub dir: PathBuf,
    /// Where images come from: `http(s)://…`, `file:///…` or a path.
    pub origin: String,
    /// Where clients are listened for. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate (PEM) with which clients are spoken to by TLS, and those that vouch for it; none for plain HTTP.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM). Both are read again when they change.
    pub tls_key: Option<PathBuf>,
    /// Where health is told; none for nowhere.
    pub admin: Option<SocketAddr>,
    /// A file whose first line is the token of those who may manage the cache by HTTP; none for no such token.
    pub admin_token_file: Option<PathBuf>,
    /// A role of Keystone's whose bearers may manage the cache in front of a Glance; none for no such role. Needs
    /// `credentials`.
    pub admin_role: Option<String>,
    /// The limit in bytes, kept on the directory for other processes; none leaves the one that is kept there.
    pub max_size: Option<u64>,
    /// What the limit counts; none leaves what is kept.
    pub count: Option<Count>,
    /// What is to stay free on the file system, kept on the directory as well; none leaves what is kept, or else sets
    /// [`DEFAULT_MIN_FREE`](icewell::DEFAULT_MIN_FREE).
    pub min_free: Option<MinFree>,
    /// How long a broken-off fill is kept for resumption.
    pub stall_time: Duration,
    /// How often each cached image is read again and compared with its digest; zero for never.
    pub scrub_every: Duration,
    /// How many bytes a second are read for that; zero for none, and so never.
    pub scrub_rate: u64,
    /// Whether a cached image is sent when the origin, asked whether it is still right, does not answer.
    pub serve_stale: bool,
    /// How long a Glance's word that a caller may have an image, or manage the cache, is remembered; zero asks each time.
    pub auth_ttl: Duration,
    /// How many connections are served at a time; more wait to be accepted.
    pub max_connections: usize,
    /// How long a connection may stay without a request, and a request's head and a TLS handshake may take.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what it is sent; zero leaves that to the system.
    pub send_timeout: Duration,
    /// How long running responses are waited for at the end.
    pub drain_timeout: Duration,
    /// How long the origin may take to connect, to answer, and between two pieces of a body.
    pub origin_timeout: Duration,
    /// How many bytes of a body the origin has to send in a second, measured over `origin_timeout` of waiting for it; 0
    /// for any.
    pub origin_min_rate: u64,
    /// A file of certificates (PEM) to trust besides the system's.
    pub origin_ca: Option<PathBuf>,
    /// Who the daemon is to a Glance, when no client waits: for the queue, for fills that broke off, and to notice what
    /// was deleted elsewhere. The certificates that they trust are trusted there, too, unless `origin_ca` says others.
    pub credentials: Option<Credentials>,
    /// Where traces go; none for nowhere.
    pub traces: Option<Otlp>,
    /// Whether the daemon gives up, where the kernel can hold it to that, every file but those of the cache, of the origin
    /// and of these settings.
    pub confine: bool,
    /// Files besides those named above that may be read again while it runs: where these settings come from.
    pub sources: Vec<PathBuf>,
    /// Called once everything listens.
    pub on_ready: Option<OnReady>,
    /// Called at SIGHUP, to read these settings again; none where they come from nowhere that could be read again.
    pub on_reload: Option<OnReload>,
}

/// What is called at SIGHUP, on a thread that may block: the settings as they are to be from now on, or none where they
/// cannot be read, which it has logged.
pub struct OnReload(pub Box<dyn FnMut() -> Option<Reloaded> + Send>);

impl fmt::Debug for OnReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnReload")
    }
}

/// Settings that were read again.
pub struct Reloaded {
    /// All of them. What a running daemon cannot change is passed over.
    pub config: Config,
    /// Called when they are in force; not where one of them cannot be taken up, and all stays as it was.
    pub in_force: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is called once everything listens.
pub struct OnReady(pub Box<dyn FnOnce(&Ready) + Send>);

impl fmt::Debug for OnReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnReady")
    }
}

/// Where the daemon listens and what it serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The address for clients.
    pub listen: SocketAddr,
    /// How clients speak to it: `http` or `https`.
    pub scheme: &'static str,
    /// The address for health.
    pub admin: Option<SocketAddr>,
    /// The origin, as the cache directory is bound to it.
    pub origin: String,
    /// The origin's folder, if it is one.
    pub folder: Option<PathBuf>,
}

impl Config {
    /// The defaults for this cache directory and origin.
    pub fn new(dir: PathBuf, origin: String) -> Self {
        Config {
            dir,
            origin,
            listen: SocketAddr::from(([127, 0, 0, 1], 9292)),
            tls_cert: None,
            tls_key: None,
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9293))),
            admin_token_file: None,
            admin_role: None,
            max_size: None,
            count: None,
            min_free: None,
            stall_time: DEFAULT_STALL_TIME,
            // Disks lose bits in months, not in days, and this costs a disk of today less than one part in a hundred.
            scrub_every: Duration::from_secs(30 * 86_400),
            scrub_rate: 16 << 20,
            serve_stale: false,
            auth_ttl: Duration::from_secs(5),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            idle_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            origin_timeout: Duration::from_secs(30),
            origin_min_rate: 1024,
            origin_ca: None,
            credentials: None,
            traces: None,
            confine: true,
            sources: Vec::new(),
            on_ready: None,
            on_reload: None,
        }
    }
}
