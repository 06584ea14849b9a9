//! A stream in a dialect whose encoder has state: each delta is encoded when it is due, and for each request separately.

use std::iter::Peekable;

use headrace_wire::openai_chat::read_error;
use headrace_wire::{CompactString, Delta, DeltaKind, ProviderError, StreamEncoder, Usage};

use super::Selection;
use super::events::Events;
use super::fault::Ending;
use super::runs::Run;
use super::wire::Batch;
use crate::script::{DEFAULT_ERROR_MESSAGE, Fault};

/// One stream.
pub(crate) struct StatefulStream<'r> {
    encoder: StreamEncoder,
    events: Events,
    stamp: bool,
    steps: Peekable<Steps<'r>>,
    /// The turn's fault, and the number of deltas after which it happens.
    fault: Option<(usize, StreamFault)>,
    /// The slot of the last step.
    slot: u32,
    encoded: Vec<u8>,
}

type Steps<'r> = Box<dyn Iterator<Item = Step> + Send + 'r>;

/// What is encoded at once.
struct Step {
    slot: u32,
    /// Which delta, counted over all choices, this is or belongs to.
    position: Position,
    content: StepContent,
}

/// The position of a step. Faults happen before the delta with some number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Opening,
    Delta(usize),
    Closing,
}

enum StepContent {
    Delta(Delta),
    /// Everything that is left, with or without the end marker.
    End {
        marker: bool,
    },
}

/// A fault in the middle of the stream.
enum StreamFault {
    /// Only half of the next frame is sent.
    Break,
    Error(Box<ProviderError>),
    Malformed,
    Huge(usize),
}

impl<'r> StatefulStream<'r> {
    /// The stream that answers a request.
    pub(crate) fn new(selection: &Selection<'_>, runs: &'r [Run], usage: Option<&Usage>) -> Self {
        let fault = selection.turn.fault.as_ref();
        let opening = Delta::first(DeltaKind::Response(Box::default()));
        let opening = Step { slot: 0, position: Position::Opening, content: StepContent::Delta(opening) };
        let deltas = delta_steps(runs, selection.choices);
        let steps = std::iter::once(opening).chain(deltas).chain(closing(selection, runs, usage));
        let steps: Steps<'r> = match fault.and_then(end_after) {
            Some(after) => Box::new(steps.take_while(move |step| step.position < Position::Delta(after))),
            None => Box::new(steps),
        };
        Self {
            encoder: StreamEncoder::new(selection.api, selection.head(usage)),
            events: Events::new(selection.api, selection.script.newline),
            stamp: selection.script.stamp,
            steps: steps.peekable(),
            fault: fault.and_then(stream_fault),
            slot: 0,
            encoded: Vec::new(),
        }
    }

    /// The slot of the next step; `None` at the end.
    pub(crate) fn slot(&mut self) -> Option<u32> {
        let next = self.steps.peek().map(|step| step.slot);
        match self.due() {
            // An error has no slot of its own.
            Some(StreamFault::Error(_)) => Some(self.slot),
            Some(_) => Some(next.unwrap_or(self.slot)),
            None => next,
        }
    }

    /// Adds the next step to the batch. An encoder may hold it back, and add nothing yet.
    pub(crate) fn write_next(&mut self, batch: &mut Batch) {
        let due = if self.due().is_some() { self.fault.take() } else { None };
        match due {
            None => self.encode_next(batch),
            Some((_, StreamFault::Malformed)) => self.events.write_broken(batch),
            Some((_, StreamFault::Huge(bytes))) => {
                let text = self.huge(bytes);
                self.encode(&Delta::first(DeltaKind::Text(text)));
            }
            Some((_, StreamFault::Error(error))) => {
                self.encode(&Delta::first(DeltaKind::Error(error)));
                self.steps = no_steps();
            }
            Some((_, StreamFault::Break)) => {
                while self.encoded.is_empty() && self.steps.peek().is_some() {
                    self.encode_next(batch);
                }
                self.events.write_half(&self.encoded, batch);
                self.encoded.clear();
                self.steps = no_steps();
            }
        }
        self.events.write(&self.encoded, batch);
        self.encoded.clear();
    }

    /// The fault, if it happens now.
    fn due(&mut self) -> Option<&StreamFault> {
        let next = self.steps.peek().map_or(Position::Closing, |step| step.position);
        let (after, fault) = self.fault.as_ref()?;
        (next >= Position::Delta(*after)).then_some(fault)
    }

    /// Encodes the next step.
    fn encode_next(&mut self, batch: &mut Batch) {
        let Some(step) = self.steps.next() else { return };
        self.slot = step.slot;
        match step.content {
            StepContent::Delta(Delta { choice, kind: DeltaKind::Text(_) }) if self.stamp => {
                let now = CompactString::from(format!("{} ", batch.stamp()));
                self.encode(&Delta { choice, kind: DeltaKind::Text(now) });
            }
            StepContent::Delta(delta) => self.encode(&delta),
            StepContent::End { marker } => {
                self.encoder.finish(&mut self.encoded);
                if !marker {
                    self.events.drop_last(&mut self.encoded);
                }
            }
        }
    }

    fn encode(&mut self, delta: &Delta) {
        self.encoder.encode(delta, &mut self.encoded);
    }

    /// A text whose event has `bytes` bytes of data.
    fn huge(&self, bytes: usize) -> CompactString {
        let mut around = Vec::new();
        self.encoder.clone().encode(&Delta::first(DeltaKind::Text("".into())), &mut around);
        "x".repeat(self.events.text_length(&around, bytes)).into()
    }
}

