//! Sends the requests of a plan.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headrace_engine::clock::now_ns;
use headrace_engine::{Closer, Readiness, RuntimeError, Stream, spawn};

use crate::pacer::wait_until;
use crate::plan::{Load, Plan};
use crate::record::{Record, Seen};
use crate::tally::Tally;

/// From the start of a run to its first request, so that the first ones are not late because of the start itself.
const LEAD_NS: u64 = 2_000_000;

/// A run of a plan. It goes on by itself; [`Run::wait`] waits for its end.
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    began_ns: u64,
    sent: AtomicUsize,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    failed: usize,
    /// Those that are being read, by the number of their request.
    open: std::collections::HashMap<usize, Closer>,
    /// No more conversations will begin.
    all_sent: bool,
    /// How many conversations wait for their next turn.
    thinking: usize,
}

/// A conversation between two of its requests.
#[derive(Debug, Default)]
struct Talk {
    number: usize,
    turn: usize,
    /// The texts of its answers.
    answers: Vec<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many requests were sent.
    pub sent: usize,
    /// How many answers ended.
    pub done: usize,
    /// How many of these are not complete.
    pub failed: usize,
    /// The median time to the first output so far, in nanoseconds.
    pub ttft_p50_ns: Option<u64>,
    /// The 99th percentile of it.
    pub ttft_p99_ns: Option<u64>,
}

impl Run {
    /// Starts a run.
    ///
    /// # Errors
    /// [`RuntimeError`] when a thread cannot be started.
    pub fn start(plan: Plan) -> Result<Arc<Self>, RuntimeError> {
        // Starts the network threads before the clock does.
        spawn(async {})?;
        let began_ns = now_ns() + LEAD_NS;
        let tally = Tally { began_ns, ended_ns: began_ns, ..Tally::default() };
        let run = Arc::new(Self {
            plan,
            began_ns,
            sent: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            state: Mutex::new(State { tally, ..State::default() }),
            changed: Condvar::new(),
        });
        let pacing = Arc::clone(&run);
        let pacer = std::thread::Builder::new().name("headrace-load".to_owned());
        pacer.spawn(move || pacing.pace()).map_err(RuntimeError::Io)?;
        Ok(run)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let state = self.lock();
        let done = state.tally.records.len();
        let first = &state.tally.first_outputs;
        Progress {
            sent: done + state.open.len(),
            done,
            failed: state.failed,
            ttft_p50_ns: first.at(0.5),
            ttft_p99_ns: first.at(0.99),
        }
    }

