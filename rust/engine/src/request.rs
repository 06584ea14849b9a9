//! What to send, and the timeouts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headrace_wire::Dialect;
use headrace_wire::sse::DEFAULT_MAX_EVENT_BYTES;

use crate::transport::options::{ConnectionOptions, ProxyChoice};

/// One request for a stream. Its method is POST.
#[derive(Clone)]
pub struct Request {
    /// The full URL.
    pub url: String,
    /// Header names and values. The values are never printed.
    pub headers: Vec<(String, String)>,
    /// The body as it goes over the wire.
    pub body: Bytes,
    /// The dialect of the response.
    pub dialect: Dialect,
    /// How to connect.
    pub connection: Arc<ConnectionOptions>,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// The cap on one event of the response, in bytes.
    pub max_event_bytes: usize,
    /// How many deltas may wait for the reader before reading from the socket pauses.
    pub capacity: usize,
}

impl Request {
    /// The default for [`Request::capacity`]: some 256 KiB of stream.
    pub const DEFAULT_CAPACITY: usize = 1024;

    /// The URL scheme that marks a stream whose bytes the caller feeds.
    const FED: &str = "fed";

    /// The options of a stream whose bytes the caller feeds: a name for messages, and default limits.
    #[must_use]
    pub fn fed(name: &str, dialect: Dialect) -> Self {
        Self::new(format!("{}:{name}", Self::FED), Vec::new(), Bytes::new(), dialect)
    }

    /// A request with default limits.
    #[must_use]
    pub fn new(url: String, headers: Vec<(String, String)>, body: Bytes, dialect: Dialect) -> Self {
        Self {
            url,
            headers,
            body,
            dialect,
            connection: Arc::default(),
            timeouts: Timeouts::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            capacity: Self::DEFAULT_CAPACITY,
        }
    }
}

impl Request {
    /// The URL for messages, without user, password and query, which may contain keys.
    pub(crate) fn endpoint(&self) -> String {
        match url::Url::parse(&self.url) {
            Ok(url) if url.scheme() == Self::FED => url.path().to_owned(),
            Ok(url) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
            }
            Err(_) => "an invalid URL".to_owned(),
        }
    }

    /// What is to be redacted should a server echo it: the values of headers that carry credentials, and those in the
    /// URL, as they are and as they are written there. The longest come first.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let values = self.headers.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.as_str());
        let values = values.map(|value| value.strip_prefix("Bearer ").unwrap_or(value).to_owned());
        let mut secrets: Vec<String> = values.chain(secrets_of_url(&self.url)).collect();
        if let ProxyChoice::Url(proxy) = &self.connection.proxy {
            secrets.extend(secrets_of_url(proxy));
        }
        secrets.retain(|value| value.len() >= 4);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        secrets
    }
}

fn secrets_of_url(url: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    let written = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut secrets: Vec<String> =
        written.filter(|(name, _)| is_secret(name)).map(|(_, value)| value.to_owned()).collect();
    let read = url.query_pairs().filter(|(name, _)| is_secret(name));
    secrets.extend(read.map(|(_, value)| value.into_owned()));
    if let Some(password) = url.password() {
        secrets.push(password.to_owned());
        // Decoded as a query is, which differs only for `+`.
        let query = format!("p={}", password.replace('+', "%2B"));
        let mut decoded = url.clone();
        decoded.set_query(Some(&query));
        secrets.extend(decoded.query_pairs().map(|(_, value)| value.into_owned()));
    }
    secrets
}

/// Whether a header or a parameter of this name carries a credential.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["auth", "key", "token", "secret", "cookie", "password", "credential", "signature"];
    words.iter().any(|word| name.contains(word)) || matches!(name.as_str(), "sig" | "code" | "pass" | "pwd")
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Request")
            .field("url", &self.endpoint())
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .field("dialect", &self.dialect)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// How long each phase of a stream may take. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting, including the TLS handshake.
    pub connect: Option<Duration>,
    /// Waiting until a connection is free or may be made.
    pub pool: Option<Duration>,
    /// From the request until the first token.
    pub first_token: Option<Duration>,
    /// From one token until the next. Comments, pings and empty chunks do not count as tokens.
    pub idle: Option<Duration>,
    /// From the call that opens the stream until the end of the answer. Time in which the reader was behind counts.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// The default for [`Timeouts::connect`].
    pub const DEFAULT_CONNECT: Duration = Duration::from_secs(10);
    /// The default for [`Timeouts::pool`].
    pub const DEFAULT_POOL: Duration = Duration::from_secs(60);
    /// The default for [`Timeouts::first_token`]. A model may reason for minutes before its first token.
    pub const DEFAULT_FIRST_TOKEN: Duration = Duration::from_secs(300);
    /// The default for [`Timeouts::idle`].
    pub const DEFAULT_IDLE: Duration = Duration::from_secs(60);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Some(Self::DEFAULT_CONNECT),
            pool: Some(Self::DEFAULT_POOL),
            first_token: Some(Self::DEFAULT_FIRST_TOKEN),
            idle: Some(Self::DEFAULT_IDLE),
            total: None,
        }
    }
}
