//! Responses that are kept, so that their clients can ask for them again and go on from them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value;

use crate::calls::random_id;
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

/// A conversation of OpenAI's responses, which a client has begun.
struct Conversation {
    owner: Option<String>,
    created: u64,
    /// What it begins with.
    opening: Arc<Vec<Value>>,
}

#[derive(Default)]
struct State {
    by_id: HashMap<String, Response>,
    /// The last response of each conversation that has a name.
    threads: HashMap<String, String>,
    conversations: HashMap<String, Conversation>,
    /// The conversations, the oldest first.
    begun: VecDeque<String>,
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

    /// Begins a conversation. Returns its id.
    pub(crate) fn begin_conversation(
        &self,
        owner: Option<&str>,
        opening: Vec<Value>,
        created: u64,
    ) -> String {
        let id = random_id("conv_");
        let conversation =
            Conversation { owner: owner.map(str::to_owned), created, opening: Arc::new(opening) };
        let mut state = self.state();
        state.conversations.insert(id.clone(), conversation);
        state.begun.push_back(id.clone());
        while state.begun.len() > MAX_KEPT
            && let Some(oldest) = state.begun.pop_front()
        {
            state.end_conversation(&oldest);
        }
        id
    }

    /// What was said in a conversation, and when it was begun; `None` if it is not known, or not any more.
    pub(crate) fn conversation(&self, id: &str, owner: Option<&str>) -> Option<(Arc<Vec<Value>>, u64)> {
        let (opening, created) = {
            let state = self.state();
            let known = state.conversations.get(id).filter(|known| known.owner.as_deref() == owner)?;
            (Arc::clone(&known.opening), known.created)
        };
        let said = self.thread(id, owner);
        Some((if said.is_empty() { opening } else { said }, created))
    }

    /// Forgets a conversation.
    pub(crate) fn end_conversation(&self, id: &str) {
        self.state().end_conversation(id);
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

    fn end_conversation(&mut self, id: &str) {
        self.conversations.remove(id);
        self.threads.remove(id);
        self.begun.retain(|known| known != id);
    }

    fn remove(&mut self, id: &str) {
        if let Some(response) = self.by_id.remove(id) {
            self.bytes -= response.bytes;
            if let Some(thread) = &response.thread
                && self.threads.get(thread).is_some_and(|last| last == id)
            {
                self.threads.remove(thread);
                // Going on from its beginning would leave out what was said since.
                self.end_conversation(&thread.clone());
            }
        }
        self.order.retain(|known| known != id);
    }
}
