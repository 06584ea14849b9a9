//! Every vector of `tests/conformance/openai`, whole and cut at every position, and the recorded streams beside
//! the repository where they are to be had.

mod vectors;

use headrace_wire::{DecodeError, Delta, DeltaKind, Dialect, Ending, Progress, Response, StreamDecoder};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Expected {
    response: Value,
    state: String,
    text_deltas: Vec<String>,
    #[serde(default)]
    choices: Option<Vec<Value>>,
}

struct Decoded {
    deltas: Vec<Delta>,
    response: Response,
    state: &'static str,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
    let mut deltas = Vec::new();
    let fed: Result<(), DecodeError> =
        pieces.into_iter().try_for_each(|piece| decoder.feed(piece, &mut deltas).map(|_: Progress| ()));
    let ending = fed.map(|()| decoder.finish(&mut deltas));
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    let state = match ending {
        _ if response.error.is_some() => "error",
        Err(_) => "protocol",
        Ok(Ending::Complete) => "complete",
        Ok(Ending::Truncated) => "truncated",
    };
    Decoded { deltas, response, state }
}

fn calls(choice: Option<&headrace_wire::response::Choice>) -> Value {
    choice.map_or_else(
        || json!([]),
        |choice| {
            choice
                .tool_calls
                .iter()
                .map(|call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments }))
                .collect()
        },
    )
}

fn as_vector(response: &Response) -> Value {
    let choice = response.first();
    let text =
        |get: fn(&headrace_wire::response::Choice) -> &String| choice.map(get).cloned().unwrap_or_default();
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
    deltas
        .iter()
        .filter(|delta| delta.choice == 0)
        .filter_map(|delta| match &delta.kind {
            DeltaKind::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn every_vector_at_every_cut() {
    let vectors = vectors::read::<Expected>("openai");
    assert!(vectors.len() >= 30, "only {} vectors found", vectors.len());
    for (name, body, expected) in vectors {
        let whole = decode([body.as_slice()]);
        assert_eq!(whole.state, expected.state, "{name}: state");
        assert_eq!(as_vector(&whole.response), expected.response, "{name}: response");
        assert_eq!(text_deltas(&whole.deltas), expected.text_deltas, "{name}: text deltas");
        for choice in expected.choices.iter().flatten() {
            let found =
                whole.response.choices.iter().find(|found| json!(found.index) == choice["index"]).unwrap();
            assert_eq!(json!(found.text), choice["text"], "{name}: choice text");
            assert_eq!(
                json!(found.finish.as_ref().map(|finish| finish.reason.as_str())),
                choice["finish_reason"],
                "{name}: choice finish reason"
            );
            assert_eq!(calls(Some(found)), choice["tool_calls"], "{name}: choice tool calls");
        }
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            let split = decode([head, tail]);
            assert_eq!(split.deltas, whole.deltas, "{name}: cut at {cut}");
            assert_eq!(split.state, whole.state, "{name}: cut at {cut}");
        }
    }
}

#[test]
fn the_recorded_streams() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/streams");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("openai_chat-") || path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        let expected: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("expected.json")).unwrap()).unwrap();
        let body = std::fs::read(&path).unwrap();
        let decoded = decode([body.as_slice()]);
        let found = as_vector(&decoded.response);
        for field in ["text", "reasoning", "refusal"] {
            assert_eq!(found[field], expected[field], "{name}: {field}");
        }
        assert_eq!(found["finish_reason"], expected["finish_reason_norm"], "{name}: finish reason");
        let sent: Vec<Value> = expected["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| json!({ "id": call["id"], "name": call["name"], "arguments": call["arguments"] }))
            .collect();
        assert_eq!(found["tool_calls"], json!(sent), "{name}: tool calls");
        assert_eq!(decoded.response.error.is_some(), !expected["error"].is_null(), "{name}: error");
        assert_eq!(
            json!(text_deltas(&decoded.deltas).len()),
            expected["n_text_deltas"],
            "{name}: text deltas"
        );
        for (ours, theirs) in [("input_tokens", "input_tokens"), ("output_tokens", "output_tokens")] {
            assert_eq!(found["usage"][ours], expected["usage"][theirs], "{name}: {ours}");
        }
    }
}
