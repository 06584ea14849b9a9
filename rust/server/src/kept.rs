//! Responses that are kept, so that their clients can ask for them again and go on from them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value;

use crate::exchange::Exchange;

/// How many responses are kept. The oldest are forgotten.
const MAX_KEPT: usize = 1000;

/// How many bytes all of them may have together.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A response.
#[derive(Clone)]
pub(crate) struct Response {
    owner: Option<String>,
    exchange: Weak<Exchange>,
    /// The name of its conversation, if the protocol has one.
    thread: Option<String>,
    /// The document; `None` while it is being answered.
    document: Option<String>,
    /// The conversation with its answer; empty if it was not answered.
    pub(crate) conversation: Arc<Vec<Value>>,
    bytes: usize,
}

impl Response {
    /// The document as it is now.
    pub(crate) fn document(&self) -> Option<String> {
        self.document
            .clone()
            .or_else(|| self.exchange.upgrade().map(|exchange| exchange.unfinished_document()))
    }

    /// The exchange that answers, if it is not finished.
    pub(crate) fn exchange(&self) -> Option<Arc<Exchange>> {
        self.exchange.upgrade()
    }
}

#[derive(Default)]
struct State {
    by_id: HashMap<String, Response>,
    /// The last response of each conversation that has a name.
    threads: HashMap<String, String>,
    order: VecDeque<String>,
    bytes: usize,
}

#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

impl Kept {
    /// Keeps a response from now on.
    pub(crate) fn begin(&self, exchange: &Arc<Exchange>) {
        let id = exchange.response_id();
        let response = Response {
            owner: exchange.owner.clone(),
            exchange: Arc::downgrade(exchange),
            thread: exchange.asked.names.thread.clone(),
            document: None,
            conversation: Arc::default(),
            bytes: 0,
        };
        let mut state = self.state();
        state.by_id.insert(id.clone(), response);
        state.order.push_back(id);
        state.forget();
    }

    /// The response has ended. Does nothing if it is not kept.
    pub(crate) fn end(&self, id: &str, document: String, conversation: Vec<Value>) {
        let mut state = self.state();
        let Some(response) = state.by_id.get_mut(id) else { return };
        let thread = response.thread.clone().filter(|_| !conversation.is_empty());
        response.bytes =
            document.len() + conversation.iter().map(|message| message.to_string().len()).sum::<usize>();
        response.document = Some(document);
        response.conversation = Arc::new(conversation);
        if let Some(thread) = thread {
            state.threads.insert(thread, id.to_owned());
        }
        state.bytes += state.by_id.get(id).map_or(0, |response| response.bytes);
        state.forget();
    }

    /// The conversation of a name, as its last response left it; empty if there is none.
    pub(crate) fn thread(&self, name: &str, owner: Option<&str>) -> Arc<Vec<Value>> {
        let last = self.state().threads.get(name).cloned();
        last.and_then(|id| self.get(&id, owner)).map(|response| response.conversation).unwrap_or_default()
    }

    /// A response, if it is known and belongs to who asks.
    pub(crate) fn get(&self, id: &str, owner: Option<&str>) -> Option<Response> {
        self.state().by_id.get(id).filter(|response| response.owner.as_deref() == owner).cloned()
    }

    pub(crate) fn remove(&self, id: &str) {
        self.state().remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        while (self.order.len() > MAX_KEPT || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.order.front().cloned()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &str) {
        if let Some(response) = self.by_id.remove(id) {
            self.bytes -= response.bytes;
            if let Some(thread) = &response.thread
                && self.threads.get(thread).is_some_and(|last| last == id)
            {
                self.threads.remove(thread);
            }
        }
        self.order.retain(|known| known != id);
    }
}
