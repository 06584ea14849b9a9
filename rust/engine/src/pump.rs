//! The task of one stream: it sends the request, reads the socket, decodes, timestamps and pushes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use headrace_channel::PushError;
use headrace_wire::{BodyDecoder, Delta, DeltaKind, Ending, Progress, ProviderError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::client::{ConnectOptions, chain, classify};
use crate::clock::now_ns;
use crate::end::{End, Failure, FailureKind, redact};
use crate::rejection;
use crate::request::{Request, Timeouts};
use crate::runtime::Engine;
use crate::source::Fed;
use crate::stream::{Arrival, ArrivalProducer};

/// How long to read on after a stream's end marker for the end of the HTTP body, so that the connection can be reused.
const LINGER: Duration = Duration::from_millis(500);

/// How long to wait for more once the finish reason has come: for the token counts, and for the end marker, which
/// some servers never send while they leave the connection open.
const GRACE: Duration = Duration::from_secs(3);

/// No limit, as a duration that a timer accepts.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs one stream to its end. Dropping this future closes the connection.
pub(crate) async fn run(
    engine: &'static Engine,
    request: Request,
    producer: ArrivalProducer,
    end: Arc<OnceLock<End>>,
) {
    let mut pump = Pump::new(request, producer);
    match pump.stream(engine).await {
        Ok(mut response) => {
            return_to_pool(&mut response).await;
            pump.end(Ok(()), &end);
            let _ = timeout(LINGER, read_to_end(response)).await;
        }
        Err(stop) => pump.end(Err(stop), &end),
    }
}

/// Runs one stream whose bytes the caller feeds. Dropping this future tells the caller that nobody reads any more.
pub(crate) async fn run_fed(
    request: Request,
    mut pieces: Receiver<Fed>,
    producer: ArrivalProducer,
    end: Arc<OnceLock<End>>,
) {
    let mut pump = Pump::new(request, producer);
    let result = pump.stream_fed(&mut pieces).await;
    pump.end(result, &end);
}

/// Returns the connection to its pool if the end of the HTTP message has already arrived, as it mostly has. Called
/// before the stream's end is published, so that the reader's next request can reuse the connection.
async fn return_to_pool(response: &mut Response) {
    let read = std::pin::pin!(response.chunk());
    let mut read = Some(read);
    let done =
        poll_fn(|context| Poll::Ready(read.take().is_some_and(|read| read.poll(context).is_ready()))).await;
    if done {
        // The connection's own task does it.
        tokio::task::yield_now().await;
    }
}

/// Reads the rest of a body. After the end marker, that is only the end of the HTTP message.
async fn read_to_end(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
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
    deadline: Deadline,
}

impl Pump {
    fn new(request: Request, producer: ArrivalProducer) -> Self {
        Self {
            body: BodyDecoder::new(request.dialect, request.max_event_bytes),
            deadline: Deadline::new(request.timeouts),
            deltas: Vec::new(),
            request,
            producer,
        }
    }

    async fn stream(&mut self, engine: &Engine) -> Result<Response, Stop> {
        let client = client(engine, &self.request)?;
        let headers = headers(&self.request.headers)?;
        let body = self.request.body.clone();
        let sending = client.post(&self.request.url).headers(headers).body(body).send();
        let mut response =
            self.deadline.limit(sending).await?.map_err(|error| self.connection_failure(error))?;
        if !response.status().is_success() {
            return Err(rejection::read(response, self.deadline.remaining()).await.into());
        }
        while let Some(bytes) = self.read(&mut response).await? {
            if self.decode(&bytes, now_ns()).await? == Progress::Ended {
                break;
            }
        }
        self.finish().await?;
        Ok(response)
    }

    async fn stream_fed(&mut self, pieces: &mut Receiver<Fed>) -> Result<(), Stop> {
        while let Some(piece) = answered(self.deadline.limit(pieces.recv()).await)?.flatten() {
            if self.decode(&piece?, now_ns()).await? == Progress::Ended {
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

    async fn read(&mut self, response: &mut Response) -> Result<Option<Bytes>, Stop> {
        match answered(self.deadline.limit(response.chunk()).await)? {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(bytes),
            // Some servers close the connection without ending the HTTP message. That is fine if the answer is whole.
            Some(Err(_)) if self.body.ending() == Ending::Complete => Ok(None),
            Some(Err(error)) => Err(self.connection_failure(error).into()),
        }
    }

    async fn decode(&mut self, bytes: &[u8], arrived_ns: u64) -> Result<Progress, Stop> {
        let decoded = self.body.feed(bytes, &mut self.deltas);
        if self.body.take_work() {
            self.deadline.data_arrived(arrived_ns, self.deltas.iter().any(Delta::is_output));
        }
        self.deadline.answered(self.body.is_answered().then_some(arrived_ns));
        self.deliver(arrived_ns).await?;
        Ok(decoded?)
    }

    /// Handles the end of the answer: its end marker, or the end of the bytes.
    async fn finish(&mut self) -> Result<(), Stop> {
        let arrived_ns = now_ns();
        let ending = self.body.finish(&mut self.deltas);
        self.deliver(arrived_ns).await?;
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
    async fn deliver(&mut self, arrived_ns: u64) -> Result<(), Stop> {
        if self.deltas.is_empty() {
            return Ok(());
        }
        let mut error = None;
        let mut deltas = std::mem::take(&mut self.deltas);
        for mut delta in deltas.drain(..) {
            if let DeltaKind::Error(reported) = &mut delta.kind {
                self.redact(reported);
                error = Some(rejection::in_band(reported, &self.endpoint()));
            }
            self.push(Arrival { arrived_ns, delta }).await?;
        }
        self.producer.notify();
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

    fn connection_failure(&self, error: reqwest::Error) -> Failure {
        let kind = classify(&error);
        let what = match kind {
            FailureKind::InvalidRequest => "the request cannot be sent to",
            FailureKind::Dns => "cannot find the host of",
            FailureKind::Tls => "the TLS handshake failed with",
            FailureKind::Connect => "cannot connect to",
            FailureKind::ConnectTimeout => "no connection in time to",
            _ => "the connection broke with",
        };
        // The URL may contain a password.
        let error = error.without_url();
        Failure::new(kind, format!("{what} {}: {}", self.endpoint(), chain(&error)))
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

fn client(engine: &Engine, request: &Request) -> Result<Client, Failure> {
    let options =
        ConnectOptions { timeout: request.timeouts.connect, tls: !request.url.starts_with("http://") };
    engine.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(options)
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::with_capacity(pairs.len() + 2);
    headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        let invalid =
            || Failure::new(FailureKind::InvalidRequest, format!("the header {name:?} cannot be sent"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The deadline of the current phase: the first token, or the next one. There is one timer for the whole stream. It is
/// set again only when it fires, so that a token only costs storing its arrival time.
struct Deadline {
    timeouts: Timeouts,
    /// When it was created, on both clocks.
    created: Instant,
    created_ns: u64,
    /// The timeout counts from here.
    since_ns: u64,
    first_token_seen: bool,
    /// When the finish reason came, unless more came after that.
    answered_ns: Option<u64>,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(timeouts: Timeouts) -> Self {
        let (created, created_ns) = (Instant::now(), now_ns());
        let timer = Box::pin(sleep_until(created + bounded(timeouts.first_token)));
        Self {
            timeouts,
            created,
            created_ns,
            since_ns: created_ns,
            first_token_seen: false,
            answered_ns: None,
            timer,
        }
    }

    /// Reset the timeout: the provider is at work. Before the first token, only a token counts.
    fn data_arrived(&mut self, arrived_ns: u64, is_output: bool) {
        if self.first_token_seen || is_output {
            self.first_token_seen = true;
            self.restart(arrived_ns);
        }
    }

    /// The answer would be whole if the body ended here, since this time; or would not.
    fn answered(&mut self, arrived_ns: Option<u64>) {
        self.answered_ns = arrived_ns.map(|now_ns| self.answered_ns.unwrap_or(now_ns));
    }

    /// How much of the current phase's time is left.
    fn remaining(&self) -> Duration {
        let (_, since_ns, limit) = self.current();
        bounded(limit).saturating_sub(Duration::from_nanos(now_ns().saturating_sub(since_ns)))
    }

    const fn restart(&mut self, now_ns: u64) {
        if self.answered_ns.is_some() {
            self.answered_ns = Some(now_ns);
        }
        if self.first_token_seen {
            self.since_ns = now_ns;
        }
    }

    /// The timeout of the current phase: what it is, if it is a failure, when it began, and how long it is.
    fn current(&self) -> (Option<FailureKind>, u64, Option<Duration>) {
        if let Some(answered_ns) = self.answered_ns {
            let grace = self.timeouts.idle.map_or(GRACE, |idle| idle.min(GRACE));
            (None, answered_ns, Some(grace))
        } else if self.first_token_seen {
            (Some(FailureKind::IdleTimeout), self.since_ns, self.timeouts.idle)
        } else {
            (Some(FailureKind::FirstTokenTimeout), self.since_ns, self.timeouts.first_token)
        }
    }

    /// Waits for `work`, but not beyond the deadline.
    async fn limit<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let (kind, since_ns, limit) = self.current();
        let since = self.created + Duration::from_nanos(since_ns.saturating_sub(self.created_ns));
        let deadline = since + bounded(limit);
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = &mut self.timer => {
                    if Instant::now() < deadline {
                        self.timer.as_mut().reset(deadline);
                    } else {
                        return Err(kind.map_or(Stop::Answered, |kind| timed_out(kind, bounded(limit)).into()));
                    }
                }
            }
        }
    }
}

/// A limit as a duration that can be added to any `Instant` without overflow.
fn bounded(limit: Option<Duration>) -> Duration {
    limit.unwrap_or(FOREVER).min(FOREVER)
}

fn timed_out(kind: FailureKind, limit: Duration) -> Failure {
    let seconds = limit.as_secs_f64();
    let message = if kind == FailureKind::IdleTimeout {
        format!("the stream went silent: no token for {seconds} s (idle timeout)")
    } else {
        format!("no token within {seconds} s of the request (first-token timeout)")
    };
    Failure::new(kind, message)
}
