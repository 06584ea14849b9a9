//! Chunking does not change the stream.

use headrace_simulator::Simulator;
use headrace_wire::{Dialect, StreamDecoder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::{Answer, Client, simulator, streaming};

fn answer(simulator: &Simulator) -> Answer {
    Client::connect(simulator).exchange(&streaming())
}

fn with_chunking(turn: &Value, chunking: &Value) -> Answer {
    answer(&simulator(&json!({ "turns": [turn], "chunking": chunking, "include_usage": "always" })))
}

#[test]
fn a_frame_is_a_chunk() {
    let answer = with_chunking(&json!({ "text": "a b c" }), &json!("frame"));
    let frames: Vec<usize> = answer.text().split_inclusive("\n\n").map(str::len).collect();
    assert_eq!(answer.chunks, frames);
}

#[test]
fn coalesced_chunks_are_full() {
    let answer = with_chunking(&json!({ "text": "word", "repeat": 1000 }), &json!("coalesce"));
    assert_eq!(answer.chunks.iter().max(), Some(&65_536));
    assert!(answer.chunks.len() <= answer.body.len() / 65_536 + 2);
}

#[test]
fn frames_that_are_due_together_are_written_together() {
    let simulator = simulator(&json!({ "turns": [{ "text": "a b c" }] }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    let mut buffer = [0; 4096];
    let first = client.peek(&mut buffer);
    assert!(buffer[..first].ends_with(b"0\r\n\r\n"), "the answer came in more than one write");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_chunking_gives_the_same_deltas(
        tokens in prop::collection::vec("\\PC{0,8}", 0..12),
        arguments in "\\PC{0,40}",
        bytes in 1_usize..200,
        sizes in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let turn = json!({ "text": tokens, "tool_calls": [{ "name": "f", "arguments": arguments }] });
        let whole = with_chunking(&turn, &json!("coalesce"));
        let expected = whole.stream();
        prop_assert_eq!(&expected.response.choices[0].text, &tokens.concat());

        let frames = with_chunking(&turn, &json!("frame"));
        prop_assert_eq!(&frames.body, &whole.body);
        let cut = with_chunking(&turn, &json!({ "bytes": bytes }));
        prop_assert_eq!(&cut.body, &whole.body);
        prop_assert!(cut.chunks.iter().all(|size| *size <= bytes));

        let mut faulty = turn.clone();
        faulty["fault"] = json!({ "kind": "cut", "sizes": sizes, "interval_ms": 0 });
        let cycled = with_chunking(&faulty, &json!("frame"));
        prop_assert_eq!(&cycled.body, &whole.body);
        let (_, full) = cycled.chunks.split_last().unwrap();
        prop_assert!(full.iter().zip(sizes.iter().cycle()).all(|(is, wanted)| is == wanted));

        // Decode the chunks one by one, as a client would.
        let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
        let (mut deltas, mut rest) = (Vec::new(), cut.body.as_slice());
        for size in &cut.chunks {
            let (chunk, after) = rest.split_at(*size);
            decoder.feed(chunk, &mut deltas).unwrap();
            rest = after;
        }
        decoder.finish(&mut deltas);
        prop_assert_eq!(deltas, expected.deltas);
    }
}
