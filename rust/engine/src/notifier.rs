//! How many streams wake one event loop: a queue of the streams that became ready, and a signal that the loop looks at.
//! However many streams become ready before the loop looks, the signal is given once; a network thread gives it when it
//! has read all sockets that had something.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crossbeam_queue::SegQueue;

use crate::bell::{self, Bell};
use crate::signal::Signal;

/// Wakes one event loop. Notifying makes no system call while an earlier notification has not been drained.
#[derive(Debug)]
pub struct Notifier {
    ready: SegQueue<u64>,
    notified: AtomicBool,
    signal: Signal,
}

impl Notifier {
    /// A notifier with a file descriptor, for an event loop that watches one.
    ///
    /// # Errors
    /// When the process is out of file descriptors, or the system has none that an event loop could watch.
    pub fn new() -> io::Result<Self> {
        Ok(Self::with(Signal::descriptor()?))
    }

    /// A notifier that a thread [waits](Self::wait) for, for an event loop that watches no descriptors.
    #[must_use]
    pub fn without_descriptor() -> Self {
        Self::with(Signal::condition())
    }

    fn with(signal: Signal) -> Self {
        Self { ready: SegQueue::new(), notified: AtomicBool::new(false), signal }
    }

    /// The number of the descriptor to watch, readable while there is something to drain; `None` without one.
    #[must_use]
    pub fn descriptor(&self) -> Option<i32> {
        self.signal.number()
    }

    /// Blocks this thread until there is something to drain, for at most `timeout`; whether there is. Only for a
    /// notifier without a descriptor, and for one thread.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.signal.wait(timeout)
    }

    /// A waker for the stream with this key.
    #[must_use]
    pub fn waker(self: &Arc<Self>, key: u64) -> Waker {
        Waker::from(Arc::new(StreamWaker { notifier: Arc::clone(self), key }))
    }

    /// Takes the keys of the streams that were woken since the last call, each as often as it was woken.
    pub fn drain(&self) -> Vec<u64> {
        self.signal.reset();
        // Before the queue is read: a stream that becomes ready from here on gives the signal again.
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
        self.signal.give();
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
