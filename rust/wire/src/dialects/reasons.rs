//! Why a choice ended: the words of a dialect, and what they mean in the common vocabulary.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, Finish, FinishReason};

/// The words of one dialect. Of several words for one reason the first is the one that is written.
#[derive(Debug)]
pub(crate) struct Reasons(pub(crate) &'static [(&'static str, FinishReason)]);

impl Reasons {
    /// What a provider's word means.
    pub(crate) fn read(&self, raw: &str) -> FinishReason {
        self.0.iter().find(|(word, _)| *word == raw).map_or(FinishReason::Other, |(_, reason)| *reason)
    }

    /// The word for a reason: the raw one if it is of this dialect, or else the dialect's own.
    pub(crate) fn write<'a>(&self, finish: &'a Finish) -> &'a str {
        if self.read(&finish.raw) == finish.reason {
            return &finish.raw;
        }
        let own = self.0.iter().find(|(_, reason)| *reason == finish.reason);
        own.map_or(&finish.raw, |(word, _)| word)
    }
}

/// The end of one choice, told once.
#[derive(Debug, Default)]
pub(crate) struct Finished(Option<CompactString>);

impl Finished {
    /// Whether a reason was told.
    pub(crate) const fn is_told(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this word was not the last one told: some providers repeat theirs.
    pub(crate) fn is_news(&self, raw: &str) -> bool {
        self.0.as_deref() != Some(raw)
    }

    /// Takes a reason, and passes it on if it is news.
    pub(crate) fn tell(&mut self, choice: u32, raw: &str, reason: FinishReason, out: &mut Vec<Delta>) {
        if !self.is_news(raw) {
            return;
        }
        let raw = CompactString::from(raw);
        self.0 = Some(raw.clone());
        out.push(Delta { choice, kind: DeltaKind::Finish(Box::new(Finish { reason, raw })) });
    }
}
