//! A slot for the one task or thread that waits.
#![expect(unsafe_code, reason = "the waker changes hands without a lock; each block says why it may")]

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::task::Waker;

use crate::sync::{AtomicUsize, UnsafeCell, spin_loop};

/// Nobody holds the slot.
const IDLE: usize = 0;
/// The waiting side is storing a waker.
const REGISTERING: usize = 0b01;
/// The waking side is taking the waker, or came while it was being stored.
const WAKING: usize = 0b10;

/// Holds a [`Waker`] that one thread registers and another wakes.
///
/// The rule that makes a lost wake-up impossible: the waiting side registers and *then* looks once more whether it must
/// wait; the waking side changes what is waited for and *then* wakes. Both go through one read-modify-write of `state`,
/// so one of them is second: if it is the waker, it finds the registered one; if it is the waiter, it sees the change.
pub(crate) struct WakerSlot {
    state: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `waker` is touched only by the side that moved `state` out of `IDLE`, until it moves it back.
unsafe impl Sync for WakerSlot {}
// SAFETY: a `Waker` may be sent, and nothing else in here is tied to a thread.
unsafe impl Send for WakerSlot {}

impl WakerSlot {
    pub(crate) fn new() -> Self {
        Self { state: AtomicUsize::new(IDLE), waker: UnsafeCell::new(None) }
    }

    /// Stores whom to wake. Only one thread at a time may call this: the end that waits.
    pub(crate) fn register(&self, waker: &Waker) {
        if self.state.compare_exchange(IDLE, REGISTERING, AcqRel, Acquire).is_err() {
            // A wake is under way. It may have taken an older waker, so this one must run again at once.
            waker.wake_by_ref();
            spin_loop();
            return;
        }
        let replaced = self.waker.with_mut(|slot| {
            // SAFETY: `REGISTERING` is ours, so nobody else touches the slot.
            let slot = unsafe { &mut *slot };
            match slot {
                Some(known) if known.will_wake(waker) => None,
                _ => slot.replace(waker.clone()),
            }
        });
        if self.state.compare_exchange(REGISTERING, IDLE, AcqRel, Acquire).is_err() {
            // A wake came in between and left the waker to us.
            let missed = self.waker.with_mut(|slot| {
                // SAFETY: the state is `REGISTERING | WAKING`: the waking side has gone away, the slot is ours.
                unsafe { &mut *slot }.take()
            });
            self.state.swap(IDLE, AcqRel);
            if let Some(missed) = missed {
                missed.wake();
            }
        }
        // Dropped outside the slot: a waker's drop may run anything.
        drop(replaced);
    }

    /// Wakes whoever is registered, once.
    pub(crate) fn wake(&self) {
        if self.state.fetch_or(WAKING, AcqRel) != IDLE {
            // The other side is registering and will see `WAKING`, or another wake is under way.
            return;
        }
        let waker = self.waker.with_mut(|slot| {
            // SAFETY: we moved the state from `IDLE` to `WAKING`: a `register` now fails, so the slot is ours.
            unsafe { &mut *slot }.take()
        });
        self.state.fetch_and(!WAKING, Release);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
