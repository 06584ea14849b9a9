//! How a stream ended.

use headrace_wire::{EndState, ErrorClass};

/// How a stream ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The whole answer arrived.
    Complete,
    /// The reader closed the stream.
    Cancelled,
    /// The stream failed.
    Failed(Box<Failure>),
}

/// What went wrong, with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What happened, where, and what to do about it.
    pub message: String,
    /// The class of the error, where the provider reported one.
    pub class: Option<ErrorClass>,
    /// The HTTP status of the response, where there was one.
    pub status: Option<u16>,
    /// The provider's own error code or type.
    pub code: Option<String>,
    /// How many seconds the provider asked to wait.
    pub retry_after: Option<f64>,
    /// Whether the provider says that the same request may succeed: its header `x-should-retry`.
    pub should_retry: Option<bool>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The start of the body that explains the error.
    pub body: Option<String>,
}

impl Failure {
    /// A failure with a message and no other details.
    #[must_use]
    pub const fn new(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            message,
            class: None,
            status: None,
            code: None,
            retry_after: None,
            should_retry: None,
            request_id: None,
            body: None,
        }
    }

    /// Redacts these secrets from every text: some servers echo the request in their errors.
    #[must_use]
    pub(crate) fn redacted(mut self, secrets: &[String]) -> Self {
        for secret in secrets {
            self.message = redact(&self.message, secret);
            self.body = self.body.map(|body| redact(&body, secret));
            self.code = self.code.map(|code| redact(&code, secret));
            self.request_id = self.request_id.map(|id| redact(&id, secret));
        }
        self
    }
}

/// A truncated text that ends with this many bytes of a secret, or more, is redacted there. Fewer reveal nothing.
const MIN_PARTIAL_SECRET: usize = 4;

/// Replaces a secret in a text: verbatim, JSON-escaped, and cut off where the text was truncated inside it.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let escaped = quoted.trim_matches('"').replace('/', "\\/");
    let text = text.replace(secret, "***").replace(quoted.trim_matches('"'), "***").replace(&escaped, "***");
    let whole = text.trim_end_matches('…');
    let cut =
        secret.char_indices().map(|(length, _)| length).filter(|length| *length >= MIN_PARTIAL_SECRET).rev();
    match cut.map(|length| &secret[..length]).find(|start| whole.ends_with(start)) {
        Some(start) => format!("{}***", &whole[..whole.len() - start.len()]),
        None => text,
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request cannot be sent: its URL or one of its headers is invalid.
    InvalidRequest,
    /// The connection was not made.
    Connect,
    /// The host has no address.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke after it was made.
    Broken,
    /// The connection was not made in time.
    ConnectTimeout,
    /// No connection was free in time.
    PoolTimeout,
    /// The answer was not whole in time.
    TotalTimeout,
    /// A proxy refused to connect.
    Proxy,
    /// No token came in time.
    FirstTokenTimeout,
    /// The stream went silent.
    IdleTimeout,
    /// The provider answered with an error status.
    Rejected,
    /// The provider reported an error inside the stream.
    InBand,
    /// The bytes ended before the dialect's end marker.
    Truncated,
    /// The bytes are not what the dialect says.
    Protocol,
    /// One event is over the cap.
    EventTooLarge,
    /// The caller's own source of bytes failed; see [`crate::source`]. The caller keeps the original error.
    Source,
    /// The task that reads the stream died: a bug of headrace.
    Internal,
}

impl FailureKind {
    /// The state in which such a failure ends a stream.
    #[must_use]
    pub const fn state(self) -> EndState {
        match self {
            Self::InvalidRequest
            | Self::Connect
            | Self::Dns
            | Self::Tls
            | Self::Proxy
            | Self::Broken
            | Self::Internal => EndState::Transport,
            Self::ConnectTimeout
            | Self::PoolTimeout
            | Self::FirstTokenTimeout
            | Self::IdleTimeout
            | Self::TotalTimeout => EndState::Timeout,
            Self::Rejected => EndState::Rejected,
            Self::InBand | Self::Source => EndState::Error,
            Self::Truncated => EndState::Truncated,
            Self::Protocol | Self::EventTooLarge => EndState::Protocol,
        }
    }
}
