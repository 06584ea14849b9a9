//! The task of one stream: it sends the request, reads the socket, decodes, timestamps and pushes.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use headrace_channel::PushError;
use headrace_wire::http1::Headers;
use headrace_wire::{BodyDecoder, BodyError, Delta, DeltaKind, Ending, Progress, ProviderError};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::bell;
use crate::clock::now_ns;
use crate::deadline::Deadline;
use crate::end::{End, Failure, FailureKind, redact};
use crate::head::{Head, Published};
use crate::rejection;
use crate::request::Request;
use crate::runtime::Engine;
use crate::source::Fed;
use crate::stream::{Arrival, ArrivalProducer};
use crate::transport::{Outgoing, Response, Stamp, TransportError};

/// How long to read on after a stream's end marker for the end of the HTTP body, so that the connection can be reused.
const LINGER: Duration = Duration::from_millis(500);

/// A read that brings more deltas than this is of a burst.
const BURST: usize = 8;

/// Runs one stream to its end. Dropping this future closes the connection.
pub(crate) async fn run(
    engine: &'static Engine,
    request: Request,
    producer: ArrivalProducer,
    published: Arc<Published>,
) {
    let mut pump = Pump::new(request, producer);
    match pump.stream(engine, &published.head).await {
        Ok(mut response) => {
            end_now(&mut response).await;
            pump.end(Ok(()), &published.end);
            let _ = timeout(LINGER, read_to_end(response)).await;
        }
        Err(stop) => pump.end(Err(stop), &published.end),
    }
}

/// Runs one stream whose bytes the caller feeds. Dropping this future tells the caller that nobody reads any more.
pub(crate) async fn run_fed(
    request: Request,
    mut pieces: Receiver<Fed>,
    producer: ArrivalProducer,
    published: Arc<Published>,
) {
    let mut pump = Pump::new(request, producer);
    let result = pump.stream_fed(&mut pieces).await;
    pump.end(result, &published.end);
}

/// Frees the connection if the end of the HTTP message has arrived already, as it mostly has. Called before the stream's
/// end is published, so that the reader's next request can reuse the connection.
async fn end_now(response: &mut Response) {
    poll_fn(|context| {
        while !response.has_ended()
            && matches!(response.poll_body(context, &mut |_, _| {}), Poll::Ready(Ok(())))
        {}
        Poll::Ready(())
    })
    .await;
}

/// Reads the rest of a body. After the end marker, that is only the end of the HTTP message.
async fn read_to_end(mut response: Response) {
    while !response.has_ended()
        && poll_fn(|context| response.poll_body(context, &mut |_, _| {})).await.is_ok()
    {}
}

/// Why a stream stopped early.
pub(crate) enum Stop {
    /// The reader dropped its end.
    Closed,
    /// The stream failed.
    Failed(Box<Failure>),
    /// The answer is whole, and nothing more has come for a while.
    Answered,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// What was waited for; `None` if the answer is whole and nothing more has come.
fn answered<T>(waited: Result<T, Stop>) -> Result<Option<T>, Stop> {
    match waited {
        Err(Stop::Answered) => Ok(None),
        waited => waited.map(Some),
    }
}

struct Pump {
    request: Request,
    producer: ArrivalProducer,
    body: BodyDecoder,
    deltas: Vec<Delta>,
    /// When the last bytes arrived.
    stamp: Stamp,
    deadline: Deadline,
}

impl Pump {
    fn new(request: Request, producer: ArrivalProducer) -> Self {
        Self {
            body: BodyDecoder::new(request.dialect, request.max_event_bytes),
            deadline: Deadline::new(request.timeouts),
            deltas: Vec::new(),
            stamp: Stamp::now(),
            request,
            producer,
        }
    }

    async fn stream(&mut self, engine: &Engine, head: &OnceLock<Head>) -> Result<Response, Stop> {
        // In a box, which is freed afterwards: connecting takes much more memory than waiting for tokens does.
        let mut response = Box::pin(self.send(engine)).await?;
        if !(200..300).contains(&response.status) {
            let limit = self.deadline.remaining();
            return Err(rejection::read(response, &self.endpoint(), limit).await.into());
        }
        let _ = head.set(Head::of(&response.headers));
        // A kilobyte that a stream does not need while it waits.
        response.headers = Headers::default();
        while self.read(&mut response).await? != Progress::Ended {}
        self.finish().await?;
        Ok(response)
    }

    /// Sends the request and waits for the head of the response.
    async fn send(&mut self, engine: &Engine) -> Result<Response, Stop> {
        let body = std::mem::take(&mut self.request.body);
        let outgoing = Outgoing::new(&self.request.url, &self.request.headers, body);
        let outgoing = outgoing.map_err(|error| self.failed(&error))?;
        let transport = engine.transport(&self.request.connection).map_err(|error| self.failed(&error))?;
        let route = transport.route(&outgoing).map_err(|error| self.failed(&error))?;
        let slot = if let Some(slot) = route.try_slot() {
            slot
        } else {
            let waiting = route.slot_within(self.request.timeouts.pool);
            let waited = self.deadline.limit_total(waiting).await?;
            self.deadline.sent(now_ns());
            waited.map_err(|error| self.failed(&error))?
        };
        let sending = transport.send(&outgoing, &route, slot, self.request.timeouts.connect);
        let sent = self.deadline.limit(sending).await?;
        sent.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &TransportError) -> Stop {
        Failure::new(error.kind, error.message(&self.endpoint())).into()
    }