    /// Waits until all answers have ended, for at most `timeout`; whether they have.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Sends no more, and closes the streams that are open.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let open: Vec<Closer> = self.lock().open.values().cloned().collect();
        open.iter().for_each(Closer::close);
    }

    /// Calls a function with what is known so far.
    pub fn tally<T>(&self, read: impl FnOnce(&Tally) -> T) -> T {
        read(&self.lock().tally)
    }

    fn pace(self: &Arc<Self>) {
        match &self.plan.load {
            Load::Closed { concurrency, count } => {
                let first = count.map_or(*concurrency, |count| count.min(*concurrency));
                let begins = wait_until(self.began_ns, || self.is_stopped());
                // Whoever finds that no more may be sent says so: here, or the end of an answer.
                if !begins || !(0..first).all(|_| self.follow()) {
                    self.all_sent();
                }
            }
            Load::Open { dues_ns } => {
                for due_ns in dues_ns {
                    let due_ns = self.began_ns + due_ns;
                    if self.is_late(due_ns) || !wait_until(due_ns, || self.is_stopped()) {
                        break;
                    }
                    self.send(Some(due_ns));
                }
                self.all_sent();
            }
        }
    }

    /// Sends the next request of a closed load; false if there is none.
    fn follow(self: &Arc<Self>) -> bool {
        let is_closed = matches!(self.plan.load, Load::Closed { .. });
        is_closed && !self.is_stopped() && !self.is_late(now_ns()) && self.send(None)
    }

    /// Begins a conversation; false if it was one too many.
    fn send(self: &Arc<Self>, due_ns: Option<u64>) -> bool {
        let number = self.sent.fetch_add(1, Ordering::AcqRel);
        self.ask(Talk { number, ..Talk::default() }, due_ns)
    }

    /// Sends the next request of a conversation, and reads its answer in a task of its own; false if it was one too many.
    fn ask(self: &Arc<Self>, talk: Talk, due_ns: Option<u64>) -> bool {
        let index = talk.number * self.plan.session.turns + talk.turn;
        if let Load::Closed { count: Some(count), .. } = &self.plan.load
            && index >= *count
        {
            return false;
        }
        let mut request = self.plan.requests[index % self.plan.requests.len()].clone();
        if talk.turn > 0 {
            request.body = with_answers(&request.body, &talk.answers);
        }
        let Ok(stream) = Stream::open(request) else { return false };
        let opened_ns = stream.recorder().opened_ns();
        let record = Record { index, turn: talk.turn, due_ns, opened_ns, ..Record::default() };
        self.lock().open.insert(index, stream.closer());
        if self.is_stopped() {
            stream.closer().close();
        }
        let run = Arc::clone(self);
        let seen = Seen { record, ..Seen::default() };
        spawn(async move { run.read(stream, seen, talk).await }).is_ok()
    }

    /// Waits, and goes on with a conversation; if there is nothing to go on with, another one begins in its place.
    async fn go_on(self: Arc<Self>, talk: Talk) {
        tokio::time::sleep(self.plan.session.think).await;
        let went_on = !self.is_stopped() && !self.is_late(now_ns()) && self.ask(talk, None);
        let followed = went_on || self.follow();
        let is_closed = matches!(self.plan.load, Load::Closed { .. });
        let mut state = self.lock();
        state.thinking -= 1;
        state.all_sent |= is_closed && !followed;
        drop(state);
        self.changed.notify_all();
    }

    async fn read(self: Arc<Self>, mut stream: Stream, mut seen: Seen, mut talk: Talk) {
        let stamped = self.plan.stamped;
        loop {
            let readiness = poll_fn(|context| match stream.poll(context) {
                Readiness::Pending => Poll::Pending,
                readiness => Poll::Ready(readiness),
            });
            match readiness.await {
                Readiness::Ready => stream.take(|arrival| seen.add(&arrival, stamped)),
                _ => break,
            }
        }
        seen.end(&stream, now_ns());
        let index = seen.record.index;
        let goes_on = seen.record.state == "complete" && talk.turn + 1 < self.plan.session.turns;
        if goes_on {
            talk.answers
                .push(stream.response().first().map_or_else(String::new, |choice| choice.text.clone()));
            talk.turn += 1;
            self.lock().thinking += 1;
            let run = Arc::clone(&self);
            // Fails only when the process ends.
            let _ = spawn(async move { run.go_on(talk).await });
        }
        // The next one is sent before this one is counted, so that as many as wanted are open.
        let followed = goes_on || self.follow();
        let is_closed = matches!(self.plan.load, Load::Closed { .. });
        let mut state = self.lock();
        state.all_sent |= is_closed && !followed;
        state.open.remove(&index);
        state.failed += usize::from(seen.record.state != "complete");
        state.tally.add(seen);
        drop(state);
        self.changed.notify_all();
    }

    fn all_sent(&self) {
        self.lock().all_sent = true;
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether the time of the plan is over at a time.
    fn is_late(&self, at_ns: u64) -> bool {
        let lasted = Duration::from_nanos(at_ns.saturating_sub(self.began_ns));
        self.plan.duration.is_some_and(|duration| lasted >= duration)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in which the answers so far stand in their places.
fn with_answers(body: &Bytes, answers: &[String]) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let mut text = text.to_owned();
    for (number, answer) in answers.iter().enumerate() {
        // As the inside of a JSON string.
        let quoted = serde_json::to_string(answer).unwrap_or_default();
        let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
        text = text.replace(&format!("@@headrace:answer:{number}@@"), inside);
    }
    Bytes::from(text)
}

impl State {
    fn is_over(&self) -> bool {
        self.all_sent && self.open.is_empty() && self.thinking == 0
    }
}
