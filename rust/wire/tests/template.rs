//! Compares the fast path for look-alike OpenAI chunks with the full parse: both must give the same deltas.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use headrace_wire::openai_chat::OpenAiChat;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{Delta, DeltaKind, Progress};
use proptest::prelude::*;

/// The inside of a JSON string: plain, escaped, invalid, or made to look like the chunk around it.
fn inside() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z ,.]{0,6}",
        1 => Just("\\n\\n".to_owned()),
        1 => Just("\\u00e9\\ud83d\\ude00".to_owned()),
        1 => Just("\\ud83d".to_owned()),
        1 => Just("日本 é".to_owned()),
        1 => Just("content".to_owned()),
        1 => Just("\\\"content\\\":\\\"x\\\"".to_owned()),
        1 => Just("\\\\".to_owned()),
        1 => Just("x\"},\"finish_reason\":\"stop\",\"y\":{\"z\":\"".to_owned()),
        1 => Just("a\",\"content\":\"b".to_owned()),
        1 => Just("a\" ,\"refusal\":\"b".to_owned()),
        1 => Just("\u{1}".to_owned()),
        1 => Just("\\q".to_owned()),
    ]
}

/// Chunks. `@` stands for the content and `~` for the padding. Some have the key elsewhere or spell it with escapes.
fn chunk() -> impl Strategy<Value = String> {
    let envelope = prop_oneof![
        6 => Just(r#"{"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#),
        1 => Just(r#"{"id":"1","model":"m","choices":[{"index":1,"delta":{"content":"@"},"finish_reason":null}]}"#),
        1 => Just(r#"{"id":"1","model":"m","choices":[{"delta":{"content" : "@"},"index":0}],"content":"@"}"#),
        1 => Just(r#"{"choices":[{"delta":{"\u0063ontent":"@"}}],"content":"@"}"#),
        1 => Just(r#"{"choices":[{"delta":{"\u0063ontent":"@","x\"content":"@"}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"},"finish_reason":"stop"}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}"#),
        1 => Just(r#"{"choices":[{"delta":{"reasoning_content":"@","content":null}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"@","arguments":"@"}}]}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@","content":"b"}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"}}],"error":null}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"},"logprobs":null}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"},"logprobs":{"content":[{"token":"@"}]}}]}"#),
        1 => Just(r#"{"choices":[{"logprobs":{"content":[]},"delta":{"content":"@"}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":[{"type":"text","text":"@"}]}}]}"#),
        6 => Just(r#"{"choices":[{"index":0,"delta":{"content":"@"}}],"usage":null,"obfuscation":"~"}"#),
        1 => Just(r#"{"choices":[{"index":0,"delta":{"content":"@"}}],"obfuscation" : "~" ,"model":"m"}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@","obfuscation":"~"}}],"obfuscation":"~"}"#),
        1 => Just(r#"{"obfuscation":"~","choices":[{"delta":{"content":"@"}}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"}}],"usage":{"obfuscation":"~"}}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"},"obfuscation":"~","finish_reason":"stop"}]}"#),
        1 => Just(r#"{"choices":[{"delta":{"content":"@"}}],"obfuscation":~,"x":"y"}"#),
    ];
    let padding = prop_oneof![8 => "[a-zA-Z0-9]{0,6}".boxed(), 1 => inside().boxed()];
    (envelope, inside(), padding)
        .prop_map(|(envelope, inside, padding)| envelope.replace('@', &inside).replace('~', &padding))
}

/// The deltas, and whether decoding failed. `event` has the fast path, `document` always parses in full.
fn decode(chunks: &[String], fast_path: bool) -> (Vec<Delta>, bool) {
    let mut dialect = OpenAiChat::default();
    let mut deltas = Vec::new();
    for chunk in chunks {
        let outcome = if fast_path {
            let body = format!("data: {chunk}\n\n");
            let mut sse = SseDecoder::default();
            let mut events = sse.feed(body.as_bytes());
            let event = events.next_event().unwrap().unwrap();
            dialect.event(&event, &mut deltas)
        } else {
            dialect.document(chunk.as_bytes(), &mut deltas)
        };
        match outcome {
            Ok(Progress::Open) => {}
            Ok(Progress::Ended) => break,
            Err(_) => return (deltas, true),
        }
    }
    (deltas, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_fast_path_gives_the_deltas_of_the_full_parse(chunks in proptest::collection::vec(chunk(), 1..12)) {
        prop_assert_eq!(decode(&chunks, true), decode(&chunks, false));
    }
}

#[test]
fn padding_is_never_text() {
    let chunk = |padding: &str| {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}}}}],"obfuscation":"{padding}"}}"#)
    };
    let chunks = ["Xy7", "", r#"","choices":[{"delta":{"content":"b"}}],"x":""#, r#"\","x":""#].map(chunk);
    let (deltas, failed) = decode(&chunks, true);
    assert_eq!((deltas.clone(), failed), decode(&chunks, false));
    assert!(deltas.iter().any(|delta| delta.kind == DeltaKind::Text("b".into())));
}

#[test]
fn a_template_does_not_outlive_a_finish_reason() {
    let chunk =
        |reason: &str| format!(r#"{{"choices":[{{"delta":{{"content":"a"}},"finish_reason":"{reason}"}}]}}"#);
    let chunks = [chunk("stop"), chunk("stop"), chunk("length"), chunk("stop"), chunk("stop")];
    assert_eq!(decode(&chunks, true), decode(&chunks, false));
}
