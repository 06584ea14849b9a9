//! The listener, its connections, and the routes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_queue::SegQueue;
use headrace_engine::{RuntimeError, spawn};
use headrace_wire::encode::Api;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::asked::Asked;
use crate::done::Done;
use crate::exchange::{Answer, Exchange};
use crate::refusal::{Refusal, RefusalKind};

/// The largest body of a request: conversations contain images.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// How long a client may take to send a request.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait after a failed accept, which mostly means that the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What happened at the server, for whoever answers.
pub enum Event {
    /// Somebody asks.
    Asked(Arc<Exchange>),
    /// The client of the exchange with this id has left.
    Left(u64),
}

/// The events that wait to be taken, and who is woken by them.
pub(crate) struct Arrivals {
    events: SegQueue<Event>,
    waker: Waker,
    next_id: AtomicU64,
}

impl Arrivals {
    fn asked(&self, exchange: Arc<Exchange>) {
        self.events.push(Event::Asked(exchange));
        self.waker.wake_by_ref();
    }

    pub(crate) fn left(&self, id: u64) {
        self.events.push(Event::Left(id));
        self.waker.wake_by_ref();
    }
}

/// A running server. Dropping it closes all its connections.
pub struct Server {
    address: SocketAddr,
    arrivals: Arc<Arrivals>,
    stop: watch::Sender<bool>,
    accepting: AbortHandle,
    drained: Arc<Done>,
}

impl Server {
    /// Starts a server.
    ///
    /// # Arguments
    /// - `listener`: where to listen;
    /// - `models`: the names of what is served;
    /// - `waker`: woken when there are events to take.
    ///
    /// # Errors
    /// The network threads cannot be started, or the listener cannot be used.
    pub fn start(
        listener: std::net::TcpListener,
        models: Vec<String>,
        waker: Waker,
    ) -> Result<Self, StartError> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Arrivals { events: SegQueue::new(), waker, next_id: AtomicU64::new(1) });
        let routes = Arc::new(Routes { models, arrivals: Arc::clone(&arrivals) });
        let (stop, stopped) = watch::channel(false);
        let drained = Arc::new(Done::default());
        let done = Arc::clone(&drained);
        let accepting = spawn(async move {
            accept(listener, routes, stopped).await;
            done.set();
        })?;
        Ok(Self { address, arrivals, stop, accepting, drained })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.arrivals.events.pop()).collect()
    }

    /// Accepts no more connections and no more requests. Those under way go on.
    pub fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Ready once it was drained: all responses have been sent, and all connections are closed.
    pub fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        self.drained.poll(context)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Why a server cannot be started.
#[derive(Debug)]
pub enum StartError {
    /// The operating system returned an error.
    Io(io::Error),
    /// The network threads could not be started.
    Runtime(RuntimeError),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RuntimeError> for StartError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

struct Routes {
    models: Vec<String>,
    arrivals: Arc<Arrivals>,
}

async fn accept(listener: std::net::TcpListener, routes: Arc<Routes>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let stopping = async move { stopped.wait_for(|stopped| *stopped).await.map(drop) };
    tokio::pin!(stopping);
    let graceful = GracefulShutdown::new();
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&routes), graceful.watcher()));
                }
                Err(_) => sleep(ACCEPT_REST).await,
            },
            _ = &mut stopping => break,
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    tokio::join!(graceful.shutdown(), async { while connections.join_next().await.is_some() {} });
}

async fn connection(stream: TcpStream, routes: Arc<Routes>, watcher: hyper_util::server::graceful::Watcher) {
    // Fails only if the connection is already broken; serving it will notice.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_LIMIT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.respond(request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // An error is the client's: it has left, or does not speak HTTP.
    let _ = watcher.watch(connection.into_owned()).await;
}

