//! How a stream really ends: what its deltas say about it, and what its bytes said that is no delta.

use crate::delta::{Delta, DeltaKind, ProviderError};
use crate::dialects::emit::push_error;
use crate::error::{is_error, read_error, read_stray};
use crate::framing::sse::text;

/// What has been seen of a stream so far, as far as it decides how the stream ends.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a stream")]
pub(crate) struct Outcome {
    /// The error that the first choice's finish reason is. Another reason after it does not take it back.
    failure: Option<ProviderError>,
    has_error: bool,
    /// The first choice has a finish reason.
    has_finish: bool,
    /// A delta of a choice has been emitted.
    has_choice: bool,
    /// The first choice has gone on after a finish reason.
    goes_on: bool,
    /// Output or the like has been seen since it was asked for.
    has_work: bool,
    /// Data that no dialect has: text instead of JSON, and, before the first choice, objects without a meaning.
    odd: Vec<u8>,
}

/// How much odd data is kept, in bytes.
const MAX_ODD: usize = 16 * 1024;

/// How many characters of it an error shows.
const EXCERPT_CHARS: usize = 200;

/// Every error has one of these members. Looking for them is much cheaper than parsing.
const MARKS: [&[u8]; 8] =
    [b"rror", b"essage", b"\"detail\"", b"base_resp", b"\"msg\"", b"xception\"", b"\"fault\"", b"\"title\""];

impl Outcome {
    /// Takes note of one text delta, which is what nearly every frame is.
    #[inline]
    pub(crate) const fn text(&mut self, choice: u32) {
        self.has_choice = true;
        self.has_work = true;
        self.goes_on |= self.has_finish && choice == 0;
    }

    /// Takes note of the deltas of one frame.
    pub(crate) fn note(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            match &delta.kind {
                DeltaKind::Finish(finish) => {
                    self.has_choice = true;
                    if delta.choice == 0 {
                        self.has_finish = true;
                        self.failure = self.failure.take().or_else(|| finish.error());
                    }
                }
                DeltaKind::Error(_) => self.has_error = true,
                DeltaKind::Usage(_) | DeltaKind::Response(_) => {}
                _ => {
                    self.has_choice = true;
                    self.has_work = true;
                    self.goes_on |= self.has_finish && delta.choice == 0 && delta.is_output();
                }
            }
        }
    }

    /// Whether the first choice has gone on after a finish reason, as it does on servers that send one with every chunk.
    pub(crate) const fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Whether there has been output since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Takes a frame that gave no delta of a choice, and none at all if it `is_unknown`. Returns whether it is an error,
    /// which is then in `out`.
    pub(crate) fn silent(&mut self, data: &[u8], is_unknown: bool, out: &mut Vec<Delta>) -> bool {
        if MARKS.iter().any(|mark| memchr::memmem::find(data, mark).is_some()) {
            let json = text(data);
            if is_error(&json) {
                push_error(read_error(&json), out);
                self.has_error = true;
                return true;
            }
        }
        if is_unknown && !self.has_choice {
            self.keep(data);
        }
        false
    }

    /// Whether an error has been emitted.
    pub(crate) const fn has_error(&self) -> bool {
        self.has_error
    }

    /// Whether nothing of an answer has been seen.
    pub(crate) const fn is_open(&self) -> bool {
        !self.has_choice && !self.has_error
    }

    /// Keeps data that are no frame of any dialect.
    pub(crate) fn keep(&mut self, data: &[u8]) {
        let space = MAX_ODD.saturating_sub(self.odd.len() + 1);
        if space > 0 {
            self.odd.extend_from_slice(&data[..data.len().min(space)]);
            self.odd.push(b'\n');
        }
    }

    /// The stream has ended: appends its error, if there is one that no frame has reported. `strays` is what stood
    /// between the frames, and `tail` what an unfinished frame says.
    pub(crate) fn conclude(&mut self, complete: bool, strays: &[u8], tail: &[u8], out: &mut Vec<Delta>) {
        if self.has_error {
            return;
        }
        let reported = self.failure.take().or_else(|| {
            // An end marker after words that sound like an error ends no answer, unless the model has ended it.
            let complete = complete && self.has_finish;
            let odd: &[u8] = if complete { &[] } else { &self.odd };
            [strays, odd]
                .into_iter()
                .find_map(|part| read_stray(&text(part), complete))
                .or_else(|| read_stray(&text(tail), complete))
        });
        if let Some(error) = reported {
            push_error(error, out);
            self.has_error = true;
        }
    }

    /// What the bytes said instead of an answer, for the error of a stream that was cut off.
    pub(crate) fn excerpt(&self, strays: &[u8], tail: &[u8]) -> Option<String> {
        let said =
            [strays, &self.odd, tail].into_iter().map(<[u8]>::trim_ascii).find(|part| !part.is_empty())?;
        let said = text(said);
        let mut excerpt: String = said.chars().take(EXCERPT_CHARS).collect();
        if excerpt.len() < said.len() {
            excerpt.push('…');
        }
        Some(excerpt)
    }
}
