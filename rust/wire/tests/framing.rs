//! NDJSON and the AWS event stream: frames do not depend on where the body is cut, damage is detected, and decoding
//! takes linear time.

mod decoded;
mod pieces;

use decoded::decode;
use headrace_wire::Dialect;
use headrace_wire::aws_event_stream::{FrameError, MessageDecoder, write_message};
use headrace_wire::ndjson::NdjsonDecoder;
use pieces::cut;
use proptest::collection::vec;
use proptest::prelude::*;

const NO_LIMIT: usize = 1 << 30;

/// The decoded lines, and whether one was too large.
fn lines(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = NdjsonDecoder::with_limit(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        let mut pulled = decoder.feed(piece);
        loop {
            match pulled.next_line() {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return (lines, true),
            }
        }
    }
    lines.extend(decoder.finish().map(<[u8]>::to_vec));
    (lines, false)
}

#[derive(Debug, PartialEq)]
struct Owned {
    kind: Option<String>,
    payload: Vec<u8>,
}

fn messages(pieces: &[&[u8]], limit: usize) -> (Vec<Owned>, Option<FrameError>) {
    let mut decoder = MessageDecoder::with_limit(limit);
    let mut messages = Vec::new();
    for piece in pieces {
        let mut pulled = decoder.feed(piece);
        loop {
            match pulled.next_message() {
                Ok(Some(message)) => {
                    let kind = message.header(":event-type").map(str::to_owned);
                    messages.push(Owned { kind, payload: message.payload().to_vec() });
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// Random bodies, made mostly of bytes that mean something to the decoders.
fn random_body() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"event: error".to_vec()),
        Just(b"[DONE]".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"{\"type\":\"message_start\",\"message\":{\"id\":\"a\"}}".to_vec()),
        Just(
            b"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud83d\"}}"
                .to_vec()
        ),
        Just(b"{\"message\":{\"content\":\"a\"},\"done\":true}".to_vec()),
        Just(b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}".to_vec()),
        Just(b"{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\"}}".to_vec()),
        Just(
            b"{\"type\":\"tool-call-start\",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{}}}}}"
                .to_vec()
        ),
        vec(any::<u8>(), 0..6),
    ];
    vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

fn stream_of_messages() -> impl Strategy<Value = (Vec<Owned>, Vec<u8>)> {
    vec(("[a-zA-Z-]{1,12}", vec(any::<u8>(), 0..40)), 0..6).prop_map(|messages| {
        let mut bytes = Vec::new();
        let owned = messages
            .into_iter()
            .map(|(kind, payload)| {
                write_message(&[(":message-type", "event"), (":event-type", &kind)], &payload, &mut bytes);
                Owned { kind: Some(kind), payload }
            })
            .collect();
        (owned, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_split_at_line_ends(body in random_body(), sizes in vec(1_usize..9, 1..9)) {
        let expected: Vec<Vec<u8>> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .collect();
        prop_assert_eq!(lines(&cut(&body, &sizes), NO_LIMIT), (expected, false));
    }

    #[test]
    fn lines_over_the_limit_do_not_depend_on_the_cuts(body in random_body(), sizes in vec(1_usize..9, 1..9)) {
        prop_assert_eq!(lines(&cut(&body, &sizes), 12), lines(&[&body], 12));
    }

    #[test]
    fn messages_do_not_depend_on_the_cuts((owned, bytes) in stream_of_messages(), sizes in vec(1_usize..40, 1..9)) {
        prop_assert_eq!(&messages(&cut(&bytes, &sizes), NO_LIMIT), &(owned, None));
        prop_assert_eq!(messages(&cut(&bytes, &sizes), 70), messages(&[&bytes], 70));
    }

    #[test]
    fn every_flipped_bit_is_detected((owned, mut bytes) in stream_of_messages(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (found, error) = messages(&[&bytes], NO_LIMIT);
        prop_assert!(error.is_some());
        prop_assert_eq!(&found[..], &owned[..found.len()]);
    }

    #[test]
    fn no_dialect_depends_on_the_cuts(body in random_body(), sizes in vec(1_usize..9, 1..9)) {
        for dialect in Dialect::ALL {
            let whole = decode(dialect, [body.as_slice()]);
            prop_assert_eq!(decode(dialect, cut(&body, &sizes)), whole, "{:?}", dialect);
        }
        let _ = Dialect::detect(&body);
    }
}

/// A message with a header of each type, the string last. Its checksums were computed by another implementation.
#[test]
fn headers_of_all_types_are_decoded() {
    let mut headers: Vec<u8> = Vec::new();
    for (kind, value) in [
        (0_u8, vec![]),
        (1, vec![]),
        (2, vec![7]),
        (3, vec![0; 2]),
        (4, vec![0; 4]),
        (5, vec![0; 8]),
        (6, vec![0, 3, 1, 2, 3]),
        (8, vec![0; 8]),
        (9, vec![0; 16]),
        (7, [&[0, 2][..], b"ok"].concat()),
    ] {
        let name = format!("h{kind}");
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(kind);
        headers.extend_from_slice(&value);
    }
    let mut message: Vec<u8> = Vec::new();
    let total = u32::try_from(16 + headers.len() + 2).unwrap();
    message.extend_from_slice(&total.to_be_bytes());
    message.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&HEADERS_PRELUDE_CRC.to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(b"{}");
    message.extend_from_slice(&HEADERS_MESSAGE_CRC.to_be_bytes());
    let mut decoder = MessageDecoder::with_limit(NO_LIMIT);
    let mut pulled = decoder.feed(&message);
    let found = pulled.next_message().unwrap().unwrap();
    assert_eq!(found.header("h7"), Some("ok"));
    assert_eq!(found.header("h6"), None, "bytes are not a string");
    assert_eq!(found.header("h10"), None);
    assert_eq!(found.payload(), b"{}");
}

const HEADERS_PRELUDE_CRC: u32 = 0xD310_6943;
const HEADERS_MESSAGE_CRC: u32 = 0x6367_0DDD;

#[test]
fn a_large_message_in_many_pieces_is_linear() {
    // If each piece made the decoder scan the message again, it would scan 32 GB and this test would not finish.
    let payload = vec![b'x'; 8 * 1024 * 1024];
    let mut bytes = Vec::new();
    write_message(&[(":event-type", "chunk")], &payload, &mut bytes);
    let (found, error) = messages(&cut(&bytes, &[1024]), NO_LIMIT);
    assert_eq!((found.len(), error), (1, None));
    let mut body = payload;
    body.push(b'\n');
    assert_eq!(lines(&cut(&body, &[1024]), NO_LIMIT).0.len(), 1);
}
