//! From a turn of the script to the bytes of an answer.
//!
//! A turn is a list of [`runs`] of deltas. The encoder of OpenAI chat has no state, so they are encoded ahead of time
//! into [`frames`]; the turn's [`fault`] is applied to these, and the [`plan`] caches what is the same for every request.
//! The encoders of the other dialects have state, so a [`stateful`] stream encodes each delta when it is due, and splits
//! the output into [`events`]. Either way, [`wire`] cuts what is due into HTTP chunks. Without a stream, [`document`]
//! folds the same runs into one JSON document.

pub(crate) mod document;
mod events;
pub(crate) mod fault;
pub(crate) mod frames;
pub(crate) mod plan;
pub(crate) mod runs;
pub(crate) mod stateful;
pub(crate) mod wire;

use headrace_wire::encode::{Api, Head};
use headrace_wire::openai_chat::ChunkEncoder;
use headrace_wire::{Finish, FinishReason, Usage};

use self::frames::{FrameList, FrameWriter};
use crate::script::{Newline, Pacing, Script, Turn};

/// The creation time of every answer: a constant, so that the same request gets the same bytes.
pub(crate) const CREATED: u64 = 1_700_000_000;

/// What answers a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'s> {
    /// The API of the request.
    pub(crate) api: Api,
    pub(crate) script: &'s Script,
    pub(crate) turn: &'s Turn,
    /// The position of the turn in the script.
    pub(crate) position: usize,
    /// How many choices the answer has.
    pub(crate) choices: u32,
}

impl Selection<'_> {
    /// When its tokens are sent.
    pub(crate) fn pacing(&self) -> Pacing {
        self.turn.pacing.unwrap_or(self.script.pacing)
    }

    /// A comment, with the line ends of the script.
    pub(crate) fn comment(&self, text: &str) -> FrameList {
        let encoder = self.encoder();
        let mut writer = FrameWriter::new(&encoder, self.newline());
        writer.comment(text);
        writer.finish()
    }

    /// The id, model and time that every part of the answer contains.
    fn head(&self, usage: Option<&Usage>) -> Head {
        Head {
            id: self.id(),
            model: self.script.model.clone(),
            created: CREATED,
            input_tokens: usage.and_then(|usage| usage.input_tokens),
        }
    }

    fn id(&self) -> String {
        let prefix = match self.api {
            Api::OpenAiChat => "chatcmpl-",
            Api::OpenAiResponses => "resp_",
            Api::Anthropic | Api::InvokeModel => "msg_",
            Api::Gemini | Api::Cohere | Api::OllamaChat | Api::OllamaGenerate | Api::Converse => "",
        };
        format!("{prefix}sim-{}", self.position)
    }

    fn encoder(&self) -> ChunkEncoder {
        ChunkEncoder { id: self.id(), model: self.script.model.clone(), created: CREATED }
    }

    /// The line end of OpenAI chat events, and of all comments.
    fn newline(&self) -> Newline {
        self.script.newline.unwrap_or_default()
    }

    fn finish(&self) -> Finish {
        let raw = self.turn.finish_reason();
        let reason = match raw {
            // Only the raw reason is sent.
            _ if self.api == Api::OpenAiChat => FinishReason::Other,
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        };
        Finish::new(reason, raw.into())
    }
}
