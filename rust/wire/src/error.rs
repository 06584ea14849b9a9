//! Reads a provider's error in any of its forms.

use serde_json::{Map, Value};

use crate::delta::ProviderError;
use crate::error_class::class_of_message;
use crate::framing::documents::Documents;
use crate::wait::{wait_in_words, written_wait};

/// How much of an error is kept as it was sent, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How deep an error can be inside others: gateways quote the error of the provider behind them, some as a string.
const MAX_DEPTH: usize = 6;

/// How many lines of plain words an error may have.
const MAX_LINES: usize = 8;

/// Reads an error object, a JSON string, or plain text. An unknown form becomes the message as a whole.
#[must_use]
pub fn read_error(json: &str) -> ProviderError {
    let json = json.trim();
    let words = match serde_json::from_str(json) {
        Ok(value) => read_value(&value, 0),
        Err(_) => read_text(json, 0),
    };
    let message = words.message.clone().unwrap_or_else(|| json.to_owned());
    ProviderError {
        retry_after: words.retry_after.or_else(|| wait_in_words(&message)),
        message: if message.is_empty() { "without an explanation".to_owned() } else { message },
        kind: words.kind,
        code: words.code,
        status: words.status,
        body: (!json.is_empty()).then(|| bounded(json).into()),
    }
}

/// Whether a document that has nothing of an answer is a provider's or a gateway's no.
pub(crate) fn is_error(json: &str) -> bool {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => object_says_no(&object),
        // Google answers a request for an array of chunks with an array of one error.
        Ok(Value::Array(items)) => {
            matches!(items.as_slice(), [Value::Object(object)] if object_says_no(object))
        }
        _ => false,
    }
}

/// Whether the value of a member `error` is an error: neither empty nor a word for none.
pub(crate) fn is_some_error(json: &str) -> bool {
    match json.as_bytes().first() {
        Some(b'{' | b'"' | b'[') => serde_json::from_str(json).is_ok_and(|value: Value| has_words(&value)),
        _ => !matches!(json, "null" | "false" | "0"),
    }
}

/// The error in what stands between the events of a stream or after them: JSON, a web page, or, if the answer is not
/// `complete`, any text that sounds like one.
pub(crate) fn read_stray(text: &str, complete: bool) -> Option<ProviderError> {
    let text = text.trim();
    let mut rest = text;
    // JSON begins at a line's start. How much is looked at is bounded by what is kept.
    while !rest.is_empty() {
        if let Some(Ok(json)) = begins_json(rest).then(|| Documents::of(rest).next()).flatten()
            && is_error(json)
        {
            return Some(read_error(json));
        }
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    if complete {
        return None;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !begins_json(line));
    let words: Vec<&str> = lines.collect();
    // An explanation is short. Many lines are an answer of some kind, in which any word may stand.
    let is_short = words.len() <= MAX_LINES;
    let text = words.join("\n");
    if text.contains("</") || text.starts_with('<') {
        return Some(read_page(&text));
    }
    (is_short && sounds_like_an_error(&text)).then(|| read_error(&unquoted(&text)))
}

fn begins_json(text: &str) -> bool {
    text.starts_with(['{', '['])
}

/// The error of a proxy's web page: its title, and the status that stands there.
pub(crate) fn read_page(page: &str) -> ProviderError {
    let title = element(page, "title").or_else(|| element(page, "h1"));
    let message = title.unwrap_or_else(|| without_tags(page).chars().take(200).collect());
    let status = status_in(&message);
    ProviderError { message, status, body: Some(bounded(page).into()), ..ProviderError::default() }
}

/// The first HTTP error status that stands in a text by itself.
pub(crate) fn status_in(text: &str) -> Option<u16> {
    text.split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3)
        .find_map(|word| word.parse().ok().filter(|status| (400..600).contains(status)))
}

fn element(page: &str, name: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let open = lower.find(&format!("<{name}"))?;
    let start = open + lower[open..].find('>')? + 1;
    let end = start + lower[start..].find("</")?;
    let words: Vec<&str> = page[start..end].split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn without_tags(page: &str) -> String {
    let pieces = page.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.flat_map(str::split_whitespace).collect::<Vec<&str>>().join(" ")
}

fn sounds_like_an_error(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "error",
        "fail",
        "exceed",
        "denied",
        "unavailable",
        "timeout",
        "timed out",
        "too many",
        "unauthorized",
        "forbidden",
        "not allowed",
        "invalid",
    ];
    let lower = text.to_lowercase();
    class_of_message(&lower).is_some() || WORDS.iter().any(|word| lower.contains(word))
}

