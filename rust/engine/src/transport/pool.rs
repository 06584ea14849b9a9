//! The connections of one transport, by server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::http2::{Http2Connection, Reservation};
use super::io::Io;
use super::target::Origin;

/// The connections to all servers.
#[derive(Debug)]
pub(super) struct Pool {
    routes: Mutex<HashMap<Origin, Arc<Route>>>,
    limits: Limits,
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

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Route {
    limits: Limits,
    /// A permit for each HTTP/1.1 connection that is in use. There are idle ones only while there is a permit for each.
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
    /// HTTP/2 connections that are being made.
    connecting: usize,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    until: Instant,
}

/// What allows a request to be sent.
#[derive(Debug)]
pub(super) enum Slot {
    /// A connection of HTTP/1.1 may be used, or made; which version a new one speaks is seen then.
    Connection(OwnedSemaphorePermit),
    /// A stream of an HTTP/2 connection.
    Stream(Reservation),
    /// An HTTP/2 connection may be made.
    NewHttp2(Connecting),
}

/// An HTTP/2 connection that is being made.
#[derive(Debug)]
pub(super) struct Connecting(Arc<Route>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.state().connecting -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        Self { routes: Mutex::default(), limits }
    }

    pub(super) fn route(&self, origin: &Origin) -> Arc<Route> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(origin) {
            return Arc::clone(route);
        }
        let route = Arc::new(Route::new(self.limits));
        routes.insert(origin.clone(), Arc::clone(&route));
        route
    }
}

impl Route {
    fn new(limits: Limits) -> Self {
        let permits =
            limits.connections.map_or(Semaphore::MAX_PERMITS, |most| most.min(Semaphore::MAX_PERMITS));
        Self {
            limits,
            in_use: Arc::new(Semaphore::new(permits)),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, if there is one now.
    pub(super) fn try_slot(self: &Arc<Self>) -> Option<Slot> {
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
            state.connecting > 0 || state.http2.iter().any(|connection| !connection.is_settled());
        if is_settling || state.http2.len() >= self.limits.http2_connections {
            return None;
        }
        state.connecting += 1;
        drop(state);
        Some(Slot::NewHttp2(Connecting(Arc::clone(self))))
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
    pub(super) fn shortage(&self) -> String {
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
    pub(super) fn add_http2(&self, connection: Arc<Http2Connection>) -> Option<Reservation> {
        let reservation = connection.reserve();
        let mut state = self.state();
        state.speaks_http2 = true;
        state.http2.push(connection);
        drop(state);
        self.changed.notify_waiters();
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
