//! From a request to the bytes of its response.
//!
//! - [`options`]: how to connect;
//! - `request`, `target`: what is sent, and where to;
//! - `connect`, `proxy`, `tls`: makes connections;
//! - `pool`: keeps them for the next request;
//! - `http1`, `http2`: one request and its response; `encoding`: compressed bodies;
//! - `socket`, `io`, `buffer`: reading and writing;
//! - `stamp`: when bytes arrived;
//! - `error`: what can go wrong.
//!
//! Nothing here knows what the bytes mean.

mod buffer;
mod connect;
mod encoding;
mod error;
mod http1;
mod http2;
mod io;
pub mod options;
mod pool;
mod proxy;
mod request;
mod socket;
mod stamp;
mod target;
mod tls;

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use headrace_wire::http1::{Head, Headers};
use rustls::ClientConfig;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use tokio::time::timeout;

use self::encoding::ContentDecoder;
pub(crate) use self::error::{Fate, TransportError};
use self::http2::{Http2Connection, Reservation};
use self::io::Io;
use self::options::{ConnectionOptions, Http2};
use self::pool::{Limits, Pool, Way};
pub(crate) use self::pool::{Route, Slot};
use self::proxy::{Proxies, Proxy};
pub(crate) use self::request::Outgoing;
pub(crate) use self::stamp::Stamp;
use self::target::Origin;
use self::tls::Offered;
use crate::end::FailureKind;

/// How many times a request is sent again that the server refused without looking at it.
const MAX_UNPROCESSED: usize = 3;

/// How long before the server closes an idle connection it is used no more: a request takes some time to arrive.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// Sends requests, and keeps the connections that all of them share.
#[derive(Debug)]
pub(crate) struct Transport {
    options: ConnectionOptions,
    proxies: Proxies,
    tls: OnceCell<Arc<ClientConfig>>,
    pool: Pool,
}

impl Transport {
    pub(crate) fn new(options: ConnectionOptions) -> Result<Self, TransportError> {
        let proxies = Proxies::new(&options.proxy)?;
        Ok(Self { options, proxies, tls: OnceCell::new(), pool: Pool::default() })
    }

    /// The route to a request's server.
    pub(crate) fn route(&self, request: &Outgoing) -> Result<Arc<Route>, TransportError> {
        let target = &request.target;
        self.pool.route(&target.origin, || {
            let most = self.options.max_connections;
            let limits = Limits {
                connections: most,
                http2_connections: most.unwrap_or(ConnectionOptions::DEFAULT_HTTP2_CONNECTIONS),
                idle: self.options.idle,
            };
            let speaks_http2 = self.options.http2 == Http2::PriorKnowledge;
            let way = match self.proxies.of(target)? {
                None => Way::Direct,
                Some(proxy) if proxy.forwards() && !target.origin.is_tls && !speaks_http2 => {
                    Way::Forwarded(proxy)
                }
                Some(proxy) => Way::Tunnel(proxy),
            };
            Ok(Route::new(way, limits, speaks_http2))
        })
    }

    /// Sends a request and reads the head of its response.
    ///
    /// A request that the server did not look at is sent again, and one whose reused connection turned out to be closed
    /// is sent once more.
    pub(crate) async fn send(
        &self,
        request: &Outgoing,
        route: &Arc<Route>,
        mut slot: Slot,
        connect_limit: Option<Duration>,
    ) -> Result<Response, TransportError> {
        let (mut unprocessed, mut resent) = (0, false);
        loop {
            let (reused, error) = match self.exchange(request, route, slot, connect_limit, resent).await {
                Err(error) => (false, error),
                Ok((reused, exchange)) => match answer(exchange, route).await {
                    Err(error) => (reused, error),
                    Ok(response) => return Ok(response),
                },
            };
            match error.fate {
                Fate::Unprocessed if unprocessed < MAX_UNPROCESSED => unprocessed += 1,
                Fate::Silent if reused && self.options.resend_on_stale && !resent => resent = true,
                _ => return Err(error),
            }
            slot = route.slot().await;
        }
    }

    /// Begins to send a request. Says whether its connection had carried one before.
    async fn exchange(
        &self,
        request: &Outgoing,
        route: &Arc<Route>,
        mut slot: Slot,
        limit: Option<Duration>,
        fresh: bool,
    ) -> Result<(bool, Exchange), TransportError> {
        // A connection that turned out to speak HTTP/2. Another may carry the request too.
        let mut spare = None;
        loop {
            let permit = match slot {
                Slot::Stream(reservation) => return Ok((true, over_http2(reservation, request)?)),
                Slot::NewHttp2(_connecting) => {
                    let io = match spare {
                        Some(io) => io,
                        None => self.connected(request, route, limit).await?,
                    };
                    let connection = Http2Connection::start(io, self.options.ping, route).await?;
                    return Ok((false, over_http2(route.add_http2(connection)?, request)?));
                }
                Slot::Connection(permit) => permit,
            };
            let idle = if fresh { None } else { route.take_idle() };
            let reused = idle.is_some();
            let io = match idle {
                Some(io) => io,
                None => self.connected(request, route, limit).await?,
            };
            if !tls::chose_http2(&io) {
                let exchange = http1::Exchange::new(io, request.http1_head(&route.way), request.body.clone());
                return Ok((reused, Exchange::Http1(Box::new(exchange), permit)));
            }
            drop(permit);
            route.speaks_http2();
            spare = Some(io);
            slot = route.slot().await;
        }
    }

