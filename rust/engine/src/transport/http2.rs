//! HTTP/2: connections that carry many streams. Each has a task that reads and writes for all of them.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use headrace_wire::http1::{Head, Headers};
use tokio::time::{sleep, timeout};

use super::TransportError;
use super::error::{Fate, chain};
use super::io::Io;
use super::pool::Route;
use super::request::Outgoing;
use super::socket::LastStamp;
use super::stamp::Stamp;
use crate::clock::now_ns;
use crate::end::FailureKind;

/// What a stream may have received that nobody has read. A reader that is behind holds up no more than that.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together: no limit, so that readers that are behind cannot starve others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

const MAX_HEADER_BYTES: u32 = 256 * 1024;

/// How many DATA frames are handed over at once.
const FRAMES_AT_ONCE: usize = 32;

/// A connection that carries many streams.
#[derive(Debug)]
pub(super) struct Http2Connection {
    sender: SendRequest<Bytes>,
    /// Streams that are reserved or open.
    streams: AtomicUsize,
    /// The server has said how many streams it allows.
    is_settled: AtomicBool,
    is_closed: AtomicBool,
    /// Why the connection was given up, unless the server ended it.
    given_up: OnceLock<String>,
    last_stamp: LastStamp,
    /// When the last stream was reserved.
    reserved_ns: AtomicU64,
    route: Weak<Route>,
}

impl Http2Connection {
    /// Speaks HTTP/2 over a connection.
    pub(super) async fn start(
        io: Io,
        ping: Duration,
        route: &Arc<Route>,
    ) -> Result<Arc<Self>, TransportError> {
        let last_stamp = io.last_stamp().clone();
        let shaken = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_BYTES)
            .handshake(io)
            .await;
        let (sender, connection) = shaken.map_err(|error| {
            TransportError::new(
                FailureKind::Connect,
                format!("the HTTP/2 connection failed: {}", chain(&error)),
            )
        })?;
        let shared = Arc::new(Self {
            sender,
            streams: AtomicUsize::new(0),
            is_settled: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            given_up: OnceLock::new(),
            last_stamp,
            reserved_ns: AtomicU64::new(now_ns()),
            route: Arc::downgrade(route),
        });
        tokio::spawn(drive(connection, ping, Arc::clone(&shared)));
        Ok(shared)
    }

    /// A stream of this connection, if the server allows one more.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        let most = if self.is_settled() { self.sender.current_max_send_streams() } else { 1 };
        let reserve = |open| (open < most && !self.is_closed()).then_some(open + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, reserve).ok()?;
        self.reserved_ns.store(now_ns(), Ordering::Relaxed);
        Some(Reservation(Arc::clone(self)))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.changed();
    }

    fn changed(&self) {
        if let Some(route) = self.route.upgrade() {
            route.notify();
        }
    }

    /// What broke a stream.
    fn error(&self, error: &h2::Error) -> TransportError {
        let detail = match (self.given_up.get(), error.reason()) {
            (Some(why), _) => why.clone(),
            (None, Some(reason)) if error.is_go_away() => {
                format!("the server ended the HTTP/2 connection: {}", reason.description())
            }
            (None, Some(reason)) if error.is_reset() && error.is_remote() => {
                format!("the server reset the HTTP/2 stream: {}", reason.description())
            }
            _ => chain(error),
        };
        TransportError::new(FailureKind::Broken, detail)
    }
}

/// A stream that is reserved or open. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<Http2Connection>);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
        self.0.changed();
    }
}

/// The task of a connection.
async fn drive(mut connection: Connection<Io, Bytes>, ping: Duration, shared: Arc<Http2Connection>) {
    let pings = connection.ping_pong();
    tokio::select! {
        // Its streams know of its error.
        _ = connection => {}
        () = watch(pings, ping, &shared) => {}
    }
    shared.close();
}

/// Finds out what the server allows, and later whether it is still there. Returns when it is not.
async fn watch(pings: Option<PingPong>, interval: Duration, shared: &Http2Connection) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    // The server's settings come before whatever else it says, so before the answer to a ping.
    if !answers(&mut pings, interval, shared).await {
        return;
    }
    shared.is_settled.store(true, Ordering::Release);
    shared.changed();
    loop {
        sleep(interval).await;
        let heard_ns = shared.last_stamp.load().read_ns.max(shared.reserved_ns.load(Ordering::Relaxed));
        let is_silent = u128::from(now_ns().saturating_sub(heard_ns)) >= interval.as_nanos();
        let has_streams = shared.streams.load(Ordering::Acquire) > 0;
        if is_silent && has_streams && !answers(&mut pings, interval, shared).await {
            return;
        }
    }
}

