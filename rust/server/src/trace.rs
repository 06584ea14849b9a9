//! Which trace a request belongs to.

use http::HeaderMap;

/// The headers of a request that tell which trace it belongs to.
///
/// Source: <https://www.w3.org/TR/trace-context/>.
pub(crate) fn trace_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = ["traceparent", "tracestate", "baggage"];
    let value = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
    names.into_iter().filter_map(value).collect()
}
