//! How many streams wake one event loop: a queue of the streams that became ready, and a file descriptor that the loop
//! watches. However many streams become ready before the loop looks, the descriptor is written once; a network thread
//! writes it when it has read all sockets that had something.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use crossbeam_queue::SegQueue;

use crate::bell::{self, Bell};

/// Wakes one event loop. Notifying takes no lock, and makes no system call while an earlier notification has not been
/// drained.
#[derive(Debug)]
pub struct Notifier {
    ready: SegQueue<u64>,
    notified: AtomicBool,
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Notifier {
    /// A notifier with nothing to drain.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = descriptors()?;
        Ok(Self { ready: SegQueue::new(), notified: AtomicBool::new(false), reader, writer })
    }

    /// The descriptor to watch: readable while there is something to drain.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// A waker for the stream with this key.
    #[must_use]
    pub fn waker(self: &Arc<Self>, key: u64) -> Waker {
        Waker::from(Arc::new(StreamWaker { notifier: Arc::clone(self), key }))
    }

    /// Takes the keys of the streams that were woken since the last call, each as often as it was woken.
    pub fn drain(&self) -> Vec<u64> {
        let mut bytes = [0; 8];
        // Fails if the descriptor is not readable: then there is nothing to reset.
        let _ = rustix::io::read(&self.reader, &mut bytes);
        // Before the queue is read: a stream that becomes ready from here on writes the descriptor again.
        self.notified.store(false, Ordering::SeqCst);
        std::iter::from_fn(|| self.ready.pop()).collect()
    }

    fn notify(self: &Arc<Self>, key: u64) {
        self.ready.push(key);
        if !self.notified.swap(true, Ordering::SeqCst) {
            bell::ring_soon(self);
        }
    }
}

impl Bell for Notifier {
    fn ring(&self) {
        // The descriptor cannot be full: at most one write is pending, plus one made during a `drain`.
        let _ = rustix::io::write(&self.writer, &1_u64.to_ne_bytes());
    }
}

/// Wakes the event loop on behalf of one stream.
struct StreamWaker {
    notifier: Arc<Notifier>,
    key: u64,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.notifier.notify(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notifier.notify(self.key);
    }
}

/// An eventfd, once for reading and once for writing.
#[cfg(target_os = "linux")]
fn descriptors() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::event::{EventfdFlags, eventfd};
    let reader = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let writer = reader.try_clone()?;
    Ok((reader, writer))
}

/// A pipe.
#[cfg(not(target_os = "linux"))]
fn descriptors() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        rustix::io::ioctl_fionbio(end, true)?;
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((reader, writer))
}
