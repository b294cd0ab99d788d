//! A fill under way: on the caller's thread while it is small, then on a thread of its own.
//!
//! Glance computes an MD5 of every piece that it hands over. What we do with the piece, our own digest above all, takes
//! nearly as long; side by side the two take no longer than the slower of them. The thread begins with the first byte
//! beyond [`SMALL`], in the process that writes it, and is over when the fill is.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use icewell::{Result, Writer};
use pyo3::PyResult;

use crate::error::raise;
use crate::writer::over;

/// Up to so many bytes a thread costs more than it saves.
const SMALL: u64 = 4 << 20;
/// Bytes are handed over in pieces of this size, of which so many may wait: 4 MiB of memory for each fill.
const PIECE: usize = 256 << 10;
const PIECES: usize = 16;

/// Dropped it rolls back, and waits until that is done.
pub(crate) enum Fill {
    Here(Writer),
    There(Handed),
    /// Here again, and here it stays: verified, or failed.
    Back(Writer),
    /// Committed, rolled back, or given up.
    Over,
}

/// A writer on a thread of its own.
pub(crate) struct Handed {
    /// None when the last piece is on its way.
    pieces: Option<SyncSender<Vec<u8>>>,
    /// Pieces that are written, to be filled again: fresh memory for each costs as much as its bytes.
    used: Receiver<Vec<u8>>,
    /// The piece that is being put together.
    next: Vec<u8>,
    /// The bytes that were taken; the last of them may not be written yet.
    taken: u64,
    /// Gives the writer back when there are no more pieces, or one could not be written. None when it has.
    thread: Option<JoinHandle<(Writer, Result<()>)>>,
}

impl Fill {
    /// Takes the next bytes of the image. An error may be that of bytes taken before.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> PyResult<()> {
        match self {
            Fill::Here(writer) if writer.written() + bytes.len() as u64 <= SMALL => writer.write(bytes).map_err(raise),
            Fill::Here(_) => {
                if let Fill::Here(writer) = std::mem::replace(self, Fill::Over) {
                    *self = Fill::There(Handed::begin(writer)?);
                }
                self.write(bytes)
            }
            Fill::There(handed) => {
                if handed.take(bytes) {
                    return Ok(());
                }
                self.writer().and(Err(over()))
            }
            Fill::Back(writer) => writer.write(bytes).map_err(raise),
            Fill::Over => Err(over()),
        }
    }

    /// The bytes that were taken so far.
    pub(crate) fn taken(&self) -> PyResult<u64> {
        match self {
            Fill::Here(writer) | Fill::Back(writer) => Ok(writer.written()),
            Fill::There(handed) => Ok(handed.taken),
            Fill::Over => Err(over()),
        }
    }

    /// The writer, with everything written that was taken, here again.
    pub(crate) fn writer(&mut self) -> PyResult<&mut Writer> {
        if let Fill::There(handed) = self {
            let Some((writer, written)) = handed.end() else { return Err(over()) };
            *self = Fill::Back(writer);
            written.map_err(raise)?;
        }
        match self {
            Fill::Here(writer) | Fill::Back(writer) => Ok(writer),
            _ => Err(over()),
        }
    }
}

impl Handed {
    /// Where there can be no more threads, the fill is given up.
    fn begin(writer: Writer) -> PyResult<Self> {
        let (pieces, waiting) = sync_channel(PIECES);
        let (give_back, used) = channel();
        let (taken, work) = (writer.written(), move || run(writer, &waiting, &give_back));
        let thread = Builder::new().name("icewell-fill".into()).spawn(work)?;
        Ok(Handed { pieces: Some(pieces), used, next: Vec::with_capacity(PIECE), taken, thread: Some(thread) })
    }

    /// Whether there still is somebody to write the bytes.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        let Some(pieces) = &self.pieces else { return false };
        while !bytes.is_empty() {
            let (fitting, rest) = bytes.split_at(bytes.len().min(PIECE - self.next.len()));
            self.next.extend_from_slice(fitting);
            bytes = rest;
            if self.next.len() == PIECE {
                let empty = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
                if pieces.send(std::mem::replace(&mut self.next, empty)).is_err() {
                    return false;
                }
            }
            self.taken += fitting.len() as u64;
        }
        true
    }

    /// Waits until everything is written, or something could not be.
    fn end(&mut self) -> Option<(Writer, Result<()>)> {
        if let Some(pieces) = self.pieces.take() {
            // Where nobody takes it any more, the thread tells why.
            pieces.send(std::mem::take(&mut self.next)).ok();
        }
        Some(self.thread.take()?.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn run(mut writer: Writer, pieces: &Receiver<Vec<u8>>, give_back: &Sender<Vec<u8>>) -> (Writer, Result<()>) {
    let written = pieces.iter().try_for_each(|mut piece| {
        writer.write(&piece)?;
        piece.clear();
        // Nobody takes it any more where the fill comes to its end.
        give_back.send(piece).ok();
        Ok(())
    });
    (writer, written)
}
