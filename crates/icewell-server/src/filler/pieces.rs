//! Bytes on their way from whoever receives them to the thread that writes them.
//!
//! They are gathered in a few buffers that go round. What comes is copied out of the connection's buffer at once, while
//! the processor has it at hand: so the connection receives into the same memory again and again, and a fill never holds
//! more than these. A buffer goes to the writer when it is full, or when its first byte has waited for a moment. It ends
//! where a whole [`PIECE`] of the file does: so images lie in large pages, which are cheaper to send from ever after.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::pages::PIECE;

/// One is written, one waits, one is filled.
const BUFFERS: usize = 3;
/// How long a byte waits for more to be written together.
const GATHERED_FOR: Duration = Duration::from_millis(20);

/// Both ends, for bytes from the offset `at` on of an image of this size.
pub(super) fn pieces(at: u64, size: Option<u64>) -> (Gathering, Writing) {
    let (full, to_write) = mpsc::channel(BUFFERS);
    let (give_back, empty) = mpsc::channel(BUFFERS);
    for _ in 0..BUFFERS {
        give_back.try_send(Vec::new()).ok();
    }
    (Gathering { at, size, first: true, buffer: Vec::new(), due: None, full, empty }, Writing { to_write, give_back })
}

/// The end where bytes come in.
pub(super) struct Gathering {
    /// Where in the image the next byte lies.
    at: u64,
    size: Option<u64>,
    first: bool,
    /// One of those that go round, if there are bytes in it.
    buffer: Vec<u8>,
    due: Option<Instant>,
    full: mpsc::Sender<Vec<u8>>,
    empty: mpsc::Receiver<Vec<u8>>,
}

impl Gathering {
    /// How many bytes of the image have come.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// When what was gathered is to be [flushed](Gathering::flush).
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes the bytes; waits while the writer is behind. The first of all go on at once.
    ///
    /// # Errors
    ///
    /// The writer takes no more. What it did not get comes back, in order.
    pub(super) async fn add(&mut self, mut bytes: Bytes) -> Result<(), Vec<Bytes>> {
        while !bytes.is_empty() {
            if self.buffer.is_empty() {
                let Some(buffer) = self.empty.recv().await else { return Err(vec![bytes]) };
                self.buffer = buffer;
                self.due = Some(Instant::now() + GATHERED_FOR);
            }
            let room = PIECE - self.at % PIECE;
            let part = bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if self.buffer.is_empty() {
                let more = self.size.map_or(0, |size| size.saturating_sub(self.at).min(room));
                self.buffer.reserve_exact(part.len().max(usize::try_from(more).unwrap_or(0)));
            }
            self.buffer.extend_from_slice(&part);
            self.at += part.len() as u64;
            let first = std::mem::take(&mut self.first);
            if (first || self.at.is_multiple_of(PIECE))
                && let Err(mut left) = self.flush().await
            {
                left.push(bytes);
                return Err(left);
            }
        }
        Ok(())
    }

    /// Hands over what was gathered.
    ///
    /// # Errors
    ///
    /// The writer takes no more. What was gathered comes back.
    pub(super) async fn flush(&mut self) -> Result<(), Vec<Bytes>> {
        self.due = None;
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            return Ok(());
        }
        self.full.send(buffer).await.map_err(|mpsc::error::SendError(buffer)| vec![buffer.into()])
    }
}

/// The end where bytes are written. It blocks.
pub(super) struct Writing {
    to_write: mpsc::Receiver<Vec<u8>>,
    give_back: mpsc::Sender<Vec<u8>>,
}

impl Writing {
    /// Gives each buffer to `write` until no more come.
    ///
    /// # Errors
    ///
    /// That of `write`, with the bytes that it was given and all after them.
    pub(super) fn each<E>(mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), (E, Vec<Bytes>)> {
        while let Some(mut buffer) = self.to_write.blocking_recv() {
            if let Err(error) = write(&buffer) {
                self.to_write.close();
                let mut unwritten = vec![Bytes::from(buffer)];
                while let Some(buffer) = self.to_write.blocking_recv() {
                    unwritten.push(buffer.into());
                }
                return Err((error, unwritten));
            }
            buffer.clear();
            // There is room for all that go round.
            self.give_back.try_send(buffer).ok();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE_LENGTH: usize = PIECE as usize;

    fn image(length: usize) -> Bytes {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    /// Gathers the image in steps of so many bytes, and writes until `most` buffers have come. What was written, and
    /// what was left: in the writer's hands, and given back.
    async fn carried(image: &Bytes, at: u64, step: usize, most: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut gathering, writing) = pieces(at, Some(at + image.len() as u64));
        let writer = std::thread::spawn(move || {
            let mut written = Vec::new();
            let unwritten = writing.each(|bytes| {
                if written.len() == most {
                    return Err(());
                }
                written.push(bytes.to_vec());
                Ok(())
            });
            (written, unwritten.err().map_or_else(Vec::new, |(_, unwritten)| unwritten))
        });
        let mut left = Vec::new();
        let mut rest = image.clone();
        while !rest.is_empty() && left.is_empty() {
            let bytes = rest.split_to(step.min(rest.len()));
            left = gathering.add(bytes).await.err().unwrap_or_default();
        }
        if left.is_empty() {
            left = gathering.flush().await.err().unwrap_or_default();
        }
        left.push(rest);
        drop(gathering);
        let (written, mut unwritten) = writer.join().unwrap();
        unwritten.extend(left);
        (written, unwritten.concat())
    }

    #[tokio::test]
    async fn all_come_in_order_and_end_where_pieces_of_the_file_do() {
        for (at, step) in [(0, 300_000), (5, 300_000), (PIECE - 1, 5 * PIECE_LENGTH), (7 * PIECE, PIECE_LENGTH)] {
            let image = image(4 * PIECE_LENGTH + 3);
            let (written, left) = carried(&image, at, step, usize::MAX).await;
            assert!(written.concat() == image && left.is_empty(), "from {at} on");
            let mut end = at;
            for (number, bytes) in written.iter().enumerate() {
                end += bytes.len() as u64;
                let last = number + 1 == written.len();
                assert!(number == 0 || last || end.is_multiple_of(PIECE), "{at}: number {number} ends at {end}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_written_comes_back_in_order() {
        for most in 0..6 {
            for step in [100_000, PIECE_LENGTH, 9 * PIECE_LENGTH] {
                let image = image(8 * PIECE_LENGTH + 100);
                let (written, left) = carried(&image, 0, step, most).await;
                assert_eq!(written.len(), most);
                assert!([written.concat(), left].concat() == image, "after {most}, in steps of {step}");
            }
        }
    }

    #[tokio::test]
    async fn the_first_bytes_go_on_at_once_and_more_wait_a_moment() {
        let (mut gathering, mut writing) = pieces(0, None);
        gathering.add(image(10)).await.unwrap();
        assert_eq!(writing.to_write.try_recv().unwrap().len(), 10);
        assert_eq!(gathering.due(), None);
        gathering.add(image(10)).await.unwrap();
        assert!(writing.to_write.try_recv().is_err() && gathering.due().is_some());
        gathering.flush().await.unwrap();
        assert_eq!((writing.to_write.try_recv().unwrap().len(), gathering.due(), gathering.at()), (10, None, 20));
    }
}
