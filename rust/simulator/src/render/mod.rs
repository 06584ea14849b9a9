//! From a turn of the script to the bytes of an answer.
//!
//! A turn is a list of [`runs`] of deltas. For a stream of OpenAI chat, whose encoder remembers nothing, they become
//! [`frames`], the [`fault`] of the turn happens to these, and the [`plan`] keeps what is the same for every request.
//! In the other dialects a [`stateful`] encodes them one by one when they are due, and takes what the encoder wrote apart
//! into its [`events`]. Either way, [`wire`] cuts what is due into HTTP chunks. Without a stream, [`document`] folds the
//! same runs into one JSON document.

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

/// When every answer was made: a constant, so that the same request gets the same bytes.
pub(crate) const CREATED: u64 = 1_700_000_000;

/// What answers a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'s> {
    /// Which API the request came by.
    pub(crate) api: Api,
    pub(crate) script: &'s Script,
    pub(crate) turn: &'s Turn,
    /// Where in the script the turn stands.
    pub(crate) position: usize,
    /// How many times over the answer is given.
    pub(crate) choices: u32,
}

impl Selection<'_> {
    /// When it is sent.
    pub(crate) fn pacing(&self) -> Pacing {
        self.turn.pacing.unwrap_or(self.script.pacing)
    }

    /// A comment, in the line ends of the script.
    pub(crate) fn comment(&self, text: &str) -> FrameList {
        let encoder = self.encoder();
        let mut writer = FrameWriter::new(&encoder, self.newline());
        writer.comment(text);
        writer.finish()
    }

    /// What every part of the answer says of itself.
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

    /// The line end of OpenAI's events, and of all comments.
    fn newline(&self) -> Newline {
        self.script.newline.unwrap_or_default()
    }

    fn finish(&self) -> Finish {
        let raw = self.turn.finish_reason();
        let reason = match raw {
            // Only the word is sent; what it means is for the client to find out.
            _ if self.api == Api::OpenAiChat => FinishReason::Other,
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        };
        Finish { reason, raw: raw.into() }
    }
}
