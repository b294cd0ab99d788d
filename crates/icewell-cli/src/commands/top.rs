//! `icewell top`: a running daemon in the terminal, drawn again and again.

mod screen;
mod terminal;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use self::screen::Screen;
use self::terminal::{Key, Terminal};
use super::running::Running;
use super::running::seen::Seen;
use super::serve;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::units::Span;

/// Watch a running daemon: health, hits, traffic, room, fills, queue and failures; q ends it
///
/// It asks the daemon's admin listener, whose address and token it takes from the daemon's settings where no option names
/// them. Where standard output is no terminal it prints once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    running: Running,

    /// Ask anew after this long
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "2s")]
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

/// How long the daemon may take: it may have to count a large directory first.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let file = serve::read(args.config.as_deref(), context.output)?;
    let listener = args.running.listener(&file, PATIENCE)?;
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
