//! Decodes every vector in `tests/conformance/sse`, whole and cut at every position. The result must not depend on
//! the cut.

mod vectors;

use headrace_wire::sse::{DEFAULT_MAX_EVENT_BYTES, SseDecoder};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Expected {
    events: Vec<ExpectedEvent>,
    retry: Option<u64>,
    last_event_id: String,
    truncated_tail: bool,
    #[serde(default)]
    max_event_bytes: Option<usize>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ExpectedEvent {
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    id: String,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<ExpectedEvent>,
    retry: Option<u64>,
    last_event_id: String,
    truncated_tail: bool,
    failed: bool,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    let mut decoder = SseDecoder::with_limit(limit);
    let mut events = Vec::new();
    let mut failed = false;
    for piece in pieces {
        let mut pulled = decoder.feed(piece);
        loop {
            match pulled.next_event() {
                Ok(Some(event)) => events.push(ExpectedEvent {
                    event_type: event.event_type().into_owned(),
                    data: event.data_text().into_owned(),
                    id: event.id().to_owned(),
                }),
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
    }
    Outcome {
        events,
        retry: decoder.retry(),
        last_event_id: decoder.last_event_id().to_owned(),
        truncated_tail: decoder.is_mid_event(),
        failed,
    }
}

/// The positions to cut at: all of them, but every 97th only for the vector with a 70 KB line, which would take too
/// long.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = if length > 8 * 1024 { 97 } else { 1 };
    (0..=length).step_by(step)
}

#[test]
fn every_vector_at_every_cut() {
    let vectors = vectors::read::<Expected>("sse");
    assert!(vectors.len() >= 50, "only {} vectors found", vectors.len());
    for (name, body, expected) in vectors {
        let limit = expected.max_event_bytes.unwrap_or(DEFAULT_MAX_EVENT_BYTES);
        let failed = expected.error.is_some();
        let whole = decode([body.as_slice()], limit);
        assert_eq!(whole.events, expected.events, "{name}: events");
        assert_eq!(whole.failed, failed, "{name}: error");
        if !failed {
            assert_eq!(whole.retry, expected.retry, "{name}: retry");
            assert_eq!(whole.last_event_id, expected.last_event_id, "{name}: last event id");
            assert_eq!(whole.truncated_tail, expected.truncated_tail, "{name}: truncated tail");
        }
        for cut in cuts(body.len()) {
            let (head, tail) = body.split_at(cut);
            let split = decode([head, tail], limit);
            assert_eq!(split.events, whole.events, "{name}: cut at {cut}");
            assert_eq!(split.failed, whole.failed, "{name}: cut at {cut}");
            if !failed {
                assert_eq!(split, whole, "{name}: cut at {cut}");
            }
        }
        assert_eq!(decode(body.chunks(1), limit).events, whole.events, "{name}: byte by byte");
    }
}

#[test]
fn a_long_line_in_many_pieces_is_linear() {
    // If each piece made the decoder scan the line again, it would scan 32 GB and this test would not finish.
    let mut body = b"data: ".to_vec();
    body.resize(8 * 1024 * 1024, b'x');
    body.extend_from_slice(b"\n\n");
    let outcome = decode(body.chunks(1024), DEFAULT_MAX_EVENT_BYTES);
    assert_eq!(outcome.events.len(), 1);
    assert_eq!(outcome.events[0].data.len(), 8 * 1024 * 1024 - 6);
}

mod properties {
    use super::decode;
    use headrace_wire::sse::DEFAULT_MAX_EVENT_BYTES;
    use proptest::prelude::*;

    /// Random bodies, made mostly of bytes that mean something to the decoder.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            Just(b"data".to_vec()),
            Just(b"event".to_vec()),
            Just(b"id".to_vec()),
            Just(b"retry".to_vec()),
            Just(b":".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b"data: {\"a\":1}\n\n".to_vec()),
            Just(vec![0xEF, 0xBB, 0xBF]),
            Just(vec![0]),
            Just(b"42".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn the_result_never_depends_on_the_cuts(
            body in stream(),
            sizes in proptest::collection::vec(1_usize..9, 1..20),
            limit in prop_oneof![Just(DEFAULT_MAX_EVENT_BYTES), Just(24_usize)],
        ) {
            let whole = decode([body.as_slice()], limit);
            let mut pieces = Vec::new();
            let mut rest = body.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let split = decode(pieces, limit);
            prop_assert_eq!(&split.events, &whole.events);
            prop_assert_eq!(split.failed, whole.failed);
            if !whole.failed {
                prop_assert_eq!(split, whole);
            }
        }
    }
}
