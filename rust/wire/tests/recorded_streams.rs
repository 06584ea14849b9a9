//! Decodes the recorded streams beside the repository, whole and cut at random positions, and compares the result with
//! their `.expected.json` files. `shared/streams/README.md` describes the fields.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it skips"
)]

mod decoded;
mod pieces;

use std::path::{Path, PathBuf};

use decoded::{Decoded, decode};
use headrace_wire::response::Choice;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{DeltaKind, Dialect};
use pieces::cut;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

struct Recording {
    name: String,
    body: Vec<u8>,
    expected: Map<String, Value>,
    dialect: Option<Dialect>,
}

fn recordings() -> Vec<Recording> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/streams");
    let folder = std::env::var_os("HEADRACE_STREAMS").map_or(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_body = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "sse" || extension == "ndjson" || extension == "awses")
    };
    paths.into_iter().filter(is_body).map(|path| recording(&path)).collect()
}

fn recording(path: &Path) -> Recording {
    let json = std::fs::read(path.with_extension("expected.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_slice(&json).unwrap();
    let word = |name: &str| expected[name].as_str().unwrap();
    let dialect = Dialect::from_name(word("dialect")).or_else(|| match word("sub") {
        "openai_completions" | "writer_completions" => Some(Dialect::OpenAiChat),
        "openai_transcript" => Some(Dialect::OpenAiResponses),
        "anthropic_complete" => Some(Dialect::Anthropic),
        "gemini_interactions" => Some(Dialect::Gemini),
        "unknown" if word("provider") == "ollama" => Some(Dialect::Ollama),
        // Not from a model, or in a format that only the fed lane reads.
        _ => None,
    });
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Recording { name, body: std::fs::read(path).unwrap(), expected, dialect }
}

/// A field that differs from what is expected: its name, and how it differs.
type Difference = Option<(&'static str, String)>;

fn compare(field: &'static str, found: &Value, expected: Option<&Value>) -> Difference {
    let expected = expected.unwrap_or(&Value::Null);
    (found != expected).then(|| (field, format!("found {found}, expected {expected}")))
}

/// Compares arguments as JSON objects if the expectation has one, since an object can be written in many ways. No
/// arguments are an empty object.
fn compare_calls(choice: &Choice, expected: &Value) -> Difference {
    let expected = expected.as_array().unwrap();
    let same = choice.tool_calls.len() == expected.len()
        && choice.tool_calls.iter().zip(expected).all(|(found, expected)| {
            let arguments = if found.arguments.is_empty() { "{}" } else { &found.arguments };
            let as_object: Option<Value> = serde_json::from_str(arguments).ok();
            json!(found.id) == expected["id"]
                && json!(found.name) == expected["name"]
                && found.ended
                && (json!(found.arguments) == expected["arguments"]
                    || as_object.is_some_and(|object| object == expected["arguments_json"]))
        });
    (!same).then(|| ("tool_calls", format!("found {:?}, expected {expected:?}", choice.tool_calls)))
}

fn compare_choice(choice: &Choice, expected: &Map<String, Value>) -> Vec<Difference> {
    let finish = choice.finish.as_ref();
    vec![
        compare("text", &json!(choice.text), expected.get("text")),
        compare("reasoning", &json!(choice.reasoning), expected.get("reasoning")),
        compare("refusal", &json!(choice.refusal), expected.get("refusal")),
        compare("finish_reason", &json!(finish.map(|finish| &finish.raw)), expected.get("finish_reason")),
        compare(
            "finish_reason_norm",
            &json!(finish.map(|finish| finish.reason.as_str())),
            expected.get("finish_reason_norm"),
        ),
        compare_calls(choice, &expected["tool_calls"]),
    ]
}

fn compare_usage(decoded: &Decoded, expected: &Value) -> Vec<Difference> {
    let Some(usage) = &decoded.response.usage else {
        return vec![compare("usage", &Value::Null, Some(expected))];
    };
    let counts = [
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
        ("cached_input_tokens", usage.cached_tokens),
        ("cache_write_tokens", usage.cache_write_tokens),
        ("reasoning_tokens", usage.reasoning_tokens),
    ];
    let raw: Value = serde_json::from_str(&usage.raw).unwrap();
    // The expectation has only the counts that the dialect has a name for.
    let expected_counts =
        counts.into_iter().filter(|(name, _)| expected.get(name).is_some_and(|count| !count.is_null()));
    expected_counts
        .map(|(name, count)| compare(name, &json!(count), expected.get(name)))
        .chain([compare("raw", &raw, expected.get("raw"))])
        .collect()
}

/// A stream is complete if it has its end marker, or if each choice has a finish reason.
fn compare_state(decoded: &Decoded, expected: &Map<String, Value>) -> Difference {
    let choices = &decoded.response.choices;
    let finished = !choices.is_empty() && choices.iter().all(|choice| choice.finish.is_some());
    let complete = expected["complete"] == json!(true) || finished;
    let state = match expected["error"].is_null() {
        false => "error",
        true if complete => "complete",
        true => "truncated",
    };
    compare("state", &json!(decoded.state), Some(&json!(state)))
}

fn differences(decoded: &Decoded, expected: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let nothing = Choice::default();
    let first = decoded.response.first().unwrap_or(&nothing);
    let count = |is: fn(&DeltaKind) -> bool| {
        decoded.deltas.iter().filter(|delta| delta.choice == 0 && is(&delta.kind)).count()
    };
    let mut found = compare_choice(first, expected);
    let texts = count(|kind| matches!(kind, DeltaKind::Text(_)));
    found.push(compare("n_text_deltas", &json!(texts), expected.get("n_text_deltas")));
    found.push(compare("id", &json!(decoded.response.info.id), expected.get("id")));
    found.push(compare("model", &json!(decoded.response.info.model), expected.get("model")));
    found.push(compare_state(decoded, expected));
    found.extend(compare_usage(decoded, &expected["usage"]));
    if let Some(choices) = expected.get("choices") {
        let choices = choices.as_array().unwrap();
        found.push(compare("choices", &json!(decoded.response.choices.len()), Some(&json!(choices.len()))));
        for (choice, expected) in decoded.response.choices.iter().zip(choices) {
            found.extend(compare_choice(choice, expected.as_object().unwrap()));
        }
    }
    let unsure = expected["unsure"].as_array().unwrap();
    found.into_iter().flatten().filter(|(field, _)| !unsure.contains(&json!(field))).collect()
}

#[test]
fn recordings_decode_to_what_is_expected() {
    let mut wrong = Vec::new();
    let mut passed = std::collections::BTreeMap::<&str, usize>::new();
    for Recording { name, body, expected, dialect } in &recordings() {
        let Some(dialect) = dialect.filter(|_| expected.contains_key("text")) else { continue };
        let decoded = decode(dialect, [body.as_slice()]);
        let mut found = differences(&decoded, expected);
        if let Some(changes) = expected.get("if_tail_flushed") {
            let mut flushed = expected.clone();
            flushed.extend(changes.as_object().unwrap().clone());
            found = Some(found).filter(Vec::is_empty).unwrap_or_else(|| differences(&decoded, &flushed));
        }
        if found.is_empty() {
            *passed.entry(dialect.as_str()).or_default() += 1;
        }
        wrong.extend(found.into_iter().map(|(field, difference)| format!("{name}: {field}: {difference}")));
    }
    println!("as expected: {passed:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sse_events_have_the_recorded_digest() {
    for Recording { name, body, expected, .. } in &recordings() {
        let Some(sse) = expected["sse"].as_object() else { continue };
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        let mut pulled = decoder.feed(body);
        while let Some(event) = pulled.next_event().unwrap() {
            events.push(json!([event.event_type(), event.data_text(), event.id()]));
        }
        assert_eq!(json!(events.len()), sse["n_events"], "{name}: events");
        assert_eq!(json!(decoder.comments()), sse["n_comments"], "{name}: comments");
        assert_eq!(json!(decoder.retry()), sse["retry"], "{name}: retry");
        assert_eq!(json!(decoder.is_mid_event()), sse["unterminated_tail"], "{name}: tail");
        let digest = Sha256::digest(json!(events).to_string());
        let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(json!(hex), sse["digest"], "{name}: digest");
    }
}

#[test]
fn dialects_are_detected() {
    for Recording { name, body, dialect, .. } in &recordings() {
        assert_eq!(Dialect::detect(body), *dialect, "{name}");
        let prefix = &body[..body.len().min(16 * 1024)];
        assert_eq!(Dialect::detect(prefix), *dialect, "the beginning of {name}");
    }
}

#[test]
fn cuts_change_nothing() {
    let recordings = recordings();
    let wholes: Vec<Option<Decoded>> = recordings
        .iter()
        .map(|Recording { dialect, body, .. }| dialect.map(|dialect| decode(dialect, [body.as_slice()])))
        .collect();
    let sizes = proptest::collection::vec(prop_oneof![1_usize..8, 1_usize..300, 1_usize..20_000], 1..12);
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sizes in sizes)| {
        for (Recording { name, body, dialect, .. }, whole) in recordings.iter().zip(&wholes) {
            let Some(dialect) = dialect else { continue };
            let split = decode(*dialect, cut(body, &sizes));
            prop_assert!(Some(&split) == whole.as_ref(), "{} cut into {:?}", name, sizes);
        }
    });
}
