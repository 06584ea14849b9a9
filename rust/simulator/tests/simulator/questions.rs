//! Requests in every dialect, and decoders of their answers.

use headrace_wire::encode::Api;
use headrace_wire::{DecodeError, Delta, Ending, Response, StreamDecoder};
use serde_json::{Value, json};

use crate::client::{Answer, Client, simulator};

/// A request for a stream: the path and the body.
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
        // These stream by default.
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

/// The same request for a document.
pub(crate) fn whole(api: Api) -> (String, Value) {
    let (path, mut body) = question(api);
    let path = match api {
        Api::Gemini => path.replace("streamGenerateContent?alt=sse", "generateContent"),
        Api::Converse => path.replace("converse-stream", "converse"),
        Api::InvokeModel => path.replace("invoke-with-response-stream", "invoke"),
        _ => {
            body["stream"] = json!(false);
            path.to_owned()
        }
    };
    (path, body)
}

/// A decoded answer.
pub(crate) struct Decoded {
    pub(crate) deltas: Vec<Delta>,
    pub(crate) response: Response,
    pub(crate) ending: Ending,
}

/// Decodes a stream.
pub(crate) fn decode_stream(api: Api, body: &[u8]) -> Decoded {
    try_decode_stream(api, body).unwrap()
}

/// Decodes a stream, which may be malformed.
pub(crate) fn try_decode_stream(api: Api, body: &[u8]) -> Result<Decoded, DecodeError> {
    decode(api, |decoder, deltas| decoder.feed(body, deltas))
}

/// Decodes a document.
pub(crate) fn decode_document(api: Api, body: &[u8]) -> Decoded {
    decode(api, |decoder, deltas| decoder.document(body, deltas)).unwrap()
}

fn decode<T>(
    api: Api,
    feed: impl FnOnce(&mut StreamDecoder, &mut Vec<Delta>) -> Result<T, DecodeError>,
) -> Result<Decoded, DecodeError> {
    let mut decoder = StreamDecoder::new(api.dialect(), 64 * 1024 * 1024);
    let mut deltas = Vec::new();
    feed(&mut decoder, &mut deltas)?;
    let ending = decoder.finish(&mut deltas);
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    Ok(Decoded { deltas, response, ending })
}

/// Requests a stream.
pub(crate) fn ask(api: Api, client: &mut Client) -> Answer {
    let (path, body) = question(api);
    client.send("POST", path, &body.to_string());
    client.answer()
}

/// The answer of a script to a request for a stream.
pub(crate) fn answer(api: Api, script: &Value) -> Answer {
    ask(api, &mut Client::connect(&simulator(script)))
}
