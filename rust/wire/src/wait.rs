//! Reads how long a provider asks to wait.

/// A waiting time in seconds, as servers write it: `20`, `20s`, `1m30s`, `500ms`, `1h2m3.5s`, `20 seconds`. `None` if
/// it is anything else, or negative.
#[must_use]
pub fn written_wait(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite()
            && seconds >= 0.0
            && text.starts_with(|char: char| char.is_ascii_digit() || char == '.'))
        .then_some(seconds);
    }
    let (wait, rest) = leading_wait(text)?;
    rest.trim().is_empty().then_some(wait)
}

/// The waiting time that a message asks for in words: "Please try again in 11s", "retry after 20 seconds".
pub(crate) fn wait_in_words(message: &str) -> Option<f64> {
    const PHRASES: [&str; 6] =
        ["try again in ", "try again after ", "retry in ", "retry after ", "retrydelay\": \"", "wait for "];
    let lower = message.to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let at = lower.find(phrase)? + phrase.len();
        leading_wait(&lower[at..]).map(|(wait, _)| wait)
    })
}

/// The units, the longer names first.
const UNITS: [(&str, f64); 18] = [
    ("milliseconds", 0.001),
    ("millisecond", 0.001),
    ("seconds", 1.0),
    ("second", 1.0),
    ("minutes", 60.0),
    ("minute", 60.0),
    ("hours", 3600.0),
    ("hour", 3600.0),
    ("days", 86400.0),
    ("day", 86400.0),
    ("secs", 1.0),
    ("sec", 1.0),
    ("mins", 60.0),
    ("min", 60.0),
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// The numbers with units at the start of a text, added up, and what follows them. At least one is needed.
fn leading_wait(text: &str) -> Option<(f64, &str)> {
    let mut total = None;
    let mut rest = text;
    while let Some((seconds, after)) = number_with_unit(rest.trim_start_matches([' ', ','])) {
        total = Some(total.unwrap_or(0.0) + seconds);
        rest = after;
    }
    total.map(|seconds| (seconds, rest))
}

fn number_with_unit(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim_start();
    let (name, seconds) = UNITS.iter().find(|(name, _)| {
        // A unit is a whole word, or the next number follows: `1m30s`.
        unit.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|char: char| char.is_alphabetic()))
    })?;
    Some((number * seconds, &unit[name.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_is_seen() {
        let forms = [
            ("20", 20.0),
            ("20s", 20.0),
            ("1m30s", 90.0),
            ("6m0s", 360.0),
            ("1h0m2.5s", 3602.5),
            ("500ms", 0.5),
            (" 7 ", 7.0),
            ("0.5", 0.5),
            ("20 seconds", 20.0),
            ("1 minute, 5 seconds", 65.0),
        ];
        for (text, seconds) in forms {
            assert_eq!(written_wait(text), Some(seconds), "{text:?}");
        }
        for text in ["", "soon", "-1", "nan", "inf", "-20s", "20x", "s", "20sx"] {
            assert_eq!(written_wait(text), None, "{text:?}");
        }
    }

    #[test]
    fn words() {
        let messages = [
            ("Rate limit reached. Please try again in 11s. Visit us.", Some(11.0)),
            ("Please try again in 1m23.5s.", Some(83.5)),
            ("Please try again in 220ms.", Some(0.22)),
            ("Please retry after 20 seconds.", Some(20.0)),
            ("Please retry in 34.074824224s.", Some(34.074_824_224)),
            ("Try again in a while", None),
            ("try again in 11 apples", None),
        ];
        for (message, wait) in messages {
            assert_eq!(wait_in_words(message), wait, "{message:?}");
        }
    }
}
