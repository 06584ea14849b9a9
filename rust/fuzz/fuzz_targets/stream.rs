//! Decodes any bytes, cut anywhere: the decoder must not panic, and the result must not depend on the cut.
#![no_main]

use headrace_wire::{Delta, Dialect, StreamDecoder};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Delta>, bool) {
    let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, LIMIT);
    let mut deltas = Vec::new();
    let failed = pieces.into_iter().any(|piece| decoder.feed(piece, &mut deltas).is_err());
    if !failed {
        decoder.finish(&mut deltas);
    }
    (deltas, failed)
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, body) = input;
    let (head, tail) = body.split_at(cut % (body.len() + 1));
    assert_eq!(decode([head, tail]), decode([body]));
});
