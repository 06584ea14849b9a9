//! The protocols of front ends: deltas and notices → events.

mod agui;
mod calls;
mod ui_messages;

pub(crate) use self::agui::AgUi;
pub(crate) use self::ui_messages::UiMessages;
