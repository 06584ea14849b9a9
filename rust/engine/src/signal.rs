//! What tells an event loop that there is something to drain: a file descriptor that becomes readable, or a condition that
//! a thread waits for.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A signal: given by the network threads, reset by whoever drains.
#[derive(Debug)]
pub(crate) enum Signal {
    #[cfg(unix)]
    Descriptor {
        reader: std::os::fd::OwnedFd,
        writer: std::os::fd::OwnedFd,
    },
    Condition {
        given: Mutex<bool>,
        changed: Condvar,
    },
}

impl Signal {
    #[cfg(unix)]
    pub(crate) fn descriptor() -> io::Result<Self> {
        let (reader, writer) = descriptors()?;
        Ok(Self::Descriptor { reader, writer })
    }

    #[cfg(not(unix))]
    pub(crate) fn descriptor() -> io::Result<Self> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub(crate) const fn condition() -> Self {
        Self::Condition { given: Mutex::new(false), changed: Condvar::new() }
    }

    /// The number of the descriptor.
    pub(crate) fn number(&self) -> Option<i32> {
        match self {
            #[cfg(unix)]
            Self::Descriptor { reader, .. } => Some(std::os::fd::AsRawFd::as_raw_fd(reader)),
            Self::Condition { .. } => None,
        }
    }

    pub(crate) fn give(&self) {
        match self {
            #[cfg(unix)]
            // The descriptor cannot be full: at most one write is pending, plus one made during a `reset`.
            Self::Descriptor { writer, .. } => drop(rustix::io::write(writer, &1_u64.to_ne_bytes())),
            Self::Condition { given, changed } => {
                *lock(given) = true;
                changed.notify_one();
            }
        }
    }

    pub(crate) fn reset(&self) {
        match self {
            #[cfg(unix)]
            // Fails if the descriptor is not readable: then there is nothing to reset.
            Self::Descriptor { reader, .. } => drop(rustix::io::read(reader, &mut [0; 8])),
            Self::Condition { given, .. } => *lock(given) = false,
        }
    }

    /// Waits until the signal is given; whether it is. A descriptor is watched, and not waited for.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        match self {
            #[cfg(unix)]
            Self::Descriptor { .. } => false,
            Self::Condition { given, changed } => {
                let waited = changed.wait_timeout_while(lock(given), timeout, |given| !*given);
                *waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

fn lock(given: &Mutex<bool>) -> MutexGuard<'_, bool> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An eventfd, once for reading and once for writing.
#[cfg(target_os = "linux")]
fn descriptors() -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    use rustix::event::{EventfdFlags, eventfd};
    let reader = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let writer = reader.try_clone()?;
    Ok((reader, writer))
}

/// A pipe.
#[cfg(all(unix, not(target_os = "linux")))]
fn descriptors() -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        rustix::io::ioctl_fionbio(end, true)?;
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((reader, writer))
}
