//! The listener and its connections.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use headrace_engine::{RuntimeError, spawn};
use http::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::access::Access;
use crate::call::Call;
use crate::done::Done;
use crate::kept::Kept;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::routes::{REQUEST_LIMIT, Routes};
use crate::runs::Runs;
use crate::shared::{Arrivals, Event, Options, Shared};

/// How long to wait after a failed accept, which mostly means that the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// How many connections may wait to be accepted. The standard library has 128: of a thousand clients that come at once,
/// most would then be heard only after a second, when they try again.
const BACKLOG: i32 = 4096;

/// Listens at an address.
///
/// # Arguments
/// - `host`: an address or a name;
/// - `port`: 0 for any free one;
/// - `shared`: whether other processes may listen there too: the system gives each connection to one of them.
///
/// # Errors
/// The address cannot be used.
pub fn listen(host: &str, port: u16, shared: bool) -> io::Result<std::net::TcpListener> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
        socket.set_reuse_address(true)?;
        share(&socket, shared)?;
        match socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)) {
            Ok(()) => return Ok(socket.into()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Lets other processes listen at the same address. Windows cannot divide connections among processes.
#[cfg(unix)]
fn share(socket: &Socket, shared: bool) -> io::Result<()> {
    socket.set_reuse_port(shared)
}

#[cfg(not(unix))]
fn share(_socket: &Socket, shared: bool) -> io::Result<()> {
    if shared { Err(io::Error::from(io::ErrorKind::Unsupported)) } else { Ok(()) }
}

/// A running server. Dropping it closes all its connections.
pub struct Server {
    shared: Arc<Shared>,
    routes: Arc<Routes>,
    listening: Option<Listening>,
}

/// The listener of a server.
struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: AbortHandle,
    drained: Arc<Done>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Starts a server.
    ///
    /// # Arguments
    /// - `listener`: where to listen; `None` to answer only [calls](Self::call);
    /// - `options`: how to serve;
    /// - `waker`: woken when there are events to take.
    ///
    /// # Errors
    /// The network threads cannot be started, or the listener or a file cannot be used.
    pub fn start(
        listener: Option<std::net::TcpListener>,
        options: Options,
        waker: Waker,
    ) -> Result<Self, StartError> {
        let keys = options.keys.clone().map(Keys::open).transpose().map_err(StartError::Keys)?;
        let shared = Arc::new(Shared {
            access: Access::open(options.access_log.as_deref())?,
            arrivals: Arrivals::new(waker),
            metrics: Metrics::new(),
            keys,
            runs: Runs::default(),
            kept: Kept::default(),
            draining: AtomicBool::new(false),
            options,
        });
        let routes = Arc::new(Routes::new(Arc::clone(&shared)));
        let listening = listener.map(|listener| Listening::start(listener, &routes)).transpose()?;
        Ok(Self { shared, routes, listening })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listening.as_ref().map(|listening| listening.address)
    }

    /// Answers a request that another HTTP server has read.
    ///
    /// # Errors
    /// [`RuntimeError`] when the network threads cannot be started.
    pub fn call(&self, request: Request<Bytes>) -> Result<Call, RuntimeError> {
        Call::start(Arc::clone(&self.routes), request)
    }

    /// What has happened since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.shared.arrivals.events.pop()).collect()
    }

    /// Accepts no more connections and no more requests. Those under way go on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        if let Some(listening) = &self.listening {
            listening.stop.send_replace(true);
        }
    }

    /// Ready once it was drained: all responses have been sent, and all connections are closed.
    pub fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        self.listening.as_ref().map_or(Poll::Ready(()), |listening| listening.drained.poll(context))
    }
}

impl Listening {
    fn start(listener: std::net::TcpListener, routes: &Arc<Routes>) -> Result<Self, StartError> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let drained = Arc::new(Done::default());
        let (done, routes) = (Arc::clone(&drained), Arc::clone(routes));
        let accepting = spawn(async move {
            accept(listener, routes, stopped).await;
            done.set();
        })?;
        Ok(Self { address, stop, accepting, drained })
    }
}

/// Why a server cannot be started.
#[derive(Debug)]
pub enum StartError {
    /// The operating system returned an error.
    Io(io::Error),
    /// The file of the keys cannot be used; why.
    Keys(String),
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
