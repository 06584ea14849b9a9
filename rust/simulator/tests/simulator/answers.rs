//! The content of answers.

use headrace_simulator::monotonic_ns;
use headrace_wire::{DeltaKind, Ending, FinishReason, Response};
use serde_json::{Value, json};

use crate::client::{Client, plain, simulator, streaming};

/// The stream that a script with one turn answers.
fn streamed(turn: &Value) -> crate::client::Stream {
    let simulator = simulator(&json!({ "turns": [turn] }));
    Client::connect(&simulator).exchange(&streaming()).stream()
}

/// The calls of a response as (id, name, arguments).
fn calls(response: &Response) -> Vec<(&str, &str, &str)> {
    let calls = &response.first().unwrap().tool_calls;
    assert!(calls.iter().all(|call| call.ended));
    calls
        .iter()
        .map(|call| (call.id.as_deref().unwrap(), call.name.as_str(), call.arguments.as_str()))
        .collect()
}

#[test]
fn text_is_sent_in_the_given_tokens_or_split_at_words() {
    let texts = |turn: &Value| {
        let kinds = streamed(turn).deltas.into_iter().filter_map(|delta| match delta.kind {
            DeltaKind::Text(text) => Some(text.to_string()),
            _ => None,
        });
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(texts(&json!({ "text": "one two" })), ["one", " two"]);
    assert_eq!(texts(&json!({ "text": ["on", "e t", "wo"] })), ["on", "e t", "wo"]);
    assert_eq!(texts(&json!({ "text": ["a", "b"], "repeat": 3 })), ["a", "b", "a", "b", "a", "b"]);
}

#[test]
fn reasoning_comes_before_text_and_a_refusal_after() {
    let stream = streamed(&json!({ "reasoning": "hm hm", "text": "so", "refusal": "no" }));
    let choice = stream.response.first().unwrap();
    assert_eq!(
        (choice.reasoning.as_str(), choice.text.as_str(), choice.refusal.as_str()),
        ("hm hm", "so", "no")
    );
    let position =
        |wanted: fn(&DeltaKind) -> bool| stream.deltas.iter().position(|delta| wanted(&delta.kind));
    assert!(
        position(|kind| matches!(kind, DeltaKind::Reasoning(_)))
            < position(|kind| matches!(kind, DeltaKind::Text(_)))
    );
    assert!(
        position(|kind| matches!(kind, DeltaKind::Text(_)))
            < position(|kind| matches!(kind, DeltaKind::Refusal(_)))
    );
}

#[test]
fn the_first_matching_turn_answers() {
    let simulator = simulator(&json!({ "turns": [
        { "when": { "role": "tool" }, "text": "after the tool" },
        { "when": { "contains": "weather" }, "tool_calls": [{ "name": "weather" }] },
        { "text": "otherwise" },
    ] }));
    let mut client = Client::connect(&simulator);
    let mut ask =
        |message: Value| client.exchange(&json!({ "stream": true, "messages": [message] })).stream();
    assert_eq!(ask(json!({ "role": "user", "content": "hi" })).text(), "otherwise");
    assert_eq!(ask(json!({ "role": "tool", "content": "4" })).text(), "after the tool");
    let stream = ask(json!({ "role": "user", "content": "the weather?" }));
    assert_eq!(calls(&stream.response), [("call_1_0", "weather", "{}")]);
}

#[test]
fn tool_calls_come_in_fragments() {
    let turn = json!({ "text": "I will add.", "tool_calls": [
        { "name": "add", "arguments": { "a": 1, "b": [2, 3] }, "fragments": 4 },
        { "id": "call_x", "name": "raw", "arguments": "{\"broken\": ", "fragments": 2 },
    ] });
    let stream = streamed(&turn);
    let expected = [("call_0_0", "add", r#"{"a":1,"b":[2,3]}"#), ("call_x", "raw", r#"{"broken": "#)];
    assert_eq!(calls(&stream.response), expected);
    assert_eq!(stream.response.first().unwrap().finish.as_ref().unwrap().reason, FinishReason::ToolCalls);
    let fragments = |wanted: u32| {
        let of_call =
            |kind: &DeltaKind| matches!(kind, DeltaKind::ToolCallArguments { index, .. } if *index == wanted);
        stream.deltas.iter().filter(|delta| of_call(&delta.kind)).count()
    };
    assert_eq!((fragments(0), fragments(1)), (4, 2));
}

#[test]
fn interleaved_calls_alternate_and_decode_to_the_same_calls() {
    let mut turn = json!({ "tool_calls": [
        { "name": "one", "arguments": { "text": "a long enough argument" } },
        { "name": "two", "arguments": { "text": "and another one" } },
    ] });
    let sequential = streamed(&turn);
    turn["interleave_calls"] = json!(true);
    let interleaved = streamed(&turn);
    assert_eq!(interleaved.response, sequential.response);
    let arguments = interleaved.deltas.iter().filter_map(|delta| match &delta.kind {
        DeltaKind::ToolCallArguments { index, .. } => Some(*index),
        _ => None,
    });
    let order: Vec<u32> = arguments.collect();
    assert_eq!(order[..4], [0, 1, 0, 1]);
}

#[test]
fn usage_is_sent_if_requested() {
    let mut asking = streaming();
    asking["stream_options"] = json!({ "include_usage": true });
    let usage = |script: &Value, request: &Value| {
        let simulator = simulator(script);
        Client::connect(&simulator).exchange(request).stream().response.usage
    };
    let counted = json!({ "turns": [{ "reasoning": "a b", "text": "c d e" }] });
    assert_eq!(usage(&counted, &streaming()), None);
    let sent = usage(&counted, &asking).unwrap();
    assert_eq!((sent.input_tokens, sent.output_tokens, sent.total_tokens), (Some(2), Some(5), Some(7)));
    assert_eq!(sent.reasoning_tokens, Some(2));

    let always =
        json!({ "include_usage": "always", "turns": [{ "text": "x", "usage": { "input_tokens": 1000 } }] });
    let sent = usage(&always, &streaming()).unwrap();
    assert_eq!((sent.input_tokens, sent.output_tokens, sent.total_tokens), (Some(1000), None, None));

    let never = json!({ "include_usage": "always", "turns": [{ "text": "x", "usage": false }] });
    assert_eq!(usage(&never, &asking), None);
}

#[test]
fn a_request_for_choices_gets_them() {
    let simulator = simulator(&json!({ "turns": [{ "text": "one two", "finish_reason": "length" }] }));
    let mut client = Client::connect(&simulator);
    let mut request = streaming();
    request["n"] = json!(3);
    let stream = client.exchange(&request).stream();
    assert_eq!(stream.ending, Ending::Complete);
    assert_eq!(stream.response.choices.len(), 3);
    for choice in &stream.response.choices {
        assert_eq!(choice.text, "one two");
        assert_eq!(choice.finish.as_ref().unwrap().reason, FinishReason::Length);
    }
    let order: Vec<u32> = stream
        .deltas
        .iter()
        .filter(|delta| matches!(delta.kind, DeltaKind::Text(_)))
        .map(|delta| delta.choice)
        .collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    request["stream"] = json!(false);
    assert_eq!(client.exchange(&request).json()["choices"].as_array().unwrap().len(), 3);
}

#[test]
fn a_document_has_the_content_of_the_stream() {
    let script = json!({ "turns": [{
        "reasoning": "hm", "text": "said", "repeat": 2, "refusal": "no",
        "tool_calls": [{ "name": "f", "arguments": { "x": 1 } }],
    }] });
    let simulator = simulator(&script);
    let mut client = Client::connect(&simulator);
    let message = client.exchange(&plain()).json()["choices"][0].take();
    assert_eq!(message["finish_reason"], "tool_calls");
    let message = &message["message"];
    assert_eq!(message["content"], "saidsaid");
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(message["refusal"], "no");
    assert_eq!(message["tool_calls"][0]["id"], "call_0_0");
    assert_eq!(message["tool_calls"][0]["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
}

#[test]
fn stamps_contain_the_time_of_the_write() {
    let simulator = simulator(&json!({ "stamp": true, "turns": [{ "text": "a b c", "repeat": 100 }] }));
    let mut client = Client::connect(&simulator);
    for request in [streaming(), plain()] {
        let before = monotonic_ns();
        let answer = client.exchange(&request);
        let after = monotonic_ns();
        let text = if request["stream"] == json!(true) {
            answer.stream().text().to_owned()
        } else {
            answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        let stamps: Vec<u64> = text.split_terminator(' ').map(|stamp| stamp.parse().unwrap()).collect();
        assert_eq!(stamps.len(), 300);
        assert!(stamps.is_sorted());
        assert!(before <= stamps[0] && stamps[299] <= after);
    }
}

#[test]
fn line_ends_are_those_of_the_script() {
    for newline in ["\n", "\r\n", "\r"] {
        let simulator = simulator(&json!({ "newline": newline, "turns": [{ "text": "a b" }] }));
        let answer = Client::connect(&simulator).exchange(&streaming());
        assert!(answer.text().ends_with(&format!("data: [DONE]{newline}{newline}")));
        assert_eq!(answer.text().lines().count() > 1, newline != "\r");
        assert_eq!(answer.stream().text(), "a b");
    }
}

#[test]
fn comments_are_sent_between_tokens() {
    let script = json!({
        "comments": "keep alive", "comment_every_ms": 5, "pacing": { "mode": "steady", "interval_ms": 12 },
    });
    let simulator = simulator(&script);
    let answer = Client::connect(&simulator).exchange(&streaming());
    assert!(answer.text().contains("\n\n: keep alive\n\n"));
    assert_eq!(answer.stream().text(), "Hello from the simulator.");
}
