//! One request and its response, for whoever answers it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use headrace_engine::clock::now_ns;
use headrace_wire::encode::Head;
use headrace_wire::{Delta, DeltaKind, Finish, FinishReason, ProviderError, Response, Usage};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::access::Record;
use crate::asked::Asked;
use crate::body::{Pipe, StreamingBody};
use crate::calls::{ClientCalls, random_id};
use crate::document::{failed_document, head, kept_document, whole_answer};
use crate::front::rpc_id;
use crate::keys::Grant;
use crate::log::{Log, LogBody};
use crate::metrics::Counters;
use crate::protocol::{Encoder, Notice, Protocol};
use crate::refusal::{Refusal, RefusalKind};
use crate::routes_a2a::rpc_error;
use crate::shared::Shared;

/// The beginning of a response, and where its body comes from.
pub(crate) enum Answer {
    /// A stream of server-sent events, to the client that asked.
    Stream(StreamingBody),
    /// A stream of server-sent events that go on without the client.
    Log(LogBody),
    /// A whole document.
    Document(String),
    /// An error.
    Refusal(Refusal),
}

/// What the server has granted to a request. It is given back when the answer has ended.
#[derive(Default)]
pub(crate) struct Granted {
    pub(crate) key: Option<Grant>,
    #[expect(dead_code, reason = "it is held until it is dropped")]
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// One request and its response.
pub struct Exchange {
    /// Different for each request of a process.
    pub id: u64,
    /// The id of the run, for its client.
    pub run: String,
    /// What the request asks for.
    pub asked: Asked,
    /// Whose key it came with.
    pub owner: Option<String>,
    /// The headers that tell which trace the request belongs to.
    pub trace: Vec<(String, String)>,
    sink: Sink,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

/// Where the events of a stream go.
enum Sink {
    /// To the client that asked; if it leaves, the run is cancelled.
    Pipe(Pipe),
    /// Into a log, from which any number of clients read.
    Log(Log),
}

struct State {
    /// Who waits for the beginning of the response; `None` once it has begun.
    answer: Option<oneshot::Sender<Answer>>,
    head: Head,
    /// `None` before the stream has begun.
    encoder: Option<Encoder>,
    /// What was written so far.
    response: Response,
    ended: bool,
    /// What is told once the stream begins.
    early: Vec<Notice>,
    calls: ClientCalls,
    granted: Granted,
    counters: Counters,
    received: Instant,
    written: Option<Instant>,
    /// How many pieces were written.
    pieces: u64,
    first_token: Option<Instant>,
    /// The conversation, the answer included, for a response that goes on from this one.
    conversation: Vec<Value>,
}

impl Exchange {
    pub(crate) fn new(
        id: u64,
        asked: Asked,
        trace: Vec<(String, String)>,
        granted: Granted,
        shared: &Arc<Shared>,
    ) -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let goes_on = shared.options.goes_on && asked.stream || asked.response.background;
        let state = State {
            answer: Some(answer),
            head: head(&asked),
            encoder: None,
            response: Response::default(),
            ended: false,
            early: Vec::new(),
            calls: ClientCalls::new(asked.tool_names()),
            counters: shared.metrics.begin(&asked.model, asked.protocol),
            received: Instant::now(),
            written: None,
            pieces: 0,
            first_token: None,
            conversation: Vec::new(),
            granted,
        };
        let owner = state.granted.key.as_ref().map(|key| key.name().to_owned());
        let sink = if goes_on { Sink::Log(Log::default()) } else { Sink::Pipe(Pipe::default()) };
        let exchange = Arc::new(Self {
            id,
            run: random_id("run_"),
            asked,
            owner,
            trace,
            sink,
            shared: Arc::clone(shared),
            state: Mutex::new(state),
        });
        shared.runs.begin(&exchange);
        (exchange, answered)
    }

    /// A turn begins: its calls are numbered anew.
    pub(crate) fn begin_turn(&self) {
        self.state().calls.begin_turn();
    }

