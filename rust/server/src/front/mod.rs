//! The protocols of front ends: deltas and notices → events.

mod a2a;
mod agui;
mod calls;
mod ui_messages;

pub(crate) use self::a2a::{A2a, card, result_of, rpc_id, task};
pub(crate) use self::agui::AgUi;
pub(crate) use self::ui_messages::UiMessages;
