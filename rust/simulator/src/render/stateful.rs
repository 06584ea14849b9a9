//! A stream in a dialect whose encoder remembers what it has said: each delta is encoded when it is due, for each
//! request anew.

use std::iter::Peekable;

use headrace_wire::openai_chat::read_error;
use headrace_wire::{CompactString, Delta, DeltaKind, ProviderError, StreamEncoder, Usage};

use super::Selection;
use super::events::Events;
use super::fault::Ending;
use super::runs::Run;
use super::wire::Batch;
use crate::clock::monotonic_ns;
use crate::script::{FAILS, Fault};

/// One stream.
pub(crate) struct Speech<'r> {
    encoder: StreamEncoder,
    events: Events,
    stamp: bool,
    rest: Peekable<Lines<'r>>,
    accident: Option<(usize, Accident)>,
    /// The slot of what was said last.
    slot: u32,
    scratch: Vec<u8>,
}

type Lines<'r> = Box<dyn Iterator<Item = Line> + Send + 'r>;

/// What is said in one go.
struct Line {
    slot: u32,
    /// Which delta of the answer, of all its choices, this is or belongs to.
    ordinal: Ordinal,
    words: Words,
}

/// Where a line stands; the accidents of a script happen between deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ordinal {
    Opening,
    Delta(usize),
    Closing,
}

enum Words {
    Delta(Delta),
    /// All that is left to say, with or without the end marker.
    End {
        marker: bool,
    },
}

/// What happens before the delta of some number.
enum Accident {
    /// Only half of what is said next is.
    Break,
    Error(Box<ProviderError>),
    Malformed,
    Huge(usize),
}

impl<'r> Speech<'r> {
    /// What answers a request.
    pub(crate) fn new(selection: &Selection<'_>, runs: &'r [Run], usage: Option<&Usage>) -> Self {
        let fault = selection.turn.fault.as_ref();
        let opening = Delta::first(DeltaKind::Response(Box::default()));
        let opening = Line { slot: 0, ordinal: Ordinal::Opening, words: Words::Delta(opening) };
        let deltas = lines(runs, selection.choices);
        let lines = std::iter::once(opening).chain(deltas).chain(closing(selection, runs, usage));
        let rest: Lines<'r> = match fault.and_then(stop) {
            Some(after) => Box::new(lines.take_while(move |line| line.ordinal < Ordinal::Delta(after))),
            None => Box::new(lines),
        };
        Self {
            encoder: StreamEncoder::new(selection.api, selection.head(usage)),
            events: Events::new(selection.api, selection.script.newline),
            stamp: selection.script.stamp,
            rest: rest.peekable(),
            accident: fault.and_then(accident),
            slot: 0,
            scratch: Vec::new(),
        }
    }

    /// The slot of what comes next; `None` when all is said.
    pub(crate) fn slot(&mut self) -> Option<u32> {
        let next = self.rest.peek().map(|line| line.slot);
        match self.due() {
            // An error needs no time of its own.
            Some(Accident::Error(_)) => Some(self.slot),
            Some(_) => Some(next.unwrap_or(self.slot)),
            None => next,
        }
    }

    /// Says what comes next. That may add nothing yet to what is sent.
    pub(crate) fn say(&mut self, batch: &mut Batch) {
        let due = if self.due().is_some() { self.accident.take() } else { None };
        match due {
            None => self.speak(),
            Some((_, Accident::Malformed)) => self.events.write_broken(batch),
            Some((_, Accident::Huge(bytes))) => {
                let text = self.huge(bytes);
                self.encode(&Delta::first(DeltaKind::Text(text)));
            }
            Some((_, Accident::Error(error))) => {
                self.encode(&Delta::first(DeltaKind::Error(error)));
                self.rest = nothing();
            }
            Some((_, Accident::Break)) => {
                while self.scratch.is_empty() && self.rest.peek().is_some() {
                    self.speak();
                }
                self.events.write_half(&self.scratch, batch);
                self.scratch.clear();
                self.rest = nothing();
            }
        }
        self.events.write(&self.scratch, batch);
        self.scratch.clear();
    }

    /// The accident that happens now, if one does.
    fn due(&mut self) -> Option<&Accident> {
        let next = self.rest.peek().map_or(Ordinal::Closing, |line| line.ordinal);
        let (after, accident) = self.accident.as_ref()?;
        (next >= Ordinal::Delta(*after)).then_some(accident)
    }

    /// Encodes the next line.
    fn speak(&mut self) {
        let Some(line) = self.rest.next() else { return };
        self.slot = line.slot;
        match line.words {
            Words::Delta(Delta { choice, kind: DeltaKind::Text(_) }) if self.stamp => {
                let now = CompactString::from(format!("{} ", monotonic_ns()));
                self.encode(&Delta { choice, kind: DeltaKind::Text(now) });
            }
            Words::Delta(delta) => self.encode(&delta),
            Words::End { marker } => {
                self.encoder.finish(&mut self.scratch);
                if !marker {
                    self.events.drop_last(&mut self.scratch);
                }
            }
        }
    }

    fn encode(&mut self, delta: &Delta) {
        self.encoder.encode(delta, &mut self.scratch);
    }

    /// A text whose event has so many bytes of data.
    fn huge(&self, bytes: usize) -> CompactString {
        let mut around = Vec::new();
        self.encoder.clone().encode(&Delta::first(DeltaKind::Text("".into())), &mut around);
        "x".repeat(self.events.room(&around, bytes)).into()
    }
}

