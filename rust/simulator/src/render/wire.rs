//! Cuts frames into HTTP chunks.

use std::num::NonZeroUsize;

use super::frames::{Frame, FrameList};
use crate::clock::monotonic_ns;
use crate::http::write_chunk;
use crate::script::Chunking;

/// The size of the chunks of [`Chunking::Coalesce`].
const COALESCED: usize = 64 * 1024;

/// The bytes of frames that are due.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<FrameEnd>,
    /// The times that were inserted into stamped frames.
    stamps: Vec<u64>,
}

/// Where a frame ends in a batch.
#[derive(Debug)]
struct FrameEnd {
    at: usize,
    whole: bool,
}

impl Batch {
    /// Adds a frame, with the current time if it is stamped.
    pub(crate) fn push(&mut self, list: &FrameList, frame: &Frame) {
        let stamps = &mut self.stamps;
        list.write(frame, || stamp(stamps), &mut self.bytes);
        self.ends.push(FrameEnd { at: self.bytes.len(), whole: frame.whole });
    }

    /// Adds a whole event, or a part of one.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8], whole: bool) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(FrameEnd { at: self.bytes.len(), whole });
    }

    /// The current time, which is noted as a stamp.
    pub(crate) fn stamp(&mut self) -> u64 {
        stamp(&mut self.stamps)
    }

    /// The stamps since the last call.
    pub(crate) fn take_stamps(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.stamps)
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

fn stamp(stamps: &mut Vec<u64>) -> u64 {
    let now = monotonic_ns();
    stamps.push(now);
    now
}

/// How much of a batch has been cut.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: usize,
    ends: usize,
}

/// Bytes for the socket, and where the frames in them end.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) bytes: Vec<u8>,
    /// How many of them are the head of the response.
    pub(crate) head: usize,
    /// Where the whole frames end.
    pub(crate) frame_ends: Vec<usize>,
}

impl Wire {
    /// The head of a response.
    pub(crate) fn head(bytes: Vec<u8>) -> Self {
        Self { head: bytes.len(), bytes, frame_ends: Vec::new() }
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frame_ends.clear();
        self.head = 0;
    }

    /// Appends a wire without a head.
    pub(crate) fn append(&mut self, other: &Self) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.frame_ends.extend(other.frame_ends.iter().map(|end| end + offset));
    }

    /// Appends the chunk that ends a body.
    pub(crate) fn end_body(&mut self) {
        self.bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Where to cut.
#[derive(Debug, Clone)]
pub(crate) enum Cutting {
    /// After each frame.
    Frame,
    /// After this many bytes.
    Bytes(usize),
    /// After each of these numbers of bytes in turn, repeated.
    Cycle {
        /// The sizes.
        sizes: Vec<NonZeroUsize>,
        /// The position of the next size.
        next: usize,
    },
}

impl From<Chunking> for Cutting {
    fn from(chunking: Chunking) -> Self {
        match chunking {
            Chunking::Frame => Self::Frame,
            Chunking::Bytes(size) => Self::Bytes(size.get()),
            Chunking::Coalesce => Self::Bytes(COALESCED),
        }
    }
}

impl Cutting {
    /// Appends all of a batch to `wire`.
    pub(crate) fn cut_all(&mut self, batch: &Batch, wire: &mut Wire) {
        let mut progress = Progress::default();
        while self.cut(batch, &mut progress, wire) {}
    }

    /// Appends the next chunk of a batch to `wire`; false at its end.
    pub(crate) fn cut(&mut self, batch: &Batch, progress: &mut Progress, wire: &mut Wire) -> bool {
        if progress.bytes == batch.bytes.len() {
            return false;
        }
        let from = progress.bytes;
        let to = match self {
            Self::Frame => batch.ends.get(progress.ends).map_or(batch.bytes.len(), |end| end.at),
            Self::Bytes(size) => from.saturating_add(*size).min(batch.bytes.len()),
            Self::Cycle { sizes, next } => {
                let size = sizes.get(*next % sizes.len().max(1)).map_or(1, |size| size.get());
                *next += 1;
                from.saturating_add(size).min(batch.bytes.len())
            }
        };
        let start = write_chunk(&batch.bytes[from..to], &mut wire.bytes);
        for end in batch.ends[progress.ends..].iter().take_while(|end| end.at <= to) {
            progress.ends += 1;
            if end.whole {
                wire.frame_ends.push(start + end.at - from);
            }
        }
        progress.bytes = to;
        true
    }
}
