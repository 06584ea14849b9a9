//! The reader's end of a stream.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use headrace_channel::{Consumer, Producer, Ready, Weight, weighted_channel};
use headrace_wire::{Delta, DeltaKind, Response};
use tokio::task::AbortHandle;

use crate::clock::now_ns;
use crate::end::{End, Failure, FailureKind};
use crate::fork::Process;
use crate::head::{Head, Published};
use crate::pump;
use crate::request::Request;
use crate::runtime::{Engine, RuntimeError, engine};
use crate::source::Source;
use crate::timing::Recorder;
use crate::transport::Stamp;

/// One delta, with its arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// When it arrived, on the clock of [`crate::clock`]: the kernel's stamp of the packet that brought the last bytes of
    /// its read, or, where there is none, the time of the read. So an upper bound.
    pub arrived_ns: u64,
    /// How long it waited to be read.
    pub read_lag: ReadLag,
    /// The delta.
    pub delta: Delta,
}

impl Arrival {
    pub(crate) fn new(stamp: Stamp, delta: Delta) -> Self {
        Self { arrived_ns: stamp.arrived_ns, read_lag: ReadLag::of(stamp), delta }
    }
}

/// How long a chunk waited in the kernel to be read, if the kernel said when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLag(u32);

impl ReadLag {
    /// Not known: the arrival is the time of the read.
    const UNKNOWN: u32 = u32::MAX;

    pub(crate) fn of(stamp: Stamp) -> Self {
        let lag = u32::try_from(stamp.read_ns.saturating_sub(stamp.arrived_ns)).unwrap_or(u32::MAX);
        Self(if stamp.by_kernel { lag.min(Self::UNKNOWN - 1) } else { Self::UNKNOWN })
    }

    /// In nanoseconds, at most 4.29 seconds; `None` if only the time of the read is known.
    #[must_use]
    pub fn ns(self) -> Option<u64> {
        (self.0 != Self::UNKNOWN).then_some(u64::from(self.0))
    }
}

/// Bytes of a delta that count as one delta more. So a channel of 1024 holds at most 256 KiB of text, or one delta that
/// is larger.
const BYTES_PER_SLOT: usize = 256;

/// A channel is bounded by the number of deltas and by their size.
#[derive(Debug)]
pub(crate) struct BySize;

impl Weight<Arrival> for BySize {
    fn of(arrival: &Arrival) -> usize {
        1 + arrival.delta.size() / BYTES_PER_SLOT
    }
}

pub(crate) type ArrivalProducer = Producer<Arrival, BySize>;
pub(crate) type ArrivalConsumer = Consumer<Arrival, BySize>;

/// An open stream. Dropping it closes its connection, unless the whole answer has arrived.
pub struct Stream {
    /// `None` only while a forked child drops a stream of its parent.
    consumer: Option<ArrivalConsumer>,
    closer: Closer,
    response: Response,
    recorder: Recorder,
}

/// Whether there is something to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is something to take.
    Ready,
    /// Nothing has arrived yet.
    Pending,
    /// Everything has been taken; [`Stream::end`] says how it ended.
    Ended,
    /// This process is a forked child, and its parent opened the stream: it can never become ready here.
    Forked,
}

impl Stream {
    /// Sends a request. Returns at once; the stream reports tokens and failures.
    ///
    /// # Errors
    /// [`RuntimeError`] when the network threads cannot be started.
    pub fn open(request: Request) -> Result<Self, RuntimeError> {
        let engine = engine()?;
        Ok(Self::spawn(engine, request.capacity, |producer, end| pump::run(engine, request, producer, end)))
    }

    /// A stream whose bytes the caller feeds into the source; see [`Request::fed`].
    ///
    /// # Errors
    /// [`RuntimeError`] when the network threads cannot be started.
    pub fn fed(request: Request) -> Result<(Source, Self), RuntimeError> {
        let (source, pieces) = Source::new();
        let stream = Self::spawn(engine()?, request.capacity, |producer, end| {
            pump::run_fed(request, pieces, producer, end)
        });
        Ok((source, stream))
    }

