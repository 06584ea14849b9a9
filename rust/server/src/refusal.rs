//! Errors in the form of each API.

use headrace_wire::encode::Api;
use http::StatusCode;
use serde_json::{Value, json};

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
    /// There is no such path, or no such model.
    NotFound,
    /// The path has no such method.
    Method,
    /// The body is too large.
    TooLarge,
    /// The model's provider refuses for now: too many requests.
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

impl RefusalKind {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn openai(self) -> &'static str {
        match self {
            Self::Invalid | Self::NotFound | Self::Method | Self::TooLarge => "invalid_request_error",
            Self::RateLimit => "rate_limit_error",
            Self::Upstream | Self::Timeout | Self::Unavailable | Self::Internal => "server_error",
        }
    }

    const fn anthropic(self) -> &'static str {
        match self {
            Self::Invalid | Self::Method => "invalid_request_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Timeout => "timeout_error",
            Self::Unavailable => "overloaded_error",
            Self::Upstream | Self::Internal => "api_error",
        }
    }
}

impl Refusal {
    /// An error without a time to wait.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// The name of its kind in an API.
    pub(crate) const fn name(&self, api: Api) -> &'static str {
        match api {
            Api::Anthropic => self.kind.anthropic(),
            _ => self.kind.openai(),
        }
    }

    /// The body of an error response.
    pub(crate) fn body(&self, api: Api) -> Value {
        let (name, message) = (self.name(api), &self.message);
        match api {
            Api::Anthropic => json!({ "type": "error", "error": { "type": name, "message": message } }),
            _ => json!({ "error": { "message": message, "type": name, "param": null, "code": null } }),
        }
    }
}
