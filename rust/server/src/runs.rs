//! The runs of a server by their ids: to cancel them, to say something to them, and to read on where a client left off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::exchange::Exchange;
use crate::log::Log;

/// How long a run that has ended is known.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// How many runs that have ended are known at most.
const MAX_ENDED: usize = 1000;

/// How many bytes the events of all runs that have ended may have.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A run.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) exchange: Weak<Exchange>,
    pub(crate) log: Option<Log>,
    owner: Option<String>,
    model: String,
    created: u64,
    outcome: Option<&'static str>,
    ended: Option<Instant>,
}

impl Run {
    /// What is told about it.
    pub(crate) fn document(&self, id: &str) -> Value {
        let (status, model) = (self.outcome.unwrap_or("running"), &self.model);
        json!({
            "id": id, "object": "run", "model": model, "created": self.created, "status": status,
            "resumable": self.log.is_some(),
        })
    }
}

#[derive(Default)]
pub(crate) struct Runs(Mutex<HashMap<String, Run>>);

impl Runs {
    pub(crate) fn begin(&self, exchange: &Arc<Exchange>) {
        let run = Run {
            exchange: Arc::downgrade(exchange),
            log: exchange.log(),
            owner: exchange.owner.clone(),
            model: exchange.asked.model.clone(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            outcome: None,
            ended: None,
        };
        self.runs().insert(exchange.run.clone(), run);
    }

    pub(crate) fn end(&self, id: &str, outcome: &'static str) {
        let mut runs = self.runs();
        match runs.get_mut(id) {
            // Its events are kept for whoever comes back.
            Some(run) if run.log.is_some() => {
                (run.outcome, run.ended) = (Some(outcome), Some(Instant::now()));
            }
            _ => {
                runs.remove(id);
                return;
            }
        }
        forget(&mut runs);
    }

    /// A run, if it is known and belongs to who asks.
    pub(crate) fn get(&self, id: &str, owner: Option<&str>) -> Option<Run> {
        self.runs().get(id).filter(|run| run.owner.as_deref() == owner).cloned()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets runs that ended long ago, and the oldest of too many.
fn forget(runs: &mut HashMap<String, Run>) {
    runs.retain(|_, run| run.ended.is_none_or(|ended| ended.elapsed() < KNOWN_FOR));
    let mut ended: Vec<(Instant, String, usize)> = runs
        .iter()
        .filter_map(|(id, run)| Some((run.ended?, id.clone(), run.log.as_ref().map_or(0, Log::bytes))))
        .collect();
    ended.sort_unstable();
    let (mut count, mut bytes) = (ended.len(), ended.iter().map(|(_, _, bytes)| bytes).sum::<usize>());
    for (_, id, its) in ended {
        if count <= MAX_ENDED && bytes <= MAX_BYTES {
            break;
        }
        (count, bytes) = (count - 1, bytes - its);
        runs.remove(&id);
    }
}
