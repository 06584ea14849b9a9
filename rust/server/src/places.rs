//! How many answers may run at a time: of the server, and of each key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::asked::Asked;
use crate::exchange::Granted;
use crate::keys::Entry;
use crate::refusal::{Refusal, RefusalKind};
use crate::shared::Shared;

/// How long a request waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(60);

/// The places of a server; `None` for any number.
pub(crate) struct Places(Option<Arc<Semaphore>>);

impl Places {
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self(most.map(|most| Arc::new(Semaphore::new(most))))
    }

    /// What the key and the server allow, once there is a place.
    pub(crate) async fn grant(
        &self,
        shared: &Shared,
        asked: &Asked,
        key: Option<Arc<Entry>>,
    ) -> Result<Granted, Refusal> {
        let key = match (&shared.keys, key) {
            (Some(keys), Some(entry)) => Some(keys.grant(&entry)?),
            _ => None,
        };
        if let Some(key) = key.as_ref().filter(|key| !key.allows(&asked.model)) {
            let message = format!("the key {:?} may not ask {:?}", key.name(), asked.model);
            return Err(Refusal::new(RefusalKind::Forbidden, message));
        }
        if shared.draining.load(Ordering::Relaxed) {
            return Err(Refusal::new(RefusalKind::Unavailable, "the server is being stopped"));
        }
        let Some(places) = &self.0 else { return Ok(Granted { key, place: None }) };
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Granted { key, place: Some(place) });
        }
        let full =
            |message: String| Refusal { kind: RefusalKind::RateLimit, message, retry_after: Some(1.0) };
        let waiting = shared.metrics.waiting.clone();
        let most = shared.options.max_waiting;
        if waiting.inc() >= i64::try_from(most).unwrap_or(i64::MAX) {
            waiting.dec();
            return Err(full(format!(
                "all places are taken, and {most} requests wait already: ask again later"
            )));
        }
        let waits = OnDrop(Some(move || {
            waiting.dec();
        }));
        let place = timeout(TURN_LIMIT, Arc::clone(places).acquire_owned()).await;
        drop(waits);
        match place {
            Ok(Ok(place)) => Ok(Granted { key, place: Some(place) }),
            _ => Err(full("no place became free in time: ask again later".to_owned())),
        }
    }
}

/// Calls a function when it is dropped, unless it was defused.
pub(crate) struct OnDrop<F: FnOnce()>(pub(crate) Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn defuse(mut self) {
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