/// How the connection goes on after a stream with this fault.
pub(crate) fn ending(selection: &Selection<'_>) -> Ending {
    selection.turn.fault.as_ref().map_or(Ending::Proper, Ending::of)
}

/// The deltas of an answer, one slot for each of all its choices.
fn lines(runs: &[Run], choices: u32) -> impl Iterator<Item = Line> + Send {
    let kinds = runs.iter().flat_map(|run| {
        let once =
            move |_| run.kinds.iter().enumerate().map(move |(position, kind)| (kind, run.end(position)));
        (0..run.times).flat_map(once)
    });
    kinds.zip(0_u32..).flat_map(move |((kind, end), slot)| {
        let said = (0..choices).flat_map(move |choice| {
            // What ends with a delta is not one of its own.
            let kinds = [Some(kind.clone()), end.clone()].into_iter().flatten();
            kinds.map(move |kind| Delta { choice, kind })
        });
        said.map(move |delta| Line {
            slot,
            ordinal: Ordinal::Delta(slot as usize * choices as usize + delta.choice as usize),
            words: Words::Delta(delta),
        })
    })
}

/// What follows the deltas, at the time of the last.
fn closing(
    selection: &Selection<'_>,
    runs: &[Run],
    usage: Option<&Usage>,
) -> impl Iterator<Item = Line> + use<> {
    let count: usize = runs.iter().map(Run::len).sum();
    let slot = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    let finish = Box::new(selection.finish());
    let finishes =
        (0..selection.choices).map(move |choice| Delta { choice, kind: DeltaKind::Finish(finish.clone()) });
    let usage = usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage.clone()))));
    let marker = !matches!(selection.turn.fault, Some(Fault::NoDone {}));
    let words = finishes.chain(usage).map(Words::Delta).chain(std::iter::once(Words::End { marker }));
    words.map(move |words| Line { slot, ordinal: Ordinal::Closing, words })
}

/// After how many deltas a fault silences the stream.
fn stop(fault: &Fault) -> Option<usize> {
    match fault {
        Fault::Stall { after }
        | Fault::End { after }
        | Fault::Close { after }
        | Fault::Reset { after, in_frame: false } => Some(*after),
        _ => None,
    }
}

fn accident(fault: &Fault) -> Option<(usize, Accident)> {
    match fault {
        Fault::Reset { after, in_frame: true } => Some((*after, Accident::Break)),
        Fault::Error { after, error } => {
            let error = error.as_ref().map_or_else(
                || ProviderError { message: FAILS.to_owned(), ..ProviderError::default() },
                |error| read_error(&error.to_string()),
            );
            Some((*after, Accident::Error(Box::new(error))))
        }
        Fault::Malformed { after } => Some((*after, Accident::Malformed)),
        Fault::Huge { after, bytes } => Some((*after, Accident::Huge(*bytes))),
        _ => None,
    }
}

fn nothing<'r>() -> Peekable<Lines<'r>> {
    let nothing: Lines<'r> = Box::new(std::iter::empty());
    nothing.peekable()
}
