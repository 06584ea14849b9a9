//! When each frame is due.

use std::time::Duration;

use tokio::time::Instant;

use crate::script::{Pacing, Rhythm};

/// When each slot of one answer is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    pacing: Pacing,
}

impl Schedule {
    /// The schedule of an answer to a request that arrived at `start`.
    pub(crate) fn new(start: Instant, pacing: Pacing) -> Self {
        Self { start, pacing }
    }

    /// The deadline of a slot. It does not depend on other slots, so delays do not add up. A jitter of more than the
    /// interval can put it after the next slot's deadline; the next slot then waits, since frames are sent in order.
    pub(crate) fn at(&self, slot: u32) -> Instant {
        let (tick, interval) = match self.pacing.rhythm {
            Rhythm::Fast => (0, Duration::ZERO),
            Rhythm::Steady { interval } => (slot, interval),
            Rhythm::Burst { size, interval } => (slot / size, interval),
        };
        self.start + self.pacing.first + interval * tick + self.jitter(tick)
    }

    fn jitter(&self, tick: u32) -> Duration {
        if self.pacing.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.pacing.jitter.mul_f64(fraction(self.pacing.seed, tick))
    }
}

/// The random number of a tick, from 0 to 1: `SplitMix64` (Steele, Lea, Flood 2014), whose `n`-th number can be computed
/// without those before it.
fn fraction(seed: u64, tick: u32) -> f64 {
    let mut z = seed.wrapping_add(u64::from(tick).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let high = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(high) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(pacing: &str, slots: u32) -> Vec<u128> {
        let start = Instant::now();
        let schedule = Schedule::new(start, serde_json::from_str(pacing).unwrap());
        (0..slots).map(|slot| (schedule.at(slot) - start).as_millis()).collect()
    }

    #[test]
    fn fast_is_all_at_once() {
        assert_eq!(offsets(r#"{"first_ms": 5}"#, 3), [5, 5, 5]);
    }

    #[test]
    fn steady_is_a_multiple_of_the_interval() {
        assert_eq!(
            offsets(r#"{"mode": "steady", "interval_ms": 2.5, "first_ms": 10}"#, 5),
            [10, 12, 15, 17, 20]
        );
    }

    #[test]
    fn a_burst_shares_its_deadline() {
        assert_eq!(offsets(r#"{"mode": "burst", "size": 2, "interval_ms": 50}"#, 5), [0, 0, 50, 50, 100]);
    }

    #[test]
    fn jitter_is_bounded_and_depends_only_on_the_seed() {
        let jittered = |seed: u64| {
            offsets(
                &format!(r#"{{"mode": "steady", "interval_ms": 100, "jitter_ms": 40, "seed": {seed}}}"#),
                100,
            )
        };
        let late = |(slot, offset): (usize, &u128)| (0..=40).contains(&(offset - 100 * slot as u128));
        assert!(jittered(1).iter().enumerate().all(late));
        assert_eq!(jittered(1), jittered(1));
        assert_ne!(jittered(1), jittered(2));
    }
}
