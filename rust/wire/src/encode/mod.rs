//! Encoding: deltas → the bytes of a stream in any dialect, for the simulator and for proxies.
//!
//! [`StreamDecoder`](crate::StreamDecoder) decodes the bytes to the same deltas, as far as the dialect can express
//! them; `tests/round_trip.rs` lists what each dialect can express. The encoder of [OpenAI
//! chat](crate::openai_chat::ChunkEncoder) has no state and can be used on its own.

mod api;
mod blocks;
mod calls;
mod whole;

pub use self::api::Api;
pub(crate) use self::blocks::{Blocks, Section};
pub(crate) use self::calls::{WholeCall, WholeCalls};
pub(crate) use self::whole::{
    ReasoningPart, call_signature, parse_arguments, reasoning_parts, text_and_refusal,
};

use serde_json::Value;

use crate::delta::Delta;
use crate::dialects::openai_chat::ChunkEncoder;
use crate::dialects::{anthropic, bedrock, cohere, gemini, ollama, openai_responses};
use crate::response::Response;

/// What the encoders write about the response itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The response's id, if the dialect has one.
    pub id: String,
    /// The model's name, if the dialect sends it.
    pub model: String,
    /// The creation time in seconds since 1970, if the dialect sends it.
    pub created: u64,
    /// How many tokens the prompt has. Only Anthropic sends this at the start.
    pub input_tokens: Option<u64>,
}

/// Encodes one response as a stream.
///
/// ```
/// use headrace_wire::encode::Head;
/// use headrace_wire::{Delta, DeltaKind, Dialect, StreamEncoder};
///
/// let head = Head { model: "m".to_owned(), ..Head::default() };
/// let mut encoder = StreamEncoder::new(Dialect::Ollama, head);
/// let mut body = Vec::new();
/// encoder.encode(&Delta::first(DeltaKind::Text("Hi".into())), &mut body);
/// encoder.finish(&mut body);
/// assert_eq!(body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2);
/// ```
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
    /// An encoder for one response of an [`Api`]. For a [`Dialect`](crate::Dialect), it is the API that is used most
    /// with it.
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

    /// Appends the frames of one delta to `out`. There may be several; or none yet, if the dialect sends the delta
    /// together with a later one. Deltas that the dialect cannot express are left out.
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

    /// Appends the frames that are still due, and the end marker.
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

/// The JSON document of a response that is not streamed.
/// [`StreamDecoder::document`](crate::StreamDecoder::document) decodes it.
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

/// Appends server-sent events. The type of each event is the `type` in its data.
fn write_typed(events: &[Value], out: &mut Vec<u8>) {
    for event in events {
        let name = event["type"].as_str().unwrap_or("message");
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
}

/// An object of the counts that are known. The others are left out: a zero would be a false count.
pub(crate) fn counts_object<const N: usize>(counts: [(&str, Option<u64>); N]) -> Value {
    counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), Value::from(count?)))).collect()
}