async fn answers(pings: &mut PingPong, limit: Duration, shared: &Http2Connection) -> bool {
    if pings.send_ping(Ping::opaque()).is_err() {
        // The connection is ending by itself, and says why.
        return std::future::pending().await;
    }
    match timeout(limit, poll_fn(|context| pings.poll_pong(context))).await {
        Ok(Ok(_)) => true,
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => {
            let seconds = limit.as_secs_f64();
            let _ =
                shared.given_up.set(format!("the server did not answer an HTTP/2 ping within {seconds} s"));
            false
        }
    }
}

/// A request under way, and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    response: Option<ResponseFuture>,
    sending: Option<(SendStream<Bytes>, Bytes)>,
    body: Option<RecvStream>,
    // Last: a stream makes room when it is closed.
    reservation: Reservation,
}

impl Exchange {
    pub(super) fn new(reservation: Reservation, request: &Outgoing) -> Result<Self, TransportError> {
        let head = request.http2_head()?;
        let connection = &reservation.0;
        let sent = connection.sender.clone().send_request(head, request.body.is_empty());
        let (response, stream) = sent.map_err(|error| {
            // Nothing was sent: the connection is ending, or out of streams.
            connection.close();
            connection.error(&error).with_fate(Fate::Unprocessed)
        })?;
        let sending = (!request.body.is_empty()).then(|| (stream, request.body.clone()));
        Ok(Self { response: Some(response), sending, body: None, reservation })
    }

    /// Sends the request and reads the head of the response, which may come before all is sent.
    pub(super) async fn head(&mut self) -> Result<Head, TransportError> {
        poll_fn(|context| self.poll_head(context)).await
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, TransportError>> {
        self.poll_send(context);
        let Some(response) = &mut self.response else { return Poll::Pending };
        let answer = ready!(std::pin::Pin::new(response).poll(context));
        self.response = None;
        let (parts, body) = answer.map_err(|error| self.unanswered(&error))?.into_parts();
        self.body = Some(body);
        let headers: Headers =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        Poll::Ready(Ok(Head { status: parts.status.as_u16(), headers, keep_alive: true }))
    }

    /// The error of a request without a response.
    fn unanswered(&self, error: &h2::Error) -> TransportError {
        // A server that refuses a stream, or goes away and names the last stream that it looked at, did not look at
        // this one: RFC 9113, section 8.7.
        let was_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let went_away = error.is_go_away() && error.is_remote();
        if went_away {
            self.reservation.0.close();
        }
        let fate = if was_refused || went_away {
            Fate::Unprocessed
        } else if error.is_io() {
            Fate::Silent
        } else {
            // A reset is an answer, if a short one.
            Fate::Final
        };
        self.reservation.0.error(error).with_fate(fate)
    }

    /// Sends what the server has room for.
    fn poll_send(&mut self, context: &mut Context<'_>) {
        while let Some((stream, unsent)) = &mut self.sending {
            stream.reserve_capacity(unsent.len());
            match stream.poll_capacity(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(0))) => {}
                Poll::Ready(Some(Ok(capacity))) => {
                    let part = unsent.split_to(capacity.min(unsent.len()));
                    let is_last = unsent.is_empty();
                    if stream.send_data(part, is_last).is_err() || is_last {
                        self.sending = None;
                    }
                }
                // The response says why.
                Poll::Ready(_) => self.sending = None,
            }
        }
    }

    /// Hands over what has arrived of the body. True once the response has ended.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: &mut dyn FnMut(&[u8], Stamp),
    ) -> Poll<Result<bool, TransportError>> {
        self.poll_send(context);
        let connection = &self.reservation.0;
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(true)) };
        for frame in 0..FRAMES_AT_ONCE {
            match body.poll_data(context) {
                Poll::Pending if frame == 0 => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(connection.error(&error))),
                Poll::Ready(Some(Ok(bytes))) => {
                    // After the bytes were taken: the connection's task may have read them just now.
                    each(&bytes, connection.last_stamp.load());
                    // Fails only if the stream has ended.
                    let _ = body.flow_control().release_capacity(bytes.len());
                }
            }
        }
        Poll::Ready(Ok(body.is_end_stream()))
    }
}
