//! Plays the frames of one stream: each at its time, as many as are due in one write, comments in between.

use std::time::Duration;

use headrace_wire::Framing;
use tokio::time::Instant;

use crate::body_writer::Outlet;
use crate::render::Selection;
use crate::render::fault::Ending;
use crate::render::frames::FrameList;
use crate::render::stateful::Speech;
use crate::render::wire::{Batch, Cutting, Progress, Wire};
use crate::schedule::Schedule;
use crate::script::Fault;
use crate::socket::Gone;

/// How much is collected before it is written: enough to make the call worth it, and little enough that the stamp of
/// the first frame is still true.
const MAX_BATCH: usize = 64 * 1024;

/// A comment that is sent every so often.
#[derive(Debug)]
struct Heartbeat {
    /// The comment alone.
    comment: FrameList,
    interval: Duration,
    next: Instant,
}

/// Separate writes, each at its time.
#[derive(Debug)]
struct Pauses {
    interval: Duration,
    next: Instant,
}

/// Plays one stream. What has been put into it and is due stands in `wire` and `batch` until something must be waited
/// for: so what is due together is written together.
#[derive(Debug)]
pub(crate) struct Player<'c> {
    outlet: Outlet<'c>,
    schedule: Schedule,
    cutting: Cutting,
    pauses: Option<Pauses>,
    heartbeat: Option<Heartbeat>,
    /// Bytes for the socket; they come before those of the batch.
    wire: Wire,
    batch: Batch,
}

impl<'c> Player<'c> {
    /// A player for the answer to a request that arrived at `start`.
    pub(crate) fn new(outlet: Outlet<'c>, selection: &Selection<'_>, start: Instant, head: Wire) -> Self {
        let Selection { script, turn, .. } = *selection;
        let (cutting, pauses) = match &turn.fault {
            Some(Fault::Cut { sizes, interval }) => (
                Cutting::Cycle { sizes: sizes.clone(), next: 0 },
                Some(Pauses { interval: *interval, next: start }),
            ),
            _ => (Cutting::from(script.chunking), None),
        };
        // Other framings have no comments.
        let has_comments = selection.api.framing() == Framing::Sse;
        let heartbeat = script.heartbeat().filter(|_| has_comments).map(|(text, interval)| Heartbeat {
            comment: selection.comment(text),
            interval,
            next: start + interval,
        });
        let schedule = Schedule::new(start, selection.pacing());
        Self { outlet, schedule, cutting, pauses, heartbeat, wire: head, batch: Batch::default() }
    }

    /// Plays frames.
    pub(crate) async fn play(&mut self, list: &FrameList) -> Result<(), Gone> {
        let mut frames = list.as_slice().iter().peekable();
        while let Some(first) = frames.peek() {
            self.wait_until(self.schedule.at(first.slot)).await?;
            let now = Instant::now();
            while let Some(frame) = frames.next_if(|frame| self.schedule.at(frame.slot) <= now) {
                self.batch.push(list, frame);
                if self.batch.len() >= MAX_BATCH {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    /// Plays what is all due with the first slot and has been cut already.
    pub(crate) async fn play_ready(&mut self, ready: &Wire) -> Result<(), Gone> {
        self.wait_until(self.schedule.at(0)).await?;
        if ready.bytes.len() <= MAX_BATCH {
            self.wire.append(ready);
            return Ok(());
        }
        self.flush().await?;
        self.outlet.send(ready).await
    }

    /// Plays what is encoded when it is due.
    pub(crate) async fn speak(&mut self, speech: &mut Speech<'_>) -> Result<(), Gone> {
        while let Some(slot) = speech.slot() {
            self.wait_until(self.schedule.at(slot)).await?;
            let now = Instant::now();
            while speech.slot().is_some_and(|slot| self.schedule.at(slot) <= now) {
                speech.say(&mut self.batch);
                if self.batch.len() >= MAX_BATCH {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    /// Ends in this way, which it gives back.
    pub(crate) async fn close(&mut self, ending: Ending) -> Result<Ending, Gone> {
        match ending {
            Ending::Proper => self.end().await?,
            Ending::Stall => self.stall().await?,
            Ending::Reset | Ending::Close => self.flush().await?,
        }
        Ok(ending)
    }

    /// Ends the body.
    async fn end(&mut self) -> Result<(), Gone> {
        if self.pauses.is_some() {
            self.flush().await?;
        }
        self.cutting.cut_all(&self.batch, &mut self.wire);
        self.batch.clear();
        self.wire.end_body();
        self.flush().await
    }

    /// Sends nothing more, except for comments, until the client leaves.
    async fn stall(&mut self) -> Result<(), Gone> {
        self.flush().await?;
        while self.heartbeat.is_some() {
            self.beat().await?;
        }
        Err(self.outlet.socket.gone().await)
    }

    /// Writes what stands ready.
    async fn flush(&mut self) -> Result<(), Gone> {
        let mut progress = Progress::default();
        if let Some(pauses) = &mut self.pauses {
            pauses.next = pauses.next.max(Instant::now());
        }
        while self.cutting.cut(&self.batch, &mut progress, &mut self.wire) {
            if let Some(pauses) = &mut self.pauses {
                self.outlet.send(&self.wire).await?;
                self.wire.clear();
                pauses.next += pauses.interval;
                self.outlet.socket.sleep_until(pauses.next).await?;
            }
        }
        self.batch.clear();
        self.outlet.send(&self.wire).await?;
        self.wire.clear();
        Ok(())
    }

    /// Waits for a deadline, with what stands ready written before and comments sent meanwhile.
    async fn wait_until(&mut self, deadline: Instant) -> Result<(), Gone> {
        if deadline <= Instant::now() {
            return Ok(());
        }
        self.flush().await?;
        while self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.next <= deadline) {
            self.beat().await?;
        }
        self.outlet.socket.sleep_until(deadline).await
    }

    /// Sends the next comment at its time.
    async fn beat(&mut self) -> Result<(), Gone> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Ok(());
        };
        self.outlet.socket.sleep_until(heartbeat.next).await?;
        for comment in heartbeat.comment.as_slice() {
            self.batch.push(&heartbeat.comment, comment);
        }
        // Those that were missed while there was no wait are not made up for.
        let now = Instant::now();
        while heartbeat.next <= now {
            heartbeat.next += heartbeat.interval;
        }
        self.flush().await
    }
}
