//! The keys that a request brings along. They are not kept longer than the request, and are in no report.

/// Headers whose values are never kept.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
];

/// The parameters of a query that are never kept: Google's key.
const SECRET_PARAMETER: &str = "key=";

/// What stands in the place of what is not kept.
pub(super) const STARS: &str = "***";

/// The keys of one request.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// The key of `Authorization: Bearer …`.
    pub(crate) bearer: Option<String>,
    /// `x-api-key`, as Anthropic has it.
    pub(crate) api_key: Option<String>,
    /// `x-goog-api-key`, or the `key` of the query.
    pub(crate) google: Option<String>,
    /// There is a signature of AWS, which is not checked.
    pub(crate) is_signed: bool,
}

impl Credentials {
    /// Those of the headers, found by name, and of the path.
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

/// Whether a header, by its lower-case name, holds what is not kept.
pub(super) fn is_secret(header: &str) -> bool {
    SECRET_HEADERS.contains(&header)
}

/// A path as it may be kept.
pub(super) fn without_secrets(target: &str) -> String {
    let Some((path, _)) = target.split_once('?') else {
        return target.to_owned();
    };
    let kept = parameters(target).map(|parameter| {
        if parameter.starts_with(SECRET_PARAMETER) {
            format!("{SECRET_PARAMETER}{STARS}")
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
    fn a_key_in_a_path_is_starred_out() {
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
