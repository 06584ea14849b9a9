//! Plays the frames of one stream: each at its time, those due together in one write, with comments in between.

use std::time::Duration;

use headrace_wire::Framing;
use tokio::time::Instant;

use crate::body_writer::BodyWriter;
use crate::render::Selection;
use crate::render::fault::Ending;
use crate::render::frames::FrameList;
use crate::render::stateful::StatefulStream;
use crate::render::wire::{Batch, Cutting, Progress, Wire};
use crate::schedule::Schedule;
use crate::script::Fault;
use crate::socket::Gone;

/// How much to collect for one write: enough to make few system calls, but so little that the timestamp of the first
/// frame is still accurate.
const MAX_BATCH: usize = 64 * 1024;

/// A comment that is sent at regular intervals.
#[derive(Debug)]
struct Heartbeat {
    /// A list with just the comment.
    comment: FrameList,
    interval: Duration,
    next: Instant,
}

/// Pauses between writes, for the `cut` fault.
#[derive(Debug)]
struct Pauses {
    interval: Duration,
    next: Instant,
}

/// Plays one stream. Frames that are due are collected in `batch` and `wire`, and written before the next wait, so that
/// frames due together go out in one write.
#[derive(Debug)]
pub(crate) struct Player<'c> {
    writer: BodyWriter<'c>,
    schedule: Schedule,
    cutting: Cutting,
    pauses: Option<Pauses>,
    heartbeat: Option<Heartbeat>,
    /// Bytes for the socket. They precede those of the batch.
    wire: Wire,
    batch: Batch,
}

impl<'c> Player<'c> {
    /// A player for the answer to a request that arrived at `start`.
    pub(crate) fn new(writer: BodyWriter<'c>, selection: &Selection<'_>, start: Instant, head: Wire) -> Self {
        let Selection { script, turn, .. } = *selection;
        let (cutting, pauses) = match &turn.fault {
            Some(Fault::Cut { sizes, interval }) => (
                Cutting::Cycle { sizes: sizes.clone(), next: 0 },
                Some(Pauses { interval: *interval, next: start }),
            ),
            _ => (Cutting::from(script.chunking), None),
        };
        // Only server-sent events have comments.
        let has_comments = selection.api.framing() == Framing::Sse;
        let heartbeat = script.heartbeat().filter(|_| has_comments).map(|(text, interval)| Heartbeat {
            comment: selection.comment(text),
            interval,
            next: start + interval,
        });
        let schedule = Schedule::new(start, selection.pacing());
        Self { writer, schedule, cutting, pauses, heartbeat, wire: head, batch: Batch::default() }
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

    /// Plays frames that are all due with the first slot, and are already cut into chunks.
    pub(crate) async fn play_ready(&mut self, ready: &Wire) -> Result<(), Gone> {
        self.wait_until(self.schedule.at(0)).await?;
        if ready.bytes.len() <= MAX_BATCH {
            self.wire.append(ready);
            return Ok(());
        }
        self.flush().await?;
        self.writer.send(ready).await
    }

    /// Plays a stream whose frames are encoded when they are due.
    pub(crate) async fn play_stateful(&mut self, stream: &mut StatefulStream<'_>) -> Result<(), Gone> {
        while let Some(slot) = stream.slot() {
            self.wait_until(self.schedule.at(slot)).await?;
            let now = Instant::now();
            while stream.slot().is_some_and(|slot| self.schedule.at(slot) <= now) {
                stream.write_next(&mut self.batch);
                if self.batch.len() >= MAX_BATCH {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the stream in this way, and returns it.
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
        self.log_stamps();
        self.batch.clear();
        self.wire.end_body();
        self.flush().await
    }

    /// Sends nothing but comments until the client disconnects.
    async fn stall(&mut self) -> Result<(), Gone> {
        self.flush().await?;
        while self.heartbeat.is_some() {
            self.beat().await?;
        }
        Err(self.writer.socket.gone().await)
    }

    /// Writes everything that was collected.
    async fn flush(&mut self) -> Result<(), Gone> {
        let mut progress = Progress::default();
        if let Some(pauses) = &mut self.pauses {
            pauses.next = pauses.next.max(Instant::now());
        }
        while self.cutting.cut(&self.batch, &mut progress, &mut self.wire) {
            if let Some(pauses) = &mut self.pauses {
                self.writer.send(&self.wire).await?;
                self.wire.clear();
                pauses.next += pauses.interval;
                self.writer.socket.sleep_until(pauses.next).await?;
            }
        }
        self.log_stamps();
        self.batch.clear();
        self.writer.send(&self.wire).await?;
        self.wire.clear();
        Ok(())
    }

    fn log_stamps(&mut self) {
        let stamps = self.batch.take_stamps();
        if !stamps.is_empty() {
            self.writer.entry.stamped(&stamps);
        }
    }

    /// Writes everything that was collected, then waits for a deadline, sending comments meanwhile.
    async fn wait_until(&mut self, deadline: Instant) -> Result<(), Gone> {
        if deadline <= Instant::now() {
            return Ok(());
        }
        self.flush().await?;
        while self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.next <= deadline) {
            self.beat().await?;
        }
        self.writer.socket.sleep_until(deadline).await
    }

    /// Waits for the time of the next comment, and sends it.
    async fn beat(&mut self) -> Result<(), Gone> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Ok(());
        };
        self.writer.socket.sleep_until(heartbeat.next).await?;
        for comment in heartbeat.comment.as_slice() {
            self.batch.push(&heartbeat.comment, comment);
        }
        // Comments that were due while the player did not wait are skipped.
        let now = Instant::now();
        while heartbeat.next <= now {
            heartbeat.next += heartbeat.interval;
        }
        self.flush().await
    }
}
