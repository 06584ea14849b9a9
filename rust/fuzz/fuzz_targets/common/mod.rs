//! What the targets share.

use headrace_wire::{BodyDecoder, BodyError, Delta, Dialect, Ending, Progress, Response};

/// A small cap on one frame, so that inputs reach it.
const LIMIT: usize = 4096;

/// What came of a body.
pub type Decoded = (Vec<Delta>, Result<Ending, BodyError>);

/// Decodes a body in pieces, as the engine does.
pub fn decode<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = BodyDecoder::new(dialect, LIMIT);
    let mut deltas = Vec::new();
    for piece in pieces {
        match decoder.feed(piece, &mut deltas) {
            Ok(Progress::Open) => {}
            Ok(Progress::Ended) => break,
            Err(error) => return (deltas, Err(error)),
        }
    }
    let ending = decoder.finish(&mut deltas);
    (deltas, ending)
}

/// Decodes any bytes: nothing panics, and what comes of them can be collected.
#[allow(dead_code, reason = "not every target uses it")]
pub fn check(dialect: Dialect, body: &[u8]) {
    let (deltas, _) = decode(dialect, [body]);
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    for choice in &response.choices {
        for call in &choice.tool_calls {
            let _ = choice.is_complete(call);
        }
    }
}
