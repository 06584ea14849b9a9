//! Which pages may ask: the server's own, and those of origins that it is told of.
//!
//! A browser sends simple requests of any page, and only keeps the response from it. For an agent with tools that is too
//! late, so a request of another origin is refused before anything is done.
//!
//! Source: <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};

use crate::refusal::{Refusal, RefusalKind};
use crate::routes::Body;

/// What to answer to the origin of a request; `None` if it has none, or may not ask.
pub(crate) fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    if origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Refuses a request of a page that may not ask.
///
/// # Arguments
/// - `own_names`: whether the server is known only by this machine's own names.
///
/// # Errors
/// The page is of an origin that is neither the server's own nor allowed, or it has reached the server by a name that is
/// not this machine's.
pub(crate) fn check<B>(request: &Request<B>, origins: &[String], own_names: bool) -> Result<(), Refusal> {
    let host = request.uri().authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| request.headers().get(HOST)?.to_str().ok()).unwrap_or_default();
    if own_names && !host.is_empty() && !is_own_name(host) {
        let message = format!(
            "this server is for this machine only, and {host:?} is no name of it; behind a proxy, ask for keys (--keys) \
             or say that everybody may ask (--public)"
        );
        return Err(Refusal::new(RefusalKind::Forbidden, message));
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let origin_host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if origin_host == Some(host) || allowed(origins, request.headers()).is_some() {
        return Ok(());
    }
    let message = format!("pages of {origin:?} may not ask here; allow them with --cors");
    Err(Refusal::new(RefusalKind::Forbidden, message))
}

/// Whether a host, with or without a port, is an address or a name that only this machine can have.
fn is_own_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether a browser asks what it may ask.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that: everything, since the keys decide.
pub(crate) fn preflight<B>(request: &Request<B>) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets the page of an origin read a response.
pub(crate) fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("headrace-run, retry-after"));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(host: &str, origin: Option<&str>, own_names: bool) -> bool {
        let mut request = Request::builder().uri("/v1/models").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        check(&request.body(()).unwrap(), &["https://app.example".to_owned()], own_names).is_ok()
    }

    #[test]
    fn only_pages_of_the_server_and_of_allowed_origins_may_ask() {
        for (host, origin, may) in [
            ("127.0.0.1:8000", None, true),
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000"), true),
            ("127.0.0.1:8000", Some("http://127.0.0.1:9000"), false),
            ("127.0.0.1:8000", Some("https://evil.example"), false),
            ("127.0.0.1:8000", Some("null"), false),
            ("127.0.0.1:8000", Some("https://app.example"), true),
        ] {
            assert_eq!(asks(host, origin, true), may, "{host} {origin:?}");
        }
    }

    #[test]
    fn a_name_of_the_web_that_leads_here_is_refused() {
        for (host, may) in [
            ("localhost:8000", true),
            ("LOCALHOST", true),
            ("[::1]:8000", true),
            ("127.0.0.1", true),
            ("evil.example:8000", false),
        ] {
            let origin = format!("http://{host}");
            assert_eq!(asks(host, Some(&origin), true), may, "{host}");
            assert!(asks(host, Some(&origin), false), "{host}");
        }
    }
}
