//! Reads a provider's error in any of its forms.

use serde_json::Value;

use crate::delta::ProviderError;

/// Reads an error object, a JSON string, or plain text. An unknown form becomes the message as a whole.
#[must_use]
pub fn read_error(json: &str) -> ProviderError {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => match object.get("error") {
            Some(inner @ (Value::Object(_) | Value::String(_))) => from_value(inner, json),
            _ => from_value(&Value::Object(object), json),
        },
        // Google answers a request for an array of chunks with an array of one error.
        Ok(Value::Array(items)) if matches!(items.as_slice(), [Value::Object(_)]) => {
            read_error(&items[0].to_string())
        }
        Ok(value) => from_value(&value, json),
        Err(_) => ProviderError { message: json.trim().to_owned(), ..ProviderError::default() },
    }
}

/// Whether an object of an unknown dialect is an error.
pub(crate) fn is_error(json: &str) -> bool {
    let value: Result<Value, _> = serde_json::from_str(json);
    value.is_ok_and(|value| MESSAGES.iter().chain(&["error", "errors"]).any(|name| !value[name].is_null()))
}

/// The members that may contain the message.
const MESSAGES: [&str; 4] = ["message", "Message", "detail", "msg"];

/// The members that may contain the HTTP status.
const STATUS_NAMES: [&str; 4] = ["status", "status_code", "statusCode", "code"];

fn from_value(value: &Value, json: &str) -> ProviderError {
    if let Value::String(message) = value {
        return ProviderError { message: message.clone(), ..ProviderError::default() };
    }
    let first = |names: &[&str]| names.iter().find_map(|name| value.get(name).and_then(scalar));
    ProviderError {
        message: first(&MESSAGES).unwrap_or_else(|| json.to_owned()),
        // The type "error" says nothing. Google has no `type`, but a `status` in words.
        kind: first(&["type"])
            .filter(|kind| kind != "error")
            .or_else(|| value.get("status").and_then(Value::as_str).map(str::to_owned)),
        code: first(&["code"]),
        status: STATUS_NAMES.iter().find_map(|name| status(value.get(name)?)),
    }
}

fn status(value: &Value) -> Option<u16> {
    let status = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(status).ok().filter(|status| (400..600).contains(status))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
