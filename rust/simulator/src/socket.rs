//! A connection that notices a disconnect also while writing or waiting.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// How long to wait for the client's close after closing our side.
const LINGER: Duration = Duration::from_secs(1);

/// How much a client may send ahead.
const MAX_INBOX: usize = 128 * 1024 * 1024;

/// The client has disconnected: it closed its side, or the connection broke.
///
/// A client that closes only its sending side counts as disconnected. HTTP clients do not do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// A connection and its unread bytes.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// Bytes that were received and not yet consumed.
    pub(crate) inbox: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, inbox: Vec::new() }
    }

    /// Waits until more bytes are in the inbox.
    pub(crate) async fn receive(&mut self) -> Result<(), Gone> {
        loop {
            self.stream.readable().await.map_err(|_| Gone)?;
            if self.take()? {
                return Ok(());
            }
        }
    }

    /// Writes as much as the socket accepts, waiting until it accepts something. It also reads while it waits, to notice
    /// a disconnect: a socket with a full send buffer would not report one.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        loop {
            match self.stream.try_write(bytes) {
                Ok(written) => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Gone),
            }
            let ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE).await.map_err(|_| Gone)?;
            if ready.is_readable() {
                self.take()?;
            }
        }
    }

    /// Writes everything.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Sleeps, unless the client disconnects first.
    pub(crate) async fn sleep_until(&mut self, deadline: Instant) -> Result<(), Gone> {
        // A timer would round up to the next millisecond.
        if deadline <= Instant::now() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = sleep_until(deadline) => Ok(()),
            gone = self.gone() => Err(gone),
        }
    }

    /// Waits for the client to disconnect.
    pub(crate) async fn gone(&mut self) -> Gone {
        while self.receive().await.is_ok() {}
        Gone
    }

    /// Closes the sending side, and gives the client time to close its own. Closing both at once with unread bytes would
    /// send a reset, which can overtake the end of the response.
    pub(crate) async fn close(mut self) {
        use tokio::io::AsyncWriteExt as _;

        if self.stream.shutdown().await.is_ok() {
            let drain = async {
                while self.receive().await.is_ok() {
                    self.inbox.clear();
                }
            };
            // The connection is dropped whether the client closed or the time ran out.
            let _ = timeout(LINGER, drain).await;
        }
    }

    /// Resets the connection: the client sees a TCP RST.
    pub(crate) fn reset(self) {
        // Without this, dropping would send a FIN. It fails only if the connection is already broken.
        let _ = self.stream.set_zero_linger();
    }

    /// Moves received bytes to the inbox; false if there were none.
    fn take(&mut self) -> Result<bool, Gone> {
        let before = self.inbox.len();
        if before > MAX_INBOX {
            return Err(Gone);
        }
        // Grows with the body: large ones take few reads, small ones need no large buffer.
        self.inbox.reserve(before.clamp(4 * 1024, 256 * 1024));
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(Gone),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(Gone),
        }
    }
}
