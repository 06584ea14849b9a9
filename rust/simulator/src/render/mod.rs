//! From a turn of the script to the bytes of an answer.
//!
//! A turn is a list of [`runs`] of deltas. For a stream they become [`frames`], the [`fault`] of the turn happens to
//! these, and [`wire`] cuts them into HTTP chunks; the [`plan`] keeps what is the same for every request. Without a
//! stream, [`document`] folds the same runs into one JSON document.

pub(crate) mod document;
pub(crate) mod fault;
pub(crate) mod frames;
pub(crate) mod plan;
pub(crate) mod runs;
pub(crate) mod wire;

use headrace_wire::openai_chat::ChunkEncoder;
use headrace_wire::{Finish, FinishReason};

use self::frames::{FrameList, FrameWriter};
use crate::script::{Pacing, Script, Turn};

/// When every answer was made: a constant, so that the same request gets the same bytes.
pub(crate) const CREATED: u64 = 1_700_000_000;

/// What answers a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'s> {
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
        let mut writer = FrameWriter::new(&encoder, self.script.newline);
        writer.comment(text);
        writer.finish()
    }

    fn encoder(&self) -> ChunkEncoder {
        let id = format!("chatcmpl-sim-{}", self.position);
        ChunkEncoder { id, model: self.script.model.clone(), created: CREATED }
    }

    fn finish(&self) -> Finish {
        // Only the word is sent; what it means is for the client to find out.
        Finish { reason: FinishReason::Other, raw: self.turn.finish_reason().into() }
    }
}
