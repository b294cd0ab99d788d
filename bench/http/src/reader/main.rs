//! The one client of all servers: it asks, reads and throws away, and prints one line of JSON.
//!
//! - `load`: clients that ask again and again; bytes and answers within a window of time.
//! - `once`: each client downloads once; when its first byte came and when its last.
//! - `slow`: clients that read a little each second, until standard input ends.
//!
//! Bodies are received with `MSG_TRUNC`, by which Linux drops them without a copy: a cache's clients are other
//! machines, so what they do with the bytes must not take processor time from the server measured.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

mod connection;
mod load;
mod once;
mod slow;

use std::io;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use rustls::ClientConfig;
use serde::Serialize;

/// Clients that read and discard.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Ask again and again, and count within a window of time.
    Load(load::Args),
    /// Download once each.
    Once(once::Args),
    /// Read a little each second.
    Slow(slow::Args),
}

/// Whom to ask for what.
#[derive(Clone, clap::Args)]
struct Target {
    /// HOST:PORT.
    #[arg(long)]
    server: String,
    #[arg(long)]
    path: String,
    /// A further field of the request, `Name: value`.
    #[arg(long)]
    field: Vec<String>,
    /// Speak TLS and trust this certificate. Answers are not decrypted: that, too, is the work of another machine. So
    /// they end with their connection, and bytes count as they are on the wire (0.1 % more).
    #[arg(long)]
    tls: Option<std::path::PathBuf>,
    #[arg(long)]
    clients: usize,
    /// The file's size: what an answer without a length must have at least.
    #[arg(long)]
    size: u64,
}

impl Target {
    /// How to shake hands, if at all.
    fn tls(&self) -> io::Result<Option<Arc<ClientConfig>>> {
        self.tls.as_deref().map(connection::trusting).transpose()
    }
}

fn main() -> io::Result<()> {
    match Args::parse().mode {
        Mode::Load(args) => print(&load::run(args)?),
        Mode::Once(args) => print(&once::run(&args)?),
        Mode::Slow(args) => print(&slow::run(&args)?),
    }
}

fn print(report: &impl Serialize) -> io::Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
