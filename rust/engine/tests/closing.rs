//! What a reader gets of a stream that it has closed: nothing.

use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use headrace_engine::{End, Readiness, Request, Stream};
use headrace_wire::Dialect;

const TOKEN: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"token\"}}]}\n\n";

/// A stream that was closed while there was something to take. The pump may push as much after the close, because it can
/// be stopped only where it waits.
#[expect(clippy::expect_used, reason = "a test")]
fn closed_with_a_token() -> Stream {
    let (source, mut stream) = Stream::fed(Request::fed("a test", Dialect::OpenAiChat)).expect("an engine");
    assert!(source.feed(Bytes::from_static(TOKEN)));
    while stream.wait(Duration::from_secs(60)) != Readiness::Ready {}
    stream.closer().close();
    stream
}

#[test]
fn a_closed_stream_has_ended_for_whoever_looks() {
    assert_eq!(closed_with_a_token().readiness(), Readiness::Ended);
}

#[test]
fn a_closed_stream_has_ended_for_a_thread_that_waits() {
    assert_eq!(closed_with_a_token().wait(Duration::from_secs(60)), Readiness::Ended);
}

#[test]
fn a_closed_stream_has_ended_for_a_task_that_waits() {
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(closed_with_a_token().poll(&mut context), Readiness::Ended);
}

#[test]
fn nothing_can_be_taken_of_a_closed_stream() {
    let mut stream = closed_with_a_token();
    let mut taken = 0;
    stream.take(|_| taken += 1);
    assert_eq!(taken, 0);
    assert_eq!(stream.end(), Some(&End::Cancelled));
}
