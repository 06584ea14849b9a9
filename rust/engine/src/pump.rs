//! The task of one stream: it sends the request, reads the socket, decodes, stamps and pushes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use headrace_channel::{Producer, PushError};
use headrace_wire::{BodyDecoder, Delta, DeltaKind, Ending, Progress};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::client::{Way, chain, classify};
use crate::clock::now_ns;
use crate::end::{End, Failure, FailureKind};
use crate::rejection;
use crate::request::{Request, Timeouts};
use crate::runtime::Engine;
use crate::source::Fed;
use crate::stream::Arrival;

/// How long a connection whose stream is complete may take to come to the end of its body, so that it can be used again.
const LINGER: Duration = Duration::from_millis(500);

/// "No limit", as a time that a timer can be set to.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs one stream to its end. Dropping this future closes the connection.
pub(crate) async fn run(
    engine: &'static Engine,
    request: Request,
    producer: Producer<Arrival>,
    end: Arc<OnceLock<End>>,
) {
    let mut pump = Pump::new(request, producer);
    let mut outcome = pump.stream(engine).await;
    if let Ok(response) = &mut outcome {
        settle(response).await;
    }
    let (told, response) = match outcome {
        Ok(response) => (Ok(()), Some(response)),
        Err(stop) => (Err(stop), None),
    };
    pump.end(told, &end);
    if let Some(response) = response {
        let _ = timeout(LINGER, finish_body(response)).await;
    }
}

/// Runs one stream of bytes that the caller has. Dropping this future lets the caller know that nobody reads on.
pub(crate) async fn run_fed(
    request: Request,
    mut pieces: Receiver<Fed>,
    producer: Producer<Arrival>,
    end: Arc<OnceLock<End>>,
) {
    let mut pump = Pump::new(request, producer);
    let outcome = pump.stream_fed(&mut pieces).await;
    pump.end(outcome, &end);
}

/// Lets the connection go back to its pool before the end is told, if the end of the HTTP message is here already, as
/// it mostly is: the reader's next request then finds it there.
async fn settle(response: &mut Response) {
    let read = std::pin::pin!(response.chunk());
    let mut read = Some(read);
    let done =
        poll_fn(|context| Poll::Ready(read.take().is_some_and(|read| read.poll(context).is_ready()))).await;
    if done {
        // The connection's own task puts it back.
        tokio::task::yield_now().await;
    }
}

/// Reads what is left of a body, which after the end marker is nothing but the end of the HTTP message.
async fn finish_body(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}

