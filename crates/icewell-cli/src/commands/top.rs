//! `icewell top`: a running daemon in the terminal, drawn again and again.

mod screen;
mod seen;
mod terminal;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use icewell_server::AdminListener;

use self::screen::Screen;
use self::seen::Seen;
use self::terminal::{Key, Terminal};
use super::serve;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::settings::{InForce, Typed};
use crate::units::Span;

/// Watch a running daemon: health, hits, traffic, room, fills, queue and failures; q ends it
///
/// It asks the daemon's admin listener, whose address and token it takes from the daemon's settings where no option names
/// them. Where standard output is no terminal it prints once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The daemon's admin listener [default: as the daemon's settings name it, else 127.0.0.1:9293]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,

    /// A file whose first line is the admin token [default: as the daemon's settings name it]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// Ask anew after this long
    #[arg(long, value_name = "TIME", default_value = "2s")]
    interval: Span,

    /// Print once
    #[arg(short = '1', long)]
    once: bool,

    /// The daemon's file of settings, or "off" [default: /etc/icewell/icewell.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "ICEWELL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

/// The shortest time between two questions.
const AT_LEAST: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let listener = listener(args, context)?;
    let ask = || Ok::<_, Failure>(listener.status()?);
    if context.output.is_json() {
        context.output.print(&ask()?)?;
        return Ok(Exit::Done);
    }
    let first = Seen::read(&ask()?)?;
    let mut screen = Screen::of(first);
    if args.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        context.output.print(screen.text().as_bytes())?;
        return Ok(Exit::Done);
    }
    let mut terminal = Terminal::take()?;
    loop {
        terminal.draw(&screen.lines())?;
        match terminal.wait(args.interval.0.max(AT_LEAST))? {
            Some(Key::Quit) => return Ok(Exit::Done),
            Some(Key::Other) | None => {}
        }
        // A daemon that is started again is waited for.
        match ask().and_then(|told| Seen::read(&told)) {
            Ok(seen) => screen.next(seen),
            Err(why) => screen.no_answer(why.to_string()),
        }
    }
}

/// The daemon that is meant.
fn listener(args: &Args, context: &Context<'_>) -> Result<AdminListener> {
    let file = serve::read(args.config.as_deref(), context.output)?;
    let typed = Typed::in_environment().map_err(|error| Failure::usage(error.to_string()))?;
    let settings = InForce::of(&typed, &file).settings()?;
    let usual = SocketAddr::from(([127, 0, 0, 1], 9293));
    let configured = settings.admin.map_or(Some(usual), |admin| admin.0);
    let off =
        || Failure::usage("the daemon's settings have no admin listener (admin = \"off\"); name one with --admin");
    let address = args.admin.or(configured).ok_or_else(off)?;
    let file = args.admin_token_file.clone().or(settings.admin_token_file);
    let token = file.as_deref().map(token).transpose()?;
    Ok(AdminListener::new(reachable(address), token.as_deref())?)
}

fn token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read the admin token in", file, &error))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Where a listener at `address` is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
