//! Collects tool calls, for the dialects that send each call in one piece.

use compact_str::CompactString;
use serde_json::Value;

use crate::delta::ToolCallStart;

/// A tool call, as far as its deltas have arrived.
#[derive(Debug, Clone)]
pub(crate) struct WholeCall {
    pub(crate) choice: u32,
    pub(crate) index: u32,
    pub(crate) id: Option<CompactString>,
    pub(crate) name: CompactString,
    pub(crate) signature: Option<CompactString>,
    arguments: String,
}

impl WholeCall {
    /// The arguments as JSON, or as a string if they are not valid JSON. `None` if there are none.
    pub(crate) fn arguments(&self) -> Option<Value> {
        let value = || Value::String(self.arguments.clone());
        (!self.arguments.is_empty())
            .then(|| serde_json::from_str(&self.arguments).unwrap_or_else(|_| value()))
    }
}

/// The calls that have started and not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct WholeCalls(Vec<WholeCall>);

impl WholeCalls {
    /// Starts a call. If it has started before, sets its id and name, which some providers send late or in pieces.
    pub(crate) fn begin(&mut self, choice: u32, start: &ToolCallStart) {
        let ToolCallStart { index, id, name } = start.clone();
        match self.get(choice, index) {
            Some(call) => (call.id, call.name) = (id, name),
            None => {
                self.0.push(WholeCall { choice, index, id, name, signature: None, arguments: String::new() });
            }
        }
    }

    /// Appends a fragment to a call's arguments.
    pub(crate) fn extend(&mut self, choice: u32, index: u32, fragment: &str) {
        if let Some(call) = self.get(choice, index) {
            call.arguments.push_str(fragment);
        }
    }

    /// Sets the signature of a call.
    pub(crate) fn set_signature(&mut self, choice: u32, index: u32, signature: &CompactString) {
        if let Some(call) = self.get(choice, index) {
            call.signature = Some(signature.clone());
        }
    }

    /// Ends a call and returns it.
    pub(crate) fn end(&mut self, choice: u32, index: u32) -> Option<WholeCall> {
        let position = self.0.iter().position(|call| call.choice == choice && call.index == index)?;
        Some(self.0.remove(position))
    }

    /// Ends all calls of one choice, or of all choices, and returns them.
    pub(crate) fn end_all(&mut self, choice: Option<u32>) -> Vec<WholeCall> {
        let matches = |call: &mut WholeCall| choice.is_none_or(|choice| call.choice == choice);
        self.0.extract_if(.., matches).collect()
    }

    fn get(&mut self, choice: u32, index: u32) -> Option<&mut WholeCall> {
        self.0.iter_mut().find(|call| call.choice == choice && call.index == index)
    }
}