/// Why a stream did not come to its end.
pub(crate) enum Stop {
    /// The reader went away.
    Closed,
    /// Anything else.
    Failed(Box<Failure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

struct Pump {
    request: Request,
    producer: Producer<Arrival>,
    body: BodyDecoder,
    deltas: Vec<Delta>,
    patience: Patience,
}

impl Pump {
    fn new(request: Request, producer: Producer<Arrival>) -> Self {
        Self {
            body: BodyDecoder::new(request.dialect, request.max_event_bytes),
            patience: Patience::new(request.timeouts),
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
        let mut response = self.patience.limit(sending).await?.map_err(|error| self.broken(error))?;
        if !response.status().is_success() {
            return Err(self.patience.limit(rejection::read(response)).await?.into());
        }
        while let Some(bytes) = self.read(&mut response).await? {
            if self.decode(&bytes, now_ns()).await? == Progress::Ended {
                return Ok(response);
            }
        }
        self.last().await?;
        Ok(response)
    }

    async fn stream_fed(&mut self, pieces: &mut Receiver<Fed>) -> Result<(), Stop> {
        while let Some(piece) = self.patience.limit(pieces.recv()).await? {
            if self.decode(&piece?, now_ns()).await? == Progress::Ended {
                return Ok(());
            }
        }
        self.last().await
    }

    /// Tells how the stream ended, and closes the channel.
    fn end(self, outcome: Result<(), Stop>, end: &OnceLock<End>) {
        let told = match outcome {
            Ok(()) => End::Complete,
            Err(Stop::Closed) => End::Cancelled,
            Err(Stop::Failed(failure)) => End::Failed(Box::new(failure.without(&self.request.secrets()))),
        };
        // The order matters: whoever sees the channel closed, which dropping this does, finds the end.
        let _ = end.set(told);
    }

    async fn read(&mut self, response: &mut Response) -> Result<Option<Bytes>, Stop> {
        match self.patience.limit(response.chunk()).await? {
            Ok(bytes) => Ok(bytes),
            // Some servers close without ending the HTTP message properly. What counts is whether the answer is whole.
            Err(_) if self.body.ending() == Ending::Complete => Ok(None),
            Err(error) => Err(self.broken(error).into()),
        }
    }

    async fn decode(&mut self, bytes: &[u8], arrived_ns: u64) -> Result<Progress, Stop> {
        let decoded = self.body.feed(bytes, &mut self.deltas);
        self.deliver(arrived_ns).await?;
        Ok(decoded?)
    }

    /// The bytes have ended.
    async fn last(&mut self) -> Result<(), Stop> {
        let arrived_ns = now_ns();
        let ending = self.body.finish(&mut self.deltas);
        self.deliver(arrived_ns).await?;
        match ending? {
            Ending::Complete => Ok(()),
            Ending::Truncated => Err(Failure::new(
                FailureKind::Truncated,
                format!(
                    "the stream from {} ended before its end marker: the answer is not whole",
                    self.place()
                ),
            )
            .into()),
        }
    }

    /// Pushes what was decoded. Waits where the reader is slow; meanwhile the socket is not read.
    async fn deliver(&mut self, arrived_ns: u64) -> Result<(), Stop> {
        if self.deltas.is_empty() {
            return Ok(());
        }
        let mut error = None;
        let mut deltas = std::mem::take(&mut self.deltas);
        self.patience.heard(arrived_ns, deltas.iter().any(Delta::is_output));
        for delta in deltas.drain(..) {
            if let DeltaKind::Error(reported) = &delta.kind {
                error = Some(rejection::in_band(reported, &self.place()));
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
                    poll_fn(|context| self.producer.poll_space(context)).await;
                    // The silence was the reader's, not the provider's.
                    self.patience.restart(now_ns());
                }
            }
        }
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        let kind = classify(&error);
        let what = match kind {
            FailureKind::InvalidRequest => "the request cannot be sent to",
            FailureKind::Dns => "cannot find the host of",
            FailureKind::Tls => "the TLS handshake failed with",
            FailureKind::Connect => "cannot connect to",
            FailureKind::ConnectTimeout => "no connection in time to",
            _ => "the connection broke with",
        };
        // Without its URL, which may hold a password.
        let error = error.without_url();
        Failure::new(kind, format!("{what} {}: {}", self.place(), chain(&error)))
    }

    fn place(&self) -> String {
        self.request.place()
    }
}

fn client(engine: &Engine, request: &Request) -> Result<Client, Failure> {
    let way = Way { timeout: request.timeouts.connect, tls: !request.url.starts_with("http://") };
    engine.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(way)
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

/// How much longer to wait. One timer serves the whole stream: it is set anew only when it fires, so that a token costs
/// no more than noting the time of its arrival.
struct Patience {
    limits: Timeouts,
    /// The moment at which it was made, by both clocks.
    began: Instant,
    began_ns: u64,
    since_ns: u64,
    first_token_seen: bool,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(limits: Timeouts) -> Self {
        let (began, began_ns) = (Instant::now(), now_ns());
        let timer = Box::pin(sleep_until(began + bounded(limits.first_token)));
        Self { limits, began, began_ns, since_ns: began_ns, first_token_seen: false, timer }
    }

    /// Something came that shows the provider at work. Before the first token only a token does.
    fn heard(&mut self, arrived_ns: u64, is_output: bool) {
        if self.first_token_seen || is_output {
            self.first_token_seen = true;
            self.restart(arrived_ns);
        }
    }

    const fn restart(&mut self, now_ns: u64) {
        if self.first_token_seen {
            self.since_ns = now_ns;
        }
    }

    fn limit_now(&self) -> (FailureKind, Option<Duration>) {
        if self.first_token_seen {
            (FailureKind::IdleTimeout, self.limits.idle)
        } else {
            (FailureKind::FirstTokenTimeout, self.limits.first_token)
        }
    }

    /// Waits for `work`, but not for longer than the limit allows.
    async fn limit<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let (kind, limit) = self.limit_now();
        let since = self.began + Duration::from_nanos(self.since_ns.saturating_sub(self.began_ns));
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
                        return Err(too_late(kind, bounded(limit)).into());
                    }
                }
            }
        }
    }
}

/// A limit that can be added to any time that will be.
fn bounded(limit: Option<Duration>) -> Duration {
    limit.unwrap_or(FOREVER).min(FOREVER)
}

fn too_late(kind: FailureKind, limit: Duration) -> Failure {
    let seconds = limit.as_secs_f64();
    let message = if kind == FailureKind::IdleTimeout {
        format!("the stream went silent: no token for {seconds} s (idle timeout)")
    } else {
        format!("no token within {seconds} s of the request (first-token timeout)")
    };
    Failure::new(kind, message)
}
