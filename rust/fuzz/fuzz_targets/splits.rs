//! Decodes any bytes in any dialect, whole and in pieces: both come to the same.
#![no_main]

mod common;

use headrace_wire::Dialect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (dialect, sizes, body) = input;
    let dialect = Dialect::ALL[usize::from(dialect) % Dialect::ALL.len()];
    let mut pieces = Vec::new();
    let mut rest = body;
    for size in sizes {
        let (piece, other) = rest.split_at(usize::from(size).min(rest.len()));
        pieces.push(piece);
        rest = other;
    }
    pieces.push(rest);
    assert_eq!(common::decode(dialect, pieces), common::decode(dialect, [body]), "{dialect:?}");
});
