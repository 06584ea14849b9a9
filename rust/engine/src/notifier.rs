//! How many streams wake one event loop: a list of streams that became ready, and a file descriptor that the loop
//! watches. However many streams become ready before the loop looks, the descriptor is written once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use crossbeam_queue::SegQueue;

/// The bell of one event loop. Ringing takes no lock and, while one ring is unanswered, no system call.
#[derive(Debug)]
pub struct Bell {
    ready: SegQueue<u64>,
    rung: AtomicBool,
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = descriptors()?;
        Ok(Self { ready: SegQueue::new(), rung: AtomicBool::new(false), reader, writer })
    }

    /// The descriptor to watch: readable while a ring is unanswered.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// A waker that rings for the stream of that key.
    #[must_use]
    pub fn waker(self: &Arc<Self>, key: u64) -> Waker {
        Waker::from(Arc::new(Rope { bell: Arc::clone(self), key }))
    }

    /// Answers: the keys of the streams that rang since the last time, each as often as it rang.
    pub fn answer(&self) -> Vec<u64> {
        let mut bytes = [0; 8];
        // Not readable means that nobody rang, which is an answer too.
        let _ = rustix::io::read(&self.reader, &mut bytes);
        // Before the list is read: a stream that comes later rings anew.
        self.rung.store(false, Ordering::SeqCst);
        std::iter::from_fn(|| self.ready.pop()).collect()
    }

    fn ring(&self, key: u64) {
        self.ready.push(key);
        if !self.rung.swap(true, Ordering::SeqCst) {
            // Cannot fill up: there is at most one unanswered write of eight bytes, and one more that crossed an answer.
            let _ = rustix::io::write(&self.writer, &1_u64.to_ne_bytes());
        }
    }
}

struct Rope {
    bell: Arc<Bell>,
    key: u64,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.bell.ring(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(self.key);
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
