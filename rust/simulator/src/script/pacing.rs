//! When tokens are sent.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::millis;

const DEFAULT_STEADY: Duration = Duration::from_millis(20);
const DEFAULT_BURST: Duration = Duration::from_millis(100);
const DEFAULT_SIZE: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// When the tokens of an answer are sent, counted from the moment at which its request had arrived.
///
/// Token `k` has a deadline of its own, `start + first + tick(k) × interval + jitter(k)`: a late token does not
/// delay the ones after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Pacing {
    /// The beat.
    pub rhythm: Rhythm,
    /// How long the first token takes.
    pub first: Duration,
    /// Each beat comes up to this much late, differently for each. A token never overtakes another.
    pub jitter: Duration,
    /// What the jitter is drawn from: the same seed gives the same delays.
    pub seed: u64,
}

/// The beat of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rhythm {
    /// All tokens at once.
    #[default]
    Fast,
    /// One token every so often.
    Steady {
        /// From one token to the next.
        interval: Duration,
    },
    /// Several tokens at once, every so often.
    Burst {
        /// How many at once.
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
