//! From the stream of a model's turn to a response: a token passes on network threads only.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use headrace_engine::{Readiness, RuntimeError, Stream, spawn};
use headrace_wire::{Delta, DeltaKind};

use crate::done::Done;
use crate::exchange::Exchange;

/// A relay of one turn.
#[derive(Debug, Default)]
pub struct Relay {
    done: Done,
}

impl Relay {
    /// Starts to relay what a stream says to the client, until the stream ends or the client leaves.
    ///
    /// # Errors
    /// [`RuntimeError`] when the network threads cannot be started.
    pub fn start(
        stream: Arc<Mutex<Stream>>,
        exchange: Arc<Exchange>,
        separator: Option<String>,
    ) -> Result<Arc<Self>, RuntimeError> {
        let relay = Arc::new(Self::default());
        let running = Arc::clone(&relay);
        spawn(async move {
            run(&stream, &exchange, separator).await;
            // Before anybody is told: the stream is theirs again.
            drop(stream);
            running.done.set();
        })?;
        Ok(relay)
    }

    /// Ready once the stream has ended, or the client has left.
    pub fn poll_done(&self, context: &mut Context<'_>) -> Poll<()> {
        self.done.poll(context)
    }
}

/// What a relay does next.
enum Step {
    Write,
    End,
}

async fn run(stream: &Mutex<Stream>, exchange: &Arc<Exchange>, mut separator: Option<String>) {
    let (mut deltas, mut arrived) = (Vec::new(), 0);
    let shown = Shown { calls: exchange.shows_calls(), logprobs: exchange.shows_logprobs() };
    exchange.begin_turn();
    loop {
        let step = poll_fn(|context| poll(stream, exchange, shown, &mut deltas, &mut arrived, context)).await;
        if let Step::End = step {
            return;
        }
        if let Some(at) = deltas.iter().position(is_text)
            && let Some(separator) = separator.take()
        {
            deltas.insert(at, Delta::first(DeltaKind::Text(separator.into())));
        }
        exchange.write(&deltas, Some(arrived));
        deltas.clear();
    }
}

/// Takes what has arrived, as soon as there is room for it.
fn poll(
    stream: &Mutex<Stream>,
    exchange: &Exchange,
    shown: Shown,
    deltas: &mut Vec<Delta>,
    arrived: &mut u64,
    context: &mut Context<'_>,
) -> Poll<Step> {
    let room = exchange.poll_room(context);
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    match room {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(false) => {
            stream.closer().close();
            return Poll::Ready(Step::End);
        }
        Poll::Ready(true) => {}
    }
    loop {
        match stream.poll(context) {
            Readiness::Ready => {
                stream.take(|arrival| {
                    *arrived = arrival.arrived_ns;
                    deltas.extend(Some(arrival.delta).filter(|delta| shown.has(delta)));
                });
                if !deltas.is_empty() {
                    return Poll::Ready(Step::Write);
                }
            }
            Readiness::Pending => return Poll::Pending,
            Readiness::Ended | Readiness::Forked => return Poll::Ready(Step::End),
        }
    }
}

/// What a client may get to see besides text and reasoning.
#[derive(Clone, Copy)]
struct Shown {
    /// Calls: which of them, is the exchange's affair.
    calls: bool,
    logprobs: bool,
}

impl Shown {
    const fn has(self, delta: &Delta) -> bool {
        let is_shown = match delta.kind {
            DeltaKind::Text(_) | DeltaKind::Refusal(_) | DeltaKind::Reasoning(_) => true,
            DeltaKind::ToolCallStart(_)
            | DeltaKind::ToolCallArguments { .. }
            | DeltaKind::ToolCallEnd { .. } => self.calls,
            DeltaKind::Logprobs(_) => self.logprobs,
            _ => false,
        };
        is_shown && delta.choice == 0
    }
}

const fn is_text(delta: &Delta) -> bool {
    matches!(delta.kind, DeltaKind::Text(_) | DeltaKind::Refusal(_))
}
