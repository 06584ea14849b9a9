//! The API keys of a request. They are dropped with the request, and never part of a report.

/// Headers whose values are redacted.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
];

/// The query parameter that is redacted: Google's key.
const SECRET_PARAMETER: &str = "key=";

/// Replaces what is redacted.
pub(super) const REDACTED: &str = "***";

/// The API keys of one request.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// From `Authorization: Bearer …`.
    pub(crate) bearer: Option<String>,
    /// From `x-api-key`, which Anthropic uses.
    pub(crate) api_key: Option<String>,
    /// From `x-goog-api-key`, or `key` in the query.
    pub(crate) google: Option<String>,
    /// Whether there is an AWS signature. It is not checked.
    pub(crate) is_signed: bool,
}

impl Credentials {
    /// Reads them from the headers, which `find` looks up by name, and from the path.
    pub(super) fn new(find: impl Fn(&str) -> Option<String>, target: &str) -> Self {
        let authorization = find("authorization");
        let authorization = authorization.as_deref().unwrap_or_default();
        let parameter = parameters(target).find_map(|parameter| parameter.strip_prefix(SECRET_PARAMETER));
        Self {
            bearer: authorization.strip_prefix("Bearer ").map(str::to_owned),
            api_key: find("x-api-key"),
            google: find("x-goog-api-key").or_else(|| parameter.map(str::to_owned)),
            is_signed: authorization.starts_with("AWS4-HMAC-SHA256 "),
        }
    }
}

/// Whether the values of a header are redacted. Its name is in lower case.
pub(super) fn is_secret(header: &str) -> bool {
    SECRET_HEADERS.contains(&header)
}

/// A path with its keys redacted.
pub(super) fn without_secrets(target: &str) -> String {
    let Some((path, _)) = target.split_once('?') else {
        return target.to_owned();
    };
    let kept = parameters(target).map(|parameter| {
        if parameter.starts_with(SECRET_PARAMETER) {
            format!("{SECRET_PARAMETER}{REDACTED}")
        } else {
            parameter.to_owned()
        }
    });
    format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
}

fn parameters(target: &str) -> impl Iterator<Item = &str> {
    target.split_once('?').into_iter().flat_map(|(_, query)| query.split('&'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_is_redacted() {
        for (target, kept) in [
            ("/a", "/a"),
            ("/a?alt=sse", "/a?alt=sse"),
            ("/a?key=secret", "/a?key=***"),
            ("/a?alt=sse&key=secret&x=key=y", "/a?alt=sse&key=***&x=key=y"),
        ] {
            assert_eq!(without_secrets(target), kept);
        }
    }
}
