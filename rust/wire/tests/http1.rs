//! HTTP/1.1 responses, in whatever pieces they come.

use headrace_wire::http1::{Http1Error, ResponseReader, Step};
use proptest::prelude::*;

/// What a reader made of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    status: Option<u16>,
    body: Vec<u8>,
    /// The bytes after the response.
    rest: usize,
    error: Option<Http1Error>,
    reusable: bool,
    begun: bool,
}

/// Reads a connection that carries these pieces and is then closed.
fn read(pieces: &[&[u8]]) -> Outcome {
    let mut reader = ResponseReader::new();
    let mut outcome =
        Outcome { status: None, body: Vec::new(), rest: 0, error: None, reusable: false, begun: false };
    'pieces: for piece in pieces {
        let mut input = *piece;
        loop {
            match reader.step(&mut input) {
                Ok(Step::More) => break,
                Ok(Step::Head(head)) => outcome.status = Some(head.status),
                Ok(Step::Body(bytes)) => {
                    assert!(!bytes.is_empty());
                    outcome.body.extend_from_slice(bytes);
                }
                Ok(Step::End) => {
                    outcome.rest += input.len();
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    break 'pieces;
                }
            }
        }
    }
    outcome.reusable = reader.is_reusable();
    outcome.begun = reader.has_begun();
    if outcome.error.is_none() {
        outcome.error = reader.finish().err();
    }
    outcome
}

/// Whole, cut in two everywhere, and byte by byte: always the same.
fn read_every_way(bytes: &[u8]) -> Outcome {
    let whole = read(&[bytes]);
    for at in 0..=bytes.len() {
        assert_eq!(
            read(&[&bytes[..at], &bytes[at..]]),
            whole,
            "cut at {at} of {:?}",
            bytes.escape_ascii().to_string()
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), whole, "byte by byte: {:?}", bytes.escape_ascii().to_string());
    whole
}

fn ok(bytes: &str, body: &str, reusable: bool) {
    let outcome = read_every_way(bytes.as_bytes());
    let expected =
        Outcome { status: Some(200), body: body.into(), rest: 0, error: None, reusable, begun: true };
    assert_eq!(outcome, expected, "{bytes:?}");
}

