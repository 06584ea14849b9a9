//! One request and its response, for whoever answers it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use headrace_wire::encode::{Api, Head, document};
use headrace_wire::{Delta, DeltaKind, Finish, FinishReason, ProviderError, Response, StreamEncoder, Usage};
use http::StatusCode;
use tokio::sync::oneshot;

use crate::asked::Asked;
use crate::body::{Pipe, StreamingBody};
use crate::refusal::{Refusal, RefusalKind};
use crate::server::Arrivals;

/// The beginning of a response, and where its body comes from.
pub(crate) enum Answer {
    /// A stream of server-sent events.
    Stream(StreamingBody),
    /// A whole document.
    Document(String),
    /// An error.
    Refusal(Refusal),
}

/// One request and its response.
pub struct Exchange {
    /// Different for each request of a process.
    pub id: u64,
    /// What the request asks for.
    pub asked: Asked,
    pipe: Pipe,
    arrivals: Arc<Arrivals>,
    state: Mutex<State>,
}

struct State {
    /// Who waits for the beginning of the response; `None` once it has begun.
    answer: Option<oneshot::Sender<Answer>>,
    head: Head,
    /// `None` before the first delta of a stream.
    encoder: Option<StreamEncoder>,
    /// What was written so far.
    response: Response,
    ended: bool,
}

impl Exchange {
    pub(crate) fn new(
        id: u64,
        asked: Asked,
        arrivals: Arc<Arrivals>,
    ) -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let state = State {
            answer: Some(answer),
            head: head(&asked),
            encoder: None,
            response: Response::default(),
            ended: false,
        };
        let exchange = Self { id, asked, pipe: Pipe::default(), arrivals, state: Mutex::new(state) };
        (Arc::new(exchange), answered)
    }

    /// Writes pieces of the answer: text, refusals and reasoning.
    pub fn write(&self, deltas: &[Delta]) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        for delta in deltas {
            state.response.apply(delta);
        }
        if self.asked.stream {
            self.encode(&mut state, deltas);
        }
    }

    /// Ends the answer.
    pub fn finish(&self, reason: FinishReason, usage: Option<Usage>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let usage = usage.map(|usage| Delta::first(DeltaKind::Usage(Box::new(usage))));
        // In OpenAI's words. The encoders of other APIs have their own.
        let finish = Finish::new(reason, reason.as_str().into());
        let last = [Some(Delta::first(DeltaKind::Finish(Box::new(finish)))), usage];
        let last: Vec<Delta> = last.into_iter().flatten().collect();
        for delta in &last {
            state.response.apply(delta);
        }
        if !self.asked.stream {
            let body = document(self.asked.api, &state.head, &state.response);
            state.answer(Answer::Document(body));
            return;
        }
        let shown = if self.asked.include_usage { &last[..] } else { &last[..1] };
        self.encode(&mut state, shown);
        self.encode_with(&mut state, StreamEncoder::finish);
        self.pipe.end();
    }

    /// Ends the answer with an error: with its status if nothing has been sent yet, else within the stream.
    pub fn fail(&self, refusal: Refusal) {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        if state.answer.is_some() {
            state.answer(Answer::Refusal(refusal));
            return;
        }
        let error = ProviderError {
            message: refusal.message.as_str().into(),
            kind: Some(refusal.name(self.asked.api).into()),
            ..ProviderError::default()
        };
        self.encode(&mut state, &[Delta::first(DeltaKind::Error(Box::new(error)))]);
        self.pipe.end();
    }

    /// Whether the client has left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.pipe.is_gone()
    }

    /// Whether there is room to write, or false if the client has left. The context's waker is woken when either may
    /// have changed.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        self.pipe.poll_room(context)
    }

    /// What is to happen when the client leaves. It does not hold the exchange: if whoever was to answer drops that, the
    /// client is told.
    pub(crate) fn on_leave(&self) -> impl FnOnce() + Send + use<> {
        let (pipe, arrivals, id) = (self.pipe.clone(), Arc::clone(&self.arrivals), self.id);
        move || {
            pipe.leave();
            arrivals.left(id);
        }
    }

    /// Encodes deltas. The first ones begin the response.
    fn encode(&self, state: &mut State, deltas: &[Delta]) {
        if state.encoder.is_none() {
            state.encoder = Some(StreamEncoder::new(self.asked.api, state.head.clone()));
            let begin = Delta::first(DeltaKind::Response(Box::default()));
            self.encode_with(state, |encoder, out| encoder.encode(&begin, out));
            let body = self.pipe.body(self.on_leave());
            state.answer(Answer::Stream(body));
        }
        self.encode_with(state, |encoder, out| {
            for delta in deltas {
                encoder.encode(delta, out);
            }
        });
    }

    fn encode_with(&self, state: &mut State, encode: impl FnOnce(&mut StreamEncoder, &mut Vec<u8>)) {
        if let Some(encoder) = &mut state.encoder {
            let mut out = Vec::new();
            encode(encoder, &mut out);
            self.pipe.write(&out);
        }
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
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Does nothing if it was answered.
        self.fail(Refusal::new(RefusalKind::Internal, "the request was dropped without an answer"));
    }
}

/// What all parts of the response say about it.
fn head(asked: &Asked) -> Head {
    let prefix = if asked.api == Api::Anthropic { "msg_" } else { "chatcmpl-" };
    let [first, second] = [(); 2].map(|()| RandomState::new().hash_one(prefix));
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Head {
        id: format!("{prefix}{first:016x}{second:016x}"),
        model: asked.model.clone(),
        created,
        input_tokens: None,
    }
}

impl Answer {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Refusal(refusal) => refusal.kind.status(),
            Self::Stream(_) | Self::Document(_) => StatusCode::OK,
        }
    }
}
