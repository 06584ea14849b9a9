//! Rings that a network thread holds back until it has nothing else to do, so that one system call, and one round of an
//! event loop, serve all streams that became ready in one poll of the sockets.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use crate::clock::now_ns;

/// How long a thread that always has something to do may hold a ring back.
const LATE_NS: u64 = 100_000;

/// What can be rung.
pub(crate) trait Bell: Debug {
    fn ring(&self);
}

/// The rings that a thread holds back.
#[derive(Debug, Default)]
struct Held {
    bells: Vec<Arc<dyn Bell>>,
    /// When the first of them was to ring.
    since_ns: u64,
}

thread_local! {
    /// `None` in a thread that never calls [`about_to_sleep`]: nobody would ring there later.
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Rings now, or when this thread has nothing else to do.
pub(crate) fn ring_soon<B: Bell + 'static>(bell: &Arc<B>) {
    let is_held = HELD.with_borrow_mut(|held| {
        let Some(held) = held else { return false };
        if held.bells.is_empty() {
            held.since_ns = now_ns();
        }
        held.bells.push(Arc::<B>::clone(bell));
        true
    });
    if !is_held {
        bell.ring();
    }
}

/// This thread is about to wait for its sockets. It calls this each time.
pub(crate) fn about_to_sleep() {
    HELD.with_borrow_mut(|held| ring_all(held.get_or_insert_default()));
}

/// Rings what is held back.
pub(crate) fn ring_now() {
    HELD.with_borrow_mut(|held| held.as_mut().map_or((), ring_all));
}

/// Rings what has been held back for too long.
pub(crate) fn ring_if_late(now_ns: u64) {
    HELD.with_borrow_mut(|held| match held {
        Some(held) if now_ns.saturating_sub(held.since_ns) > LATE_NS => ring_all(held),
        _ => {}
    });
}

fn ring_all(held: &mut Held) {
    for bell in held.bells.drain(..) {
        bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counter(AtomicUsize);

    impl Bell for Counter {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn rung(bell: &Counter) -> usize {
        bell.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_thread_that_is_not_the_networks_rings_at_once() {
        let bell = Arc::new(Counter::default());
        ring_soon(&bell);
        assert_eq!(rung(&bell), 1);
    }

    #[test]
    fn a_network_thread_rings_when_it_goes_to_sleep() {
        let bell = Arc::new(Counter::default());
        about_to_sleep();
        ring_soon(&bell);
        assert_eq!(rung(&bell), 0);
        about_to_sleep();
        assert_eq!(rung(&bell), 1);
        about_to_sleep();
        assert_eq!(rung(&bell), 1);
    }

    #[test]
    fn a_network_thread_rings_when_told_to() {
        let bell = Arc::new(Counter::default());
        about_to_sleep();
        ring_soon(&bell);
        ring_now();
        assert_eq!(rung(&bell), 1);
    }

    #[test]
    fn a_network_thread_that_is_always_busy_rings_soon() {
        let bell = Arc::new(Counter::default());
        about_to_sleep();
        ring_soon(&bell);
        ring_if_late(0);
        assert_eq!(rung(&bell), 0);
        ring_if_late(now_ns() + 2 * LATE_NS);
        assert_eq!(rung(&bell), 1);
    }
}
