//! What a fault does to an answer.

use headrace_wire::encode::Api;

use super::frames::FrameWriter;
use crate::failure;
use crate::script::Fault;

/// The data of an event that is not JSON.
const BROKEN: &str =
    r#"{"id":"chatcmpl-sim","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"#;

/// What comes after the deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    None,
    /// Finish reason and usage.
    Finish,
    /// Finish reason, usage and `[DONE]`.
    FinishAndDone,
}

/// How the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body ends as it should.
    Proper,
    /// Nothing more is sent.
    Stall,
    /// TCP RST.
    Reset,
    /// TCP FIN, with the body unfinished.
    Close,
}

/// Lets a fault happen to the frames of a stream of OpenAI chat, the first `roles` of which tell the role.
pub(super) fn afflict(writer: &mut FrameWriter<'_>, roles: usize, fault: Option<&Fault>) -> (Tail, Ending) {
    let Some(fault) = fault else {
        return (Tail::FinishAndDone, Ending::Proper);
    };
    let at = |after: &usize| roles.saturating_add(*after);
    let tail = match fault {
        Fault::Stall { after }
        | Fault::End { after }
        | Fault::Close { after }
        | Fault::Reset { after, in_frame: false } => {
            writer.truncate(at(after));
            Tail::None
        }
        Fault::Reset { after, in_frame: true } => {
            writer.break_off(at(after));
            Tail::None
        }
        Fault::Error { after, error } => {
            writer.truncate(at(after));
            writer.event(&failure::scripted(Api::OpenAiChat, error.as_ref()).to_string());
            Tail::None
        }
        Fault::Malformed { after } => {
            writer.event_at(at(after), BROKEN);
            Tail::FinishAndDone
        }
        Fault::Huge { after, bytes } => {
            writer.huge_at(at(after), *bytes);
            Tail::FinishAndDone
        }
        Fault::NoDone {} => Tail::Finish,
        _ => Tail::FinishAndDone,
    };
    (tail, Ending::of(fault))
}

impl Ending {
    /// How it goes on after a stream with this fault.
    pub(super) const fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Stall { .. } => Self::Stall,
            Fault::Reset { .. } => Self::Reset,
            Fault::Close { .. } => Self::Close,
            _ => Self::Proper,
        }
    }
}

/// A JSON document that something happened to.
#[derive(Debug)]
pub(crate) struct Damaged {
    /// What is sent of it.
    pub(crate) body: Vec<u8>,
    /// How long it says it is.
    pub(crate) length: usize,
    /// How the connection goes on.
    pub(crate) ending: Ending,
}

/// Lets a fault happen to a whole document, unless it is in its words: what comes nearest to the same fault of a stream.
pub(crate) fn damage(mut body: Vec<u8>, fault: Option<&Fault>) -> Damaged {
    let mut length = body.len();
    let half = length / 2;
    let Some(fault) = fault else {
        return Damaged { body, length, ending: Ending::Proper };
    };
    match fault {
        Fault::Stall { .. } | Fault::Reset { .. } | Fault::Close { .. } | Fault::End { .. } => {
            body.truncate(half);
        }
        Fault::Malformed { .. } => {
            body.truncate(half);
            length = half;
        }
        _ => {}
    }
    // Half of a body whose length is known cannot end well.
    let ending = if matches!(fault, Fault::End { .. }) { Ending::Close } else { Ending::of(fault) };
    Damaged { body, length, ending }
}
