//! Error documents in the format of each API.

use headrace_wire::encode::Api;
use headrace_wire::openai_chat::read_error;
use serde_json::{Value, json};

use crate::script::DEFAULT_ERROR_MESSAGE;

/// The error document for an HTTP status.
pub(crate) fn document(api: Api, status: u16, message: &str) -> Value {
    match api {
        Api::OpenAiChat | Api::OpenAiResponses => {
            let (kind, code) = open_ai(status);
            json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        }
        Api::Anthropic => {
            json!({ "type": "error", "error": { "type": anthropic(status), "message": message } })
        }
        Api::Gemini => {
            json!({ "error": { "code": status, "message": message, "status": google(status) } })
        }
        Api::OllamaChat | Api::OllamaGenerate => json!({ "error": message }),
        Api::Cohere | Api::Converse | Api::InvokeModel => json!({ "message": message }),
    }
}

/// The error document in the middle of an answer: the script's error, or a default one.
pub(crate) fn scripted(api: Api, error: Option<&Value>) -> Value {
    let Some(error) = error else {
        return document(api, 500, DEFAULT_ERROR_MESSAGE);
    };
    match api {
        Api::OpenAiChat | Api::OpenAiResponses | Api::Gemini => json!({ "error": error }),
        Api::Anthropic => json!({ "type": "error", "error": error }),
        Api::OllamaChat | Api::OllamaGenerate => json!({ "error": read_error(&error.to_string()).message }),
        Api::Cohere | Api::Converse | Api::InvokeModel => {
            json!({ "message": read_error(&error.to_string()).message })
        }
    }
}

/// The header with the class of an error, for AWS, whose error documents do not contain it.
pub(crate) fn header(api: Api, status: u16) -> Option<(&'static str, &'static str)> {
    matches!(api, Api::Converse | Api::InvokeModel).then(|| ("x-amzn-errortype", aws(status)))
}

/// <https://platform.openai.com/docs/guides/error-codes>.
const fn open_ai(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("authentication_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

/// <https://docs.anthropic.com/en/api/errors>.
const fn anthropic(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// <https://cloud.google.com/apis/design/errors#handling_errors>.
const fn google(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.
const fn aws(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}
