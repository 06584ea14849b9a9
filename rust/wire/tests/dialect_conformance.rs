//! Decodes every dialect vector in `tests/conformance`, whole and cut at every position.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod decoded;
mod vectors;

use decoded::{Decoded, decode};
use headrace_wire::response::Choice;
use headrace_wire::{Delta, DeltaKind, Dialect, ProviderError, Response};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Expected {
    response: Value,
    state: String,
    text_deltas: Vec<String>,
    #[serde(default)]
    choices: Vec<Value>,
    #[serde(default)]
    signatures: Vec<Value>,
    #[serde(default)]
    logprobs: Vec<Value>,
    #[serde(default)]
    error_class: Option<String>,
    #[serde(default)]
    retry_after: Option<f64>,
    cut_calls: Option<Vec<usize>>,
}

fn calls(choice: Option<&Choice>) -> Value {
    let calls = choice.iter().flat_map(|choice| &choice.tool_calls);
    calls.map(|call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments })).collect()
}

/// The positions of the calls that were cut off.
fn cut_calls(response: &Response) -> Vec<usize> {
    let Some(choice) = response.first() else { return Vec::new() };
    let calls = choice.tool_calls.iter().enumerate();
    calls.filter(|(_, call)| !choice.is_complete(call)).map(|(position, _)| position).collect()
}

fn signatures(choice: Option<&Choice>) -> Vec<Value> {
    let placed = choice.iter().flat_map(|choice| &choice.signatures);
    placed
        .map(|placed| {
            let mut signature = json!(placed.signature);
            signature["reasoning_end"] = json!(placed.reasoning_end);
            signature
        })
        .collect()
}

fn as_vector(response: &Response) -> Value {
    let choice = response.first();
    let text = |get: fn(&Choice) -> &String| choice.map(get).cloned().unwrap_or_default();
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    json!({
        "text": text(|choice| &choice.text),
        "reasoning": text(|choice| &choice.reasoning),
        "refusal": text(|choice| &choice.refusal),
        "tool_calls": calls(choice),
        "finish_reason": finish.map(|finish| finish.reason.as_str()),
        "finish_reason_raw": finish.map(|finish| finish.raw.as_str()),
        "usage": response.usage,
        "id": response.info.id,
        "model": response.info.model,
        "error": response.error,
    })
}

fn text_deltas(deltas: &[Delta]) -> Vec<&str> {
    let first = deltas.iter().filter(|delta| delta.choice == 0);
    first
        .filter_map(|delta| match &delta.kind {
            DeltaKind::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn logprobs(deltas: &[Delta]) -> Vec<Value> {
    let first = deltas.iter().filter(|delta| delta.choice == 0);
    first
        .filter_map(|delta| match &delta.kind {
            DeltaKind::Logprobs(json) => Some(serde_json::from_str(json).unwrap()),
            _ => None,
        })
        .collect()
}

fn compare_choices(name: &str, response: &Response, expected: &[Value]) {
    for expected in expected {
        let found = response.choices.iter().find(|choice| json!(choice.index) == expected["index"]).unwrap();
        let finish = found.finish.as_ref().map(|finish| finish.reason.as_str());
        assert_eq!(json!(found.text), expected["text"], "{name}: choice text");
        assert_eq!(json!(finish), expected["finish_reason"], "{name}: choice finish reason");
        assert_eq!(calls(Some(found)), expected["tool_calls"], "{name}: choice tool calls");
    }
}

fn compare_error(name: &str, error: Option<&ProviderError>, expected: &Expected) {
    if let Some(class) = &expected.error_class {
        let found = error.and_then(|error| error.class(None)).map(|class| format!("{class:?}"));
        let words = class.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
        assert_eq!(found, Some(words.collect()), "{name}: class of the error");
    }
    if expected.retry_after.is_some() {
        assert_eq!(error.and_then(|error| error.retry_after), expected.retry_after, "{name}: retry after");
    }
}

/// If the dialect can be detected, decoding the body without naming it gives the same result. It can be detected in all
/// bodies that have an answer.
fn check_detection(name: &str, dialect: Dialect, body: &[u8], whole: &Decoded) {
    let detected = decode(None, [body]);
    assert_eq!(decode(None, body.chunks(1)), detected, "{name}: dialect not given, byte by byte");
    match detected.dialect {
        Some(found) => {
            assert_eq!(found, dialect, "{name}: dialect");
            assert_eq!(&detected, whole, "{name}: dialect not given");
        }
        None => {
            assert!(whole.response.choices.is_empty(), "{name}: has an answer, but no dialect is detected");
        }
    }
}

/// Runs the vectors of a folder. There must be `at_least` so many, lest a wrong path passes unnoticed.
fn run(dialect: Dialect, folder: &str, at_least: usize) {
    let vectors = vectors::read::<Expected>(folder);
    assert!(vectors.len() >= at_least, "only {} vectors found in {folder}", vectors.len());
    for (name, body, expected) in vectors {
        let whole = decode(dialect, [body.as_slice()]);
        assert_eq!(whole.state, expected.state, "{name}: state");
        assert_eq!(as_vector(&whole.response), expected.response, "{name}: response");
        assert_eq!(text_deltas(&whole.deltas), expected.text_deltas, "{name}: text deltas");
        if let Some(cut) = &expected.cut_calls {
            assert_eq!(&cut_calls(&whole.response), cut, "{name}: calls that were cut off");
        }
        if !expected.signatures.is_empty() {
            assert_eq!(signatures(whole.response.first()), expected.signatures, "{name}: signatures");
        }
        if !expected.logprobs.is_empty() {
            assert_eq!(logprobs(&whole.deltas), expected.logprobs, "{name}: logprobs");
        }
        compare_choices(&name, &whole.response, &expected.choices);
        compare_error(&name, whole.response.error.as_ref(), &expected);
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            assert_eq!(decode(dialect, [head, tail]), whole, "{name}: cut at {cut}");
        }
        assert_eq!(decode(dialect, body.chunks(1)), whole, "{name}: byte by byte");
        check_detection(&name, dialect, &body, &whole);
    }
}

#[test]
fn openai_chat() {
    run(Dialect::OpenAiChat, "openai", 140);
}

#[test]
fn openai_responses() {
    run(Dialect::OpenAiResponses, "openai_responses", 10);
}

#[test]
fn anthropic() {
    run(Dialect::Anthropic, "anthropic", 11);
}

#[test]
fn gemini() {
    run(Dialect::Gemini, "gemini", 10);
}

#[test]
fn cohere() {
    run(Dialect::Cohere, "cohere", 6);
}

#[test]
fn ollama() {
    run(Dialect::Ollama, "ollama", 7);
}

#[test]
fn bedrock() {
    run(Dialect::Bedrock, "bedrock", 16);
}