    /// Whether the client runs tools itself, so that their calls are written.
    pub(crate) fn shows_calls(&self) -> bool {
        !self.asked.tools.is_empty()
    }

    /// Whether the client wants log probabilities. Only streams of chat completions have them here.
    pub(crate) fn shows_logprobs(&self) -> bool {
        self.asked.protocol == Protocol::Chat
            && self.asked.parameters.get("logprobs") == Some(&Value::Bool(true))
    }

    /// Writes pieces of the answer: text, refusals, reasoning, and calls of the client's tools.
    ///
    /// # Arguments
    /// - `deltas`: the pieces; calls of the agent's own tools are left out;
    /// - `arrived_ns`: when the newest of them came from the model, on the clock of the engine.
    pub fn write(&self, deltas: &[Delta], arrived_ns: Option<u64>) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        let shown: Vec<Delta>;
        let deltas = if state.calls.is_empty() {
            deltas
        } else {
            shown = deltas.iter().filter_map(|delta| state.calls.shown(delta)).collect();
            &shown
        };
        if self.needs_document() {
            for delta in deltas {
                state.response.apply(delta);
            }
        }
        if self.asked.stream {
            self.encode(&mut state, deltas);
        }
        state.count(deltas, arrived_ns);
    }

    /// Whether the whole answer is needed in the end. A stream that nobody goes on from is not collected.
    fn needs_document(&self) -> bool {
        !self.asked.stream || self.asked.response.store
    }

    /// Tells the client what the agent does between its texts. Only streams have a place for it.
    ///
    /// That something begins does not begin the response, so that an error before the first token has its status.
    pub fn tell(&self, notice: Notice) {
        let mut state = self.state();
        if state.ended || !self.asked.stream {
            return;
        }
        let begins = notice["type"].as_str().is_some_and(|kind| kind.ends_with("_start"));
        if begins && state.encoder.is_none() {
            state.early.push(notice);
            return;
        }
        self.begin(&mut state);
        self.encode_with(&mut state, |encoder, out| encoder.tell(&notice, out));
    }

    /// Keeps the conversation, with the answer, for a response that goes on from this one.
    pub fn keep(&self, mut conversation: Vec<Value>) {
        let mut state = self.state();
        // The client knows its calls by the ids that it was given, and will send their results under these.
        let given = state.response.first().map(|choice| choice.tool_calls.as_slice()).unwrap_or_default();
        let mut ids = given.iter().filter_map(|call| call.id.as_deref());
        let last = conversation.iter_mut().rfind(|message| message["role"] == "assistant");
        let calls = last.and_then(|message| message["tool_calls"].as_array_mut()).into_iter().flatten();
        for call in calls.filter(|call| self.asked.tool_names().any(|name| call["function"]["name"] == name))
        {
            if let Some(id) = ids.next() {
                call["id"] = json!(id);
            }
        }
        state.conversation = conversation;
    }

