//! A stream whose bytes the caller feeds, instead of the engine reading them from a socket: the fed lane.
//!
//! The rest is the same: decoding, timestamps, timeouts, the bounded channel, closing.

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::end::{Failure, FailureKind};

/// How many pieces may wait to be decoded. Decoded deltas wait in the stream's channel.
const MAX_PENDING: usize = 16;

/// The next bytes, or the caller's failure.
pub(crate) type Fed = Result<Bytes, Failure>;

/// The caller's end, which takes the bytes.
#[derive(Debug)]
pub struct Source {
    pieces: Sender<Fed>,
}

impl Source {
    pub(crate) fn new() -> (Self, Receiver<Fed>) {
        let (pieces, receiver) = channel(MAX_PENDING);
        (Self { pieces }, receiver)
    }

    /// Feeds the next bytes, and blocks this thread while the reader is behind.
    ///
    /// Returns false if the stream is no longer read.
    ///
    /// # Panics
    /// In a task of tokio.
    #[must_use]
    pub fn feed(&self, bytes: Bytes) -> bool {
        self.pieces.blocking_send(Ok(bytes)).is_ok()
    }

    /// Ends the stream as failed, after the bytes fed so far.
    ///
    /// # Panics
    /// In a task of tokio.
    pub fn fail(&self, message: String) {
        // Fails only if the stream is no longer read: then nobody waits for the failure.
        let _ = self.pieces.blocking_send(Err(Failure::new(FailureKind::Source, message)));
    }
}
