//! Assigns each fragment to a tool call.
//!
//! OpenAI's rule is simple: `index` identifies the call, and `id` and `name` come with its first fragment. Other
//! providers leave out the index, use one index for several calls, or repeat id and name in every fragment.

use compact_str::CompactString;

use super::chunk::{CallFragment, Function};
use crate::delta::{Delta, DeltaKind, Signature, ToolCallStart};

/// The tool calls of one choice, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// How many of them have ended.
    ended: usize,
}

#[derive(Debug, Default)]
struct Call {
    /// The index that the provider sent, if any.
    wire_index: Option<u64>,
    id: Option<CompactString>,
    name: Option<CompactString>,
    /// Arguments that arrived before the name.
    early_arguments: CompactString,
}

impl Calls {
    /// Takes the fragment at `position` of a chunk's `tool_calls` list.
    pub(super) fn fragment(
        &mut self,
        choice: u32,
        position: usize,
        fragment: &CallFragment<'_>,
        out: &mut Vec<Delta>,
    ) {
        let id = fragment.id.get();
        let name = fragment.function().and_then(|function| function.name.get());
        let call = self
            .find(fragment.index.get(), position, id, name)
            .unwrap_or_else(|| self.open(fragment.index.get()));
        self.extend(choice, call, id, fragment.function(), out);
        if let Some(value) = fragment.signature() {
            let signature = Signature { tool_call: Some(ordinal(call)), ..Signature::signed(value) };
            out.push(Delta { choice, kind: DeltaKind::Signature(Box::new(signature)) });
        }
    }

    /// Takes a fragment of the deprecated `function_call`, of which a message can have only one.
    pub(super) fn legacy(&mut self, choice: u32, function: &Function<'_>, out: &mut Vec<Delta>) {
        let call = if self.calls.is_empty() { self.open(None) } else { 0 };
        self.extend(choice, call, None, Some(function), out);
    }

    /// Ends all calls that are open.
    pub(super) fn end_all(&mut self, choice: u32, out: &mut Vec<Delta>) {
        for call in self.ended..self.calls.len() {
            if self.calls[call].name.is_none() {
                // The name never arrived. Start the call with an empty one, so that its arguments are not lost.
                self.start(choice, call, CompactString::default(), out);
            }
            out.push(Delta { choice, kind: DeltaKind::ToolCallEnd { index: ordinal(call) } });
        }
        self.ended = self.calls.len();
    }

    /// The open call that a fragment continues; `None` if the fragment starts a new one.
    fn find(
        &self,
        index: Option<u64>,
        position: usize,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Option<usize> {
        let open = &self.calls[self.ended..];
        let found = match (index, id, name) {
            (Some(_), _, _) => {
                open.iter().rposition(|call| call.wire_index == index && call.accepts(id, name))
            }
            (None, Some(_), _) => open.iter().rposition(|call| call.id.as_deref() == id),
            (None, None, Some(_)) => None,
            // Nothing but arguments: only the position in the list can tell the calls apart.
            (None, None, None) if position > 0 && position < open.len() => Some(position),
            (None, None, None) => open.len().checked_sub(1),
        };
        found.map(|call| call + self.ended)
    }

    fn open(&mut self, wire_index: Option<u64>) -> usize {
        self.calls.push(Call { wire_index, ..Call::default() });
        self.calls.len() - 1
    }

    fn extend(
        &mut self,
        choice: u32,
        call: usize,
        id: Option<&str>,
        function: Option<&Function<'_>>,
        out: &mut Vec<Delta>,
    ) {
        let state = &mut self.calls[call];
        let late_id = state.id.is_none() && id.is_some() && state.name.is_some();
        if state.id.is_none() {
            state.id = id.map(CompactString::from);
        }
        let name = function.and_then(|function| function.name.compact());
        match (state.name.clone(), name) {
            (None, Some(name)) => self.start(choice, call, name, out),
            (Some(name), _) if late_id => self.start(choice, call, name, out),
            _ => {}
        }
        let Some(fragment) = function.and_then(Function::arguments) else { return };
        if self.calls[call].name.is_some() {
            out.push(Delta { choice, kind: DeltaKind::ToolCallArguments { index: ordinal(call), fragment } });
        } else {
            self.calls[call].early_arguments.push_str(&fragment);
        }
    }

    fn start(&mut self, choice: u32, call: usize, name: CompactString, out: &mut Vec<Delta>) {
        let state = &mut self.calls[call];
        let index = ordinal(call);
        state.name = Some(name.clone());
        let start = ToolCallStart { index, id: state.id.clone(), name };
        out.push(Delta { choice, kind: DeltaKind::ToolCallStart(Box::new(start)) });
        let fragment = std::mem::take(&mut state.early_arguments);
        if !fragment.is_empty() {
            out.push(Delta { choice, kind: DeltaKind::ToolCallArguments { index, fragment } });
        }
    }
}

impl Call {
    /// Whether a fragment with this call's index can be part of this call.
    ///
    /// A different id means a different call if a name comes with it. Without a name it is the same call, from one of
    /// the servers that make up a new id for every chunk. If there are no ids to compare, a different name means a
    /// different call.
    fn accepts(&self, id: Option<&str>, name: Option<&str>) -> bool {
        match (self.id.as_deref(), id) {
            (Some(own), Some(other)) if own != other => name.is_none(),
            _ => self.name.is_none() || name.is_none() || self.name.as_deref() == name,
        }
    }
}

/// The call's index in the deltas. A response never has so many calls that this overflows.
fn ordinal(call: usize) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
