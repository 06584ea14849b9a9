//! Responses that were not streamed: one JSON document, in each dialect.

use headrace_wire::{Delta, Dialect, Ending, FinishReason, Progress, Response, SignatureKind, StreamDecoder};
use serde_json::{Value, json};

fn read(dialect: Dialect, document: &Value) -> (Response, Ending) {
    let body = document.to_string();
    let mut decoder = StreamDecoder::new(dialect, 1 << 20);
    let mut deltas: Vec<Delta> = Vec::new();
    let _: Progress = decoder.document(body.as_bytes(), &mut deltas).unwrap_or(Progress::Open);
    let ending = decoder.finish(&mut deltas);
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    (response, ending)
}

/// The same response in each dialect: reasoning, text, a tool call; 5 input tokens, 7 output tokens.
fn documents() -> [(Dialect, Value); 8] {
    let anthropic = json!({
        "type": "message", "id": "m1", "model": "m", "role": "assistant", "stop_reason": "tool_use",
        "content": [
            { "type": "thinking", "thinking": "Hm.", "signature": "c2ln" },
            { "type": "text", "text": "Hi" },
            { "type": "tool_use", "id": "c1", "name": "add", "input": { "a": 1 } },
        ],
        "usage": { "input_tokens": 5, "output_tokens": 7 },
    });
    let gemini_chunk = json!({
        "responseId": "m1", "modelVersion": "m",
        "candidates": [{ "finishReason": "STOP", "content": { "parts": [
            { "text": "Hm.", "thought": true },
            { "text": "Hi" },
            { "functionCall": { "id": "c1", "name": "add", "args": { "a": 1 } } },
        ] } }],
        "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 7 },
    });
    let function = json!({ "name": "add", "arguments": "{\"a\":1}" });
    let call = json!({ "id": "c1", "type": "function", "function": function });
    [
        (Dialect::Anthropic, anthropic),
        (Dialect::Gemini, gemini_chunk.clone()),
        (Dialect::Gemini, json!([gemini_chunk])),
        (
            Dialect::OpenAiChat,
            json!({
                "id": "m1", "model": "m", "object": "chat.completion",
                "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "reasoning_content": "Hm.", "content": "Hi", "tool_calls": [call],
                } }],
                "usage": { "prompt_tokens": 5, "completion_tokens": 7 },
            }),
        ),
        (
            Dialect::OpenAiResponses,
            json!({
                "id": "m1", "model": "m", "object": "response", "status": "completed",
                "output": [
                    { "type": "reasoning", "id": "r1", "summary": [{ "type": "summary_text", "text": "Hm." }] },
                    { "type": "message", "content": [{ "type": "output_text", "text": "Hi" }] },
                    { "type": "function_call", "call_id": "c1", "name": "add", "arguments": "{\"a\":1}" },
                ],
                "usage": { "input_tokens": 5, "output_tokens": 7 },
            }),
        ),
        (
            Dialect::Cohere,
            json!({
                "id": "m1", "finish_reason": "TOOL_CALL",
                "message": {
                    "role": "assistant", "tool_calls": [call],
                    "content": [{ "type": "thinking", "thinking": "Hm." }, { "type": "text", "text": "Hi" }],
                },
                "usage": { "tokens": { "input_tokens": 5, "output_tokens": 7 } },
            }),
        ),
        (
            Dialect::Ollama,
            json!({
                "model": "m", "done": true, "done_reason": "stop",
                "message": {
                    "role": "assistant", "thinking": "Hm.", "content": "Hi",
                    "tool_calls": [{ "id": "c1", "function": { "name": "add", "arguments": { "a": 1 } } }],
                },
                "prompt_eval_count": 5, "eval_count": 7,
            }),
        ),
        (
            Dialect::Bedrock,
            json!({
                "output": { "message": { "role": "assistant", "content": [
                    { "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } },
                    { "text": "Hi" },
                    { "toolUse": { "toolUseId": "c1", "name": "add", "input": { "a": 1 } } },
                ] } },
                "stopReason": "tool_use",
                "usage": { "inputTokens": 5, "outputTokens": 7 },
            }),
        ),
    ]
}

#[test]
fn documents_are_decoded() {
    for (dialect, document) in documents() {
        let (response, ending) = read(dialect, &document);
        assert_eq!(ending, Ending::Complete, "{dialect:?}");
        let choice = response.first().unwrap();
        assert_eq!((choice.reasoning.as_str(), choice.text.as_str()), ("Hm.", "Hi"), "{dialect:?}");
        let call = &choice.tool_calls[0];
        assert_eq!(
            (call.id.as_deref(), call.name.as_str(), call.arguments.as_str()),
            (Some("c1"), "add", "{\"a\":1}"),
            "{dialect:?}"
        );
        assert!(call.ended, "{dialect:?}");
        let wants_tools = choice.finish.as_ref().unwrap().reason == FinishReason::ToolCalls;
        // Ollama has no finish reason for tool calls.
        assert_eq!(wants_tools, dialect != Dialect::Ollama, "{dialect:?}");
        let usage = response.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(5), Some(7)), "{dialect:?}");
    }
}

#[test]
fn dialects_are_detected() {
    for (dialect, document) in documents() {
        assert_eq!(Dialect::detect(document.to_string().as_bytes()), Some(dialect), "{document}");
        let pretty = format!("\n{document:#}\n");
        assert_eq!(Dialect::detect(pretty.as_bytes()), Some(dialect), "{document}");
    }
}

#[test]
fn signatures_are_decoded() {
    for (dialect, document) in documents() {
        if matches!(dialect, Dialect::Anthropic | Dialect::Bedrock) {
            let (response, _) = read(dialect, &document);
            let placed = &response.first().unwrap().signatures[0];
            assert_eq!((placed.reasoning_end, placed.signature.value.as_str()), (3, "c2ln"), "{dialect:?}");
            assert_eq!(placed.signature.kind, SignatureKind::Signed);
        }
    }
}

#[test]
fn errors_are_decoded() {
    let errors = [
        (
            Dialect::Anthropic,
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } }),
        ),
        (
            Dialect::Gemini,
            json!({ "error": { "code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED" } }),
        ),
        (
            Dialect::Gemini,
            json!([{ "error": { "code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED" } }]),
        ),
        (Dialect::OpenAiChat, json!({ "error": { "message": "m", "type": "server_error" } })),
        (Dialect::OpenAiResponses, json!({ "error": { "message": "m", "type": "server_error" } })),
        (Dialect::Cohere, json!({ "message": "m" })),
        (Dialect::Ollama, json!({ "error": "m" })),
    ];
    for (dialect, document) in errors {
        let (response, ending) = read(dialect, &document);
        assert_eq!(response.error.unwrap().message, "m", "{dialect:?}");
        assert_eq!(ending, Ending::Truncated, "{dialect:?}");
    }
}

#[test]
fn no_dialect_is_detected_in_other_bodies() {
    for body in
        ["", "\n\n", "data: {}\n\n", "hello", "{\"a\":1}", "[1,2]", "{\"done\"", ": comment\n\n", "{\"x\":"]
    {
        assert_eq!(Dialect::detect(body.as_bytes()), None, "{body:?}");
    }
}
