//! Deltas from the members of an event.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, ProviderError, Signature, Usage};
use crate::dialects::json::Text;

/// A piece of text, unless it is empty.
pub(crate) fn say(kind: fn(CompactString) -> DeltaKind, text: &Text<'_>, out: &mut Vec<Delta>) {
    out.extend(text.compact().map(kind).map(Delta::first));
}

/// A signature, unless it is empty.
pub(crate) fn sign(kind: fn(CompactString) -> Signature, value: &Text<'_>, out: &mut Vec<Delta>) {
    let signature = value.compact().map(kind);
    out.extend(signature.map(|signature| Delta::first(DeltaKind::Signature(Box::new(signature)))));
}

/// Token counts, unless nothing was told.
pub(crate) fn account(usage: Option<Usage>, out: &mut Vec<Delta>) {
    out.extend(usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage)))));
}

/// The error that ends a stream.
pub(crate) fn fail(error: ProviderError, out: &mut Vec<Delta>) {
    out.push(Delta::first(DeltaKind::Error(Box::new(error))));
}