fn fails(bytes: &str, body: &str, error: Http1Error) {
    let outcome = read_every_way(bytes.as_bytes());
    assert_eq!(outcome.error, Some(error), "{bytes:?}");
    assert_eq!(String::from_utf8_lossy(&outcome.body), body, "{bytes:?}");
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_has_the_length_that_the_head_says() {
    ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true);
    ok("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\nContent-Length: 5\r\n\r\nhello", "hello", true);
    ok("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true);
    ok("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "x", true);
    ok("HTTP/1.1 200 OK\nContent-Length: 1\n\nx", "x", true);
    fails("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "hello", Http1Error::Cut);
}

#[test]
fn wrong_lengths_are_errors() {
    for value in [
        "",
        "-1",
        "+5",
        "5, 6",
        "0x5",
        "5 5",
        "\u{a0}5",
        "5\u{2003}",
        "99999999999999999999",
        "18446744073709551615",
    ] {
        fails(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\nhello"),
            "",
            Http1Error::ContentLength,
        );
    }
}

#[test]
fn some_statuses_have_no_body() {
    for status in [204, 304] {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        let outcome = read_every_way(head.as_bytes());
        assert_eq!((outcome.status, outcome.error, outcome.reusable), (Some(status), None, true));
    }
}

#[test]
fn a_body_of_no_known_length_lasts_until_the_connection_is_closed() {
    ok("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false);
    ok("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", "hello", false);
    ok("HTTP/1.1 200 OK\r\nTransfer-Encoding: é, chunked\r\n\r\nhello", "hello", false);
    ok(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\nContent-Length: 2\r\n\r\nhello",
        "hello",
        false,
    );
}

#[test]
fn chunks_are_joined() {
    let body = "5\r\nhello\r\n1;name=value\r\n \r\n00006  \t;x=\"y\"\r\nworld!\r\n0\r\n\r\n";
    ok(&format!("{CHUNKED}{body}"), "hello world!", true);
    ok(&format!("{CHUNKED}A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", true);
    ok(&format!("{CHUNKED}0\r\nExpires: never\r\nX: y\r\n\r\n"), "", true);
    ok(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\ntransfer-encoding: x, Chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
        "",
        true,
    );
}

#[test]
fn wrong_chunks_are_errors_after_what_came_before() {
    let cases = [
        ("5\r\nhello\r\n\r\n", "hello", Http1Error::ChunkSize),
        ("5\r\nhello\r\nx\r\n", "hello", Http1Error::ChunkSize),
        ("5\nhello", "", Http1Error::ChunkSize),
        ("5 5\r\nhello", "", Http1Error::ChunkSize),
        ("5;a\nb\r\nhello", "", Http1Error::ChunkSize),
        ("5\rhello", "", Http1Error::ChunkSize),
        ("10000000000000000\r\n", "", Http1Error::ChunkSize),
        ("5\r\nhello!\r\n", "hello", Http1Error::ChunkEnd),
        ("5\r\nhello\rx", "hello", Http1Error::ChunkEnd),
        ("0\r\nX: y\rz", "", Http1Error::Trailers),
        ("0\r\nno header\r\n\r\n", "", Http1Error::Trailers),
        ("0\r\n: no name\r\n\r\n", "", Http1Error::Trailers),
        ("0\r\nA: b\nC: d\r\n\r\n", "", Http1Error::Trailers),
        ("0\r\n\rx", "", Http1Error::Trailers),
        ("5\r\nhel", "hel", Http1Error::Cut),
        ("5\r\nhello", "hello", Http1Error::Cut),
        ("5\r\nhello\r\n", "hello", Http1Error::Cut),
        ("0\r\n", "", Http1Error::Cut),
    ];
    for (body, read, error) in cases {
        fails(&format!("{CHUNKED}{body}"), read, error);
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let long = "x".repeat(20_000);
    for body in [format!("1;{long}\r\na\r\n0\r\n\r\n"), format!("0\r\nX: {long}\r\n\r\n")] {
        let outcome = read(&[CHUNKED.as_bytes(), body.as_bytes()]);
        assert_eq!(outcome.error, Some(Http1Error::ExtrasTooLarge(16 * 1024)));
    }
}

#[test]
fn informational_responses_are_passed_over() {
    ok(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "x",
        true,
    );
    fails("HTTP/1.1 101 Switching Protocols\r\n\r\n", "", Http1Error::Upgrade);
}

#[test]
fn http_10_closes_the_connection_unless_it_says_otherwise() {
    ok("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", false);
    ok("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", "x", true);
    ok("HTTP/1.0 200 OK\r\n\r\nxyz", "xyz", false);
    fails("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", Http1Error::TransferEncoding);
}

#[test]
fn connection_close_ends_the_connection() {
    ok("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx", "x", false);
    ok(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        "x",
        false,
    );
}

#[test]
fn bytes_after_the_end_are_left() {
    let outcome = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n"]);
    assert_eq!((outcome.body.as_slice(), outcome.rest, outcome.error), (b"x".as_slice(), 17, None));
}

#[test]
fn whatever_a_server_says_is_a_beginning() {
    for said in
        ["H", "\r\n", "\n", "SSH-2.0\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n"]
    {
        assert!(read_every_way(said.as_bytes()).begun, "{said:?}");
    }
}

#[test]
fn empty_lines_before_a_head_are_passed_over() {
    ok("\r\n\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", true);
    fails(
        "\r\rHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "",
        Http1Error::Head("a line break is invalid"),
    );
    // More than a head may have: they are no part of it.
    let lines = "\r\n".repeat(500_000);
    let mut pieces: Vec<&[u8]> = lines.as_bytes().chunks(1).collect();
    pieces.push(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(read(&pieces).status, Some(204));
}

#[test]
fn what_is_not_http_is_said_to_be_something_else() {
    for bytes in [
        "SSH-2.0-OpenSSH_9\r\n",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}F",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
    ] {
        assert!(matches!(read_every_way(bytes.as_bytes()).error, Some(Http1Error::Head(_))), "{bytes:?}");
    }
    for header in ["A B: c", ": c", "A: \0", "A"] {
        let outcome = read_every_way(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n").as_bytes());
        assert!(matches!(outcome.error, Some(Http1Error::Head(_))), "{header:?}");
    }
}

#[test]
fn a_connection_that_closes_early_left_no_answer() {
    for bytes in ["", "HTTP", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"] {
        fails(bytes, "", Http1Error::NoHead);
    }
    assert!(!read(&[b""]).begun);
}

#[test]
fn heads_are_bounded() {
    let many = "A: b\r\n".repeat(101);
    fails(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "", Http1Error::TooManyHeaders(100));
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(300_000));
    for pieces in [vec![long.as_bytes()], long.as_bytes().chunks(50_000).collect()] {
        assert_eq!(read(&pieces).error, Some(Http1Error::HeadTooLarge(256 * 1024)));
    }
}

#[test]
fn a_tunnel_has_no_body() {
    let mut reader = ResponseReader::of_connect();
    let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03";
    let Step::Head(head) = reader.step(&mut bytes).unwrap() else { panic!("no head") };
    assert_eq!(head.status, 200);
    assert_eq!((reader.step(&mut bytes), bytes), (Ok(Step::End), b"\x16\x03".as_slice()));
}

proptest! {
    #[test]
    fn how_a_response_is_cut_makes_no_difference(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut bytes = CHUNKED.as_bytes().to_vec();
        for chunk in &chunks {
            bytes.extend(format!("{:x};e\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
        }
        bytes.extend(b"0\r\nT: v\r\n\r\n");
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        } else {
            prop_assert_eq!(&read(&[&bytes]).body, &chunks.concat());
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }
}