impl Routes {
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/health/live" | "/health/ready") => {
                whole(StatusCode::OK, &json!({ "status": "ok" }))
            }
            (&Method::GET, "/v1/models") => whole(StatusCode::OK, &self.models()),
            (&Method::POST, "/v1/chat/completions") => self.answer(Api::OpenAiChat, request).await,
            (&Method::POST, "/v1/messages") => self.answer(Api::Anthropic, request).await,
            (_, "/health/live" | "/health/ready" | "/v1/models") => wrong_method(Api::OpenAiChat, "GET"),
            (_, "/v1/chat/completions") => wrong_method(Api::OpenAiChat, "POST"),
            (_, "/v1/messages") => wrong_method(Api::Anthropic, "POST"),
            (_, path) => refused(
                Api::OpenAiChat,
                &Refusal::new(RefusalKind::NotFound, format!("there is no {path} here")),
            ),
        }
    }

    fn models(&self) -> Value {
        let models: Vec<Value> = self
            .models
            .iter()
            .map(|name| json!({ "id": name, "object": "model", "created": 0, "owned_by": "headrace" }))
            .collect();
        json!({ "object": "list", "data": models })
    }

    async fn answer(&self, api: Api, request: Request<Incoming>) -> Response<Body> {
        let asked = match self.read(api, request).await {
            Ok(asked) => asked,
            Err(refusal) => return refused(api, &refusal),
        };
        let id = self.arrivals.next_id.fetch_add(1, Ordering::Relaxed);
        let (exchange, answered) = Exchange::new(id, asked, Arc::clone(&self.arrivals));
        // If the client leaves before the response has begun, hyper drops this future.
        let waiting = OnDrop(Some(exchange.on_leave()));
        self.arrivals.asked(exchange);
        // An exchange that is dropped answers too, so this does not fail.
        let answer = answered.await.unwrap_or_else(|_| {
            Answer::Refusal(Refusal::new(RefusalKind::Internal, "the request was not answered"))
        });
        waiting.defuse();
        begin(api, answer)
    }

    async fn read(&self, api: Api, request: Request<Incoming>) -> Result<Asked, Refusal> {
        let collecting = Limited::new(request.into_body(), MAX_BODY).collect();
        let collected = timeout(REQUEST_LIMIT, collecting).await.map_err(|_| {
            Refusal::new(RefusalKind::Timeout, "the body of the request did not come in time")
        })?;
        let body = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => Refusal::new(
                RefusalKind::TooLarge,
                format!("the body is larger than {} MiB", MAX_BODY / 1024 / 1024),
            ),
            None => Refusal::new(RefusalKind::Invalid, format!("the body broke off: {error}")),
        })?;
        let asked = Asked::read(api, &body.to_bytes())?;
        if self.models.contains(&asked.model) {
            return Ok(asked);
        }
        let (wanted, served) = (&asked.model, self.models.join(", "));
        Err(Refusal::new(
            RefusalKind::NotFound,
            format!("there is no model {wanted:?} here; served: {served}"),
        ))
    }
}

/// Calls a function when it is dropped, unless it was defused.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(function) = self.0.take() {
            function();
        }
    }
}

fn begin(api: Api, answer: Answer) -> Response<Body> {
    let status = answer.status();
    match answer {
        Answer::Refusal(refusal) => refused(api, &refusal),
        Answer::Document(document) => json_response(status, document),
        Answer::Stream(body) => {
            let mut response = Response::new(body.boxed_unsync());
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // nginx collects a response before it sends it, unless it is told not to.
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
            response
        }
    }
}

fn refused(api: Api, refusal: &Refusal) -> Response<Body> {
    let mut response = whole(refusal.kind.status(), &refusal.body(api));
    if let Some(seconds) = refusal.retry_after {
        // In whole seconds, so that nobody asks too early.
        let seconds = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default().as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn wrong_method(api: Api, allowed: &'static str) -> Response<Body> {
    let refusal = Refusal::new(RefusalKind::Method, format!("this path is for {allowed}"));
    let mut response = refused(api, &refusal);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    json_response(status, body.to_string())
}

fn json_response(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
