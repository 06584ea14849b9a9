//! Writes the body of one response.

use crate::render::wire::Wire;
use crate::request_log::Entry;
use crate::socket::{Gone, Socket};

/// How much to write before yielding to other tasks.
const MAX_WRITE: usize = 1024 * 1024;

/// Writes the body of a response, and records how much of it the socket accepted.
#[derive(Debug)]
pub(crate) struct BodyWriter<'c> {
    pub(crate) socket: &'c mut Socket,
    pub(crate) entry: &'c Entry,
}

impl BodyWriter<'_> {
    /// Writes everything.
    pub(crate) async fn send(&mut self, wire: &Wire) -> Result<(), Gone> {
        let (mut written, mut frames) = (0, 0);
        while written < wire.bytes.len() {
            let end = wire.bytes.len().min(written + MAX_WRITE);
            let after = written + self.socket.write(&wire.bytes[written..end]).await?;
            let whole = wire.frame_ends.partition_point(|frame_end| *frame_end <= after);
            self.entry.written(after.max(wire.head) - written.max(wire.head), whole - frames);
            (written, frames) = (after, whole);
            if written < wire.bytes.len() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}
