//! Faults, as a raw client sees them.

use headrace_simulator::{Outcome, Simulator};
use headrace_wire::{DeltaKind, Ending};
use serde_json::{Value, json};

use crate::client::{Answer, Client, End, Stream, eventually, plain, simulator, streaming};

/// A simulator that answers six words with this fault.
fn faulty(fault: &Value) -> Simulator {
    simulator(&json!({ "turns": [{ "text": "one two three four five six", "fault": fault }] }))
}

/// The answers to a request for a stream and to one for a document, and their outcomes.
fn answers(fault: &Value) -> [(Answer, Outcome); 2] {
    let simulator = faulty(fault);
    [streaming(), plain()].map(|request| {
        simulator.reset();
        let answer = Client::connect(&simulator).exchange(&request);
        let report = eventually(&simulator, |report| report.requests[0].outcome != Outcome::Running);
        (answer, report.requests[0].outcome)
    })
}

/// The answer to a request for a stream.
fn streamed(fault: &Value) -> Answer {
    let [(answer, outcome), _] = answers(fault);
    assert_eq!(outcome, Outcome::Fault);
    answer
}

fn texts(stream: &Stream) -> usize {
    stream.deltas.iter().filter(|delta| matches!(delta.kind, DeltaKind::Text(_))).count()
}

#[test]
fn a_status_comes_with_its_body_and_headers() {
    let fault = json!({
        "kind": "status", "status": 429, "headers": { "Retry-After": "2" }, "body": { "error": "slow" },
    });
    for (answer, outcome) in answers(&fault) {
        assert_eq!((answer.status, answer.end, outcome), (429, End::Proper, Outcome::Fault));
        assert_eq!(answer.headers["retry-after"], "2");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.json(), json!({ "error": "slow" }));
    }
    let text = streamed(&json!({ "kind": "status", "status": 502, "body": "bad gateway" }));
    assert_eq!((text.status, text.text()), (502, "bad gateway"));
    assert!(text.headers["content-type"].starts_with("text/plain"));
    let default = streamed(&json!({ "kind": "status" }));
    assert_eq!((default.status, default.json()["error"]["type"].as_str()), (500, Some("server_error")));
    let empty = streamed(&json!({ "kind": "status", "status": 204 }));
    assert!(!empty.headers.contains_key("content-length"));
}

#[test]
fn a_status_may_happen_a_number_of_times() {
    let simulator = faulty(&json!({ "kind": "status", "status": 503, "times": 2 }));
    let mut client = Client::connect(&simulator);
    let mut statuses =
        |count: usize| -> Vec<u16> { (0..count).map(|_| client.exchange(&plain()).status).collect() };
    assert_eq!(statuses(4), [503, 503, 200, 200]);
    let report = eventually(&simulator, |report| report.requests.len() == 4);
    assert_eq!(report.requests[1].outcome, Outcome::Fault);
    eventually(&simulator, |report| report.requests[3].outcome == Outcome::Complete);
    simulator.reset();
    assert_eq!(statuses(3), [503, 503, 200]);
}

