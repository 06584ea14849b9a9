//! Finish reasons: the words of a dialect, and what they mean as a [`FinishReason`].

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, Finish, FinishReason};

/// The finish reasons of one dialect. If several words mean the same reason, the first one is used for writing.
#[derive(Debug)]
pub(crate) struct Reasons(pub(crate) &'static [(&'static str, FinishReason)]);

impl Reasons {
    /// The meaning of a provider's word; [`FinishReason::Other`] if it is not in the list.
    pub(crate) fn read(&self, raw: &str) -> FinishReason {
        self.0.iter().find(|(word, _)| *word == raw).map_or(FinishReason::Other, |(_, reason)| *reason)
    }

    /// The word to write for a finish reason: its raw word if this dialect knows it, or else this dialect's own.
    pub(crate) fn write<'a>(&self, finish: &'a Finish) -> &'a str {
        if self.read(&finish.raw) == finish.reason {
            return &finish.raw;
        }
        let own = self.0.iter().find(|(_, reason)| *reason == finish.reason);
        own.map_or(&finish.raw, |(word, _)| word)
    }
}

/// The finish reason of one choice, which is emitted once even if the provider repeats it.
#[derive(Debug, Default)]
pub(crate) struct Finished(Option<CompactString>);

impl Finished {
    /// Whether a finish reason has been reported.
    pub(crate) const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this word differs from the last one. Some providers repeat theirs.
    pub(crate) fn is_new(&self, raw: &str) -> bool {
        self.0.as_deref() != Some(raw)
    }

    /// Takes a finish reason and emits a delta if it is new.
    pub(crate) fn report(&mut self, choice: u32, raw: &str, reason: FinishReason, out: &mut Vec<Delta>) {
        if !self.is_new(raw) {
            return;
        }
        let raw = CompactString::from(raw);
        self.0 = Some(raw.clone());
        out.push(Delta { choice, kind: DeltaKind::Finish(Box::new(Finish { reason, raw })) });
    }
}
