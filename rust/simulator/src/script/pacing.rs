//! When tokens are sent.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::millis;

const DEFAULT_STEADY: Duration = Duration::from_millis(20);
const DEFAULT_BURST: Duration = Duration::from_millis(100);
const DEFAULT_SIZE: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// When the tokens of an answer are sent, relative to the arrival of the request.
///
/// Token `k` has its own deadline, `start + first + tick(k) × interval + jitter(k)`: a late token does not delay later
/// ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Pacing {
    /// The rhythm.
    pub rhythm: Rhythm,
    /// How long the first token takes.
    pub first: Duration,
    /// Each tick is late by a random time up to this. Tokens stay in order.
    pub jitter: Duration,
    /// The seed of the jitter. The same seed gives the same delays.
    pub seed: u64,
}

/// The rhythm of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rhythm {
    /// All tokens at once.
    #[default]
    Fast,
    /// One token at a time.
    Steady {
        /// From one token to the next.
        interval: Duration,
    },
    /// Several tokens at a time.
    Burst {
        /// How many tokens in one burst.
        size: NonZeroU32,
        /// From one burst to the next.
        interval: Duration,
    },
}

/// The JSON of [`Pacing`].
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Fields {
    mode: Mode,
    #[serde(deserialize_with = "millis::optional")]
    interval_ms: Option<Duration>,
    size: Option<NonZeroU32>,
    #[serde(deserialize_with = "millis::duration")]
    first_ms: Duration,
    #[serde(deserialize_with = "millis::duration")]
    jitter_ms: Duration,
    seed: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Fast,
    Steady,
    Burst,
}

impl TryFrom<Fields> for Pacing {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let rhythm = match (fields.mode, fields.interval_ms, fields.size) {
            (Mode::Fast, Some(_), _) => return Err("`interval_ms` needs the mode `steady` or `burst`"),
            (Mode::Fast | Mode::Steady, _, Some(_)) => return Err("`size` needs the mode `burst`"),
            (Mode::Fast, None, None) => Rhythm::Fast,
            (Mode::Steady, interval, None) => Rhythm::Steady { interval: interval.unwrap_or(DEFAULT_STEADY) },
            (Mode::Burst, interval, size) => Rhythm::Burst {
                size: size.unwrap_or(DEFAULT_SIZE),
                interval: interval.unwrap_or(DEFAULT_BURST),
            },
        };
        Ok(Self { rhythm, first: fields.first_ms, jitter: fields.jitter_ms, seed: fields.seed })
    }
}
