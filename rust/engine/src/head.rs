//! What a caller may want of the head of a response: the provider's id of the request, and its limits.

use std::sync::OnceLock;

use headrace_wire::http1::Headers;

use crate::end::End;

/// The names, or parts of names, of headers that are kept. The rest of a head is about a kilobyte, which each stream would
/// hold while it waits.
const KEPT: [&str; 7] =
    ["ratelimit", "rate-limit", "retry-after", "request-id", "requestid", "processing-ms", "server-timing"];

/// The headers by which providers tell the id of a request, the most usual first.
const REQUEST_IDS: [&str; 5] =
    ["x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id", "cf-ray"];

/// What is kept of the head of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The headers about limits and times, by lower-case name.
    pub headers: Box<[(String, String)]>,
}

impl Head {
    pub(crate) fn of(headers: &Headers) -> Self {
        let kept = headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            KEPT.iter().any(|part| name.contains(part)).then(|| (name, value.to_owned()))
        });
        Self { request_id: request_id(|name| headers.get(name)), headers: kept.collect() }
    }
}

/// The provider's id of a request.
pub(crate) fn request_id<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    REQUEST_IDS.into_iter().find_map(header).map(str::to_owned)
}

/// What the task of a stream publishes, besides the deltas.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// How the stream ended.
    pub(crate) end: OnceLock<End>,
    /// What is kept of the head of a good response, once it has come.
    pub(crate) head: OnceLock<Head>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_ids_are_kept_and_nothing_else() {
        let headers: Headers = [
            ("X-RateLimit-Remaining-Requests", "59"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:00Z"),
            ("Set-Cookie", "secret=1"),
            ("Request-Id", "req_1"),
            ("openai-processing-ms", "12"),
        ]
        .into_iter()
        .collect();
        let head = Head::of(&headers);
        assert_eq!(head.request_id.as_deref(), Some("req_1"));
        let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "x-ratelimit-remaining-requests",
                "anthropic-ratelimit-tokens-reset",
                "request-id",
                "openai-processing-ms"
            ]
        );
    }
}
