//! Reading of HTTP requests.

use serde_json::json;

use crate::client::{Client, End, eventually, plain, simulator, streaming};

#[test]
fn a_connection_serves_one_request_after_another() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    for _ in 0..3 {
        assert_eq!(client.exchange(&streaming()).end, End::Proper);
        assert_eq!(client.exchange(&plain()).end, End::Proper);
    }
    let report = eventually(&simulator, |report| report.requests.len() == 6);
    assert_eq!(report.connections.accepted, 1);
    assert!(report.requests.iter().all(|request| request.connection == 0));
}

#[test]
fn connection_close_is_honoured() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    let body = streaming().to_string();
    let length = body.len();
    client.write(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    let answer = client.answer();
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(answer.stream().text(), "Hello from the simulator.");
    assert_eq!(client.fill(1), Err(End::Closed));
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    let body = plain().to_string();
    let request = format!("POST /chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for byte in request.bytes() {
        client.write([byte]);
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let simulator = simulator(&json!({ "pacing": { "mode": "steady", "interval_ms": 1 } }));
    let mut client = Client::connect(&simulator);
    client.ask(&streaming());
    client.ask(&plain());
    assert_eq!(client.answer().stream().text(), "Hello from the simulator.");
    assert_eq!(client.answer().json()["object"], "chat.completion");
}

#[test]
fn a_chunked_request_is_read() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    let body = plain().to_string();
    let (one, two) = body.split_at(7);
    client.write("POST /chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write(format!("7\r\n{one}\r\n{:X};ext=1\r\n{two}\r\n0\r\nx-trailer: y\r\n\r\n", two.len()));
    assert_eq!(client.answer().status, 200);
    // The end of the body was found, so the next request can be read.
    assert_eq!(client.exchange(&plain()).status, 200);
    let report = eventually(&simulator, |report| report.requests.len() == 2);
    assert_eq!(*report.requests[0].body, plain());
}

#[test]
fn expect_100_continue_is_answered() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    let body = plain().to_string();
    let length = body.len();
    client.write(format!(
        "POST /chat/completions HTTP/1.1\r\nExpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
    ));
    assert_eq!(client.head().status, 100);
    client.write(body);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_malformed_request_is_refused_and_the_connection_closed() {
    let simulator = simulator(&json!({}));
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000));
    let cases = [
        ("HELLO\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\ncontent-length: 67108865\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnope\r\n", 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4000001\r\n", 413),
        (&long, 431),
    ];
    for (request, status) in cases {
        let mut client = Client::connect(&simulator);
        client.write(request);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{request:.80}");
        assert!(!answer.error().is_empty());
        assert_eq!(client.fill(1), Err(End::Closed));
    }
    assert_eq!(simulator.report().requests_seen, 0);
}

#[test]
fn stopping_closes_the_port_and_every_connection() {
    let simulator =
        simulator(&json!({ "turns": [{ "text": "a b c", "fault": { "kind": "stall", "after": 1 } }] }));
    let port = simulator.port();
    let mut streaming_client = Client::connect(&simulator);
    streaming_client.ask(&streaming());
    streaming_client.head();
    let mut idle_client = Client::connect(&simulator);
    eventually(&simulator, |report| report.connections.open == 2);
    simulator.stop();
    assert!(matches!(idle_client.fill(1), Err(End::Closed | End::Reset)));
    assert!(streaming_client.fill(usize::MAX).is_err());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_simulator_can_be_dropped_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let first = simulator(&json!({}));
        let options = headrace_simulator::Options { port: first.port(), ..Default::default() };
        let taken = headrace_simulator::Simulator::start_with(headrace_simulator::Script::default(), options);
        assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
    });
}
