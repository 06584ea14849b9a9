//! The tool calls of an answer that are being written.

use headrace_wire::ToolCallStart;

/// A call that has begun.
#[derive(Debug, Clone)]
pub(super) struct OpenCall {
    pub(super) index: u32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// The calls that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct OpenCalls(Vec<OpenCall>);

impl OpenCalls {
    /// Begins a call; `None` if it has begun already.
    pub(super) fn begin(&mut self, start: &ToolCallStart) -> Option<OpenCall> {
        if self.0.iter().any(|call| call.index == start.index) {
            return None;
        }
        let call = OpenCall {
            index: start.index,
            id: start.id.as_deref().unwrap_or_default().to_owned(),
            name: start.name.to_string(),
            arguments: String::new(),
        };
        self.0.push(call.clone());
        Some(call)
    }

    /// Adds a piece of a call's arguments. The id of the call; `None` if there is none.
    pub(super) fn add(&mut self, index: u32, fragment: &str) -> Option<&str> {
        let call = self.0.iter_mut().find(|call| call.index == index)?;
        call.arguments.push_str(fragment);
        Some(&call.id)
    }

    /// Ends a call; `None` if it has ended already.
    pub(super) fn end(&mut self, index: u32) -> Option<OpenCall> {
        let at = self.0.iter().position(|call| call.index == index)?;
        Some(self.0.remove(at))
    }

    /// Ends the call that began first.
    pub(super) fn end_first(&mut self) -> Option<OpenCall> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }
}
