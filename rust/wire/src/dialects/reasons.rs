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
pub(crate) struct Finished(Option<Finish>);

impl Finished {
    /// Whether a finish reason has been reported.
    pub(crate) const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the model has finished, and was not stopped by a limit, a filter or a failure.
    pub(crate) fn is_normal(&self) -> bool {
        self.0.as_ref().is_some_and(|finish| finish.reason.is_normal())
    }

    /// Whether this word differs from the last one. Some providers repeat theirs.
    pub(crate) fn is_new(&self, raw: &str) -> bool {
        self.0.as_ref().is_none_or(|finish| finish.raw != raw)
    }

    /// Corrects the reason, which some dialects do not tell: the model wants tools to be called, and has not just stopped.
    pub(crate) fn wants_tools(&mut self, choice: u32, out: &mut Vec<Delta>) {
        if let Some(Finish { reason: FinishReason::Stop, raw }) = &self.0 {
            self.report(choice, &raw.clone(), FinishReason::ToolCalls, out);
        }
    }

    /// Takes a finish reason and emits a delta if it is new.
    pub(crate) fn report(&mut self, choice: u32, raw: &str, reason: FinishReason, out: &mut Vec<Delta>) {
        let finish = Finish { reason, raw: CompactString::from(raw) };
        if self.0.as_ref() != Some(&finish) {
            self.0 = Some(finish.clone());
            out.push(Delta { choice, kind: DeltaKind::Finish(Box::new(finish)) });
        }
    }
}
