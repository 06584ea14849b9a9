//! The tool calls of a dialect that names each of them beyond doubt, or sends it whole.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, ToolCallStart};

/// The tool calls of one choice.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    choice: u32,
    /// How many have begun.
    begun: u32,
    open: Vec<OpenCall>,
}

#[derive(Debug)]
struct OpenCall {
    /// The provider's number of the call, or of the block that it is.
    key: u64,
    index: u32,
    has_arguments: bool,
    /// Arguments that were told ahead.
    held: Option<Box<str>>,
}

impl ToolCalls {
    /// The calls of a choice.
    pub(crate) const fn of(choice: u32) -> Self {
        Self { choice, begun: 0, open: Vec::new() }
    }

    /// How many calls there have been.
    pub(crate) const fn begun(&self) -> u32 {
        self.begun
    }

    /// Whether a call with this key is open.
    pub(crate) fn has(&self, key: u64) -> bool {
        self.open.iter().any(|call| call.key == key)
    }

    /// A call begins. One that has the same key and was never ended ends.
    pub(crate) fn start(
        &mut self,
        key: u64,
        id: Option<CompactString>,
        name: Option<CompactString>,
        out: &mut Vec<Delta>,
    ) {
        self.end(key, None, out);
        let index = self.begun;
        self.begun += 1;
        self.open.push(OpenCall { key, index, has_arguments: false, held: None });
        let start = ToolCallStart { index, id, name: name.unwrap_or_default() };
        out.push(self.delta(DeltaKind::ToolCallStart(Box::new(start))));
    }

    /// Arguments that are told whole and ahead: they count where no fragments follow.
    pub(crate) fn hold(&mut self, key: u64, arguments: Option<&str>) {
        if let Some(call) = self.open.iter_mut().find(|call| call.key == key) {
            call.held = arguments.map(Box::from);
        }
    }

    /// A fragment of the arguments of an open call.
    pub(crate) fn arguments(&mut self, key: u64, fragment: &str, out: &mut Vec<Delta>) {
        let Some(call) = self.open.iter_mut().find(|call| call.key == key) else { return };
        if !fragment.is_empty() {
            call.has_arguments = true;
            let kind = DeltaKind::ToolCallArguments { index: call.index, fragment: fragment.into() };
            out.push(self.delta(kind));
        }
    }

    /// A call ends. Arguments that are told whole count where no fragments of them came.
    pub(crate) fn end(&mut self, key: u64, arguments: Option<&str>, out: &mut Vec<Delta>) {
        let Some(position) = self.open.iter().position(|call| call.key == key) else { return };
        let OpenCall { index, has_arguments, held, .. } = self.open.remove(position);
        let whole = arguments.or(held.as_deref()).filter(|whole| !whole.is_empty() && !has_arguments);
        if let Some(fragment) = whole.map(CompactString::from) {
            out.push(self.delta(DeltaKind::ToolCallArguments { index, fragment }));
        }
        out.push(self.delta(DeltaKind::ToolCallEnd { index }));
    }

    /// A call that was sent whole.
    pub(crate) fn whole(
        &mut self,
        id: Option<CompactString>,
        name: Option<CompactString>,
        arguments: Option<&str>,
        out: &mut Vec<Delta>,
    ) {
        // No provider's own number is that large.
        let key = u64::MAX;
        self.start(key, id, name, out);
        self.end(key, arguments, out);
    }

    /// Ends all calls that are open.
    pub(crate) fn close(&mut self, out: &mut Vec<Delta>) {
        while let Some(key) = self.open.first().map(|call| call.key) {
            self.end(key, None, out);
        }
    }

    const fn delta(&self, kind: DeltaKind) -> Delta {
        Delta { choice: self.choice, kind }
    }
}
