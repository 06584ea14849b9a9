//! Waits for the exact time of a request.

use std::time::Duration;

use headrace_engine::clock::now_ns;

/// A sleep wakes up late: by the timer's slack (50 µs), and by the scheduler. The rest is waited for actively.
const TAIL_NS: u64 = 100_000;

/// A sleep lasts no longer than this, so that a stop is noticed.
const SLICE_NS: u64 = 50_000_000;

/// Blocks this thread until a time of the engine's clock; false if `stopped` says so before.
pub(crate) fn wait_until(due_ns: u64, stopped: impl Fn() -> bool) -> bool {
    loop {
        if stopped() {
            return false;
        }
        let left = due_ns.saturating_sub(now_ns());
        if left <= TAIL_NS {
            break;
        }
        std::thread::sleep(Duration::from_nanos((left - TAIL_NS).min(SLICE_NS)));
    }
    while now_ns() < due_ns {
        std::hint::spin_loop();
    }
    true
}
