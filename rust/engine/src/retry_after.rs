//! How long a provider asks to wait before a retry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headrace_wire::written_wait;

/// The seconds to wait that a response's headers name: OpenAI's `retry-after-ms`, or else `Retry-After`: seconds or a date
/// (RFC 9110, section 10.2.3), or, as some servers write it, a duration such as `1m30s` or an RFC 3339 date. A date that
/// has passed is 0.
///
/// `header` looks up a header by its name in lower case.
pub fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<f64> {
    let milliseconds = header("retry-after-ms").and_then(written_wait);
    milliseconds.map(|wait| wait / 1000.0).or_else(|| wait(header("retry-after")?, now))
}

/// The seconds until a rate limit is reset, for a response that was refused by one and says no more:
/// <https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>,
/// <https://docs.anthropic.com/en/api/rate-limits#response-headers>. Of several limits, those count of which nothing
/// remains; if that is not known of any, the longest counts.
pub fn rate_limit_reset<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<f64> {
    /// The names of reset headers, and of those with how much remains.
    const RESETS: [(&str, &str); 10] = [
        ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
        ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
        ("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
        ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
        ("anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"),
        ("anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"),
        ("x-ratelimit-reset", "x-ratelimit-remaining"),
        ("x-rate-limit-reset", "x-rate-limit-remaining"),
        ("ratelimit-reset", "ratelimit-remaining"),
        ("x-ratelimit-reset-after", "x-ratelimit-remaining"),
    ];
    let resets = RESETS.iter().filter_map(|(reset, remaining)| {
        let is_used_up = header(remaining).and_then(written_wait) == Some(0.0);
        Some((wait(header(reset)?, now)?, is_used_up))
    });
    let resets: Vec<(f64, bool)> = resets.collect();
    let any_used_up = resets.iter().any(|(_, is_used_up)| *is_used_up);
    let counting = resets.iter().filter(|(_, is_used_up)| *is_used_up || !any_used_up);
    counting.map(|(wait, _)| *wait).reduce(f64::max)
}

/// A number this near to now, in seconds since 1970, is a time and no duration.
const NEAR: f64 = 10.0 * 365.0 * 86_400.0;

/// A waiting time, or how long it is until a time.
fn wait(value: &str, now: SystemTime) -> Option<f64> {
    let value = value.trim();
    if let Some(number) = written_wait(value) {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        // Seconds since 1970, or milliseconds.
        let time = [number, number / 1000.0].into_iter().find(|time| (time - now).abs() < NEAR);
        return Some(time.map_or(number, |time| (time - now).max(0.0)));
    }
    let date = httpdate::parse_http_date(value).ok().or_else(|| rfc_3339(value))?;
    Some(date.duration_since(now).map_or(0.0, |wait| wait.as_secs_f64()))
}

/// A date as RFC 3339 writes it, such as `2026-01-01T00:00:00Z`. Fractions of seconds are dropped.
fn rfc_3339(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let separators = [4, 7, 10, 13, 16].map(|at| text.as_bytes().get(at).copied());
    let is_date =
        matches!(separators, [Some(b'-'), Some(b'-'), Some(b'T' | b't' | b' '), Some(b':'), Some(b':')]);
    if !is_date || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = text[19..].trim_start_matches(|char: char| char == '.' || char.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    // Days since 1970, with years that begin in March: <https://howardhinnant.github.io/date_algorithms.html>.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 October 2015, 07:28:00 GMT.
    const NOW: u64 = 1_445_412_480;

    fn ask(
        headers: &[(&str, &'static str)],
        how: impl Fn(&dyn Fn(&str) -> Option<&'static str>, SystemTime) -> Option<f64>,
    ) -> Option<f64> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        how(&header, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn wait(headers: &[(&str, &'static str)]) -> Option<f64> {
        ask(headers, |header, now| retry_after(header, now))
    }

    fn reset(headers: &[(&str, &'static str)]) -> Option<f64> {
        ask(headers, |header, now| rate_limit_reset(header, now))
    }

    #[test]
    fn seconds_milliseconds_and_dates() {
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(7.0));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(0.25));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(30.0));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]), Some(0.0));
        assert_eq!(wait(&[("retry-after", "2015-10-21T07:28:30Z")]), Some(30.0));
        assert_eq!(wait(&[("retry-after", "2015-10-21T09:28:30.5+02:00")]), Some(30.0));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn durations_and_times() {
        for (value, seconds) in
            [("20s", 20.0), ("1m30s", 90.0), ("1445412500", 20.0), ("1445412500000", 20.0), ("1e12", 1e12)]
        {
            assert_eq!(wait(&[("retry-after", value)]), Some(seconds), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_waiting_time_is_ignored() {
        for value in ["soon", "-1", "nan", "inf", "", "2015-13-21T07:28:30Z", "2015-10-21"] {
            assert_eq!(wait(&[("retry-after", value)]), None, "{value:?}");
            assert_eq!(wait(&[("retry-after-ms", value), ("retry-after", "7")]), Some(7.0), "{value:?}");
        }
    }

    #[test]
    fn the_limit_that_is_used_up_counts() {
        let [requests, tokens] = [("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")];
        assert_eq!(reset(&[requests]), Some(1.0));
        assert_eq!(reset(&[requests, tokens]), Some(360.0));
        assert_eq!(reset(&[requests, tokens, ("x-ratelimit-remaining-requests", "0")]), Some(1.0));
        assert_eq!(reset(&[("x-ratelimit-reset", "1445412500000")]), Some(20.0));
        assert_eq!(reset(&[("anthropic-ratelimit-tokens-reset", "2015-10-21T07:28:30Z")]), Some(30.0));
        assert_eq!(reset(&[]), None);
    }
}
