//! The connections of one transport, by server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::TransportError;
use super::http2::{Http2Connection, Reservation};
use super::io::Io;
use super::proxy::Proxy;
use super::target::Origin;
use crate::end::FailureKind;

/// The connections to all servers.
#[derive(Debug, Default)]
pub(super) struct Pool {
    routes: Mutex<HashMap<Origin, Arc<Route>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most connections to one server; `None` for no limit.
    pub(super) connections: Option<usize>,
    /// The most HTTP/2 connections to one server.
    pub(super) http2_connections: usize,
    /// How long an idle connection is kept.
    pub(super) idle: Duration,
}

/// How to get to a server.
#[derive(Debug)]
pub(super) enum Way {
    Direct,
    /// A proxy reads the request and forwards it.
    Forwarded(Proxy),
    /// A proxy forwards the bytes.
    Tunnel(Proxy),
}

/// The connections to one server.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) way: Way,
    limits: Limits,
    /// A permit for each HTTP/1.1 connection that is in use. A new one is made only if none is idle, so those in use and
    /// the idle ones together are never more than there are permits.
    in_use: Arc<Semaphore>,
    state: Mutex<State>,
    /// Something that a request may wait for has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Idle>,
    has_watcher: bool,
    http2: Vec<Arc<Http2Connection>>,
    /// The server is known to speak HTTP/2.
    speaks_http2: bool,
    /// An HTTP/2 connection is being made.
    is_connecting: bool,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    until: Instant,
}

/// What allows a request to be sent.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A connection of HTTP/1.1 may be used, or made; which version a new one speaks is seen then.
    Connection(OwnedSemaphorePermit),
    /// A stream of an HTTP/2 connection.
    Stream(Reservation),
    /// An HTTP/2 connection may be made.
    NewHttp2(Connecting),
}

/// An HTTP/2 connection that is being made.
#[derive(Debug)]
pub(crate) struct Connecting(Arc<Route>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.state().is_connecting = false;
        self.0.notify();
    }
}

impl Pool {
    /// The route to a server, made at the first call.
    pub(super) fn route<E>(
        &self,
        origin: &Origin,
        make: impl FnOnce() -> Result<Route, E>,
    ) -> Result<Arc<Route>, E> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(origin) {
            return Ok(Arc::clone(route));
        }
        let route = Arc::new(make()?);
        routes.insert(origin.clone(), Arc::clone(&route));
        Ok(route)
    }
}

impl Route {
    pub(super) fn new(way: Way, limits: Limits, speaks_http2: bool) -> Self {
        let permits =
            limits.connections.map_or(Semaphore::MAX_PERMITS, |most| most.min(Semaphore::MAX_PERMITS));
        Self {
            way,
            limits,
            in_use: Arc::new(Semaphore::new(permits)),
            state: Mutex::new(State { speaks_http2, ..State::default() }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, if there is one now.
    pub(crate) fn try_slot(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state();
        state.http2.retain(|connection| !connection.is_closed());
        if let Some(reservation) = state.http2.iter().find_map(Http2Connection::reserve) {
            return Some(Slot::Stream(reservation));
        }
        if !state.speaks_http2 {
            return Arc::clone(&self.in_use).try_acquire_owned().ok().map(Slot::Connection);
        }
        // One that is new may have room for everybody, as soon as the server has said for how many.
        let is_settling =
            state.is_connecting || state.http2.iter().any(|connection| !connection.is_settled());
        if is_settling || state.http2.len() >= self.limits.http2_connections {
            return None;
        }
        state.is_connecting = true;
        Some(Slot::NewHttp2(Connecting(Arc::clone(self))))
    }

    /// A connection of this server turned out to speak HTTP/2.
    pub(super) fn speaks_http2(&self) {
        self.state().speaks_http2 = true;
        self.notify();
    }

    /// Waits for a slot, for no longer than this.
    pub(crate) async fn slot_within(
        self: &Arc<Self>,
        limit: Option<Duration>,
    ) -> Result<Slot, TransportError> {
        let Some(limit) = limit else { return Ok(self.slot().await) };
        timeout(limit, self.slot()).await.map_err(|_| {
            let (seconds, shortage) = (limit.as_secs_f64(), self.shortage());
            TransportError::new(
                FailureKind::PoolTimeout,
                format!("waited {seconds} s (pool timeout); {shortage}"),
            )
        })
    }

    /// Waits for a slot.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before looking, so that nothing is missed in between.
            changed.as_mut().enable();
            if let Some(slot) = self.try_slot() {
                return slot;
            }
            if self.state().speaks_http2 {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                // Closed never.
                Ok(permit) = Arc::clone(&self.in_use).acquire_owned() => return Slot::Connection(permit),
            }
        }
    }

    /// What a request that waits for a slot waits for.
    fn shortage(&self) -> String {
        if self.state().speaks_http2 {
            let most = self.limits.http2_connections;
            return format!(
                "each of at most {most} HTTP/2 connections has as many streams as the server allows"
            );
        }
        format!(
            "all {} connections are in use (max_connections)",
            self.limits.connections.unwrap_or_default()
        )
    }

    /// An idle connection that can be used. The one that was used last is the least likely to be closed.
    pub(super) fn take_idle(&self) -> Option<Io> {
        let mut state = self.state();
        let now = Instant::now();
        while let Some(mut idle) = state.idle.pop() {
            if now < idle.until && idle.io.is_quiet() {
                return Some(idle.io);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(self: &Arc<Self>, io: Io, said: Option<Duration>) {
        let keep = said.unwrap_or(Duration::MAX).min(self.limits.idle);
        if keep.is_zero() {
            return;
        }
        let mut state = self.state();
        state.idle.push(Idle { io, until: Instant::now() + keep });
        if !state.has_watcher {
            state.has_watcher = true;
            tokio::spawn(close_old(Arc::clone(self)));
        }
    }

    /// Adds an HTTP/2 connection, which carries streams from now on, and takes one of them.
    pub(super) fn add_http2(&self, connection: Arc<Http2Connection>) -> Result<Reservation, TransportError> {
        let reservation = connection.reserve().ok_or_else(|| {
            TransportError::new(FailureKind::Connect, "the HTTP/2 connection ended at once".to_owned())
        });
        self.state().http2.push(connection);
        self.notify();
        reservation
    }

    /// Says that a request may find room now.
    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Closes the connections whose time is over. The next time, if there are others.
    fn expire(&self) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        state.idle.retain(|idle| now < idle.until);
        let next = state.idle.iter().map(|idle| idle.until).min();
        state.has_watcher = next.is_some();
        next
    }
}

async fn close_old(route: Arc<Route>) {
    while let Some(next) = route.expire() {
        sleep_until(next).await;
    }
}
