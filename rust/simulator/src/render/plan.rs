//! The encoded answer of one turn in OpenAI chat, built once and shared by all requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headrace_wire::{Delta, DeltaKind, Usage};

use super::Selection;
use super::fault::{Ending, Tail, apply_fault};
use super::frames::{FrameList, FrameWriter};
use super::runs::{TokenCounts, runs};
use super::wire::{Batch, Cutting, Wire};
use crate::script::{Fault, Rhythm};

/// A stream without its tail.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) content: Content,
    pub(crate) ending: Ending,
    pub(crate) counts: TokenCounts,
    /// The slot of the last delta, and of the tail.
    pub(crate) last_slot: u32,
    tail: Tail,
}

/// The deltas.
#[derive(Debug)]
pub(crate) enum Content {
    /// All due at once and the same for every request, so they are already cut into chunks.
    Ready(Wire),
    /// Each with its own deadline.
    Paced(FrameList),
}

/// The plans built so far, by turn and number of choices.
#[derive(Debug, Default)]
pub(crate) struct PlanCache(Mutex<HashMap<(usize, u32), Slot>>);

/// A plan, or a place for it. The cache's lock is not held while a plan is built, so others can be looked up meanwhile.
type Slot = Arc<OnceLock<Arc<Plan>>>;

impl PlanCache {
    /// The plan of an answer, built by the first request that needs it.
    pub(crate) fn plan(&self, selection: &Selection<'_>) -> Arc<Plan> {
        let slot = {
            let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(plans.entry((selection.position, selection.choices)).or_default())
        };
        Arc::clone(slot.get_or_init(|| Arc::new(Plan::new(selection))))
    }
}

impl Plan {
    fn new(selection: &Selection<'_>) -> Self {
        let Selection { script, turn, position, choices, .. } = *selection;
        let encoder = selection.encoder();
        let mut writer = FrameWriter::new(&encoder, selection.newline());
        for choice in 0..choices {
            writer.delta(&Delta { choice, kind: DeltaKind::Response(Box::default()) });
        }
        let runs = runs(turn, position);
        for run in &runs {
            writer.run(run, choices, script.stamp);
        }
        let (tail, ending) = apply_fault(&mut writer, choices as usize, turn.fault.as_ref());
        let frames = writer.finish();
        let last_slot = frames.last_slot();
        Self {
            content: Content::new(frames, selection),
            ending,
            counts: TokenCounts::of(&runs),
            last_slot,
            tail,
        }
    }

    /// What follows the deltas. It contains the request's token count, so it is built for each request.
    pub(crate) fn tail(&self, selection: &Selection<'_>, usage: Option<Usage>) -> FrameList {
        let encoder = selection.encoder();
        let mut writer = FrameWriter::new(&encoder, selection.newline());
        writer.slot = self.last_slot;
        if self.tail != Tail::None {
            let finish = Box::new(selection.finish());
            for choice in 0..selection.choices {
                writer.delta(&Delta { choice, kind: DeltaKind::Finish(finish.clone()) });
            }
            if let Some(usage) = usage {
                writer.delta(&Delta::first(DeltaKind::Usage(Box::new(usage))));
            }
        }
        if self.tail == Tail::FinishAndDone {
            writer.event("[DONE]");
        }
        writer.finish()
    }
}

impl Content {
    fn new(frames: FrameList, selection: &Selection<'_>) -> Self {
        let cut = matches!(selection.turn.fault, Some(Fault::Cut { .. }));
        if selection.pacing().rhythm != Rhythm::Fast || selection.script.stamp || cut {
            return Self::Paced(frames);
        }
        let mut batch = Batch::default();
        for frame in frames.as_slice() {
            batch.push(&frames, frame);
        }
        let mut wire = Wire::default();
        Cutting::from(selection.script.chunking).cut_all(&batch, &mut wire);
        Self::Ready(wire)
    }
}
