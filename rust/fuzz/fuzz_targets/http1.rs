//! Reads any bytes as an HTTP/1.1 response, in pieces: ours and hyper come to the same, and how it is cut makes no difference.
#![no_main]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use headrace_wire::http1::{Http1Error, ResponseReader, Step};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use libfuzzer_sys::fuzz_target;

/// What a reader made of a response: its status, its body, and whether that is whole.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    status: Option<u16>,
    body: Vec<u8>,
    whole: bool,
}

fuzz_target!(|input: &[u8]| {
    let Some((seed, bytes)) = input.split_first() else { return };
    let pieces = cut(*seed, bytes);
    let cut = ours(&pieces);
    assert_eq!(cut, ours(&[bytes]), "cut");
    // Nobody asked for an upgrade, and hyper hands it over.
    if cut.error != Some(Http1Error::Upgrade) {
        assert_eq!(cut.outcome, hypers(&pieces), "{:?} of {}", cut.error, bytes.escape_ascii());
    }
});

/// Pieces of 1 to 32 bytes, or all in one. Their lengths follow from the seed.
fn cut(seed: u8, bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = u32::from(seed);
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while seed != 0 && !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 27) as usize).min(rest.len());
        let (piece, other) = rest.split_at(length);
        pieces.push(piece);
        rest = other;
    }
    pieces.extend((!rest.is_empty()).then_some(rest));
    pieces
}

/// What ours made of it, and what it says of the connection.
#[derive(Debug, PartialEq, Eq)]
struct Ours {
    outcome: Outcome,
    error: Option<Http1Error>,
    reusable: bool,
}

fn ours(pieces: &[&[u8]]) -> Ours {
    let mut reader = ResponseReader::new();
    let (outcome, error) = read(&mut reader, pieces);
    assert_eq!(reader.has_begun(), !pieces.concat().is_empty());
    Ours { outcome, error, reusable: reader.is_reusable() }
}

fn read(reader: &mut ResponseReader, pieces: &[&[u8]]) -> (Outcome, Option<Http1Error>) {
    let mut outcome = Outcome::default();
    for mut piece in pieces.iter().copied() {
        loop {
            match reader.step(&mut piece) {
                Ok(Step::More) => break,
                Ok(Step::Head(head)) => outcome.status = Some(head.status),
                Ok(Step::Body(bytes)) => outcome.body.extend_from_slice(bytes),
                Ok(Step::End) => {
                    outcome.whole = true;
                    return (outcome, None);
                }
                Err(error) => return (outcome, Some(error)),
            }
        }
    }
    let error = reader.finish().err();
    outcome.whole = error.is_none();
    (outcome, error)
}

/// A connection that carries these pieces and is then closed.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    /// An answer that comes before the question would be one to nobody's.
    is_asked: bool,
}

impl Read for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_asked {
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Pieces {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn hypers(pieces: &[&[u8]]) -> Outcome {
    let io = Pieces { pieces: pieces.iter().map(|piece| piece.to_vec()).collect(), is_asked: false };
    let mut context = Context::from_waker(Waker::noop());
    let mut exchange = pin!(async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let request = hyper::Request::post("/").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
        let answer = async {
            let mut outcome = Outcome::default();
            let Ok(response) = sender.send_request(request).await else { return outcome };
            outcome.status = Some(response.status().as_u16());
            let mut body: Incoming = response.into_body();
            loop {
                match body.frame().await {
                    None => break outcome.whole = true,
                    Some(Ok(frame)) => {
                        outcome.body.extend_from_slice(frame.data_ref().map_or(&[], |data| data))
                    }
                    Some(Err(_)) => break,
                }
            }
            outcome
        };
        let mut answer = pin!(answer);
        let mut connection = pin!(connection);
        let mut is_connected = true;
        std::future::poll_fn(|context| {
            // Both wake each other. Neither waits for anything else, so a few turns are enough.
            for _ in 0..100_000 {
                if let Poll::Ready(outcome) = answer.as_mut().poll(context) {
                    return Poll::Ready(outcome);
                }
                if is_connected {
                    is_connected = connection.as_mut().poll(context).is_pending();
                }
            }
            panic!("hyper waits for something");
        })
        .await
    });
    match exchange.as_mut().poll(&mut context) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("hyper waits for something"),
    }
}
