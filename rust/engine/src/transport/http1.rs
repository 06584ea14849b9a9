//! One request and its response over HTTP/1.1. The task of the stream does the reading and the writing itself.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use headrace_wire::http1::{Head, Http1Error, ResponseReader, Step};
use tokio::io::AsyncWrite;

use super::TransportError;
use super::buffer;
use super::error::Fate;
use super::io::Io;
use super::stamp::Stamp;
use crate::end::FailureKind;

/// A request under way, and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    io: Io,
    reader: ResponseReader,
    /// The parts of the request that have not been sent: its head and its body.
    unsent: [Bytes; 2],
    is_flushed: bool,
    /// Why sending stopped. The server may have said more about it.
    send_error: Option<io::Error>,
    /// What came with the head of the body, perhaps nothing: a body may have ended with its head.
    early: Option<(Vec<u8>, Stamp)>,
    /// The server sent more than its response.
    has_surplus: bool,
}

impl Exchange {
    pub(super) fn new(io: Io, head: Vec<u8>, body: Bytes) -> Self {
        Self {
            io,
            reader: ResponseReader::new(),
            unsent: [head.into(), body],
            is_flushed: false,
            send_error: None,
            early: None,
            has_surplus: false,
        }
    }

    /// Sends the request and reads the head of the response, which may come before all is sent.
    pub(super) async fn head(&mut self) -> Result<Head, TransportError> {
        let head = poll_fn(|context| self.poll_head(context)).await;
        head.map_err(|error| error.with_fate(self.fate()))
    }

    const fn fate(&self) -> Fate {
        if self.reader.has_begun() { Fate::Final } else { Fate::Silent }
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, TransportError>> {
        loop {
            self.poll_send(context);
            let Self { reader, early, .. } = self;
            let read = buffer::poll_read(&mut self.io, context, |mut bytes, stamp| {
                if bytes.is_empty() {
                    return Err(reader.finish().err().unwrap_or(Http1Error::NoHead));
                }
                match reader.step(&mut bytes)? {
                    Step::Head(head) => {
                        *early = Some((bytes.to_vec(), stamp));
                        Ok(Some(head))
                    }
                    _ => Ok(None),
                }
            });
            match ready!(read) {
                Ok(Ok(Some(head))) => return Poll::Ready(Ok(head)),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return Poll::Ready(Err(self.unreadable(error))),
                Err(error) => return Poll::Ready(Err(TransportError::broken(&error))),
            }
        }
    }

    /// Sends what can be sent now.
    fn poll_send(&mut self, context: &mut Context<'_>) {
        if self.is_flushed {
            return;
        }
        match self.send(context) {
            Poll::Pending => {}
            Poll::Ready(sent) => {
                self.is_flushed = true;
                self.unsent = [Bytes::new(), Bytes::new()];
                self.send_error = sent.err();
            }
        }
    }

    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let [head, body] = &mut self.unsent
            && (head.has_remaining() || body.has_remaining())
        {
            let slices = [io::IoSlice::new(head), io::IoSlice::new(body)];
            let slices = if head.is_empty() { &slices[1..] } else { &slices[..] };
            let sent = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = sent.min(head.len());
            head.advance(of_head);
            body.advance(sent - of_head);
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    /// Reads once and hands over what that brought of the body. True once the response has ended.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: &mut dyn FnMut(&[u8], Stamp),
    ) -> Poll<Result<bool, TransportError>> {
        self.poll_send(context);
        let Self { reader, has_surplus, .. } = self;
        let read = if let Some((bytes, stamp)) = self.early.take() {
            Ok(read_body(reader, has_surplus, &bytes, stamp, each))
        } else {
            ready!(buffer::poll_read(&mut self.io, context, |bytes, stamp| match bytes {
                [] => reader.finish().map(|()| true),
                bytes => read_body(reader, has_surplus, bytes, stamp, each),
            }))
        };
        Poll::Ready(match read {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(error)) => Err(self.unreadable(error)),
            Err(error) => Err(TransportError::broken(&error)),
        })
    }

    fn unreadable(&mut self, error: Http1Error) -> TransportError {
        match self.send_error.take() {
            Some(sending) if error == Http1Error::NoHead => TransportError::broken(&sending),
            _ => TransportError::new(FailureKind::Broken, error.to_string()),
        }
    }

    /// The connection, if it can carry another request.
    pub(super) fn into_reusable(self) -> Option<Io> {
        let is_sent = self.is_flushed && self.send_error.is_none();
        (is_sent && self.reader.is_reusable() && !self.has_surplus).then_some(self.io)
    }
}

/// Hands over the bytes of the body. True once the response has ended.
fn read_body(
    reader: &mut ResponseReader,
    has_surplus: &mut bool,
    mut bytes: &[u8],
    stamp: Stamp,
    each: &mut dyn FnMut(&[u8], Stamp),
) -> Result<bool, Http1Error> {
    loop {
        match reader.step(&mut bytes)? {
            Step::Body(body) => each(body, stamp),
            Step::More => return Ok(false),
            Step::Head(_) | Step::End => {
                *has_surplus = !bytes.is_empty();
                return Ok(true);
            }
        }
    }
}
