//! The clock of all timestamps.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock. Python's `time.monotonic_ns()` reads the same clock on Linux, so timestamps of
/// both languages, and of several processes on one machine, can be compared.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
