//! The least that can serve a file over HTTP/1.1: one blocking thread per connection, and the kernel. What it reaches
//! is what a server can reach on this machine with the same calls. It checks nothing and caches nothing: not for use.
#![allow(clippy::disallowed_methods, reason = "serves a folder of the benchmark, no cache")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use memmap2::Mmap;

/// The most that one call is asked to send.
const PIECE: u64 = 1 << 20;
/// The buffer of `read`: it stays in the processor's second cache.
const BUFFER: u64 = 256 << 10;
const MAX_HEAD: usize = 16 << 10;

/// A bare file server.
#[derive(Parser)]
struct Args {
    #[arg(long)]
    listen: SocketAddr,
    /// Its files are served, those of folders below are not.
    #[arg(long)]
    root: PathBuf,
    #[arg(long)]
    how: How,
}

/// How bytes go from the page cache to the socket.
#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// `sendfile`: the socket gets the page cache's own pages.
    Sendfile,
    /// `write` from a mapping that is made once: one copy.
    Mmap,
    /// `pread` and `write`: two copies.
    Read,
}

struct Served {
    file: File,
    size: u64,
    /// For `mmap` only: mapped pages stay when the page cache is emptied.
    map: Option<Mmap>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(&args.root)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file = File::open(entry.path())?;
            let map = match args.how {
                // SAFETY: the harness makes these files before it starts this server and never shortens them.
                How::Mmap => Some(unsafe { Mmap::map(&file)? }),
                How::Sendfile | How::Read => None,
            };
            let size = entry.metadata()?.len();
            files.insert(format!("/{}", entry.file_name().display()), Served { file, size, map });
        }
    }
    let files = Arc::new(files);
    for stream in TcpListener::bind(args.listen)?.incoming() {
        let (stream, files) = (stream?, files.clone());
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            // A client that goes away in the middle of an answer is none of our business.
            let _ = converse(stream, &files, args.how);
        })?;
    }
    Ok(())
}

/// Answers requests until the client leaves.
fn converse(mut stream: TcpStream, files: &HashMap<String, Served>, how: How) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // As Icewell does for clients of the same machine, so that this is the limit for it, too.
    rustix::net::sockopt::set_tcp_congestion(&stream, "reno").ok();
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream)? {
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let (mut range, mut close) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("range") {
                range = value.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'));
            } else if name.eq_ignore_ascii_case("connection") {
                close = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let Some(served) = files.get(path) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let (start, end) = match range {
            Some((first, last)) => {
                let start = first.parse().unwrap_or(0).min(served.size);
                (start, last.parse().map_or(served.size, |last: u64| last + 1).clamp(start, served.size))
            }
            None => (0, served.size),
        };
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", end - start);
        if range.is_some() {
            head += &format!("Content-Range: bytes {start}-{}/{}\r\n", end.saturating_sub(1), served.size);
        }
        head += if close { "Connection: close\r\n\r\n" } else { "\r\n" };
        // Together with the first of the body, as good servers do (TCP_CORK, MSG_MORE).
        rustix::net::send(&stream, head.as_bytes(), rustix::net::SendFlags::MORE)?;
        send(&mut stream, served, start, end, how, &mut buffer)?;
        if close {
            return Ok(());
        }
    }
    Ok(())
}

/// The head of a request; none where the client has left. Requests come one at a time and without a body.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(None);
        }
        head.extend_from_slice(piece.get(..length).unwrap_or_default());
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

fn send(
    stream: &mut TcpStream,
    served: &Served,
    start: u64,
    end: u64,
    how: How,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    let mut at = start;
    while at < end {
        let length = (end - at).min(PIECE);
        match how {
            How::Sendfile => {
                let sent = rustix::fs::sendfile(&stream, &served.file, Some(&mut at), index(length))?;
                if sent == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            How::Mmap => {
                let map = served.map.as_deref().unwrap_or_default();
                stream.write_all(map.get(index(at)..index(at + length)).unwrap_or_default())?;
                at += length;
            }
            How::Read => {
                let length = length.min(BUFFER);
                buffer.resize(index(length), 0);
                served.file.read_exact_at(buffer, at)?;
                stream.write_all(buffer)?;
                at += length;
            }
        }
    }
    Ok(())
}

/// A place in memory. This runs on 64 bits; elsewhere a file over the limit fails to map before it comes here.
fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
