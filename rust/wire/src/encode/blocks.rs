//! Which content block of an answer is open, for the dialects that number theirs.

/// What a block holds, tool calls apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The answer.
    Text,
    /// The reasoning.
    Reasoning,
    /// A refusal.
    Refusal,
}

/// The blocks of one answer. One section is open at a time; calls may overlap, and stay open until they are ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    next: u64,
    section: Option<(Section, u64)>,
    /// The calls that are open: their number and their block's.
    calls: Vec<(u32, u64)>,
}

impl Blocks {
    /// The open block, if it is of that section.
    pub(crate) fn current(&self, section: Section) -> Option<u64> {
        self.section.filter(|(open, _)| *open == section).map(|(_, index)| index)
    }

    /// Opens a block. The one before has to be left.
    pub(crate) fn open(&mut self, section: Section) -> u64 {
        let index = self.take();
        self.section = Some((section, index));
        index
    }

    /// Closes the open section, if there is one.
    pub(crate) fn leave(&mut self) -> Option<(Section, u64)> {
        self.section.take()
    }

    /// A number for a block that is open and closed at once.
    pub(crate) const fn take(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        index
    }

    /// Opens the block of a call.
    pub(crate) fn open_call(&mut self, call: u32) -> u64 {
        let index = self.take();
        self.calls.push((call, index));
        index
    }

    /// The block of a call that is open.
    pub(crate) fn call(&self, call: u32) -> Option<u64> {
        self.calls.iter().find(|(open, _)| *open == call).map(|(_, index)| *index)
    }

    /// Closes a call.
    pub(crate) fn end_call(&mut self, call: u32) -> Option<u64> {
        let position = self.calls.iter().position(|(open, _)| *open == call)?;
        Some(self.calls.remove(position).1)
    }

    /// Closes the call that has been open longest, if one is.
    pub(crate) fn end_oldest_call(&mut self) -> Option<u64> {
        (!self.calls.is_empty()).then(|| self.calls.remove(0).1)
    }
}
