//! Which tool call a fragment belongs to.
//!
//! OpenAI's rule is simple: `index` names the call, and `id` and `name` come with its first fragment. Others leave
//! the index out, share one index between calls, or repeat id and name on every fragment.

use compact_str::CompactString;

use super::chunk::{CallFragment, Function};
use crate::delta::{Delta, DeltaKind, Signature, ToolCallStart};

/// The tool calls of one choice, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    closed: usize,
}

#[derive(Debug, Default)]
struct Call {
    wire_index: Option<u64>,
    id: Option<CompactString>,
    name: Option<CompactString>,
    /// Arguments that came before the name did.
    early: CompactString,
}

impl Calls {
    /// Takes the fragment that stands at `position` of its delta's list.
    pub(super) fn fragment(
        &mut self,
        choice: u32,
        position: usize,
        fragment: &CallFragment<'_>,
        out: &mut Vec<Delta>,
    ) {
        let id = fragment.id.get();
        let name = fragment.function.as_ref().and_then(|function| function.name.get());
        let call = self
            .find(fragment.index.get(), position, id, name)
            .unwrap_or_else(|| self.open(fragment.index.get()));
        self.extend(choice, call, id, fragment.function.as_ref(), out);
        if let Some(value) = fragment.signature() {
            let signature = Signature { tool_call: Some(ordinal(call)), ..Signature::signed(value) };
            out.push(Delta { choice, kind: DeltaKind::Signature(Box::new(signature)) });
        }
    }

    /// Takes a fragment of the one call that a message could hold before there were tools.
    pub(super) fn legacy(&mut self, choice: u32, function: &Function<'_>, out: &mut Vec<Delta>) {
        let call = if self.calls.is_empty() { self.open(None) } else { 0 };
        self.extend(choice, call, None, Some(function), out);
    }

    /// Ends all calls that are open.
    pub(super) fn close(&mut self, choice: u32, out: &mut Vec<Delta>) {
        for call in self.closed..self.calls.len() {
            if self.calls[call].name.is_none() {
                // No name ever came. An empty one shows that, and keeps the arguments.
                self.start(choice, call, CompactString::default(), out);
            }
            out.push(Delta { choice, kind: DeltaKind::ToolCallEnd { index: ordinal(call) } });
        }
        self.closed = self.calls.len();
    }

    /// The call that a fragment continues; `None` when it begins one.
    fn find(
        &self,
        index: Option<u64>,
        position: usize,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Option<usize> {
        let open = &self.calls[self.closed..];
        let found = match (index, id, name) {
            (Some(_), _, _) => {
                open.iter().rposition(|call| call.wire_index == index && call.accepts(id, name))
            }
            (None, Some(_), _) => open.iter().rposition(|call| call.id.as_deref() == id),
            (None, None, Some(_)) => None,
            // Nothing but arguments: the list's order is all that is left to tell calls apart.
            (None, None, None) if position > 0 && position < open.len() => Some(position),
            (None, None, None) => open.len().checked_sub(1),
        };
        found.map(|call| call + self.closed)
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
            self.calls[call].early.push_str(&fragment);
        }
    }

    fn start(&mut self, choice: u32, call: usize, name: CompactString, out: &mut Vec<Delta>) {
        let state = &mut self.calls[call];
        let index = ordinal(call);
        state.name = Some(name.clone());
        let start = ToolCallStart { index, id: state.id.clone(), name };
        out.push(Delta { choice, kind: DeltaKind::ToolCallStart(Box::new(start)) });
        let fragment = std::mem::take(&mut state.early);
        if !fragment.is_empty() {
            out.push(Delta { choice, kind: DeltaKind::ToolCallArguments { index, fragment } });
        }
    }
}

impl Call {
    /// Whether a fragment under this call's index may be part of it. Another id is another call if it comes with a
    /// name; without one it is a server that makes up an id for every chunk. Without ids, another name is another call.
    fn accepts(&self, id: Option<&str>, name: Option<&str>) -> bool {
        match (self.id.as_deref(), id) {
            (Some(known), Some(told)) if known != told => name.is_none(),
            _ => self.name.is_none() || name.is_none() || self.name.as_deref() == name,
        }
    }
}

/// A response has far fewer calls than `u32` has numbers.
fn ordinal(call: usize) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
