//! The same script in every dialect.

use headrace_wire::encode::Api;
use headrace_wire::{Delta, DeltaKind, Ending, FinishReason, Framing};
use serde_json::{Value, json};

use crate::client::{Client, End, eventually, simulator};
use crate::questions::{Decoded, answer, ask, decode_document, decode_stream, question, whole};

/// A turn with everything that all dialects support.
fn everything() -> Value {
    json!({
        "reasoning": "hm hm", "text": "one two three",
        "tool_calls": [
            { "name": "add", "arguments": { "a": 1, "b": "two words" } },
            { "id": "c1", "name": "now", "arguments": { "zone": "UTC" } },
        ],
        "usage": { "input_tokens": 7, "output_tokens": 5 },
    })
}

fn assert_everything(api: Api, decoded: &Decoded) {
    assert_eq!(decoded.ending, Ending::Complete, "{api:?}");
    let choice = decoded.response.first().unwrap();
    assert_eq!((choice.reasoning.as_str(), choice.text.as_str()), ("hm hm", "one two three"), "{api:?}");
    let usage = decoded.response.usage.as_ref().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(7), Some(5)), "{api:?}");
    if api == Api::OllamaGenerate {
        return;
    }
    let calls: Vec<_> =
        choice.tool_calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    let expected = [("add", "{\"a\":1,\"b\":\"two words\"}"), ("now", "{\"zone\":\"UTC\"}")];
    assert_eq!(calls, expected, "{api:?}");
    assert!(choice.tool_calls.iter().all(|call| call.ended), "{api:?}");
    let reason = choice.finish.as_ref().unwrap().reason;
    let expected = if api == Api::OllamaChat { FinishReason::Stop } else { FinishReason::ToolCalls };
    assert_eq!(reason, expected, "{api:?}");
}

#[test]
fn a_stream_has_the_content_of_the_script() {
    for api in Api::ALL {
        let answer = answer(api, &json!({ "model": "m", "turns": [everything()] }));
        assert_eq!((answer.status, answer.end), (200, End::Proper), "{api:?}");
        assert_eq!(answer.headers["content-type"], api.framing().content_type());
        assert_eq!(answer.headers["x-request-id"], "req-0");
        assert_everything(api, &decode_stream(api, &answer.body));
    }
}

#[test]
fn a_document_has_the_content_of_the_script() {
    for api in Api::ALL {
        let simulator = simulator(&json!({ "model": "m", "turns": [everything()] }));
        let mut client = Client::connect(&simulator);
        let (path, body) = whole(api);
        client.send("POST", &path, &body.to_string());
        let answer = client.answer();
        assert_eq!((answer.status, answer.end), (200, End::Proper), "{api:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_everything(api, &decode_document(api, &answer.body));
    }
}

#[test]
fn interleaved_calls_are_complete() {
    let call = |name: &str| json!({ "name": name, "arguments": { "a": name }, "fragments": 3 });
    let turn = json!({ "tool_calls": [call("x"), call("y")], "interleave_calls": true });
    for api in Api::ALL.into_iter().filter(|api| *api != Api::OllamaGenerate) {
        let decoded = decode_stream(api, &answer(api, &json!({ "turns": [turn] })).body);
        let calls = &decoded.response.first().unwrap().tool_calls;
        let arguments: Vec<&str> = calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, ["{\"a\":\"x\"}", "{\"a\":\"y\"}"], "{api:?}");
        assert!(calls.iter().all(|call| call.ended), "{api:?}");
    }
}

#[test]
fn signatures_are_sent_in_dialects_that_have_them() {
    let turn = json!({
        "reasoning": "hm", "signature": "c2ln", "encrypted": "ZW5j",
        "tool_calls": [{ "name": "add", "signature": "Y2FsbA==" }],
    });
    for (api, expected) in [
        (Api::OpenAiChat, &["c2ln", "ZW5j", "Y2FsbA=="][..]),
        (Api::OpenAiResponses, &["ZW5j"]),
        (Api::Anthropic, &["c2ln", "ZW5j"]),
        (Api::InvokeModel, &["c2ln", "ZW5j"]),
        (Api::Converse, &["c2ln", "ZW5j"]),
        (Api::Gemini, &["c2ln", "ZW5j", "Y2FsbA=="]),
        (Api::Cohere, &[]),
        (Api::OllamaChat, &[]),
    ] {
        let decoded = decode_stream(api, &answer(api, &json!({ "turns": [turn] })).body);
        let choice = decoded.response.first().unwrap();
        let found: Vec<&str> =
            choice.signatures.iter().map(|placed| placed.signature.value.as_str()).collect();
        assert_eq!(found, expected, "{api:?}");
        assert_eq!(choice.tool_calls.len(), 1, "{api:?}");
    }
}

#[test]
fn a_finish_reason_is_the_dialects_own() {
    for (api, length, foreign) in [
        (Api::OpenAiChat, "length", "so_it_is"),
        (Api::OpenAiResponses, "max_output_tokens", "so_it_is"),
        (Api::Anthropic, "max_tokens", "so_it_is"),
        (Api::Gemini, "MAX_TOKENS", "so_it_is"),
        (Api::Cohere, "MAX_TOKENS", "so_it_is"),
        (Api::OllamaChat, "length", "so_it_is"),
        (Api::Converse, "max_tokens", "so_it_is"),
    ] {
        for (scripted, sent) in [("length", length), ("so_it_is", foreign)] {
            let script = json!({ "turns": [{ "text": "a", "finish_reason": scripted }] });
            let decoded = decode_stream(api, &answer(api, &script).body);
            assert_eq!(decoded.response.first().unwrap().finish.as_ref().unwrap().raw, sent, "{api:?}");
        }
    }
}

