//! Applies a fault to an answer.

use headrace_wire::encode::Api;

use super::frames::FrameWriter;
use crate::failure;
use crate::script::Fault;

/// The data of a malformed event: truncated JSON.
const BROKEN: &str =
    r#"{"id":"chatcmpl-sim","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"#;

/// What follows the deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    None,
    /// Finish reason and usage.
    Finish,
    /// Finish reason, usage and `[DONE]`.
    FinishAndDone,
}

/// What happens to the connection after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body ends as it should.
    Proper,
    /// Nothing more is sent, and the connection stays open.
    Stall,
    /// TCP RST.
    Reset,
    /// TCP FIN, with the body unfinished.
    Close,
}

/// Applies a fault to the frames of an OpenAI chat stream. Its first `roles` frames contain the role.
pub(super) fn apply_fault(
    writer: &mut FrameWriter<'_>,
    roles: usize,
    fault: Option<&Fault>,
) -> (Tail, Ending) {
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
    /// The ending of a stream with this fault.
    pub(super) const fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Stall { .. } => Self::Stall,
            Fault::Reset { .. } => Self::Reset,
            Fault::Close { .. } => Self::Close,
            _ => Self::Proper,
        }
    }
}

/// A JSON document after a fault.
#[derive(Debug)]
pub(crate) struct Damaged {
    /// The bytes that are sent.
    pub(crate) body: Vec<u8>,
    /// The length in its header.
    pub(crate) length: usize,
    /// What happens to the connection.
    pub(crate) ending: Ending,
}

/// Applies a fault to a document: the nearest equivalent of the same fault in a stream. Faults of the content, such as
/// `error`, are already part of it.
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
    // Half of a body with a known length cannot end properly.
    let ending = if matches!(fault, Fault::End { .. }) { Ending::Close } else { Ending::of(fault) };
    Damaged { body, length, ending }
}