fn unquoted(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(MAX_BODY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Members that an answer has. An object with one of them is not an error for having a message or a code too.
const ANSWERS: [&str; 12] = [
    "choices",
    "candidates",
    "delta",
    "content",
    "output",
    "outputs",
    "generation",
    "completion",
    "response",
    "text",
    "done",
    "usageMetadata",
];

/// Members beside which a `message` is an event of some kind, not an error.
const KINDS: [&str; 4] = ["type", "event", "object", "event_type"];

/// Codes that mean that all is well.
const GOOD_CODES: [&str; 6] = ["0", "200", "ok", "success", "succeeded", ""];

fn object_says_no(object: &Map<String, Value>) -> bool {
    let some = |name: &str| object.get(name).is_some_and(has_words);
    if ["error", "errors", "Error", "fault"].iter().any(|name| some(name)) || base_resp(object).is_some() {
        return true;
    }
    if ANSWERS.iter().any(|name| some(name)) {
        return false;
    }
    let word = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    let named = KINDS.iter().find_map(|name| word(name)).or_else(|| word("__type"));
    if named.as_deref().is_some_and(|kind| kind.ends_with("error") || kind.ends_with("exception")) {
        return true;
    }
    let is_bad = |code: &Value| {
        scalar(code).is_some_and(|code| !GOOD_CODES.contains(&code.to_ascii_lowercase().as_str()))
    };
    let has_code = CODES.iter().chain(&STATUSES).filter_map(|name| object.get(*name)).any(is_bad);
    let failed = object.get("success") == Some(&Value::Bool(false));
    // A message that is an object is one of the conversation.
    let is_text = |name: &str| object.get(name).is_some_and(|value| value.is_string() && has_words(value));
    let has_message = MESSAGES.iter().any(|name| is_text(name)) || some("detail");
    has_message && (named.is_none() || has_code || failed) && !is_fine(object)
}

/// Whether a code says that all is well.
fn is_fine(object: &Map<String, Value>) -> bool {
    let codes = CODES.iter().chain(&STATUSES).filter_map(|name| object.get(*name)).filter_map(scalar);
    let mut codes = codes.map(|code| code.to_ascii_lowercase()).peekable();
    codes.peek().is_some() && codes.all(|code| GOOD_CODES.contains(&code.as_str()))
}

/// Whether there is anything in an error.
fn has_words(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let text = text.trim();
            !matches!(text, "" | "{}" | "[]")
                && !text.eq_ignore_ascii_case("null")
                && !text.eq_ignore_ascii_case("none")
        }
        Value::Array(items) => items.iter().any(has_words),
        Value::Object(object) => object.values().any(has_words),
    }
}

/// `MiniMax` says with every answer whether it is one: <https://platform.minimax.io/docs/api-reference/errorcode>.
fn base_resp(object: &Map<String, Value>) -> Option<&Value> {
    let base = object.get("base_resp")?;
    let code = base.get("status_code").and_then(scalar)?;
    (code != "0" && !code.is_empty()).then_some(base)
}

/// The members that may contain the message.
const MESSAGES: [&str; 14] = [
    "message",
    "Message",
    "detail",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "status_msg",
    "faultstring",
    "description",
    "err_msg",
    "errmsg",
    "title",
];

/// The members that may contain the code.
const CODES: [&str; 6] = ["code", "error_code", "errorCode", "errcode", "err_code", "Code"];

/// The members that may contain the HTTP status.
const STATUSES: [&str; 5] = ["status", "status_code", "statusCode", "http_code", "httpCode"];

/// The members that may contain the type.
const TYPES: [&str; 4] = ["type", "__type", "errorType", "error_type"];

/// What an error says. What is inside it, said by the provider behind a gateway, is more specific.
#[derive(Debug, Default)]
struct Words {
    message: Option<String>,
    kind: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    retry_after: Option<f64>,
}

impl Words {
    fn said(message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..Self::default() }
    }

    /// These words, quoted by `outer`, whose message is kept before them.
    fn inside(self, outer: Self) -> Self {
        let message = match (outer.message, self.message) {
            (Some(outer), Some(inner)) if !outer.is_empty() && !inner.contains(&outer) => {
                Some(if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") })
            }
            (outer, inner) => inner.or(outer),
        };
        Self {
            message,
            kind: self.kind.or(outer.kind),
            code: self.code.or(outer.code),
            status: self.status.or(outer.status),
            retry_after: self.retry_after.or(outer.retry_after),
        }
    }
}

