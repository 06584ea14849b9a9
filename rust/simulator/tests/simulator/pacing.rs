//! When it is sent. Bounds below are exact, since a timer is never early; bounds above are loose, since a machine may
//! be busy.

use std::time::Duration;

use headrace_simulator::Outcome;
use serde_json::{Value, json};

use crate::client::{Client, eventually, plain, simulator, streaming};

/// The stamps of a stream, in nanoseconds after its request had arrived.
fn stamps(script: &Value) -> Vec<u64> {
    let mut script = script.clone();
    script["stamp"] = json!(true);
    let simulator = simulator(&script);
    let answer = Client::connect(&simulator).exchange(&streaming());
    let report = eventually(&simulator, |report| report.requests[0].outcome != Outcome::Running);
    let received = report.requests[0].received_ns;
    let text = answer.stream().text().to_owned();
    text.split_terminator(' ').map(|stamp| stamp.parse::<u64>().unwrap() - received).collect()
}

fn millis(millis: u64) -> u64 {
    u64::try_from(Duration::from_millis(millis).as_nanos()).unwrap()
}

#[test]
fn steady_tokens_come_one_by_one() {
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
    // Eight tokens are due when the head is sent at last. Sleeps that add up would take 350 ms for them.
    let script = json!({
        "pacing": { "mode": "steady", "interval_ms": 50 },
        "turns": [{ "text": "word", "repeat": 10, "fault": { "kind": "slow_headers", "ms": 360 } }],
    });
    let stamps = stamps(&script);
    assert!(stamps[0] >= millis(360));
    assert!(stamps[7] - stamps[0] < millis(350));
    assert!(stamps[9] >= millis(450));
}

#[test]
fn bursts_come_together() {
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
fn many_streams_do_not_wait_for_each_other() {
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
    let lasted: Vec<u64> =
        report.requests.iter().map(|request| request.finished_ns.unwrap() - request.received_ns).collect();
    let first = report.requests.iter().map(|request| request.received_ns).min().unwrap();
    let last = report.requests.iter().filter_map(|request| request.finished_ns).max().unwrap();
    // One after the other, it would take the sum of what each takes.
    assert!(last - first < lasted.iter().sum::<u64>() / 2);
}
