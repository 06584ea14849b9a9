//! How long a provider asks to wait before a retry.

use std::time::SystemTime;

/// The seconds to wait that a response's headers name: OpenAI's `retry-after-ms`, or else `Retry-After` in either of
/// the forms of RFC 9110, section 10.2.3. A date that has passed is 0.
///
/// `header` looks up a header by its name in lower case.
pub fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<f64> {
    if let Some(milliseconds) = header("retry-after-ms").and_then(number) {
        return Some(milliseconds / 1000.0);
    }
    let value = header("retry-after")?;
    number(value).or_else(|| {
        let date = httpdate::parse_http_date(value.trim()).ok()?;
        Some(date.duration_since(now).map_or(0.0, |wait| wait.as_secs_f64()))
    })
}

/// A number that can be a waiting time.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn wait(headers: &[(&str, &'static str)]) -> Option<f64> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        // 21 October 2015, 07:28:00 GMT.
        retry_after(header, UNIX_EPOCH + Duration::from_secs(1_445_412_480))
    }

    #[test]
    fn seconds_milliseconds_and_dates() {
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(7.0));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(0.25));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(30.0));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]), Some(0.0));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn what_is_no_waiting_time_is_ignored() {
        for value in ["soon", "-1", "nan", "inf", ""] {
            assert_eq!(wait(&[("retry-after", value)]), None, "{value:?}");
            assert_eq!(wait(&[("retry-after-ms", value), ("retry-after", "7")]), Some(7.0), "{value:?}");
        }
    }
}
