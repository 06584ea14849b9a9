//! A TCP connection whose reads carry the kernel's receive stamps.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::stamp::Stamp;

/// A TCP connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    last: LastStamp,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Without stamps of the kernel, the time of the read is the arrival.
        let _ = request_stamps(&stream);
        Self { stream, last: LastStamp::default() }
    }

    /// The stamp of the last read.
    pub(super) const fn last_stamp(&self) -> &LastStamp {
        &self.last
    }

    /// What waits to be read, without reading it.
    pub(super) fn waiting(&self) -> Waiting {
        let mut byte = [MaybeUninit::uninit()];
        match socket2::SockRef::from(&self.stream).peek(&mut byte) {
            Ok(0) => Waiting::Nothing { closed: true },
            Ok(_) => Waiting::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Nothing { closed: false },
            Err(_) => Waiting::Nothing { closed: true },
        }
    }
}

/// What waits in a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing { closed: bool },
    Bytes,
}

/// The stamp of a connection's last read. With HTTP/2 one task reads for many streams.
#[derive(Debug, Clone, Default)]
pub(super) struct LastStamp(Arc<[AtomicU64; 2]>);

/// Marks the arrival as the kernel's. A monotonic clock reaches it after 292 years.
const BY_KERNEL: u64 = 1 << 63;

impl LastStamp {
    fn store(&self, stamp: Stamp) {
        let [arrived, read] = &*self.0;
        read.store(stamp.read_ns, Ordering::Relaxed);
        arrived.store(stamp.arrived_ns | if stamp.by_kernel { BY_KERNEL } else { 0 }, Ordering::Relaxed);
    }

    pub(super) fn load(&self) -> Stamp {
        let [arrived, read] = &*self.0;
        let (arrived, read_ns) = (arrived.load(Ordering::Relaxed), read.load(Ordering::Relaxed));
        // Another thread may store both in between: then the arrival is the newer one.
        let arrived_ns = arrived & !BY_KERNEL;
        Stamp { arrived_ns, read_ns: read_ns.max(arrived_ns), by_kernel: arrived & BY_KERNEL != 0 }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buffer.initialize_unfilled();
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let mut partial = None;
            let read = self.stream.try_io(Interest::READABLE, || {
                let (length, stamp) = receive(&self.stream, space)?;
                self.last.store(stamp);
                if 0 < length && length < space.len() {
                    // The socket is empty now. Saying so here spares the system call that would find it out.
                    partial = Some(length);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(length)
            });
            let length = match (read, partial) {
                (_, Some(length)) | (Ok(length), None) => length,
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => continue,
                (Err(error), None) => return Poll::Ready(Err(error)),
            };
            buffer.advance(length);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(target_os = "linux")]
fn request_stamps(stream: &TcpStream) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
    Ok(setsockopt(stream, ReceiveTimestampns, &true)?)
}

#[cfg(target_os = "linux")]
fn receive(stream: &TcpStream, space: &mut [u8]) -> io::Result<(usize, Stamp)> {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

    /// Room for one control message with a time: 16 bytes of header and 16 of time.
    #[repr(align(16))]
    struct Control([u8; 64]);

    let mut control = Control([0; 64]);
    let mut slices = [IoSliceMut::new(space)];
    let received = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut control.0), MsgFlags::empty())?;
    let time = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(time),
        _ => None,
    });
    let wall_ns = time.and_then(|time| {
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
    });
    Ok((received.bytes, wall_ns.map_or_else(Stamp::now, Stamp::of_kernel)))
}

#[cfg(not(target_os = "linux"))]
fn request_stamps(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn receive(stream: &TcpStream, space: &mut [u8]) -> io::Result<(usize, Stamp)> {
    use std::io::Read;
    (&*socket2::SockRef::from(stream)).read(space).map(|length| (length, Stamp::now()))
}
