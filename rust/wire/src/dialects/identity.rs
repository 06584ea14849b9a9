//! The id and model of a response.

use crate::delta::{Delta, DeltaKind, ResponseInfo};
use crate::dialects::json::Text;

/// The id and model seen so far. The first value of each is kept: a gateway sends its own before those of the provider
/// behind it.
#[derive(Debug, Default)]
pub(crate) struct Identity(ResponseInfo);

impl Identity {
    /// Takes the id and model of a frame, and emits a delta if one of them is new.
    pub(crate) fn update(&mut self, id: &Text<'_>, model: &Text<'_>, out: &mut Vec<Delta>) {
        let info = &mut self.0;
        let is_new =
            (info.id.is_none() && id.get().is_some()) || (info.model.is_none() && model.get().is_some());
        if is_new {
            info.id = info.id.take().or_else(|| id.compact());
            info.model = info.model.take().or_else(|| model.compact());
            out.push(Delta::first(DeltaKind::Response(Box::new(info.clone()))));
        }
    }
}
