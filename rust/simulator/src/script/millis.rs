//! Durations. Scripts give them in milliseconds.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

/// A day. Longer durations are a mistake, and the limit prevents overflow when deadlines are added up.
const LONGEST_MS: f64 = 86_400_000.0;

/// For fields that may be zero.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let millis = f64::deserialize(deserializer)?;
    if (0.0..=LONGEST_MS).contains(&millis) {
        Ok(Duration::from_secs_f64(millis / 1000.0))
    } else {
        Err(Error::custom(format_args!("{millis} is not a number of milliseconds from 0 to {LONGEST_MS}")))
    }
}

/// For optional fields that may be zero.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// For optional fields with an interval, which cannot be zero.
pub(super) fn optional_interval<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    match duration(deserializer)? {
        interval if interval < Duration::from_millis(1) => Err(Error::custom("must be at least 1 ms")),
        interval => Ok(Some(interval)),
    }
}
