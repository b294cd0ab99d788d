//! One connection: a request, the head of its answer, and the bytes after it, thrown away.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::Target;

/// How much one call may throw away. Nothing is ever written to this memory, so it costs none.
const PIECE: usize = 1 << 20;
const MAX_HEAD: usize = 64 << 10;
/// How long a call waits before the caller may look at the clock.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// An answer whose body is still to come.
pub(crate) struct Answer {
    /// What is left of the body; none where it ends with the connection.
    pub(crate) left: Option<u64>,
    /// What of it came together with the head.
    pub(crate) begun: u64,
}

/// A connection to the target.
pub(crate) struct Connection {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    discarded: Box<[u8]>,
}

/// Trust in this certificate alone.
pub(crate) fn trusting(certificate: &Path) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Arc::new(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth()))
}

impl Connection {
    /// Connects, and shakes hands over TLS.
    pub(crate) fn open(target: &Target, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(&target.server)?;
        stream.set_nodelay(true)?;
        let host = target.server.rsplit_once(':').map_or(&*target.server, |(host, _)| host).to_owned();
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut stream)?;
                }
                Some(tls)
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, tls, discarded: vec![0; PIECE].into() })
    }

    /// Asks for the whole, or for this range (first and last byte), and waits for the answer's head. `go_on` is asked
    /// now and then whether to wait longer; where not, the error is `TimedOut`.
    pub(crate) fn ask(
        &mut self,
        target: &Target,
        range: Option<(u64, u64)>,
        close: bool,
        go_on: impl Fn() -> bool,
    ) -> io::Result<Answer> {
        let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", target.path, target.server);
        for field in &target.field {
            request += &format!("{field}\r\n");
        }
        if let Some((first, last)) = range {
            request += &format!("Range: bytes={first}-{last}\r\n");
        }
        request += if close || self.tls.is_some() { "Connection: close\r\n\r\n" } else { "\r\n" };
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(request.as_bytes())?;
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            return Ok(Answer { left: None, begun: 0 });
        }
        self.stream.write_all(request.as_bytes())?;
        self.read_head(range, go_on)
    }

    fn read_head(&mut self, range: Option<(u64, u64)>, go_on: impl Fn() -> bool) -> io::Result<Answer> {
        let mut head = Vec::new();
        let mut piece = [0; 4096];
        let end = loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => head.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !go_on() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if head.len() > MAX_HEAD {
                return Err(io::Error::other("the head of the answer does not end"));
            }
        };
        let begun = (head.len() - end - 4) as u64;
        let head = String::from_utf8_lossy(head.get(..end).unwrap_or_default());
        let status = head.split(' ').nth(1).unwrap_or_default();
        let length: Option<u64> = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok());
        match range {
            None if status == "200" => {}
            Some((first, last)) if status == "206" && length == Some(last - first + 1) => {}
            _ => return Err(io::Error::other(format!("unwanted answer: {}", head.lines().next().unwrap_or_default()))),
        }
        Ok(Answer { left: length.map(|length| length.saturating_sub(begun)), begun })
    }

    /// Throws away what has come, at most `most`. Returns how much that was: 0 at the end of the connection, none if
    /// nothing came for [`PATIENCE`].
    pub(crate) fn discard(&mut self, most: u64) -> io::Result<Option<u64>> {
        let most = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        let room = self.discarded.get_mut(..most).unwrap_or_default();
        match recv(&self.stream, room, RecvFlags::TRUNC) {
            Ok((_, length)) => Ok(Some(length as u64)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
