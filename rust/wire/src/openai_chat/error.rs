//! An error in a provider's words, in any of the shapes that they come in.

use serde_json::Value;

use crate::delta::ProviderError;

/// Reads an error object, a JSON string, or plain text. Nothing is refused: an unknown shape becomes the message.
#[must_use]
pub fn read_error(json: &str) -> ProviderError {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => match object.get("error") {
            Some(inner @ (Value::Object(_) | Value::String(_))) => from_value(inner, json),
            _ => from_value(&Value::Object(object), json),
        },
        Ok(value) => from_value(&value, json),
        Err(_) => ProviderError { message: json.trim().to_owned(), ..ProviderError::default() },
    }
}

fn from_value(value: &Value, json: &str) -> ProviderError {
    if let Value::String(message) = value {
        return ProviderError { message: message.clone(), ..ProviderError::default() };
    }
    let code = value.get("code").and_then(scalar);
    let status = value.get("status").or_else(|| value.get("code")).and_then(Value::as_u64);
    ProviderError {
        message: value
            .get("message")
            .or_else(|| value.get("detail"))
            .and_then(scalar)
            .unwrap_or_else(|| json.to_owned()),
        kind: value.get("type").and_then(scalar),
        status: status
            .and_then(|status| u16::try_from(status).ok())
            .filter(|status| (400..600).contains(status)),
        code,
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
