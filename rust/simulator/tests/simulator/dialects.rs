//! The same script in every dialect.

use headrace_wire::encode::Api;
use headrace_wire::{Delta, Dialect, Ending, FinishReason, Response, StreamDecoder};
use serde_json::{Value, json};

use crate::client::{Answer, Client, End, simulator};

/// One question in an API, to be answered by a stream: the path and the body.
pub(crate) fn question(api: Api) -> (&'static str, Value) {
    let text = "hello there";
    let messages = json!([{ "role": "user", "content": text }]);
    match api {
        Api::OpenAiChat => (
            "/v1/chat/completions",
            json!({ "messages": messages, "stream": true, "stream_options": { "include_usage": true } }),
        ),
        Api::OpenAiResponses => ("/v1/responses", json!({ "input": text, "stream": true })),
        Api::Anthropic => {
            ("/v1/messages", json!({ "model": "any", "max_tokens": 9, "messages": messages, "stream": true }))
        }
        Api::Gemini => (
            "/v1beta/models/any:streamGenerateContent?alt=sse",
            json!({ "contents": [{ "parts": [{ "text": text }] }] }),
        ),
        Api::Cohere => ("/v2/chat", json!({ "messages": messages, "stream": true })),
        Api::OllamaChat => ("/api/chat", json!({ "messages": messages })),
        Api::OllamaGenerate => ("/api/generate", json!({ "prompt": text })),
        Api::Converse => (
            "/model/anthropic.claude-3%3A0/converse-stream",
            json!({ "messages": [{ "role": "user", "content": [{ "text": text }] }] }),
        ),
        Api::InvokeModel => (
            "/model/anthropic.claude-3%3A0/invoke-with-response-stream",
            json!({ "max_tokens": 9, "messages": messages }),
        ),
    }
}

/// What came of a stream.
pub(crate) struct Heard {
    pub(crate) response: Response,
    pub(crate) ending: Ending,
}

pub(crate) fn hear(dialect: Dialect, body: &[u8]) -> Heard {
    let mut decoder = StreamDecoder::new(dialect, 64 * 1024 * 1024);
    let mut deltas: Vec<Delta> = Vec::new();
    decoder.feed(body, &mut deltas).unwrap();
    let ending = decoder.finish(&mut deltas);
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    Heard { response, ending }
}

/// Asks in an API.
pub(crate) fn ask(api: Api, client: &mut Client) -> Answer {
    let (path, body) = question(api);
    client.send("POST", path, &body.to_string());
    client.answer()
}

fn answer(api: Api, script: &Value) -> Answer {
    ask(api, &mut Client::connect(&simulator(script)))
}

#[test]
fn a_stream_says_the_script_in_each_dialect() {
    let turn = json!({
        "reasoning": "hm hm", "text": "one two three",
        "tool_calls": [
            { "name": "add", "arguments": { "a": 1, "b": "two words" } },
            { "id": "c1", "name": "now", "arguments": { "zone": "UTC" } },
        ],
        "usage": { "input_tokens": 7, "output_tokens": 5 },
    });
    for api in Api::ALL {
        let answer = answer(api, &json!({ "model": "m", "turns": [turn] }));
        assert_eq!((answer.status, answer.end), (200, End::Proper), "{api:?}");
        assert_eq!(answer.headers["content-type"], api.framing().content_type());
        assert_eq!(answer.headers["x-request-id"], "req-0");
        let heard = hear(api.dialect(), &answer.body);
        assert_eq!(heard.ending, Ending::Complete, "{api:?}");
        let choice = heard.response.first().unwrap();
        assert_eq!((choice.reasoning.as_str(), choice.text.as_str()), ("hm hm", "one two three"), "{api:?}");
        let usage = heard.response.usage.as_ref().unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(7), Some(5)), "{api:?}");
        if api == Api::OllamaGenerate {
            continue;
        }
        let calls: Vec<_> =
            choice.tool_calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
        assert_eq!(
            calls,
            [("add", "{\"a\":1,\"b\":\"two words\"}"), ("now", "{\"zone\":\"UTC\"}")],
            "{api:?}"
        );
        assert!(choice.tool_calls.iter().all(|call| call.complete), "{api:?}");
        let reason = choice.finish.as_ref().unwrap().reason;
        let expected = if api == Api::OllamaChat { FinishReason::Stop } else { FinishReason::ToolCalls };
        assert_eq!(reason, expected, "{api:?}");
    }
}
