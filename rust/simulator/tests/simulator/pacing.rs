//! When tokens are sent. Lower bounds are exact, since a timer never fires early. There are no upper bounds in time,
//! since a machine may be slow.

use std::time::Duration;

use headrace_simulator::Outcome;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Stream, eventually, plain, simulator, streaming};

/// The stamps of a stream, in nanoseconds after the arrival of its request.
fn stamps(script: &Value) -> Vec<u64> {
    stamps_and_answer(script).0
}

fn stamps_and_answer(script: &Value) -> (Vec<u64>, Answer) {
    let mut script = script.clone();
    script["stamp"] = json!(true);
    let simulator = simulator(&script);
    let answer = Client::connect(&simulator).exchange(&streaming());
    let report = eventually(&simulator, |report| report.requests[0].outcome != Outcome::Running);
    let received = report.requests[0].received_ns;
    let text = answer.stream().text().to_owned();
    let stamps = text.split_terminator(' ').map(|stamp| stamp.parse::<u64>().unwrap() - received).collect();
    (stamps, answer)
}

fn millis(millis: u64) -> u64 {
    u64::try_from(Duration::from_millis(millis).as_nanos()).unwrap()
}

#[test]
fn steady_tokens_are_sent_one_by_one() {
    let pacing = json!({ "mode": "steady", "interval_ms": 4, "first_ms": 20 });
    let stamps = stamps(&json!({ "pacing": pacing, "turns": [{ "text": "word", "repeat": 25 }] }));
    assert_eq!(stamps.len(), 25);
    for (stamp, slot) in stamps.iter().zip(0..) {
        assert!(*stamp >= millis(20 + 4 * slot), "token {slot} came after {stamp} ns");
    }
    assert!(stamps.is_sorted());
}

#[test]
fn a_late_start_does_not_move_the_deadlines() {
    // Eight tokens are due when the head is sent, so they go out together. If delays added up, each would come alone.
    let script = json!({
        "chunking": "coalesce",
        "pacing": { "mode": "steady", "interval_ms": 50 },
        "turns": [{ "text": "word", "repeat": 10, "fault": { "kind": "slow_headers", "ms": 360 } }],
    });
    let (stamps, answer) = stamps_and_answer(&script);
    assert!(stamps[0] >= millis(360));
    assert!(stamps[9] >= millis(450));
    let first = Stream::decode(&answer.body[..answer.chunks[0]]);
    assert!(first.text().split_terminator(' ').count() >= 8, "{}", first.text());
}

#[test]
fn a_burst_is_sent_at_once() {
    let pacing = json!({ "mode": "burst", "size": 3, "interval_ms": 30 });
    let stamps = stamps(&json!({ "pacing": pacing, "turns": [{ "text": "word", "repeat": 9 }] }));
    for (stamp, slot) in stamps.iter().zip(0..) {
        assert!(*stamp >= millis(30 * (slot / 3)));
    }
}

#[test]
fn jitter_never_reorders() {
    let words: Vec<String> = (0..50).map(|word| format!("{word} ")).collect();
    let pacing = json!({ "mode": "steady", "interval_ms": 1, "jitter_ms": 20, "seed": 7 });
    let simulator = simulator(&json!({ "pacing": pacing, "turns": [{ "text": words }] }));
    let answer = Client::connect(&simulator).exchange(&streaming());
    assert_eq!(answer.stream().text(), words.concat());
}

#[test]
fn a_turn_may_have_its_own_pacing() {
    let script = json!({
        "pacing": { "mode": "steady", "interval_ms": 3_600_000 },
        "turns": [{ "text": "a b c", "pacing": { "mode": "fast" } }],
    });
    assert_eq!(stamps(&script).len(), 3);
}

#[test]
fn a_document_takes_as_long_as_the_stream_would() {
    let simulator = simulator(&json!({
        "pacing": { "mode": "steady", "interval_ms": 20, "first_ms": 10 }, "turns": [{ "text": "a b c d" }],
    }));
    Client::connect(&simulator).exchange(&plain());
    let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Complete);
    let request = &report.requests[0];
    assert!(request.first_byte_ns.unwrap() - request.received_ns >= millis(70));
}

#[test]
fn many_streams_run_concurrently() {
    let pacing = json!({ "mode": "steady", "interval_ms": 5 });
    let simulator = simulator(&json!({ "pacing": pacing, "turns": [{ "text": "word", "repeat": 40 }] }));
    let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(&simulator)).collect();
    for client in &mut clients {
        client.ask(&streaming());
    }
    for client in &mut clients {
        assert_eq!(client.answer().stream().text(), "word".repeat(40));
    }
    let completed = |report: &headrace_simulator::Report| {
        report.requests.iter().filter(|request| request.outcome == Outcome::Complete).count()
    };
    let report = eventually(&simulator, |report| completed(report) == 100);
    let durations: Vec<u64> =
        report.requests.iter().map(|request| request.finished_ns.unwrap() - request.received_ns).collect();
    let first = report.requests.iter().map(|request| request.received_ns).min().unwrap();
    let last = report.requests.iter().filter_map(|request| request.finished_ns).max().unwrap();
    // One after the other, they would take the sum of their durations.
    assert!(last - first < durations.iter().sum::<u64>() / 2);
}
