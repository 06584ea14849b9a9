//! Appends deltas of the first choice, made of members of a frame.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, ProviderError, Signature, Usage};
use crate::dialects::json::Text;

/// Appends a text, reasoning or refusal delta, unless the text is empty.
pub(crate) fn push_text(kind: fn(CompactString) -> DeltaKind, text: &Text<'_>, out: &mut Vec<Delta>) {
    out.extend(text.compact().map(kind).map(Delta::first));
}

/// Appends a signature, unless it is empty.
pub(crate) fn push_signature(kind: fn(CompactString) -> Signature, value: &Text<'_>, out: &mut Vec<Delta>) {
    let signature = value.compact().map(kind);
    out.extend(signature.map(|signature| Delta::first(DeltaKind::Signature(Box::new(signature)))));
}

/// Appends the token counts, if there are any.
pub(crate) fn push_usage(usage: Option<Usage>, out: &mut Vec<Delta>) {
    out.extend(usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage)))));
}

/// Appends the error that ends a stream.
pub(crate) fn push_error(error: ProviderError, out: &mut Vec<Delta>) {
    out.push(Delta::first(DeltaKind::Error(Box::new(error))));
}
