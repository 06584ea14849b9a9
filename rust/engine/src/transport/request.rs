//! A request as it goes over the wire.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, Entry, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use super::TransportError;
use super::pool::Way;
use super::target::Target;

/// A request, for whichever version of HTTP.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) target: Target,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outgoing {
    /// A POST request. Of several headers with the same name the last one counts.
    pub(crate) fn new(url: &str, pairs: &[(String, String)], body: Bytes) -> Result<Self, TransportError> {
        let target = Target::parse(url)?;
        let mut headers = HeaderMap::with_capacity(pairs.len() + 8);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("headrace/", env!("CARGO_PKG_VERSION"))));
        // A compressed stream comes in blocks, and late.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in pairs {
            let invalid = |what: &str| TransportError::invalid(format!("the header {name:?}: {what}"));
            let parsed =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("no such name is allowed"))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| invalid("its value has characters that are not ASCII, or control characters"))?;
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        // The transport's own affair.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        if let Some(basic) = &target.authorization
            && let Entry::Vacant(space) = headers.entry(AUTHORIZATION)
        {
            let mut value = HeaderValue::from_str(basic)
                .map_err(|_| TransportError::invalid("the user or the password of its URL".to_owned()))?;
            value.set_sensitive(true);
            space.insert(value);
        }
        Ok(Self { target, headers, body })
    }

    /// The head for HTTP/1.1. A proxy that forwards it wants the whole URL, and to know who asks.
    pub(super) fn http1_head(&self, way: &Way) -> Vec<u8> {
        let Target { authority, path, .. } = &self.target;
        let mut head = Vec::with_capacity(512);
        head.extend_from_slice(b"POST ");
        if let Way::Forwarded(_) = way {
            head.extend_from_slice(format!("http://{authority}").as_bytes());
        }
        head.extend_from_slice(path.as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        let mut write = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        if !self.headers.contains_key(HOST) {
            write("host", authority.as_bytes());
        }
        write("content-length", self.body.len().to_string().as_bytes());
        if let Way::Forwarded(proxy) = way
            && let Some(authorization) = proxy.authorization()
            && !self.headers.contains_key(PROXY_AUTHORIZATION)
        {
            write("proxy-authorization", authorization.as_bytes());
        }
        for (name, value) in &self.headers {
            write(name.as_str(), value.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The head for HTTP/2.
    pub(super) fn http2_head(&self) -> Result<http::Request<()>, TransportError> {
        let Target { origin, authority, path, .. } = &self.target;
        let mut headers = self.headers.clone();
        // Headers about one connection are malformed in HTTP/2: RFC 9113, section 8.2.2.
        for name in [CONNECTION, UPGRADE, TE] {
            headers.remove(name);
        }
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
        let host = headers.remove(HOST);
        let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(authority);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        let scheme = if origin.is_tls { "https" } else { "http" };
        let mut request = http::Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = format!("{scheme}://{authority}{path}")
            .parse()
            .map_err(|error| TransportError::invalid(format!("its URL: {error}")))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
