//! Errors in the form of each protocol.

use http::StatusCode;
use serde_json::{Value, json};

use crate::protocol::Protocol;

/// Why a request is not answered, or its answer breaks off.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What kind of error it is.
    pub kind: RefusalKind,
    /// What happened, and what to do.
    pub message: String,
    /// How many seconds to wait before asking again.
    pub retry_after: Option<f64>,
}

/// The kinds of errors, with the names and statuses that OpenAI and Anthropic give them.
///
/// Sources: <https://platform.openai.com/docs/guides/error-codes/api-errors>,
/// <https://docs.anthropic.com/en/api/errors>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request is wrong.
    Invalid,
    /// The request has no key, or an unknown one.
    NoKey,
    /// The key may not do this.
    Forbidden,
    /// There is no such path, or no such model.
    NotFound,
    /// The path has no such method.
    Method,
    /// The body is too large.
    TooLarge,
    /// The run was cancelled by its client.
    Cancelled,
    /// Too many requests: of the key, or of the server to the model's provider.
    RateLimit,
    /// The model's provider failed, or could not be reached.
    Upstream,
    /// The model's provider did not answer in time.
    Timeout,
    /// The server cannot take the request for now.
    Unavailable,
    /// A bug, or an agent that failed.
    Internal,
}

/// What a kind of error is called: its outcome in metrics and logs, its status, OpenAI's type, and Anthropic's.
struct Names(&'static str, StatusCode, &'static str, &'static str);

impl RefusalKind {
    const fn names(self) -> Names {
        match self {
            Self::Invalid => {
                Names("invalid", StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request_error")
            }
            Self::NoKey => {
                Names("no_key", StatusCode::UNAUTHORIZED, "authentication_error", "authentication_error")
            }
            Self::Forbidden => {
                Names("forbidden", StatusCode::FORBIDDEN, "permission_error", "permission_error")
            }
            Self::NotFound => {
                Names("not_found", StatusCode::NOT_FOUND, "invalid_request_error", "not_found_error")
            }
            Self::Method => Names(
                "method",
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
                "invalid_request_error",
            ),
            Self::TooLarge => Names(
                "too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request_error",
                "request_too_large",
            ),
            Self::Cancelled => Names("cancelled", StatusCode::CONFLICT, "cancelled", "api_error"),
            Self::RateLimit => {
                Names("rate_limit", StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_error")
            }
            Self::Upstream => Names("upstream", StatusCode::BAD_GATEWAY, "server_error", "api_error"),
            Self::Timeout => Names("timeout", StatusCode::GATEWAY_TIMEOUT, "server_error", "timeout_error"),
            Self::Unavailable => {
                Names("unavailable", StatusCode::SERVICE_UNAVAILABLE, "server_error", "overloaded_error")
            }
            Self::Internal => {
                Names("internal", StatusCode::INTERNAL_SERVER_ERROR, "server_error", "api_error")
            }
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.names().1
    }

    /// Its name in metrics and logs.
    pub(crate) const fn outcome(self) -> &'static str {
        self.names().0
    }

    /// OpenAI's code for the few kinds that have one.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::NoKey => Some("invalid_api_key"),
            Self::RateLimit => Some("rate_limit_exceeded"),
            _ => None,
        }
    }
}

impl Refusal {
    /// An error without a time to wait.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// The name of its kind in a protocol.
    pub(crate) const fn name(&self, protocol: Protocol) -> &'static str {
        let Names(_, _, openai, anthropic) = self.kind.names();
        match protocol {
            Protocol::Messages => anthropic,
            _ => openai,
        }
    }

    /// The body of an error response.
    pub(crate) fn body(&self, protocol: Protocol) -> Value {
        let (name, message) = (self.name(protocol), &self.message);
        match protocol {
            Protocol::Messages => json!({ "type": "error", "error": { "type": name, "message": message } }),
            _ => {
                json!({ "error": { "message": message, "type": name, "param": null, "code": self.kind.code() } })
            }
        }
    }
}
