//! What identifies a response, told as early as the provider tells it.

use crate::delta::{Delta, DeltaKind, ResponseInfo};
use crate::dialects::json::Text;

/// The id and the model, as far as told. The first of each is kept: gateways send their own before the upstream's.
#[derive(Debug, Default)]
pub(crate) struct Identity(ResponseInfo);

impl Identity {
    /// Takes what an event says, and passes it on if it says what the earlier ones did not.
    pub(crate) fn tell(&mut self, id: &Text<'_>, model: &Text<'_>, out: &mut Vec<Delta>) {
        let info = &mut self.0;
        let news =
            (info.id.is_none() && id.get().is_some()) || (info.model.is_none() && model.get().is_some());
        if news {
            info.id = info.id.take().or_else(|| id.compact());
            info.model = info.model.take().or_else(|| model.compact());
            out.push(Delta::first(DeltaKind::Response(Box::new(info.clone()))));
        }
    }
}
