//! Reports.

use std::net::Shutdown;
use std::time::Duration;

use headrace_simulator::{Options, Outcome, Script, Simulator, monotonic_ns};
use serde_json::{Value, json};

use crate::client::{Client, eventually, plain, simulator, streaming};

#[test]
fn a_request_is_reported_with_every_field() {
    let simulator = simulator(&json!({ "turns": [{ "when": { "role": "tool" } }, { "text": "a b" }] }));
    let before = monotonic_ns();
    let mut client = Client::connect(&simulator);
    let body = streaming().to_string();
    let length = body.len();
    client.write(format!(
        "POST /v1/chat/completions?x=1 HTTP/1.1\r\nX-One: 1\r\nx-one: 2\r\nauthorization: Bearer k\r\nx-api-key: k\r\n\
         content-length: {length}\r\n\r\n{body}"
    ));
    let answer = client.answer();
    let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Complete);
    let request = &report.requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions?x=1"));
    assert_eq!(
        (request.sequence, request.connection, request.turn, request.status),
        (0, 0, Some(1), Some(200))
    );
    assert_eq!(request.headers["x-one"], "1, 2");
    assert_eq!(
        (request.headers["authorization"].as_str(), request.headers["x-api-key"].as_str()),
        ("***", "***")
    );
    assert_eq!(*request.body, streaming());
    // Role, two tokens, finish reason, end marker.
    assert_eq!(request.frames_written, 5);
    let framing: usize = answer.chunks.iter().map(|size| format!("{size:x}\r\n\r\n").len()).sum();
    assert_eq!(request.bytes_written, (answer.body.len() + framing + b"0\r\n\r\n".len()) as u64);
    let times = [
        before,
        request.received_ns,
        request.first_byte_ns.unwrap(),
        request.finished_ns.unwrap(),
        monotonic_ns(),
    ];
    assert!(times.is_sorted());
    assert_eq!(request.disconnected_ns, None);
}

#[test]
fn the_report_is_json() {
    let simulator = simulator(&json!({}));
    Client::connect(&simulator).exchange(&plain());
    let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Complete);
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["requests"][0]["outcome"], "complete");
    assert_eq!(json["requests"][0]["body"], plain());
    assert_eq!(json["requests"][0]["headers"]["host"], "here");
}

#[test]
fn connections_are_counted() {
    let simulator = simulator(&json!({}));
    let clients = [Client::connect(&simulator), Client::connect(&simulator)];
    eventually(&simulator, |report| report.connections.accepted == 2 && report.connections.open == 2);
    drop(clients);
    let report = eventually(&simulator, |report| report.connections.open == 0);
    assert_eq!(report.connections.accepted, 2);
}

#[test]
fn only_the_latest_requests_are_kept() {
    let simulator =
        Simulator::start_with(Script::default(), Options { keep: 2, ..Options::default() }).unwrap();
    let mut client = Client::connect(&simulator);
    for _ in 0..5 {
        client.exchange(&plain());
    }
    let report = eventually(&simulator, |report| {
        report.requests.len() == 2
            && report.requests[1].outcome == Outcome::Complete
            && report.requests_seen == 5
    });
    assert_eq!((report.requests[0].sequence, report.requests[1].sequence), (3, 4));
}

#[test]
fn waiting_ends_at_its_timeout() {
    let simulator = simulator(&json!({}));
    assert!(!simulator.wait_for(|_| false, Duration::from_millis(20)));
    assert!(simulator.wait_for(|_| true, Duration::ZERO));
}

#[test]
fn a_request_from_before_a_reset_does_not_come_back() {
    let simulator = simulator(&json!({ "turns": [{ "text": "a", "fault": { "kind": "silent" } }] }));
    let mut before = Client::connect(&simulator);
    before.ask(&streaming());
    eventually(&simulator, |report| report.requests.len() == 1);
    simulator.reset();
    let mut after = Client::connect(&simulator);
    after.ask(&streaming());
    eventually(&simulator, |report| report.requests.len() == 1 && report.requests[0].sequence == 1);
    drop(before);
    let report = eventually(&simulator, |report| report.connections.open == 1);
    assert_eq!(report.requests[0].outcome, Outcome::Running);
}

/// Disconnects in the middle of an answer, once `frames` have been written, and checks that the simulator notices it.
fn disconnect(script: &Value, frames: u64, disconnect: impl FnOnce(Client)) {
    let simulator = simulator(script);
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    eventually(&simulator, |report| {
        report.requests.front().is_some_and(|request| request.frames_written >= frames)
    });
    let left = monotonic_ns();
    disconnect(client);
    let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Disconnected);
    let seen = report.requests[0].disconnected_ns.unwrap();
    assert!(left <= seen);
    assert_eq!(report.requests[0].finished_ns, Some(seen));
    eventually(&simulator, |report| report.connections.open == 0);
}

#[test]
fn a_disconnect_is_noticed_during_a_paced_stream() {
    // The next token is due in an hour: only a read can notice the disconnect.
    let pacing = json!({ "mode": "burst", "size": 2, "interval_ms": 3_600_000 });
    disconnect(&json!({ "pacing": pacing }), 3, drop);
    disconnect(&json!({ "pacing": pacing, "comment_every_ms": 3_600_000 }), 3, drop);
}

#[test]
fn a_disconnect_is_noticed_during_a_stall() {
    disconnect(&json!({ "turns": [{ "text": "a b", "fault": { "kind": "stall", "after": 1 } }] }), 2, drop);
}

#[test]
fn a_disconnect_is_noticed_before_a_delayed_document() {
    let simulator = simulator(&json!({ "pacing": { "mode": "steady", "interval_ms": 3_600_000 } }));
    let mut client = Client::connect(&simulator);
    client.ask(&plain());
    eventually(&simulator, |report| report.requests.len() == 1);
    drop(client);
    eventually(&simulator, |report| report.requests[0].outcome == Outcome::Disconnected);
}

#[test]
fn a_disconnect_is_noticed_during_a_blocked_write() {
    // Far more than the socket buffers hold, and the client does not read.
    let script = json!({ "turns": [{ "text": "word", "repeat": 100_000 }] });
    disconnect(&script, 1, drop);
    disconnect(&script, 1, |client| {
        client.shutdown(Shutdown::Write);
        // Kept open: the FIN must be noticed, not a reset.
        std::mem::forget(client);
    });
}

#[test]
fn a_slow_reader_blocks_the_writer() {
    let simulator = simulator(&json!({ "turns": [{ "text": "word", "repeat": 100_000 }] }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    let report = eventually(&simulator, |report| {
        report.requests.front().is_some_and(|request| request.bytes_written > 0)
    });
    assert_eq!(report.requests[0].outcome, Outcome::Running);
    let answer = client.answer();
    assert_eq!(answer.stream().text().len(), 4 * 100_000);
    let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Complete);
    assert_eq!(report.requests[0].frames_written, 100_003);
}