    fn spawn<P: Future<Output = ()> + Send + 'static>(
        engine: &Engine,
        capacity: usize,
        pump: impl FnOnce(ArrivalProducer, Arc<Published>) -> P,
    ) -> Self {
        let opened_ns = now_ns();
        let (producer, consumer) = weighted_channel(capacity);
        let published = Arc::new(Published::default());
        let task = engine.runtime.spawn(pump(producer, Arc::clone(&published)));
        Self {
            consumer: Some(consumer),
            closer: Closer { published, pump: task.abort_handle(), process: Process::current() },
            response: Response::default(),
            recorder: Recorder::new(opened_ns),
        }
    }

    /// Whether there is something to take, without waiting.
    pub fn readiness(&mut self) -> Readiness {
        if self.is_forked() {
            return Readiness::Forked;
        }
        let looked = self.consumer.as_mut().map(ArrivalConsumer::look);
        self.unless_cancelled(looked.unwrap_or(Some(Ready::Closed)))
    }

    /// Blocks this thread until there is something to take, for at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Readiness {
        if self.is_forked() {
            return Readiness::Forked;
        }
        let waited = self.consumer.as_mut().map(|consumer| consumer.wait(timeout));
        self.unless_cancelled(waited.unwrap_or(Some(Ready::Closed)))
    }

    /// Whether there is something to take; if not, the context's waker is woken when there is.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Readiness {
        if self.is_forked() {
            return Readiness::Forked;
        }
        let polled = self.consumer.as_mut().map(|consumer| consumer.poll_ready(context));
        self.unless_cancelled(match polled {
            Some(Poll::Ready(ready)) => Some(ready),
            Some(Poll::Pending) => None,
            None => Some(Ready::Closed),
        })
    }

    /// Whether the connection has been released, even if there is still something to take; if not, the context's waker
    /// is woken when that may have changed.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> bool {
        // The pump drops its end of the channel after its connection. In a forked child there is no pump.
        self.is_forked()
            || self.consumer.as_mut().is_none_or(|consumer| consumer.poll_closed(context).is_ready())
    }

    /// Takes everything that has arrived, in order, and passes it to `each`. Each delta is added to
    /// [`Stream::response`] and [`Stream::recorder`]. Nothing, once the stream was closed.
    pub fn take(&mut self, mut each: impl FnMut(Arrival)) {
        if self.is_cancelled() {
            return self.discard();
        }
        let Some(consumer) = &mut self.consumer else { return };
        let mut any = false;
        for arrival in consumer.drain() {
            any = true;
            self.response.apply(&arrival.delta);
            if arrival.delta.is_output() {
                let is_text = matches!(arrival.delta.kind, DeltaKind::Text(_));
                self.recorder.chunk(arrival.arrived_ns, arrival.read_lag, is_text);
            }
            each(arrival);
        }
        if any {
            self.recorder.taken(now_ns());
        }
    }

    /// Drops what has arrived and was not taken.
    pub fn discard(&mut self) {
        if let Some(consumer) = self.consumer.as_mut().filter(|_| !self.closer.is_forked()) {
            consumer.drain().for_each(drop);
        }
    }

    /// A handle that can close the stream from any thread.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// How the stream ended; `None` while it is open. There may still be deltas to take.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.closer.published.end.get()
    }

    /// What is kept of the head of the response; `None` before it has come, and for a fed stream.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.closer.published.head.get()
    }

    /// What has been taken so far.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// The timestamps of what has been taken so far.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What the channel says, unless the reader has closed the stream: it gets nothing more. The pump may push once more
    /// after that, because it can be stopped only where it waits.
    fn unless_cancelled(&mut self, ready: Option<Ready>) -> Readiness {
        if self.is_cancelled() {
            self.discard();
            return self.closed();
        }
        match ready {
            Some(Ready::Value) => Readiness::Ready,
            Some(Ready::Closed) => self.closed(),
            None => Readiness::Pending,
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.closer.published.end.get(), Some(End::Cancelled))
    }

    /// The channel is closed: the end is known, unless the pump died.
    fn closed(&mut self) -> Readiness {
        self.closer.published.end.get_or_init(|| {
            End::Failed(Box::new(Failure::new(
                FailureKind::Internal,
                "the task that read the stream died; this is a bug of headrace".to_owned(),
            )))
        });
        self.recorder.ended(now_ns());
        Readiness::Ended
    }

    fn is_forked(&self) -> bool {
        self.closer.is_forked()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_forked() {
            // The pump runs in the parent. Waking it from the child could wait for a lock that is never released here.
            std::mem::forget(self.consumer.take());
        } else {
            self.closer.close();
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stream")
            .field("end", &self.closer.published.end.get())
            .finish_non_exhaustive()
    }
}

/// Closes a stream from any thread.
#[derive(Debug, Clone)]
pub struct Closer {
    published: Arc<Published>,
    pump: AbortHandle,
    process: Process,
}

impl Closer {
    /// Ends the stream as cancelled and closes its connection at once. Does nothing if the stream has ended: another
    /// stream may use its connection by then.
    pub fn close(&self) {
        if self.published.end.set(End::Cancelled).is_ok() && !self.is_forked() {
            self.pump.abort();
        }
    }

    fn is_forked(&self) -> bool {
        Process::current() != self.process
    }
}
