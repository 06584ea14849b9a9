//! The way back: deltas → the bytes of a stream, in any dialect, for the simulator and for whoever proxies a stream.
//!
//! What [`StreamDecoder`](crate::StreamDecoder) makes of the bytes are the same deltas, as far as the dialect can express
//! them; `tests/round_trip.rs` says how far that is. [`OpenAI` chat](crate::openai_chat::ChunkEncoder) needs no memory
//! between two deltas and can be used on its own.

mod api;
mod blocks;
mod calls;
mod whole;

pub use self::api::Api;
pub(crate) use self::blocks::{Blocks, Section};
pub(crate) use self::calls::{WholeCall, WholeCalls};
pub(crate) use self::whole::{Passage, call_signature, parsed, passages, said};

use serde_json::Value;

use crate::delta::Delta;
use crate::dialects::openai_chat::ChunkEncoder;
use crate::dialects::{anthropic, bedrock, cohere, gemini, ollama, openai_responses};
use crate::response::Response;

/// What identifies the response that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The response's id, where the dialect has one.
    pub id: String,
    /// The model that answers, where the dialect names it.
    pub model: String,
    /// The time of creation in seconds since 1970, where the dialect tells it.
    pub created: u64,
    /// The prompt's tokens: Anthropic tells them at the start.
    pub input_tokens: Option<u64>,
}

/// Writes the stream of one response.
#[derive(Debug, Clone)]
pub struct StreamEncoder(Encoder);

#[derive(Debug, Clone)]
enum Encoder {
    OpenAiChat(ChunkEncoder),
    OpenAiResponses(openai_responses::Encoder),
    Anthropic(anthropic::Encoder),
    Gemini(gemini::Encoder),
    Cohere(cohere::Encoder),
    Ollama(ollama::Encoder),
    Converse(bedrock::Encoder),
    Invoke(anthropic::Encoder),
}

impl StreamEncoder {
    /// An encoder for one response, of an API or, by its dialect, of the API that a [`Dialect`](crate::Dialect) is
    /// mostly spoken by.
    #[must_use]
    pub fn new(api: impl Into<Api>, head: Head) -> Self {
        Self(match api.into() {
            Api::OpenAiChat => {
                let Head { id, model, created, .. } = head;
                Encoder::OpenAiChat(ChunkEncoder { id, model, created })
            }
            Api::OpenAiResponses => Encoder::OpenAiResponses(openai_responses::Encoder::new(head)),
            Api::Anthropic => Encoder::Anthropic(anthropic::Encoder::new(head)),
            Api::Gemini => Encoder::Gemini(gemini::Encoder::new(head)),
            Api::Cohere => Encoder::Cohere(cohere::Encoder::new(head)),
            Api::OllamaChat => Encoder::Ollama(ollama::Encoder::chat(head)),
            Api::OllamaGenerate => Encoder::Ollama(ollama::Encoder::generate(head)),
            Api::Converse => Encoder::Converse(bedrock::Encoder::default()),
            Api::InvokeModel => Encoder::Invoke(anthropic::Encoder::new(head)),
        })
    }

    /// An encoder for what Bedrock's `InvokeModelWithResponseStream` sends of one of Anthropic's models.
    #[must_use]
    pub fn invoke_model(head: Head) -> Self {
        Self::new(Api::InvokeModel, head)
    }

    /// Appends what says this delta: one event, several, or, where the dialect says it together with something that
    /// comes later, none yet. A choice that the dialect cannot express is left out.
    pub fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match &mut self.0 {
            Encoder::OpenAiChat(encoder) => encoder.encode(delta, out),
            Encoder::OpenAiResponses(encoder) => write_typed(&encoder.encode(delta), out),
            Encoder::Anthropic(encoder) => write_typed(&encoder.encode(delta), out),
            Encoder::Gemini(encoder) => encoder.encode(delta, out),
            Encoder::Cohere(encoder) => write_typed(&encoder.encode(delta), out),
            Encoder::Ollama(encoder) => encoder.encode(delta, out),
            Encoder::Converse(encoder) => encoder.encode(delta, out),
            Encoder::Invoke(encoder) => bedrock::write_chunks(&encoder.encode(delta), out),
        }
    }

    /// Appends what is left to say, and the end marker.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Encoder::OpenAiChat(_) => ChunkEncoder::done(out),
            Encoder::OpenAiResponses(encoder) => write_typed(&encoder.finish(), out),
            Encoder::Anthropic(encoder) => write_typed(&encoder.finish(), out),
            Encoder::Gemini(encoder) => encoder.finish(out),
            Encoder::Cohere(encoder) => write_typed(&encoder.finish(), out),
            Encoder::Ollama(encoder) => encoder.finish(out),
            Encoder::Converse(encoder) => encoder.finish(out),
            Encoder::Invoke(encoder) => bedrock::write_chunks(&encoder.finish(), out),
        }
    }
}

/// The JSON document of a response to a request that did not ask for a stream.
/// [`StreamDecoder::document`](crate::StreamDecoder::document) reads it.
#[must_use]
pub fn document(api: Api, head: &Head, response: &Response) -> String {
    let document = match api {
        Api::OpenAiChat => {
            let Head { id, model, created, .. } = head.clone();
            return ChunkEncoder { id, model, created }.completion(response);
        }
        Api::OpenAiResponses => openai_responses::document(head, response),
        Api::Anthropic | Api::InvokeModel => anthropic::document(head, response),
        Api::Gemini => gemini::document(head, response),
        Api::Cohere => cohere::document(head, response),
        Api::OllamaChat => ollama::Encoder::chat(head.clone()).document(response),
        Api::OllamaGenerate => ollama::Encoder::generate(head.clone()).document(response),
        Api::Converse => bedrock::document(response),
    };
    document.to_string()
}

/// Server-sent events whose names are the types that stand in their data.
fn write_typed(events: &[Value], out: &mut Vec<u8>) {
    for event in events {
        let name = event["type"].as_str().unwrap_or("message");
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
}

/// An object without the members that are not known: a zero would be a claim.
pub(crate) fn known<const N: usize>(counts: [(&str, Option<u64>); N]) -> Value {
    counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), Value::from(count?)))).collect()
}
