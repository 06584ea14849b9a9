//! A provider's error responses, and the errors that it reports inside a stream.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use headrace_wire::openai_chat::read_error;
use headrace_wire::{ErrorClass, ProviderError};
use tokio::time::{Instant, timeout_at};

use crate::end::{Failure, FailureKind};
use crate::head::request_id;
use crate::retry_after::{rate_limit_reset, retry_after};
use crate::transport::{Response, with_reason};

/// How much of a body is kept to explain an error.
const BODY_BYTES: usize = 64 * 1024;

/// How much of a body that is not JSON goes into the error's message.
const EXCERPT_CHARS: usize = 200;

/// How long to wait for a body after an error's head. The head says most.
const BODY_WAIT: Duration = Duration::from_secs(5);

/// Reads a response with an error status, its body for no longer than `limit`.
pub(crate) async fn read(mut response: Response, endpoint: &str, limit: Duration) -> Failure {
    let mut body = Vec::new();
    let until = Instant::now() + limit.min(BODY_WAIT);
    while body.len() < BODY_BYTES && !response.has_ended() {
        let read = poll_fn(|context| {
            response.poll_body(context, &mut |bytes, _| {
                let room = BODY_BYTES - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            })
        });
        // If the body breaks off or stalls, keep what has arrived.
        let Ok(Ok(())) = timeout_at(until, read).await else { break };
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let status = response.status;
    let error = parse_body(&body);
    let class = error.class(Some(status));
    let header = |name: &str| response.headers.get(name);
    let now = SystemTime::now();
    let reset = || rate_limit_reset(header, now).filter(|_| class == Some(ErrorClass::RateLimit));
    Failure {
        kind: FailureKind::Rejected,
        message: format!(
            "HTTP {} from {endpoint}: {}{}",
            with_reason(status),
            error.message,
            hint(status, header("location"))
        ),
        class,
        status: Some(status),
        code: error.code.or(error.kind),
        retry_after: retry_after(header, now).or(error.retry_after).or_else(reset),
        should_retry: should_retry(header),
        request_id: request_id(header),
        body: Some(body),
    }
}

/// The failure for an error that the provider reported inside the stream.
pub(crate) fn in_band(error: &ProviderError, endpoint: &str) -> Failure {
    let class = error.class(None);
    let what = match class {
        Some(ErrorClass::ContentPolicy) => "the provider withheld its answer",
        _ => "the provider failed in mid-stream",
    };
    Failure {
        class,
        status: error.status,
        code: error.code.clone().or_else(|| error.kind.clone()),
        retry_after: error.retry_after,
        body: error.body.as_deref().map(str::to_owned),
        ..Failure::new(FailureKind::InBand, format!("{what} ({endpoint}): {}", error.message))
    }
}

/// The error in a response's body, in whatever form it is.
fn parse_body(body: &str) -> ProviderError {
    let trimmed = body.trim();
    if trimmed.starts_with('{') || trimmed.starts_with('[') {
        return read_error(trimmed);
    }
    let text = if trimmed.starts_with('<') { title(trimmed).unwrap_or(trimmed) } else { trimmed };
    let mut message: String = text.chars().take(EXCERPT_CHARS).collect();
    if message.is_empty() {
        "without an explanation".clone_into(&mut message);
    }
    ProviderError { message, ..ProviderError::default() }
}

/// The title of a web page: for the error page of a proxy, that is a good summary.
fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    Some(page[start..end].trim())
}

/// Advice for the user.
fn hint(status: u16, location: Option<&str>) -> String {
    match (status, location) {
        (300..=399, Some(location)) => {
            format!(" (redirects are not followed; the base URL may be meant to be {location})")
        }
        (401, _) => " (check the API key)".to_owned(),
        (404, _) => " (check the model's name and the base URL)".to_owned(),
        _ => String::new(),
    }
}

/// OpenAI's and Anthropic's advice: <https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py>,
/// `_should_retry`.
fn should_retry<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<bool> {
    match header("x-should-retry")?.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
