//! What all exchanges of a server share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Waker;
use std::time::Duration;

use crossbeam_queue::SegQueue;

use crate::access::Access;
use crate::exchange::Exchange;
use crate::kept::Kept;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::runs::Runs;

/// How a server serves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The names of what is served.
    pub models: Vec<String>,
    /// The file of the keys; `None` to ask for none.
    pub keys: Option<PathBuf>,
    /// How many answers may run at a time; `None` for no limit.
    pub max_streams: Option<usize>,
    /// How many requests may wait for one of these to end.
    pub max_waiting: usize,
    /// The origins whose pages may ask; `*` for all.
    pub cors: Vec<String>,
    /// Whether only requests to this machine's own names are answered: then a page of the web cannot reach the server by
    /// a name of its own that leads here.
    pub own_names: bool,
    /// Whether a run goes on when its client leaves.
    pub goes_on: bool,
    /// After how much silence a comment is sent.
    pub keep_alive: Duration,
    /// Where a line for each request goes.
    pub access_log: Option<PathBuf>,
    /// The page at `/`; `None` for none.
    pub page: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            keys: None,
            max_streams: None,
            max_waiting: 0,
            cors: Vec::new(),
            own_names: false,
            goes_on: false,
            keep_alive: Duration::from_secs(15),
            access_log: None,
            page: None,
        }
    }
}

/// What all exchanges share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) arrivals: Arrivals,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keys: Option<Arc<Keys>>,
    pub(crate) runs: Runs,
    pub(crate) kept: Kept,
    pub(crate) access: Access,
    pub(crate) draining: AtomicBool,
}

/// What happened at the server, for whoever answers.
pub enum Event {
    /// Somebody asks.
    Asked(Arc<Exchange>),
    /// The client of the exchange with this id has left, or has cancelled the run.
    Left(u64),
    /// The user of the exchange with this id says something more.
    Steered(u64, String),
}

/// The events that wait to be taken, and who is woken by them.
pub(crate) struct Arrivals {
    pub(crate) events: SegQueue<Event>,
    pub(crate) waker: Waker,
    pub(crate) next_id: AtomicU64,
}

impl Arrivals {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { events: SegQueue::new(), waker, next_id: AtomicU64::new(1) }
    }

    pub(crate) fn asked(&self, exchange: Arc<Exchange>) {
        self.tell(Event::Asked(exchange));
    }

    pub(crate) fn left(&self, id: u64) {
        self.tell(Event::Left(id));
    }

    pub(crate) fn steered(&self, id: u64, message: String) {
        self.tell(Event::Steered(id, message));
    }

    fn tell(&self, event: Event) {
        self.events.push(event);
        self.waker.wake_by_ref();
    }
}
