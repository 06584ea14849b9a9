//! A stream whose bytes come from the caller instead of from a socket of ours: the fallback lane.
//!
//! Everything behind the bytes is the same: decoding, stamps, limits of time, a bounded channel, closing.

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::end::{Failure, FailureKind};

/// How many pieces may wait to be decoded. What is decoded waits in the stream's own channel.
const PIECES: usize = 16;

/// What is fed: bytes, or how it failed.
pub(crate) type Fed = Result<Bytes, Failure>;

/// Where the caller's bytes go in.
#[derive(Debug)]
pub struct Source {
    pieces: Sender<Fed>,
}

impl Source {
    pub(crate) fn new() -> (Self, Receiver<Fed>) {
        let (pieces, receiver) = channel(PIECES);
        (Self { pieces }, receiver)
    }

    /// Feeds the next bytes. Waits in this thread where the reader is slow.
    ///
    /// Returns whether anybody reads on.
    ///
    /// # Panics
    /// In a task of tokio.
    #[must_use]
    pub fn feed(&self, bytes: Bytes) -> bool {
        self.pieces.blocking_send(Ok(bytes)).is_ok()
    }

    /// Ends the stream as failed, after what was fed before.
    ///
    /// # Panics
    /// In a task of tokio.
    pub fn fail(&self, message: String) {
        // Where nobody reads, nobody wants to know.
        let _ = self.pieces.blocking_send(Err(Failure::new(FailureKind::Source, message)));
    }
}