#[test]
fn a_stall_lasts_until_the_client_disconnects() {
    let simulator = faulty(&json!({ "kind": "stall", "after": 2 }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    client.head();
    let body: Vec<u8> = (0..3).flat_map(|_| client.chunk().unwrap().unwrap()).collect();
    assert_eq!(Stream::decode(&body).text(), "one two");
    let report = eventually(&simulator, |report| report.requests[0].frames_written == 3);
    assert_eq!(report.requests[0].outcome, Outcome::Running);
    drop(client);
    eventually(&simulator, |report| report.requests[0].outcome == Outcome::Disconnected);
}

#[test]
fn comments_continue_during_a_stall() {
    let script = json!({ "comment_every_ms": 1, "turns": [{ "text": "a", "fault": { "kind": "stall" } }] });
    let simulator = simulator(&script);
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    client.take_until(b": ping\n\n\r\n").unwrap();
    client.take_until(b": ping\n\n\r\n").unwrap();
}

#[test]
fn a_document_stalls_halfway() {
    let simulator = faulty(&json!({ "kind": "stall" }));
    let mut client = Client::connect(&simulator);
    client.ask(&plain());
    let length: usize = client.head().headers["content-length"].parse().unwrap();
    client.fill(length / 2).unwrap();
    let report = eventually(&simulator, |report| report.requests[0].bytes_written == (length / 2) as u64);
    assert_eq!(report.requests[0].outcome, Outcome::Running);
}

#[test]
fn a_reset_comes_in_the_middle_of_a_frame() {
    let answer = streamed(&json!({ "kind": "reset", "after": 2 }));
    assert_eq!(answer.end, End::Reset);
    let half = answer.text().rsplit("\n\n").next().unwrap();
    assert!(half.starts_with("data: {"), "{half}");
    assert_eq!(answer.stream().text(), "one two");
    assert_eq!(answer.stream().ending, Ending::Truncated);
}

#[test]
fn a_reset_may_come_between_frames_and_after_all_of_them() {
    let between = streamed(&json!({ "kind": "reset", "after": 2, "in_frame": false }));
    assert_eq!((between.end, between.stream().text()), (End::Reset, "one two"));
    assert!(between.text().ends_with("\n\n"));
    let late = streamed(&json!({ "kind": "reset", "after": 99 }));
    assert_eq!((late.end, late.stream().text()), (End::Reset, "one two three four five six"));
    assert!(late.text().ends_with("data: ["));
}

#[test]
fn an_end_is_proper_http_without_the_end_marker() {
    let answer = streamed(&json!({ "kind": "end", "after": 3 }));
    assert_eq!(answer.end, End::Proper);
    let stream = answer.stream();
    assert_eq!((stream.text(), stream.ending), ("one two three", Ending::Truncated));
    assert!(stream.response.first().unwrap().finish.is_none());
}

#[test]
fn a_close_leaves_the_body_unfinished() {
    let answer = streamed(&json!({ "kind": "close", "after": 3 }));
    assert_eq!((answer.end, answer.stream().text()), (End::Closed, "one two three"));
}

#[test]
fn documents_break_off_halfway() {
    for (kind, end) in [("reset", End::Reset), ("close", End::Closed), ("end", End::Closed)] {
        let [_, (answer, outcome)] = answers(&json!({ "kind": kind }));
        assert_eq!((answer.end, outcome), (end, Outcome::Fault), "{kind}");
        let length: usize = answer.headers["content-length"].parse().unwrap();
        assert_eq!(answer.body.len(), length / 2);
    }
}

#[test]
fn no_done_is_everything_but_done() {
    let [(stream, _), (document, _)] = answers(&json!({ "kind": "no_done" }));
    assert!(!stream.text().contains("[DONE]"));
    assert_eq!(stream.stream().response.first().unwrap().finish.as_ref().unwrap().raw, "stop");
    assert_eq!(document.json()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_malformed_event_is_between_valid_ones() {
    let [(stream, _), (document, _)] = answers(&json!({ "kind": "malformed", "after": 2 }));
    assert_eq!(stream.end, End::Proper);
    let data: Vec<&str> =
        stream.text().split_terminator("\n\n").map(|event| &event["data: ".len()..]).collect();
    let broken: Vec<usize> =
        (0..data.len() - 1).filter(|at| serde_json::from_str::<Value>(data[*at]).is_err()).collect();
    assert_eq!(broken, [3]);
    assert_eq!(data.last(), Some(&"[DONE]"));
    assert_eq!(document.end, End::Proper);
    assert!(serde_json::from_slice::<Value>(&document.body).is_err());
}

#[test]
fn an_error_ends_the_stream() {
    let error = json!({ "message": "overloaded", "type": "server_error", "code": 529 });
    let [(stream, _), (document, _)] = answers(&json!({ "kind": "error", "after": 2, "error": error }));
    assert_eq!((stream.status, stream.end), (200, End::Proper));
    let decoded = stream.stream();
    let message = &decoded.response.error.as_ref().unwrap().message;
    assert_eq!((decoded.text(), message.as_str()), ("one two", "overloaded"));
    assert_eq!(document.json(), json!({ "error": error }));
    assert!(!stream.text().contains("[DONE]"));
}

#[test]
fn a_huge_event_has_the_given_size() {
    let bytes = 1_000_000;
    let [(stream, _), (document, _)] = answers(&json!({ "kind": "huge", "after": 1, "bytes": bytes }));
    let longest = stream.text().split("\n\n").map(str::len).max();
    assert_eq!(longest, Some("data: ".len() + bytes));
    let decoded = stream.stream();
    assert_eq!((texts(&decoded), decoded.ending), (7, Ending::Complete));
    assert_eq!(document.body.len(), bytes);
}

#[test]
fn html_is_a_web_page() {
    for (answer, _) in answers(&json!({ "kind": "html" })) {
        assert_eq!(
            (answer.status, answer.headers["content-type"].as_str()),
            (200, "text/html; charset=utf-8")
        );
        assert!(answer.text().starts_with("<!doctype html>"));
    }
}

#[test]
fn raw_is_byte_for_byte() {
    let text = streamed(&json!({ "kind": "raw", "body": "data: x\n\n", "chunk_bytes": 4 }));
    assert_eq!((text.text(), text.chunks.as_slice()), ("data: x\n\n", &[4, 4, 1][..]));
    assert_eq!((text.status, text.headers["content-type"].as_str()), (200, "text/event-stream"));
    let bytes =
        streamed(&json!({ "kind": "raw", "body_base64": "/wD+", "content_type": "x/y", "status": 418 }));
    assert_eq!((bytes.body.as_slice(), bytes.status, bytes.end), (&[0xFF, 0, 0xFE][..], 418, End::Proper));
    assert_eq!(bytes.headers["content-type"], "x/y");
    assert!(streamed(&json!({ "kind": "raw" })).body.is_empty());
}

#[test]
fn a_cut_stream_has_the_same_bytes() {
    let whole = streamed(&json!({ "kind": "slow_headers", "ms": 0 }));
    let cut = streamed(&json!({ "kind": "cut", "sizes": [1, 30, 7], "interval_ms": 0 }));
    assert_eq!(cut.body, whole.body);
    assert_eq!(cut.chunks[..4], [1, 30, 7, 1]);
}

#[test]
fn each_cut_is_a_separate_write() {
    // The second write is due in an hour.
    let simulator = faulty(&json!({ "kind": "cut", "sizes": [3], "interval_ms": 3_600_000 }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    client.head();
    assert_eq!(client.chunk(), Ok(Some(b"dat".to_vec())));
    let report = eventually(&simulator, |report| report.requests[0].bytes_written > 0);
    assert_eq!(report.requests[0].bytes_written, b"3\r\ndat\r\n".len() as u64);
}

#[test]
fn a_redirect_keeps_the_method() {
    let answer = streamed(&json!({ "kind": "redirect", "location": "http://127.0.0.1:1/v1" }));
    assert_eq!((answer.status, answer.headers["location"].as_str()), (307, "http://127.0.0.1:1/v1"));
    assert_eq!(streamed(&json!({ "kind": "redirect", "location": "/", "status": 302 })).status, 302);
}

#[test]
fn a_silent_request_is_never_answered() {
    let simulator = faulty(&json!({ "kind": "silent" }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    let report =
        eventually(&simulator, |report| report.requests.len() == 1 && report.requests[0].turn == Some(0));
    assert_eq!((report.requests[0].status, report.requests[0].bytes_written), (None, 0));
    drop(client);
    eventually(&simulator, |report| report.requests[0].outcome == Outcome::Disconnected);
}

#[test]
fn slow_headers_delay_everything() {
    let simulator = faulty(&json!({ "kind": "slow_headers", "ms": 60 }));
    for request in [streaming(), plain()] {
        simulator.reset();
        let answer = Client::connect(&simulator).exchange(&request);
        assert_eq!((answer.status, answer.end), (200, End::Proper));
        let report = eventually(&simulator, |report| report.requests[0].outcome == Outcome::Fault);
        let request = &report.requests[0];
        assert!(request.first_byte_ns.unwrap() - request.received_ns >= 60_000_000);
    }
}
