//! Tool calls, for the dialects that give each call an unambiguous key, or send it in one piece.
//!
//! OpenAI chat, whose providers do neither reliably, has its own: `openai_chat/calls.rs`.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, ToolCallStart};

/// The tool calls of one choice.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    choice: u32,
    /// How many calls have started.
    count: u32,
    open: Vec<OpenCall>,
}

#[derive(Debug)]
struct OpenCall {
    /// The provider's number of the call, or of its content block.
    key: u64,
    index: u32,
    has_arguments: bool,
    /// All arguments, if the provider sent them in one piece; used if no fragments follow.
    full_arguments: Option<Box<str>>,
}

impl ToolCalls {
    /// The tool calls of the choice with this index.
    pub(crate) const fn for_choice(choice: u32) -> Self {
        Self { choice, count: 0, open: Vec::new() }
    }

    /// How many calls have started so far, which is the index of the next one.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Whether a call with this key is open.
    pub(crate) fn is_open(&self, key: u64) -> bool {
        self.open.iter().any(|call| call.key == key)
    }

    /// Starts a call. If a call with the same key is still open, it is ended first.
    pub(crate) fn start(
        &mut self,
        key: u64,
        id: Option<CompactString>,
        name: Option<CompactString>,
        out: &mut Vec<Delta>,
    ) {
        self.end(key, None, out);
        let index = self.count;
        self.count += 1;
        self.open.push(OpenCall { key, index, has_arguments: false, full_arguments: None });
        let start = ToolCallStart { index, id, name: name.unwrap_or_default() };
        out.push(self.delta(DeltaKind::ToolCallStart(Box::new(start))));
    }

    /// Sets all arguments of an open call. They are emitted at its end, if no fragments have been by then.
    pub(crate) fn set_full_arguments(&mut self, key: u64, arguments: Option<&str>) {
        if let Some(call) = self.open.iter_mut().find(|call| call.key == key) {
            call.full_arguments = arguments.map(Box::from);
        }
    }

    /// Emits a fragment of the arguments of an open call.
    pub(crate) fn arguments(&mut self, key: u64, fragment: &str, out: &mut Vec<Delta>) {
        let Some(call) = self.open.iter_mut().find(|call| call.key == key) else { return };
        if !fragment.is_empty() {
            call.has_arguments = true;
            let kind = DeltaKind::ToolCallArguments { index: call.index, fragment: fragment.into() };
            out.push(self.delta(kind));
        }
    }

    /// Ends a call. `arguments` are all of its arguments, emitted if no fragments have been.
    pub(crate) fn end(&mut self, key: u64, arguments: Option<&str>, out: &mut Vec<Delta>) {
        let Some(position) = self.open.iter().position(|call| call.key == key) else { return };
        let OpenCall { index, has_arguments, full_arguments, .. } = self.open.remove(position);
        let full = arguments.or(full_arguments.as_deref()).filter(|full| !full.is_empty() && !has_arguments);
        if let Some(fragment) = full.map(CompactString::from) {
            out.push(self.delta(DeltaKind::ToolCallArguments { index, fragment }));
        }
        out.push(self.delta(DeltaKind::ToolCallEnd { index }));
    }

    /// Emits a call that was sent in one piece.
    pub(crate) fn push_complete(
        &mut self,
        id: Option<CompactString>,
        name: Option<CompactString>,
        arguments: Option<&str>,
        out: &mut Vec<Delta>,
    ) {
        // No provider uses a key this large.
        let key = u64::MAX;
        self.start(key, id, name, out);
        self.end(key, arguments, out);
    }

    /// Ends all calls that are open.
    pub(crate) fn end_all(&mut self, out: &mut Vec<Delta>) {
        while let Some(key) = self.open.first().map(|call| call.key) {
            self.end(key, None, out);
        }
    }

    const fn delta(&self, kind: DeltaKind) -> Delta {
        Delta { choice: self.choice, kind }
    }
}