    async fn stream_fed(&mut self, pieces: &mut Receiver<Fed>) -> Result<(), Stop> {
        while let Some(piece) = answered(self.deadline.limit(pieces.recv()).await)?.flatten() {
            let stamp = Stamp::now();
            let decoded = self.body.feed(&piece?, &mut self.deltas);
            if self.decoded(decoded, stamp).await? == Progress::Ended {
                break;
            }
        }
        self.finish().await
    }

    /// Publishes how the stream ended, and closes the channel.
    fn end(self, result: Result<(), Stop>, end: &OnceLock<End>) {
        let how = match result {
            Ok(()) | Err(Stop::Answered) => End::Complete,
            Err(Stop::Closed) => End::Cancelled,
            Err(Stop::Failed(failure)) => End::Failed(Box::new(failure.redacted(&self.request.secrets()))),
        };
        // Before the channel is closed, which dropping `self` does: a reader that sees it closed then finds the end.
        let _ = end.set(how);
    }

    /// Reads once, and pushes what that brought.
    async fn read(&mut self, response: &mut Response) -> Result<Progress, Stop> {
        let Self { body, deltas, deadline, .. } = self;
        let (mut decoded, mut stamp) = (Ok(Progress::Open), None);
        let read = deadline.limit(poll_fn(|context| {
            response.poll_body(context, &mut |bytes, read| {
                stamp = Some(read);
                if matches!(decoded, Ok(Progress::Open)) {
                    decoded = body.feed(bytes, deltas);
                }
            })
        }));
        let read = answered(read.await)?;
        // What came goes to the reader before an error does.
        if let Some(stamp) = stamp
            && self.decoded(decoded, stamp).await? == Progress::Ended
        {
            return Ok(Progress::Ended);
        }
        match read {
            Some(Ok(())) if !response.has_ended() => Ok(Progress::Open),
            None | Some(Ok(())) => Ok(Progress::Ended),
            // Some servers close the connection without ending the HTTP message. That is fine if the answer is whole.
            Some(Err(_)) if self.body.ending() == Ending::Complete => Ok(Progress::Ended),
            Some(Err(error)) => Err(self.failed(&error)),
        }
    }

    /// Pushes what was decoded of one read.
    async fn decoded(
        &mut self,
        decoded: Result<Progress, BodyError>,
        stamp: Stamp,
    ) -> Result<Progress, Stop> {
        if self.body.take_work() {
            self.deadline.data_arrived(stamp.read_ns, self.deltas.iter().any(Delta::is_output));
        }
        self.deadline.answered(self.body.is_answered().then_some(stamp.read_ns));
        self.stamp = stamp;
        self.deliver().await?;
        Ok(decoded?)
    }

    /// Handles the end of the answer: its end marker, or the end of the bytes.
    async fn finish(&mut self) -> Result<(), Stop> {
        let ending = self.body.finish(&mut self.deltas);
        self.deliver().await?;
        self.whole(ending?)
    }

    /// The failure of an answer that is not whole.
    fn whole(&self, ending: Ending) -> Result<(), Stop> {
        if ending == Ending::Complete {
            return Ok(());
        }
        let said = self.body.excerpt().map(|said| format!("; it says: {said}")).unwrap_or_default();
        let endpoint = self.endpoint();
        let message =
            format!("the stream from {endpoint} ended before its end marker: the answer is not whole{said}");
        Err(Failure::new(FailureKind::Truncated, message).into())
    }

    /// Pushes what was decoded. Waits while the channel is full; meanwhile the socket is not read.
    async fn deliver(&mut self) -> Result<(), Stop> {
        if self.deltas.is_empty() {
            return Ok(());
        }
        let mut error = None;
        let mut deltas = std::mem::take(&mut self.deltas);
        let is_burst = deltas.len() > BURST;
        for mut delta in deltas.drain(..) {
            if let DeltaKind::Error(reported) = &mut delta.kind {
                self.redact(reported);
                error = Some(rejection::in_band(reported, &self.endpoint()));
            }
            self.push(Arrival::new(self.stamp, delta)).await?;
        }
        self.producer.notify();
        // So many keep the reader busy while this thread reads on.
        if is_burst {
            bell::ring_now();
        } else {
            bell::ring_if_late(self.stamp.read_ns);
        }
        self.deltas = deltas;
        error.map_or(Ok(()), |failure| Err(failure.into()))
    }

    async fn push(&mut self, mut arrival: Arrival) -> Result<(), Stop> {
        loop {
            match self.producer.push(arrival) {
                Ok(()) => return Ok(()),
                Err(PushError::Closed(_)) => return Err(Stop::Closed),
                Err(PushError::Full(back)) => {
                    arrival = back;
                    self.producer.notify();
                    poll_fn(|context| self.producer.poll_space(&arrival, context)).await;
                    // The reader was slow, not the provider: do not count that time.
                    self.deadline.restart(now_ns());
                }
            }
        }
    }

    /// Redacts secrets that the provider echoes.
    fn redact(&self, error: &mut ProviderError) {
        for secret in self.request.secrets() {
            error.message = redact(&error.message, &secret);
            error.code = error.code.take().map(|code| redact(&code, &secret));
            error.kind = error.kind.take().map(|kind| redact(&kind, &secret));
            error.body = error.body.take().map(|body| redact(&body, &secret).into());
        }
    }

    fn endpoint(&self) -> String {
        self.request.endpoint()
    }
}
