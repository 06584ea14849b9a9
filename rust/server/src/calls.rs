//! The calls of the client's own tools, out of all calls of an agent.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use headrace_wire::{Delta, DeltaKind, ToolCallStart};

/// Selects the calls of the client's tools, and gives them the numbers and ids that the client sees. The calls of the
/// agent's own tools are the agent's affair.
#[derive(Debug, Default)]
pub(crate) struct ClientCalls {
    tools: HashSet<String>,
    /// The number that the client sees, by that of the call in the current turn.
    shown: HashMap<u32, u32>,
    next: u32,
    ids: HashSet<String>,
}

impl ClientCalls {
    pub(crate) fn new<'a>(tools: impl Iterator<Item = &'a str>) -> Self {
        Self { tools: tools.map(str::to_owned).collect(), ..Self::default() }
    }

    /// A turn begins, with calls of its own.
    pub(crate) fn begin_turn(&mut self) {
        self.shown.clear();
    }

    /// Whether there is any tool of the client's.
    pub(crate) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The delta as the client sees it; `None` if it does not.
    pub(crate) fn shown(&mut self, delta: &Delta) -> Option<Delta> {
        let kind = match &delta.kind {
            DeltaKind::ToolCallStart(start) => {
                if !self.tools.contains(start.name.as_str()) || self.shown.contains_key(&start.index) {
                    return None;
                }
                let (index, id) = (self.next, self.new_id(start));
                self.next += 1;
                self.shown.insert(start.index, index);
                DeltaKind::ToolCallStart(Box::new(ToolCallStart {
                    index,
                    id: Some(id.into()),
                    name: start.name.clone(),
                }))
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                DeltaKind::ToolCallArguments { index: *self.shown.get(index)?, fragment: fragment.clone() }
            }
            DeltaKind::ToolCallEnd { index } => DeltaKind::ToolCallEnd { index: *self.shown.get(index)? },
            _ => return Some(delta.clone()),
        };
        Some(Delta::first(kind))
    }

    /// The id of a call: the provider's, unless there is none or another call has it.
    fn new_id(&mut self, start: &ToolCallStart) -> String {
        let given = start.id.as_deref().filter(|id| !id.is_empty() && !self.ids.contains(*id));
        let id = given.map_or_else(|| random_id("call_"), str::to_owned);
        self.ids.insert(id.clone());
        id
    }
}

/// An id that nobody can guess: two hashes with random keys.
pub(crate) fn random_id(prefix: &str) -> String {
    let [first, second] = [(); 2].map(|()| RandomState::new().hash_one(prefix));
    format!("{prefix}{first:016x}{second:016x}")
}
