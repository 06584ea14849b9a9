//! Which content blocks of a response are open, for the dialects that number their blocks.

/// What a content block contains, if it is not a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The text of the answer.
    Text,
    /// The reasoning.
    Reasoning,
    /// A refusal.
    Refusal,
}

/// The content blocks of one response. Only one section is open at a time. Tool calls may overlap, and stay open until
/// they are ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    /// The index of the next block.
    next: u64,
    /// The open section and the index of its block.
    section: Option<(Section, u64)>,
    /// The open calls: the index of the call and of its block.
    calls: Vec<(u32, u64)>,
}

impl Blocks {
    /// The index of the open block, if it is of this section.
    pub(crate) fn current(&self, section: Section) -> Option<u64> {
        self.section.filter(|(open, _)| *open == section).map(|(_, index)| index)
    }

    /// Opens a block and returns its index. The open section must have been closed.
    pub(crate) fn open(&mut self, section: Section) -> u64 {
        let index = self.next_index();
        self.section = Some((section, index));
        index
    }

    /// Closes the open section, if there is one, and returns it with its index.
    pub(crate) fn close_section(&mut self) -> Option<(Section, u64)> {
        self.section.take()
    }

    /// The index for a new block that is not kept open.
    pub(crate) const fn next_index(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        index
    }

    /// Opens a block for a call and returns its index.
    pub(crate) fn open_call(&mut self, call: u32) -> u64 {
        let index = self.next_index();
        self.calls.push((call, index));
        index
    }

    /// The index of the block of an open call.
    pub(crate) fn call(&self, call: u32) -> Option<u64> {
        self.calls.iter().find(|(open, _)| *open == call).map(|(_, index)| *index)
    }

    /// Closes a call and returns the index of its block.
    pub(crate) fn end_call(&mut self, call: u32) -> Option<u64> {
        let position = self.calls.iter().position(|(open, _)| *open == call)?;
        Some(self.calls.remove(position).1)
    }

    /// Closes the call that has been open longest and returns the index of its block.
    pub(crate) fn end_oldest_call(&mut self) -> Option<u64> {
        (!self.calls.is_empty()).then(|| self.calls.remove(0).1)
    }
}
