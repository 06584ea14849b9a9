//! Decodes a body that arrives in pieces.

use headrace_wire::{Delta, Dialect, RecordedBody, RecordedEnd, Response};

/// The result of decoding a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) dialect: Option<Dialect>,
    pub(crate) deltas: Vec<Delta>,
    pub(crate) response: Response,
    pub(crate) end: RecordedEnd,
    pub(crate) state: &'static str,
}

/// Decodes a body that arrives in these pieces. Without a dialect, it is detected.
pub(crate) fn decode<'a>(
    dialect: impl Into<Option<Dialect>>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Decoded {
    let mut body = RecordedBody::new(dialect.into(), 1 << 20);
    let mut deltas = Vec::new();
    for piece in pieces {
        body.feed(piece, &mut deltas);
    }
    let end = body.finish(&mut deltas);
    let response = body.response().clone();
    Decoded { dialect: body.dialect(), deltas, response, state: end.state().as_str(), end }
}