/// What happens to the connection after the stream.
pub(crate) fn ending(selection: &Selection<'_>) -> Ending {
    selection.turn.fault.as_ref().map_or(Ending::Proper, Ending::of)
}

/// The deltas of an answer. Those of all choices share one slot.
fn delta_steps(runs: &[Run], choices: u32) -> impl Iterator<Item = Step> + Send {
    let kinds = runs.iter().flat_map(|run| {
        let once =
            move |_| run.kinds.iter().enumerate().map(move |(position, kind)| (kind, run.end(position)));
        (0..run.times).flat_map(once)
    });
    kinds.zip(0_u32..).flat_map(move |((kind, end), slot)| {
        let deltas = (0..choices).flat_map(move |choice| {
            // The end of a call belongs to the call's last delta.
            let kinds = [Some(kind.clone()), end.clone()].into_iter().flatten();
            kinds.map(move |kind| Delta { choice, kind })
        });
        deltas.map(move |delta| Step {
            slot,
            position: Position::Delta(slot as usize * choices as usize + delta.choice as usize),
            content: StepContent::Delta(delta),
        })
    })
}

/// What follows the deltas, in the slot of the last.
fn closing(
    selection: &Selection<'_>,
    runs: &[Run],
    usage: Option<&Usage>,
) -> impl Iterator<Item = Step> + use<> {
    let count: usize = runs.iter().map(Run::len).sum();
    let slot = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    let finish = Box::new(selection.finish());
    let finishes =
        (0..selection.choices).map(move |choice| Delta { choice, kind: DeltaKind::Finish(finish.clone()) });
    let usage = usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage.clone()))));
    let marker = !matches!(selection.turn.fault, Some(Fault::NoDone {}));
    let contents =
        finishes.chain(usage).map(StepContent::Delta).chain(std::iter::once(StepContent::End { marker }));
    contents.map(move |content| Step { slot, position: Position::Closing, content })
}

/// The number of deltas after which a fault ends the stream.
fn end_after(fault: &Fault) -> Option<usize> {
    match fault {
        Fault::Stall { after }
        | Fault::End { after }
        | Fault::Close { after }
        | Fault::Reset { after, in_frame: false } => Some(*after),
        _ => None,
    }
}

fn stream_fault(fault: &Fault) -> Option<(usize, StreamFault)> {
    match fault {
        Fault::Reset { after, in_frame: true } => Some((*after, StreamFault::Break)),
        Fault::Error { after, error } => {
            let error = error.as_ref().map_or_else(
                || ProviderError { message: DEFAULT_ERROR_MESSAGE.to_owned(), ..ProviderError::default() },
                |error| read_error(&error.to_string()),
            );
            Some((*after, StreamFault::Error(Box::new(error))))
        }
        Fault::Malformed { after } => Some((*after, StreamFault::Malformed)),
        Fault::Huge { after, bytes } => Some((*after, StreamFault::Huge(*bytes))),
        _ => None,
    }
}

fn no_steps<'r>() -> Peekable<Steps<'r>> {
    let none: Steps<'r> = Box::new(std::iter::empty());
    none.peekable()
}
