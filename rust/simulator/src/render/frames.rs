//! The frames of an OpenAI chat stream, encoded ahead of time.

use headrace_wire::openai_chat::ChunkEncoder;
use headrace_wire::{CompactString, Delta, DeltaKind};

use super::runs::Run;
use crate::script::Newline;

/// A list of frames. Repeated frames share their bytes.
#[derive(Debug)]
pub(crate) struct FrameList {
    frames: Vec<Frame>,
    bytes: Vec<u8>,
}

/// One frame: a server-sent event, half of one, or a comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    start: usize,
    end: usize,
    /// Where the time of sending is inserted, relative to `start`.
    stamp_at: Option<usize>,
    /// Its slot in the schedule. The choices of a response share one.
    pub(crate) slot: u32,
    /// Whether it is a whole event, and not half of one or a comment.
    pub(crate) whole: bool,
}

impl FrameList {
    /// The frames, in order.
    pub(crate) fn as_slice(&self) -> &[Frame] {
        &self.frames
    }

    /// The slot of the last frame.
    pub(crate) fn last_slot(&self) -> u32 {
        self.frames.last().map_or(0, |frame| frame.slot)
    }

    /// Appends the bytes of a frame to `out`, with the time `now` inserted if it is stamped.
    pub(crate) fn write(&self, frame: &Frame, now: impl FnOnce() -> u64, out: &mut Vec<u8>) {
        let bytes = &self.bytes[frame.start..frame.end];
        let Some(at) = frame.stamp_at else {
            out.extend_from_slice(bytes);
            return;
        };
        out.extend_from_slice(&bytes[..at]);
        out.extend_from_slice(now().to_string().as_bytes());
        out.extend_from_slice(&bytes[at..]);
    }
}

/// Writes frames.
#[derive(Debug)]
pub(crate) struct FrameWriter<'a> {
    encoder: &'a ChunkEncoder,
    newline: Newline,
    list: FrameList,
    /// The slot of the next frames.
    pub(crate) slot: u32,
}

impl<'a> FrameWriter<'a> {
    pub(crate) fn new(encoder: &'a ChunkEncoder, newline: Newline) -> Self {
        Self { encoder, newline, list: FrameList { frames: Vec::new(), bytes: Vec::new() }, slot: 0 }
    }

    /// The frames written so far.
    pub(crate) fn finish(self) -> FrameList {
        self.list
    }

    /// Adds the frame of a delta.
    pub(crate) fn delta(&mut self, delta: &Delta) {
        let frame = self.encode(delta);
        self.list.frames.push(frame);
    }

    /// Adds an event with one line of data.
    pub(crate) fn event(&mut self, data: &str) {
        self.event_at(usize::MAX, data);
    }

    /// Inserts an event before the frame at `position`, with the same slot.
    pub(crate) fn event_at(&mut self, position: usize, data: &str) {
        let frame = self.store(format!("data: {data}").as_bytes());
        self.insert(position, frame);
    }

    /// Inserts a text delta with `bytes` bytes of data before the frame at `position`, with the same slot.
    pub(crate) fn huge_at(&mut self, position: usize, bytes: usize) {
        let text = |length: usize| Delta::first(DeltaKind::Text("x".repeat(length).into()));
        let mut smallest = Vec::new();
        self.encoder.encode(&text(0), &mut smallest);
        let around = smallest.trim_ascii_end().len() - b"data: ".len();
        let frame = self.encode(&text(bytes.saturating_sub(around)));
        self.insert(position, frame);
    }

    /// Removes the frames from `position` on.
    pub(crate) fn truncate(&mut self, position: usize) {
        self.list.frames.truncate(position);
    }

    /// Keeps only half of the frame at `position`, and nothing after it. After the last frame comes `[DONE]`.
    pub(crate) fn break_off(&mut self, position: usize) {
        self.event("[DONE]");
        self.truncate(position.saturating_add(1));
        if let Some(frame) = self.list.frames.last_mut() {
            // A stamp in the removed half is dropped.
            frame.end = frame.start + (frame.end - frame.start) / 2;
            frame.stamp_at = frame.stamp_at.filter(|at| frame.start + at <= frame.end);
            frame.whole = false;
        }
    }

    /// Adds a comment.
    pub(crate) fn comment(&mut self, text: &str) {
        let frame = self.store(format!(": {text}").as_bytes());
        self.list.frames.push(Frame { whole: false, ..frame });
    }

    /// Adds a run for each of `choices`, with one slot per delta.
    pub(crate) fn run(&mut self, run: &Run, choices: u32, stamp: bool) {
        let templates: Vec<Frame> = run
            .kinds
            .iter()
            .flat_map(|kind| (0..choices).map(move |choice| Delta { choice, kind: kind.clone() }))
            .map(|delta| match &delta.kind {
                DeltaKind::Text(_) if stamp => self.encode_stamped(delta.choice),
                _ => self.encode(&delta),
            })
            .collect();
        self.list.frames.reserve(run.len() * choices as usize);
        for _ in 0..run.times {
            for choices in templates.chunks(choices as usize) {
                self.list.frames.extend(choices.iter().map(|frame| Frame { slot: self.slot, ..*frame }));
                self.slot += 1;
            }
        }
    }

    /// Adds a frame before the one at `position`, or at the end.
    fn insert(&mut self, position: usize, frame: Frame) {
        let frames = &mut self.list.frames;
        let position = position.min(frames.len());
        let slot = frames.get(position).or(frames.last()).map_or(self.slot, |neighbour| neighbour.slot);
        frames.insert(position, Frame { slot, ..frame });
    }

    /// Encodes a delta, without adding its frame.
    fn encode(&mut self, delta: &Delta) -> Frame {
        let mut bytes = Vec::new();
        self.encoder.encode(delta, &mut bytes);
        self.store(bytes.trim_ascii_end())
    }

    /// Encodes a text delta whose content, a time and a space, is inserted later.
    fn encode_stamped(&mut self, choice: u32) -> Frame {
        let [zero, one] = ["0 ", "1 "].map(|text| {
            let mut bytes = Vec::new();
            let kind = DeltaKind::Text(CompactString::from(text));
            self.encoder.encode(&Delta { choice, kind }, &mut bytes);
            bytes
        });
        // The content is where these two differ.
        let at = zero.iter().zip(&one).position(|(zero, one)| zero != one);
        let mut template = zero.trim_ascii_end().to_vec();
        if let Some(at) = at {
            template.remove(at);
        }
        Frame { stamp_at: at, ..self.store(&template) }
    }

    /// Stores the bytes of a frame, ended with a blank line.
    fn store(&mut self, line: &[u8]) -> Frame {
        let bytes = &mut self.list.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(self.newline.as_bytes());
        bytes.extend_from_slice(self.newline.as_bytes());
        Frame { start, end: bytes.len(), stamp_at: None, slot: self.slot, whole: true }
    }
}
