//! TLS towards clients, with a certificate that may be renewed while the daemon runs; and certificates out of PEM files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::config::Config;
use crate::daemon::blocking;
use crate::error::{Error, chain};

/// How often the files are looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The cryptography of every TLS connection, to clients and to origins.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates in a PEM file; at least one. What else is in it is passed over.
///
/// # Errors
///
/// A usage error that names the file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |why: String| Error::usage(format!("cannot use the certificates in {path:?}")).with_source(why);
    let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(format!("it is no PEM file: {error}")))?;
    if certificates.is_empty() {
        return Err(unusable("there is no certificate in it; it takes PEM, -----BEGIN CERTIFICATE-----".into()));
    }
    Ok(certificates)
}

/// The private key in a PEM file: PKCS#8, PKCS#1 or SEC1.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let unusable = |why: String| Error::usage(format!("cannot use the private key in {path:?}")).with_source(why);
    let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        // Both ways to encrypt a key have the word in the clear.
        if pem.windows(9).any(|word| word == b"ENCRYPTED") {
            return unusable(format!("it is encrypted; decrypt it with: openssl pkey -in {} -out NEW", path.display()));
        }
        unusable(format!("there is no private key in it that can be used: {error}"))
    })
}

/// Where the certificate and its key are, and what was last read there.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The certificate, and those between it and the one that clients trust.
    cert: PathBuf,
    key: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    acceptor: TlsAcceptor,
    /// Of the files when they were last read, well or in vain.
    stamps: [Option<Stamp>; 2],
    looked: Instant,
}

/// A certificate and its key, read again and found to be good.
pub(crate) struct Renewed {
    acceptor: TlsAcceptor,
    stamps: [Option<Stamp>; 2],
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

/// What changes when a file is written or replaced: device, inode, size, and the times of both kinds of change.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Tls {
    /// Reads the files that the settings name; none if they name none.
    ///
    /// # Errors
    ///
    /// A usage error: one file without the other, or files that cannot be used; it names the file.
    pub(crate) fn of(config: &Config) -> Result<Option<Arc<Self>>, Error> {
        let (cert, key) = match (&config.tls_cert, &config.tls_key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (Some(cert), None) => {
                return Err(Error::usage(format!("the certificate {cert:?} needs its private key; set --tls-key too")));
            }
            (None, Some(key)) => {
                return Err(Error::usage(format!("the private key {key:?} needs its certificate; set --tls-cert too")));
            }
        };
        let stamps = stamps(&cert, &key);
        let known = Mutex::new(Known { acceptor: acceptor(&cert, &key)?, stamps, looked: Instant::now() });
        Ok(Some(Arc::new(Tls { cert, key, known })))
    }

    /// The handshake with a client. Without a limit of time.
    pub(crate) async fn accept(self: Arc<Self>, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        if self.is_due() {
            let tls = self.clone();
            blocking(move || tls.look_again()).await;
        }
        let acceptor = self.known.lock().unwrap_or_else(PoisonError::into_inner).acceptor.clone();
        acceptor.accept(stream).await
    }

    /// Whether it is for this caller to look at the files again. Others go on with what is known meanwhile.
    fn is_due(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.looked.elapsed() >= LOOK_AGAIN;
        if due {
            known.looked = Instant::now();
        }
        due
    }

    /// What is in the files now, for [`Tls::renew`]. Blocks.
    ///
    /// # Errors
    ///
    /// The files cannot be used, as in [`Tls::of`].
    pub(crate) fn read_again(&self) -> Result<Renewed, Error> {
        let stamps = stamps(&self.cert, &self.key);
        Ok(Renewed { acceptor: acceptor(&self.cert, &self.key)?, stamps })
    }

    /// Takes what was read, for handshakes from now on.
    pub(crate) fn renew(&self, Renewed { acceptor, stamps }: Renewed) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.acceptor = acceptor;
        known.stamps = stamps;
    }

    /// Takes what is in the files now, if it has changed and can be used. The two are seldom replaced at the same moment:
    /// until they fit together again, the old ones stay.
    fn look_again(&self) {
        // Taken before the files are read: what is written meanwhile is seen the next time.
        let stamps = stamps(&self.cert, &self.key);
        if stamps == self.known.lock().unwrap_or_else(PoisonError::into_inner).stamps {
            return;
        }
        let read = acceptor(&self.cert, &self.key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.stamps = stamps;
        match read {
            Ok(acceptor) => {
                known.acceptor = acceptor;
                info!(cert = %self.cert.display(), "the certificate is renewed");
            }
            Err(error) => warn!(error = chain(&error), "the new certificate cannot be used; the old one stays"),
        }
    }
}

fn stamps(cert: &Path, key: &Path) -> [Option<Stamp>; 2] {
    [cert, key].map(|path| {
        let file = fs::metadata(path).ok()?;
        let (modified, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
        Some((file.dev(), file.ino(), file.len(), modified, changed))
    })
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let (chain, private) = (certificates(cert)?, private_key(key)?);
    let unusable = |error: rustls::Error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => {
                "the key is not that of the first certificate; put the server's own certificate first, then those that vouch for it".into()
            }
            error => error.to_string(),
        };
        Error::usage(format!("cannot use the certificate {cert:?} with the private key {key:?}")).with_source(why)
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|versions| versions.with_no_client_auth().with_single_cert(chain, private))
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}
