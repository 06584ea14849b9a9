//! Decodes a body in pieces, and tells what came of it.

use headrace_wire::{DecodeError, Delta, Dialect, Ending, Progress, Response, StreamDecoder};

/// What came of a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) deltas: Vec<Delta>,
    pub(crate) response: Response,
    pub(crate) state: &'static str,
}

/// Decodes a body that arrives in these pieces.
pub(crate) fn decode<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = StreamDecoder::new(dialect, 1 << 20);
    let mut deltas = Vec::new();
    let fed: Result<(), DecodeError> =
        pieces.into_iter().try_for_each(|piece| decoder.feed(piece, &mut deltas).map(|_: Progress| ()));
    let ending = fed.map(|()| decoder.finish(&mut deltas));
    let mut response = Response::default();
    for delta in &deltas {
        response.apply(delta);
    }
    let state = match ending {
        _ if response.error.is_some() => "error",
        Err(_) => "protocol",
        Ok(Ending::Complete) => "complete",
        Ok(Ending::Truncated) => "truncated",
    };
    Decoded { deltas, response, state }
}