#[test]
fn each_event_is_a_chunk_and_a_frame() {
    for api in Api::ALL {
        let simulator = simulator(&json!({ "turns": [{ "text": "one two three" }] }));
        let answer = ask(api, &mut Client::connect(&simulator));
        let report = eventually(&simulator, |report| report.requests[0].finished_ns.is_some());
        assert_eq!(report.requests[0].frames_written, answer.chunks.len() as u64, "{api:?}");
        let events = match api.framing() {
            Framing::Sse => answer.text().replace("\r\n", "\n").matches("\n\n").count(),
            Framing::Ndjson => answer.text().lines().count(),
            // Start, three texts, stop, the reason, the counts.
            Framing::AwsEventStream if api == Api::Converse => 7,
            // Two starts, three texts, two stops, the reason with the counts.
            Framing::AwsEventStream => 8,
        };
        assert_eq!(answer.chunks.len(), events, "{api:?}");
    }
}

#[test]
fn stamps_replace_the_text() {
    for api in Api::ALL {
        let answer = answer(api, &json!({ "stamp": true, "turns": [{ "text": "a b c" }] }));
        let decoded = decode_stream(api, &answer.body);
        let choice = decoded.response.first().unwrap();
        let times: Vec<u64> = choice.text.split_whitespace().map(|time| time.parse().unwrap()).collect();
        assert_eq!(times.len(), 3, "{api:?}");
        assert!(times.is_sorted() && times[0] > 0, "{api:?}: {times:?}");
    }
}

#[test]
fn line_ends_are_the_scripts_or_the_providers_default() {
    for api in Api::ALL.into_iter().filter(|api| api.framing() == Framing::Sse) {
        let end = if api == Api::Gemini { "\r\n\r\n" } else { "\n\n" };
        assert!(answer(api, &json!({})).text().ends_with(end), "{api:?}");
        for newline in ["\n", "\r\n", "\r"] {
            let answer = answer(api, &json!({ "newline": newline, "turns": [{ "text": "a\\nb" }] }));
            assert!(answer.text().ends_with(&newline.repeat(2)), "{api:?}");
            let foreign = |mark: &str| !newline.contains(mark) && answer.text().contains(mark);
            assert!(!foreign("\n") && !foreign("\r"), "{api:?}: {:?}", answer.text());
            assert_eq!(decode_stream(api, &answer.body).response.first().unwrap().text, "a\\nb", "{api:?}");
        }
    }
}

#[test]
fn comments_are_sent_only_in_server_sent_events() {
    let script = json!({
        "comment_every_ms": 1,
        "turns": [{ "text": "a b", "pacing": { "mode": "steady", "interval_ms": 30 } }],
    });
    for api in Api::ALL {
        let answer = answer(api, &script);
        let found = answer.body.windows(6).any(|window| window == b": ping");
        assert_eq!(found, api.framing() == Framing::Sse, "{api:?}");
        assert_eq!(decode_stream(api, &answer.body).response.first().unwrap().text, "a b", "{api:?}");
    }
}

#[test]
fn anthropic_sends_the_prompts_token_count_at_the_start() {
    for api in [Api::Anthropic, Api::InvokeModel] {
        let answer = answer(api, &json!({ "turns": [{ "text": "a", "fault": { "kind": "end" } }] }));
        let usage = decode_stream(api, &answer.body).response.usage.unwrap();
        // A prompt of two words, and one token so far.
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(2), Some(1)), "{api:?}");
    }
}

#[test]
fn omitted_usage_is_not_sent() {
    for api in Api::ALL {
        let answer = answer(api, &json!({ "turns": [{ "text": "a", "usage": false }] }));
        let usage = decode_stream(api, &answer.body).response.usage;
        let input = usage.and_then(|usage| usage.input_tokens);
        assert_eq!(input, None, "{api:?}");
    }
}

#[test]
fn a_candidate_is_a_choice() {
    let simulator = simulator(&json!({ "turns": [{ "text": "a b" }] }));
    let mut client = Client::connect(&simulator);
    let (path, mut body) = question(Api::Gemini);
    body["generationConfig"] = json!({ "candidateCount": 2 });
    client.send("POST", path, &body.to_string());
    let decoded = decode_stream(Api::Gemini, &client.answer().body);
    let texts: Vec<&str> = decoded.response.choices.iter().map(|choice| choice.text.as_str()).collect();
    assert_eq!((texts, decoded.ending), (vec!["a b", "a b"], Ending::Complete));
}

#[test]
fn a_long_answer_repeats_its_tokens() {
    let turn = json!({ "text": ["a", "b"], "repeat": 20_000 });
    for api in [Api::Anthropic, Api::Gemini, Api::OllamaChat, Api::Converse] {
        let decoded =
            decode_stream(api, &answer(api, &json!({ "chunking": "coalesce", "turns": [turn] })).body);
        let is_text = |delta: &&Delta| matches!(delta.kind, DeltaKind::Text(_));
        assert_eq!(decoded.deltas.iter().filter(is_text).count(), 40_000, "{api:?}");
        assert_eq!(decoded.ending, Ending::Complete, "{api:?}");
    }
}
