//! The clock of all timestamps.

/// Nanoseconds of the monotonic clock. On Linux, [`std::time::Instant`] and Python's `time.monotonic_ns()` read the same
/// clock, so the simulator's timestamps can be compared with those of a client on the same machine; elsewhere with those
/// of a client in the same process, once [`align`] was called.
#[must_use]
pub fn monotonic_ns() -> u64 {
    system::now_ns()
}

/// Tells the clock what Python's clock shows now, where the two are not one clock of the system. Only the first call
/// counts.
pub fn align(python_ns: u64) {
    system::align(python_ns);
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn now_ns() -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        // Both parts are never negative on this clock.
        now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
    }

    pub(super) const fn align(_python_ns: u64) {}
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::OnceLock;
    use std::time::Instant;

    static BEGUN: OnceLock<(Instant, u64)> = OnceLock::new();

    pub(super) fn now_ns() -> u64 {
        let (instant, at_ns) = BEGUN.get_or_init(|| (Instant::now(), 1));
        at_ns.saturating_add(u64::try_from(instant.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn align(python_ns: u64) {
        let _ = BEGUN.set((Instant::now(), python_ns));
    }
}