    /// Ends the answer.
    pub fn finish(&self, reason: FinishReason, usage: Option<Usage>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let tokens = usage.as_ref().map_or(0, |usage| {
            usage.input_tokens.unwrap_or_default().saturating_add(usage.output_tokens.unwrap_or_default())
        });
        let usage = usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage))));
        // In OpenAI's words. The encoders of other protocols have their own.
        let finish = Finish::new(reason, reason.as_str().into());
        let last = [Some(Delta::first(DeltaKind::Finish(Box::new(finish)))), usage];
        let last: Vec<Delta> = last.into_iter().flatten().collect();
        for delta in &last {
            state.response.apply(delta);
        }
        if self.asked.response.store {
            let conversation = std::mem::take(&mut state.conversation);
            let document = kept_document(&self.asked, &state.head, &state.response, None);
            self.shared.kept.end(&state.head.id, document, conversation);
        }
        if self.asked.stream {
            let shown = if self.asked.include_usage { &last[..] } else { &last[..1] };
            self.encode(&mut state, shown);
            self.encode_with(&mut state, Encoder::finish);
            self.end_stream();
        } else {
            let document = whole_answer(&self.asked, &state.head, &state.response);
            state.answer(Answer::Document(document));
            self.end_stream();
        }
        if let Some(key) = &state.granted.key {
            key.spend(tokens);
        }
        self.ended(&mut state, "complete", 200, tokens);
    }

    /// Ends the answer with an error: with its status if nothing has been sent yet, else within the stream.
    pub fn fail(&self, refusal: Refusal) {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let (outcome, status) = (refusal.kind.outcome(), refusal.kind.status().as_u16());
        let tokens = state.pieces;
        if let Some(key) = &state.granted.key {
            // The provider's counts did not come. What was written has cost at least this.
            key.spend(tokens);
        }
        if self.asked.response.store {
            let document = failed_document(&self.asked, &state.head, &state.response, &refusal);
            self.shared.kept.end(&state.head.id, document, Vec::new());
        }
        if state.encoder.is_none() {
            if self.asked.protocol == Protocol::A2a {
                let error = rpc_error(&rpc_id(&self.asked.names), &refusal);
                state.answer(Answer::Document(error.to_string()));
            }
            // Nothing was sent. The client of a background response has its beginning, and asks for the rest later.
            state.answer(Answer::Refusal(refusal));
            self.end_stream();
            self.ended(&mut state, outcome, status, tokens);
            return;
        }
        let error = ProviderError {
            message: refusal.message.as_str().into(),
            kind: Some(refusal.name(self.asked.protocol).into()),
            ..ProviderError::default()
        };
        self.encode(&mut state, &[Delta::first(DeltaKind::Error(Box::new(error)))]);
        if self.asked.protocol.ends_after_error() {
            self.encode_with(&mut state, Encoder::finish);
        }
        self.end_stream();
        self.ended(&mut state, outcome, 200, tokens);
    }

    /// Cancels the run, on behalf of its client, who is told so.
    pub(crate) fn cancel(&self) {
        self.fail(Refusal::new(RefusalKind::Cancelled, "the run was cancelled"));
        self.shared.arrivals.left(self.id);
    }

    /// Gives the agent another message of the user.
    pub(crate) fn steer(&self, message: String) {
        self.shared.arrivals.steered(self.id, message);
    }

    /// Whether the client has left, or has cancelled the run.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match &self.sink {
            Sink::Pipe(pipe) => pipe.is_gone() || self.state().ended,
            Sink::Log(_) => self.state().ended,
        }
    }

    /// Whether there is room to write, or false if nobody wants to read any more. The context's waker is woken when
    /// either may have changed.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        match &self.sink {
            Sink::Pipe(pipe) => pipe.poll_room(context),
            Sink::Log(_) => Poll::Ready(!self.state().ended),
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// The id of the response.
    pub(crate) fn response_id(&self) -> String {
        self.state().head.id.clone()
    }

    /// The log of its events, if it goes on without its client.
    pub(crate) fn log(&self) -> Option<Log> {
        match &self.sink {
            Sink::Log(log) => Some(log.clone()),
            Sink::Pipe(_) => None,
        }
    }

    /// The document of a response that has not ended yet.
    pub(crate) fn unfinished_document(&self) -> String {
        let state = self.state();
        kept_document(&self.asked, &state.head, &state.response, Some(("in_progress", Value::Null)))
    }

    /// Begins a stream without anything to send, because the client should not wait longer for its beginning.
    pub(crate) fn begin_waiting(&self) {
        let mut state = self.state();
        if !state.ended && self.asked.stream {
            self.begin(&mut state);
        }
    }

    /// What is to happen when the client leaves. It does not hold the exchange: if whoever was to answer drops that, the
    /// client is told.
    pub(crate) fn on_leave(&self) -> Option<impl FnOnce() + Send + use<>> {
        let Sink::Pipe(pipe) = &self.sink else { return None };
        let (pipe, shared, id) = (pipe.clone(), Arc::clone(&self.shared), self.id);
        Some(move || {
            pipe.leave();
            shared.arrivals.left(id);
        })
    }

    /// Begins the stream.
    fn begin(&self, state: &mut State) {
        if state.encoder.is_some() {
            return;
        }
        state.encoder = Some(Encoder::new(self.asked.protocol, state.head.clone(), &self.asked.names));
        let begin = Delta::first(DeltaKind::Response(Box::default()));
        let early = std::mem::take(&mut state.early);
        self.encode_with(state, |encoder, out| {
            encoder.encode(&begin, out);
            for notice in &early {
                encoder.tell(notice, out);
            }
        });
        let answer = match &self.sink {
            Sink::Pipe(pipe) => self
                .on_leave()
                .map(|on_leave| Answer::Stream(pipe.body(self.shared.options.keep_alive, on_leave))),
            Sink::Log(log) => log.after(0, self.shared.options.keep_alive).map(Answer::Log),
        };
        if let Some(answer) = answer {
            state.answer(answer);
        }
    }

    /// Encodes deltas. The first ones begin the response.
    fn encode(&self, state: &mut State, deltas: &[Delta]) {
        if deltas.is_empty() {
            return;
        }
        self.begin(state);
        self.encode_with(state, |encoder, out| {
            for delta in deltas {
                encoder.encode(delta, out);
            }
        });
    }

    fn encode_with(&self, state: &mut State, encode: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        if let Some(encoder) = &mut state.encoder {
            let mut out = Vec::new();
            encode(encoder, &mut out);
            match &self.sink {
                Sink::Pipe(pipe) => pipe.write(&out),
                Sink::Log(log) => log.write(&out),
            }
        }
    }

    fn end_stream(&self) {
        match &self.sink {
            Sink::Pipe(pipe) => pipe.end(),
            Sink::Log(log) => log.end(),
        }
    }

    /// Gives back what the request was granted, and records how it ended.
    fn ended(&self, state: &mut State, outcome: &'static str, status: u16, tokens: u64) {
        let left = matches!(&self.sink, Sink::Pipe(pipe) if pipe.is_gone());
        let outcome = if left { "left" } else { outcome };
        state.counters.end(outcome);
        state.granted = Granted::default();
        self.shared.runs.end(&self.run, outcome);
        self.shared.access.write(&Record {
            run: &self.run,
            key: self.owner.as_deref(),
            model: &self.asked.model,
            protocol: self.asked.protocol.name(),
            status,
            outcome,
            seconds: state.received.elapsed().as_secs_f64(),
            ttft: state.first_token.map(|first| (first - state.received).as_secs_f64()),
            tokens,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins the response.
    fn answer(&mut self, answer: Answer) {
        if let Some(waiting) = self.answer.take() {
            // Fails if the client has left: then nobody wants it.
            drop(waiting.send(answer));
        }
    }

    /// Counts pieces that were written together.
    fn count(&mut self, deltas: &[Delta], arrived_ns: Option<u64>) {
        let pieces = deltas.iter().filter(|delta| delta.is_output()).count();
        if pieces == 0 {
            return;
        }
        let now = Instant::now();
        if let Some(before) = self.written.replace(now) {
            self.counters.itl.observe((now - before).as_secs_f64());
        } else {
            self.counters.ttft.observe((now - self.received).as_secs_f64());
            self.first_token = Some(now);
        }
        self.counters.tokens.inc_by(pieces as u64);
        self.pieces += pieces as u64;
        if let Some(arrived) = arrived_ns {
            #[expect(clippy::cast_precision_loss, reason = "a few nanoseconds in a latency do not matter")]
            let own = now_ns().saturating_sub(arrived) as f64 * 1e-9;
            self.counters.own.observe(own);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Does nothing if it was answered.
        self.fail(Refusal::new(RefusalKind::Internal, "the request was dropped without an answer"));
    }
}
