//! When bytes arrived: the kernel's receive stamps, on the clock of [`crate::clock`].
//!
//! The kernel stamps packets with the wall clock, which is set and slewed. So each stamp is converted with the distance of
//! the two clocks at the time of its read, and is not used at all if that distance has jumped since the last read: the
//! packet may have come before the jump.

use std::cell::Cell;

use crate::clock::{now_ns, wall_ns};

/// How far the two clocks may drift apart from one read to the next: adjusting the wall clock is limited to 500 ppm.
const DRIFT_DIVISOR: u64 = 1_000;

/// What is taken for drift at any time: a thread may be suspended between looking at one clock and at the other.
const JITTER_NS: u64 = 200_000;

/// When the bytes of one read arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When the last of them arrived: an upper bound for each.
    pub(crate) arrived_ns: u64,
    /// When they were read.
    pub(crate) read_ns: u64,
    /// Whether the kernel stamped the arrival. Otherwise it is the time of the read.
    pub(crate) by_kernel: bool,
}

impl Stamp {
    /// Bytes that were read now.
    pub(crate) fn now() -> Self {
        Self::read_at(now_ns())
    }

    /// Bytes of which only the time of their read is known.
    pub(crate) const fn read_at(read_ns: u64) -> Self {
        Self { arrived_ns: read_ns, read_ns, by_kernel: false }
    }

    /// Bytes that were read now, with the kernel's stamp.
    pub(super) fn of_kernel(packet_wall_ns: u64) -> Self {
        thread_local!(static CLOCKS: Cell<Option<Clocks>> = const { Cell::new(None) });
        let now = Clocks { monotonic_ns: now_ns(), wall_ns: wall_ns() };
        convert(packet_wall_ns, now, CLOCKS.replace(Some(now)))
    }
}

/// Both clocks at one time.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    monotonic_ns: u64,
    wall_ns: u64,
}

fn convert(packet_wall_ns: u64, now: Clocks, before: Option<Clocks>) -> Stamp {
    let user = Stamp::read_at(now.monotonic_ns);
    // A stamp of the future is of a clock that was set back since.
    let Some(age_ns) = now.wall_ns.checked_sub(packet_wall_ns) else { return user };
    if !before.is_some_and(|before| is_steady(before, now)) {
        return user;
    }
    Stamp { arrived_ns: now.monotonic_ns.saturating_sub(age_ns), read_ns: now.monotonic_ns, by_kernel: true }
}

/// Whether both clocks went on by the same time.
const fn is_steady(before: Clocks, now: Clocks) -> bool {
    let monotonic = now.monotonic_ns.saturating_sub(before.monotonic_ns);
    let wall = now.wall_ns.saturating_sub(before.wall_ns);
    monotonic.abs_diff(wall) <= JITTER_NS + monotonic / DRIFT_DIVISOR
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// The wall clock at monotonic 0.
    const EPOCH: u64 = 1_700_000_000_000 * MS;

    const fn clocks(monotonic_ms: u64, step_ms: u64) -> Clocks {
        Clocks { monotonic_ns: monotonic_ms * MS, wall_ns: EPOCH + (monotonic_ms + step_ms) * MS }
    }

    #[test]
    fn a_packet_keeps_its_age() {
        let stamp = convert(EPOCH + 1_470 * MS, clocks(1_500, 0), Some(clocks(1_400, 0)));
        assert_eq!(stamp, Stamp { arrived_ns: 1_470 * MS, read_ns: 1_500 * MS, by_kernel: true });
    }

    #[test]
    fn a_step_of_the_wall_clock_shifts_no_arrival() {
        // The packet came at 1470 by a clock that was then put forward by an hour, and at 1490 by the new one.
        let hour = 3_600_000;
        let stepped = convert(EPOCH + 1_470 * MS, clocks(1_500, hour), Some(clocks(1_400, 0)));
        assert_eq!(stepped, Stamp::read_at(1_500 * MS));
        let after = convert(EPOCH + (1_590 + hour) * MS, clocks(1_600, hour), Some(clocks(1_500, hour)));
        assert_eq!(after.arrived_ns, 1_590 * MS);
    }

    #[test]
    fn a_clock_that_is_put_back_leaves_no_stamp_of_the_future() {
        let before = Clocks { monotonic_ns: 1_400 * MS, wall_ns: EPOCH + 3_600_000 * MS };
        assert_eq!(
            convert(EPOCH + 3_600_000 * MS, clocks(1_500, 0), Some(before)),
            Stamp::read_at(1_500 * MS)
        );
    }

    #[test]
    fn a_slewed_clock_is_no_step() {
        let slewed = Clocks { monotonic_ns: 11_400 * MS, wall_ns: EPOCH + 11_405 * MS };
        assert!(convert(EPOCH + 11_400 * MS, slewed, Some(clocks(1_400, 0))).by_kernel);
    }

    #[test]
    fn the_first_read_of_a_thread_knows_of_no_step() {
        assert!(!convert(EPOCH + 1_490 * MS, clocks(1_500, 0), None).by_kernel);
    }
}