fn read_value(value: &Value, depth: usize) -> Words {
    match value {
        Value::String(text) => read_text(text, depth),
        Value::Object(object) if depth < MAX_DEPTH => read_object(object, depth + 1),
        Value::Array(items) if depth < MAX_DEPTH => match items.as_slice() {
            [item] => read_value(item, depth + 1),
            items => {
                let all: Vec<Words> = items
                    .iter()
                    .filter(|item| has_words(item))
                    .map(|item| read_value(item, depth + 1))
                    .collect();
                let messages: Vec<&str> = all.iter().filter_map(|words| words.message.as_deref()).collect();
                let message = if messages.is_empty() { value.to_string() } else { messages.join("; ") };
                let first = all.into_iter().next().unwrap_or_default();
                Words { message: Some(message), ..first }
            }
        },
        value => Words::said(&value.to_string()),
    }
}

/// Reads a text, which may be JSON, or end in JSON after the words of whoever passes it on.
fn read_text(text: &str, depth: usize) -> Words {
    let text = text.trim();
    let start = text.find('{').filter(|_| depth < MAX_DEPTH);
    let inner: Option<Value> = start.and_then(|start| serde_json::from_str(&text[start..]).ok());
    let Some(inner) = inner.filter(Value::is_object) else { return Words::said(text) };
    let words = read_value(&inner, depth + 1);
    match start {
        Some(0) | None => words,
        // What stands before the JSON belongs to the message, and often begins with the status.
        Some(start) => {
            let status = status_in(&text[..start]);
            Words { message: Some(text.to_owned()), status: words.status.or(status), ..words }
        }
    }
}

fn read_object(object: &Map<String, Value>, depth: usize) -> Words {
    let outer = read_flat(object, depth);
    let error = ["error", "errors", "Error", "fault"].iter().filter_map(|name| object.get(*name));
    match error.into_iter().find(|error| has_words(error)).or_else(|| base_resp(object)) {
        // `{"error": "invalid_request", "message": "…"}`: a name, and what it means.
        Some(Value::String(name)) if outer.message.is_some() && !name.contains([' ', '{']) => {
            Words { kind: outer.kind.or_else(|| Some(name.clone())), ..outer }
        }
        Some(Value::String(text)) => read_text(text, depth).inside(outer.without_message()),
        Some(Value::Bool(_) | Value::Number(_)) if outer.message.is_some() => outer,
        Some(error @ (Value::Object(_) | Value::Array(_))) => {
            read_value(error, depth).inside(outer.without_message())
        }
        _ => {
            let message = outer.message.clone().unwrap_or_else(|| Value::Object(object.clone()).to_string());
            Words { message: Some(message), ..outer }
        }
    }
}

impl Words {
    /// Without the message and the type, which are about the envelope: `{"type": "error", "error": …}`.
    fn without_message(self) -> Self {
        Self { message: None, kind: None, ..self }
    }
}

/// Reads the members of the object itself.
fn read_flat(object: &Map<String, Value>, depth: usize) -> Words {
    let first = |names: &[&str]| names.iter().find_map(|name| object.get(*name).and_then(scalar));
    let stated = MESSAGES.iter().filter_map(|name| object.get(*name)).find(|message| has_words(message));
    let words = match stated {
        Some(Value::String(text)) => read_text(text, depth),
        Some(value @ (Value::Object(_) | Value::Array(_))) => read_value(value, depth),
        Some(value) => Words { message: scalar(value), ..Words::default() },
        None => Words::default(),
    };
    let own = Words {
        message: None,
        // The type "error" says nothing. Google has no `type`, but a `status` in words.
        kind: first(&TYPES)
            .filter(|kind| kind != "error")
            .or_else(|| object.get("status").and_then(Value::as_str).map(str::to_owned)),
        code: first(&CODES).or_else(|| base_code(object)),
        status: STATUSES.iter().chain(&CODES).find_map(|name| status(object.get(*name)?)),
        retry_after: retry_delay(object),
    };
    let own = words.inside(own);
    // What the provider behind OpenRouter said: <https://openrouter.ai/docs/api-reference/errors>.
    match object.get("metadata").and_then(|metadata| metadata.get("raw")).filter(|raw| has_words(raw)) {
        Some(raw) if depth < MAX_DEPTH => read_value(raw, depth + 1).inside(own),
        _ => own,
    }
}

/// The code of a `base_resp`, whose HTTP status was 200.
fn base_code(object: &Map<String, Value>) -> Option<String> {
    object.contains_key("status_msg").then(|| object.get("status_code").and_then(scalar))?
}

/// How long to wait: Google's `RetryInfo` among the details
/// (<https://cloud.google.com/apis/design/errors#error_details>), or a member.
fn retry_delay(object: &Map<String, Value>) -> Option<f64> {
    let stated = ["retry_after", "retryAfter", "retry_after_seconds", "retryDelay"];
    let own = stated.iter().filter_map(|name| object.get(*name));
    let details = object.get("details").and_then(Value::as_array).into_iter().flatten();
    own.chain(details.filter_map(|detail| detail.get("retryDelay")))
        .filter_map(scalar)
        .find_map(|text| written_wait(&text))
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
