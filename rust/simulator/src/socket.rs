//! A connection that is watched while it is written to.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a connection that we close waits for the client's close.
const LINGER: Duration = Duration::from_secs(1);

/// How much a client may send ahead of its turn.
const MAX_INBOX: usize = 128 * 1024 * 1024;

/// The client has left: its side is closed, or the connection broke.
///
/// A client that only closes its sending side and keeps listening counts as gone. HTTP clients do not do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// A connection and what it has received that nobody has looked at.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// Received bytes. Whoever reads them drains them.
    pub(crate) inbox: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, inbox: Vec::new() }
    }

    /// Waits for more in the inbox.
    pub(crate) async fn receive(&mut self) -> Result<(), Gone> {
        loop {
            self.stream.readable().await.map_err(|_| Gone)?;
            if self.take()? {
                return Ok(());
            }
        }
    }

    /// Writes as much as the socket takes, waiting until it takes something. Notices while it waits when the client
    /// leaves: a full socket would never tell.
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

    /// Sleeps, unless the client leaves first.
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

    /// Waits for the client to leave.
    pub(crate) async fn gone(&mut self) -> Gone {
        while self.receive().await.is_ok() {}
        Gone
    }

    /// Closes the sending side, and gives the client time to close its own. To close at once while bytes that nobody
    /// read are left would send a reset, which can overtake the end of the response.
    pub(crate) async fn close(mut self) {
        use tokio::io::AsyncWriteExt as _;

        if self.stream.shutdown().await.is_ok() {
            let drain = async {
                while self.receive().await.is_ok() {
                    self.inbox.clear();
                }
            };
            // Whether the client closed or the time ran out: the connection is dropped either way.
            let _ = timeout(LINGER, drain).await;
        }
    }

    /// Resets the connection: the client sees a TCP RST.
    pub(crate) fn reset(self) {
        // Without this the drop would send a FIN; it fails only when the connection has broken already.
        let _ = self.stream.set_zero_linger();
    }

    /// Moves what has been received to the inbox; false when there was nothing.
    fn take(&mut self) -> Result<bool, Gone> {
        let before = self.inbox.len();
        if before > MAX_INBOX {
            return Err(Gone);
        }
        // Large bodies arrive in few reads, small requests do not pay for a large buffer.
        self.inbox.reserve(before.clamp(4 * 1024, 256 * 1024));
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(Gone),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(Gone),
        }
    }
}
