//! Clients that read a little each second, as many as are asked for on one thread.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use serde::Serialize;

use crate::Target;

/// Small, so that it is the server's side that has to hold what the client does not read.
const RECEIVE_BUFFER: usize = 16 << 10;
/// Short, so that what a client may read in a round fits into its receive buffer.
const ROUND: Duration = Duration::from_millis(50);

/// The options of `slow`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Bytes that each client reads in a second, at most.
    #[arg(long)]
    rate: u64,
    /// When to print how many have an answer, if not all have one before.
    #[arg(long)]
    seconds: f64,
}

/// How it ended.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Clients that had an answer begun.
    answered: usize,
    /// Of those, clients whose connection was still good at the end.
    held: usize,
    bytes: u64,
    /// Since the first was asked.
    seconds: f64,
}

struct Client {
    stream: TcpStream,
    bytes: u64,
    gone: bool,
}

/// Reads until standard input ends. The first line printed says `{"answered": n}`, when all are being answered.
pub(crate) fn run(args: &Args) -> io::Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    thread::spawn(move || {
        // However it ends, it is the end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stopped.store(true, Ordering::Relaxed);
    });
    let mut clients = (0..args.target.clients).map(|_| open(&args.target)).collect::<io::Result<Vec<_>>>()?;
    let mut piece = vec![0; RECEIVE_BUFFER];
    let begun = Instant::now();
    let mut told = false;
    while !stop.load(Ordering::Relaxed) {
        let round = Instant::now();
        let due = (args.rate as f64 * (begun.elapsed() + ROUND).as_secs_f64()) as u64;
        for client in &mut clients {
            let most = usize::try_from(due.saturating_sub(client.bytes)).unwrap_or(usize::MAX).min(RECEIVE_BUFFER);
            if most == 0 {
                continue;
            }
            match client.stream.read(piece.get_mut(..most).unwrap_or_default()) {
                Ok(0) => client.gone = true,
                Ok(length) => client.bytes += length as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => client.gone = true,
            }
        }
        let answered = answered(&clients);
        if !told && (answered == clients.len() || begun.elapsed().as_secs_f64() > args.seconds) {
            println!("{{\"answered\": {answered}}}");
            io::stdout().flush()?;
            told = true;
        }
        thread::sleep(ROUND.saturating_sub(round.elapsed()));
    }
    Ok(Report {
        answered: answered(&clients),
        held: clients.iter().filter(|client| client.bytes > 0 && !client.gone).count(),
        bytes: clients.iter().map(|client| client.bytes).sum(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn answered(clients: &[Client]) -> usize {
    clients.iter().filter(|client| client.bytes > 0).count()
}

fn open(target: &Target) -> io::Result<Client> {
    let address: std::net::SocketAddr = target.server.parse().map_err(io::Error::other)?;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    // Before it is connected, or the window is larger from the start.
    set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    connect(&socket, &address)?;
    let mut stream = TcpStream::from(socket);
    let fields: String = target.field.iter().map(|field| format!("{field}\r\n")).collect();
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", target.path, target.server)?;
    stream.set_nonblocking(true)?;
    Ok(Client { stream, bytes: 0, gone: false })
}
