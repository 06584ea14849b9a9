//! The clock of all timestamps.

/// Nanoseconds of the monotonic clock. Python's `time.monotonic_ns()` reads the same clock, so timestamps of both
/// languages, and on Linux of several processes on one machine, can be compared.
#[must_use]
pub fn now_ns() -> u64 {
    system::now_ns()
}

/// Tells the clock what Python's clock shows now, where the two are not one clock of the system. Only the first call
/// counts, and it must come before the first timestamp.
pub fn align(python_ns: u64) {
    system::align(python_ns);
}

/// Nanoseconds of the wall clock since 1970.
pub(crate) fn wall_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
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

/// Python reads another clock on each of the other systems, so ours counts from what it showed once.
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
