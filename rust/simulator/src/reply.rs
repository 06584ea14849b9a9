//! Responses that do not come from the model: errors, web pages, the list of models.

use headrace_wire::encode::Api;
use serde_json::{Value, json};

use crate::failure;
use crate::http::Head;
use crate::render::CREATED;
use crate::render::wire::Wire;
use crate::script::{DEFAULT_ERROR_MESSAGE, HeaderText, Script, StatusCode, StatusFault};

const PAGE: &str =
    "<!doctype html>\n<title>Welcome</title>\n<p>This is not the interface you are looking for.\n";

/// A complete response with a known length.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// A response with this body.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }.with("content-type", content_type)
    }

    /// A JSON document.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error, in the format of an API.
    pub(crate) fn error(api: Api, status: u16, message: &str) -> Self {
        let reply = Self::json(status, &failure::document(api, status, message));
        match failure::header(api, status) {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }

    /// An error of the simulator itself, in OpenAI's format.
    pub(crate) fn refusal(status: u16, message: &str) -> Self {
        Self::error(Api::OpenAiChat, status, message)
    }

    /// The list of models.
    pub(crate) fn models(script: &Script) -> Self {
        let model = json!({
            "id": script.model, "object": "model", "created": CREATED, "owned_by": "headrace-simulator",
        });
        Self::json(200, &json!({ "object": "list", "data": [model] }))
    }

    /// The error of a `status` fault.
    pub(crate) fn status_fault(api: Api, fault: &StatusFault) -> Self {
        let status = fault.status.get();
        let reply = match &fault.body {
            None => Self::error(api, status, DEFAULT_ERROR_MESSAGE),
            Some(Value::String(text)) => Self::new(status, "text/plain; charset=utf-8", text.as_str()),
            Some(body) => Self::json(status, body),
        };
        fault.headers.iter().fold(reply, |reply, (name, value)| reply.with(name, value))
    }

    /// A web page, as a proxy or a login wall sends it.
    pub(crate) fn html() -> Self {
        Self::new(200, "text/html; charset=utf-8", PAGE)
    }

    /// A redirect.
    pub(crate) fn redirect(status: StatusCode, location: &HeaderText) -> Self {
        Self::new(status.get(), "text/plain; charset=utf-8", "Moved.").with("location", location.as_str())
    }

    /// Adds a header, or replaces it.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bytes.
    pub(crate) fn wire(&self) -> Wire {
        let head =
            self.headers.iter().fold(Head::new(self.status), |head, (name, value)| head.with(name, value));
        // These never have a body (RFC 9110, section 6.4.1).
        if matches!(self.status, 204 | 304) {
            return Wire::head(head.end());
        }
        let mut wire = Wire::head(head.length(self.body.len()));
        wire.bytes.extend_from_slice(&self.body);
        wire
    }
}
