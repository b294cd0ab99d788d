//! A terminal that is drawn on: its other screen, without echo, given back as it was.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use console::truncate_str;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::failure::{Failure, Result};

/// To the other screen, and no cursor; and back (`console_codes(4)`, xterm's `ctlseqs`).
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; to the end of the line, and of the screen, nothing; the heading in reverse.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
const REVERSE: (&str, &str) = ("\x1b[7m", "\x1b[0m");

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `q`, Ctrl-C or Ctrl-D, or a signal.
    Quit,
    Other,
}

/// The terminal of standard input and output. It is as before when this is dropped.
pub(super) struct Terminal {
    before: Termios,
    /// Has something to read once a signal has come that ends programs, whenever that was: also while nobody waited.
    ended: UnixStream,
}

impl Terminal {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// Standard input is no terminal.
    pub(super) fn take() -> Result<Self> {
        let unusable = |error: rustix::io::Errno| Failure::failed(format!("cannot use the terminal: {error}"));
        let before = tcgetattr(io::stdin()).map_err(unusable)?;
        let ended = signals().map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(unusable)?;
        let terminal = Terminal { before, ended };
        print(BEGIN)?;
        Ok(terminal)
    }

    /// Draws as many of the lines as there is room for, each as long as there is room for.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<()> {
        let (width, height) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        };
        let mut screen = String::from(HOME);
        for (number, line) in lines.iter().take(height).enumerate() {
            if number > 0 {
                screen.push_str("\r\n");
            }
            let line = truncate_str(line, width, "…");
            match number {
                0 => screen.extend([REVERSE.0, &line, REVERSE.1]),
                _ => screen.push_str(&line),
            }
            screen.push_str(REST_OF_LINE);
        }
        screen.push_str(REST_OF_SCREEN);
        print(&screen)
    }

    /// Waits for a key, for so long at most. A signal that ends programs is as good as one.
    pub(super) fn wait(&mut self, time: Duration) -> Result<Option<Key>> {
        let stdin = io::stdin();
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let mut looked_at = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        match poll(&mut looked_at, Some(&time)) {
            Ok(0) => return Ok(None),
            Ok(_) if !looked_at[1].revents().is_empty() => return Ok(Some(Key::Quit)),
            Ok(_) => {}
            // By a signal, which may be one of those.
            Err(rustix::io::Errno::INTR) => return self.wait(Duration::ZERO),
            Err(error) => return Err(Failure::failed(format!("cannot wait for a key: {error}"))),
        }
        let mut typed = [0; 16];
        match rustix::io::read(&stdin, &mut typed) {
            Ok(number) if number > 0 && !typed[..number].iter().any(|key| matches!(key, b'q' | b'Q' | 3 | 4)) => {
                Ok(Some(Key::Other))
            }
            // The terminal is gone, or this is the end.
            _ => Ok(Some(Key::Quit)),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        print(END).ok();
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// Where to read that a signal has come.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}
