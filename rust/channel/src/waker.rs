//! A slot for the waker of the one task or thread that waits.
#![expect(
    unsafe_code,
    reason = "the waker is passed between threads without a lock; each unsafe block says why that is sound"
)]

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::task::Waker;

use crate::sync::{AtomicUsize, UnsafeCell, spin_loop};

/// No thread is using the slot.
const IDLE: usize = 0;
/// The waiting side is storing a waker.
const REGISTERING: usize = 0b01;
/// The waking side is taking the waker, or tried to while it was being stored.
const WAKING: usize = 0b10;

/// Holds a [`Waker`] that one thread registers and another thread wakes.
///
/// Why no wake-up is lost: the waiting side registers and *then* checks its condition once more; the waking side
/// changes the condition and *then* wakes. Both do a read-modify-write of `state`, so one of the two comes second. If
/// that is the waking side, it finds the registered waker. If it is the waiting side, its second check sees the
/// change.
pub(crate) struct WakerSlot {
    state: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `waker` is accessed only by the side that moved `state` out of `IDLE`, until it moves it back.
unsafe impl Sync for WakerSlot {}
// SAFETY: a `Waker` is `Send`, and nothing else in here is tied to a thread.
unsafe impl Send for WakerSlot {}

impl WakerSlot {
    pub(crate) fn new() -> Self {
        Self { state: AtomicUsize::new(IDLE), waker: UnsafeCell::new(None) }
    }

    /// Stores the waker. Only the waiting end calls this, so never two threads at once.
    pub(crate) fn register(&self, waker: &Waker) {
        if self.state.compare_exchange(IDLE, REGISTERING, AcqRel, Acquire).is_err() {
            // A wake is in progress. It may have taken an older waker, so wake this one to make its task poll again.
            waker.wake_by_ref();
            spin_loop();
            return;
        }
        let replaced = self.waker.with_mut(|slot| {
            // SAFETY: we set `REGISTERING`, so no other thread accesses the slot.
            let slot = unsafe { &mut *slot };
            match slot {
                Some(known) if known.will_wake(waker) => None,
                _ => slot.replace(waker.clone()),
            }
        });
        if self.state.compare_exchange(REGISTERING, IDLE, AcqRel, Acquire).is_err() {
            // `wake` was called in between and returned without waking: do it here.
            let missed = self.waker.with_mut(|slot| {
                // SAFETY: the state is `REGISTERING | WAKING`: the waking side has returned, so the slot is still ours.
                unsafe { &mut *slot }.take()
            });
            self.state.swap(IDLE, AcqRel);
            if let Some(missed) = missed {
                missed.wake();
            }
        }
        // Dropped only now, after the slot is released: dropping a waker may run arbitrary code.
        drop(replaced);
    }

    /// Takes the registered waker, if there is one, and wakes it.
    pub(crate) fn wake(&self) {
        if self.state.fetch_or(WAKING, AcqRel) != IDLE {
            // The other side is registering and will see `WAKING`, or another wake is in progress.
            return;
        }
        let waker = self.waker.with_mut(|slot| {
            // SAFETY: we moved the state from `IDLE` to `WAKING`. A concurrent `register` fails, so the slot is ours.
            unsafe { &mut *slot }.take()
        });
        self.state.fetch_and(!WAKING, Release);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