    /// A new connection to the request's server, in no more than this time.
    async fn connected(
        &self,
        request: &Outgoing,
        route: &Route,
        limit: Option<Duration>,
    ) -> Result<Io, TransportError> {
        let connecting = self.connect(&request.target.origin, &route.way);
        match limit {
            None => connecting.await,
            Some(limit) => timeout(limit, connecting).await.unwrap_or_else(|_| {
                let message = format!("waited {} s (connect timeout)", limit.as_secs_f64());
                Err(TransportError::new(FailureKind::ConnectTimeout, message))
            }),
        }
    }

    async fn connect(&self, server: &Origin, way: &Way) -> Result<Io, TransportError> {
        let io = match way {
            Way::Direct => Io::Plain(connect::connect(server).await?),
            Way::Forwarded(proxy) => return self.connect_to_proxy(proxy).await,
            Way::Tunnel(proxy) => proxy.tunnel(self.connect_to_proxy(proxy).await?, server).await?,
        };
        self.secured(io, server, Offered::Chosen).await
    }

    async fn connect_to_proxy(&self, proxy: &Proxy) -> Result<Io, TransportError> {
        let connecting = async {
            let io = Io::Plain(connect::connect(&proxy.origin).await?);
            self.secured(io, &proxy.origin, Offered::Http1).await
        };
        connecting.await.map_err(|error: TransportError| error.through(proxy.to_string()))
    }

    /// The connection, with TLS if the server wants it.
    async fn secured(&self, io: Io, server: &Origin, offered: Offered) -> Result<Io, TransportError> {
        if server.is_tls { tls::handshake(self.tls().await?, offered, server, io).await } else { Ok(io) }
    }

    /// The TLS configuration, which is made when it is first needed: a small container may have no certificates to load.
    async fn tls(&self) -> Result<&Arc<ClientConfig>, TransportError> {
        let (options, http2) = (self.options.tls.clone(), self.options.http2);
        let make = || async move {
            // Reading the system's certificates takes some milliseconds.
            let made = tokio::task::spawn_blocking(move || tls::config(&options, http2)).await;
            made.unwrap_or_else(|error| Err(TransportError::new(FailureKind::Internal, error.to_string())))
        };
        self.tls.get_or_try_init(make).await
    }
}

/// The response to a request. Its head has come when this returns.
async fn answer(mut exchange: Exchange, route: &Arc<Route>) -> Result<Response, TransportError> {
    let head = exchange.head().await?;
    if let (407, Way::Forwarded(proxy)) = (head.status, &route.way) {
        return Err(proxy.refusal(head.status));
    }
    Ok(Response {
        status: head.status,
        keep_alive: keep_alive(&head.headers),
        decoder: ContentDecoder::of(&head.headers)?,
        headers: head.headers,
        exchange,
        route: Arc::clone(route),
    })
}

fn over_http2(reservation: Reservation, request: &Outgoing) -> Result<Exchange, TransportError> {
    http2::Exchange::new(reservation, request).map(|exchange| Exchange::Http2(Box::new(exchange)))
}

#[derive(Debug)]
enum Exchange {
    Http1(Box<http1::Exchange>, OwnedSemaphorePermit),
    Http2(Box<http2::Exchange>),
    /// The response has ended.
    Done,
}

impl Exchange {
    async fn head(&mut self) -> Result<Head, TransportError> {
        match self {
            Self::Http1(exchange, _) => exchange.head().await,
            Self::Http2(exchange) => exchange.head().await,
            Self::Done => std::future::pending().await,
        }
    }

    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: &mut dyn FnMut(&[u8], Stamp),
    ) -> Poll<Result<bool, TransportError>> {
        match self {
            Self::Http1(exchange, _) => exchange.poll_body(context, each),
            Self::Http2(exchange) => exchange.poll_body(context, each),
            Self::Done => Poll::Ready(Ok(true)),
        }
    }
}

/// A response whose head has come. Dropping it before it has ended closes its connection, or its stream of it.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    /// How long the server keeps the connection open.
    keep_alive: Option<Duration>,
    exchange: Exchange,
    decoder: Option<ContentDecoder>,
    route: Arc<Route>,
}

impl Response {
    /// Whether all of the response has been read.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.exchange, Exchange::Done)
    }

    /// Reads once, and hands over the bytes of the body that came, perhaps none.
    ///
    /// Once the response has ended, its connection is free for the next request.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: &mut dyn FnMut(&[u8], Stamp),
    ) -> Poll<Result<(), TransportError>> {
        let mut damaged = Ok(());
        let ended = match &mut self.decoder {
            None => self.exchange.poll_body(context, each),
            Some(decoder) => self.exchange.poll_body(context, &mut |bytes, stamp| {
                if damaged.is_ok() {
                    damaged = decoder.decode(bytes, &mut |decoded| each(decoded, stamp));
                }
            }),
        };
        if ready!(ended)? {
            self.end();
        }
        Poll::Ready(damaged)
    }

    /// Frees the connection for the next request. The permit for it comes back after it.
    fn end(&mut self) {
        if let Exchange::Http1(exchange, _permit) = std::mem::replace(&mut self.exchange, Exchange::Done)
            && let Some(io) = exchange.into_reusable()
        {
            self.route.keep(io, self.keep_alive);
        }
    }
}

/// How long the server keeps the connection open, as its header `Keep-Alive` says, less a margin.
fn keep_alive(headers: &Headers) -> Option<Duration> {
    let parameters = headers.all("keep-alive").flat_map(|value| value.split(','));
    let seconds = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok());
    seconds.map(|seconds| Duration::from_secs(seconds).saturating_sub(KEEP_ALIVE_MARGIN))
}

/// A status with its reason phrase, if it has one (529 has none).
pub(crate) fn with_reason(status: u16) -> String {
    match http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}
