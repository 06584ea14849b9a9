//! How often the decoder allocates per event. dhat counts it, so the result is the same on every machine.

use std::io::Write;

use headrace_benches::openai_body;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{Dialect, StreamDecoder};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const EVENTS: u32 = 10_000;
const READ: usize = 16 * 1024;

fn main() -> std::io::Result<()> {
    let body = openai_body(EVENTS as usize);
    let _profiler = dhat::Profiler::builder().testing().build();
    let sse = allocations(|| {
        let mut decoder = SseDecoder::default();
        for read in body.chunks(READ) {
            let mut events = decoder.feed(read);
            while let Ok(Some(event)) = events.next_event() {
                std::hint::black_box(event.data());
            }
        }
    });
    let mut deltas = Vec::with_capacity(1024);
    let openai = allocations(|| {
        let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
        for read in body.chunks(READ) {
            deltas.clear();
            let _ = std::hint::black_box(decoder.feed(read, &mut deltas));
        }
    });
    let mut out = std::io::stdout();
    writeln!(out, "allocations per event, sse: {:.4}", per_event(sse))?;
    writeln!(out, "allocations per event, sse and openai chat: {:.4}", per_event(openai))
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    work();
    dhat::HeapStats::get().total_blocks - before
}

#[expect(clippy::cast_precision_loss, reason = "a count of allocations")]
fn per_event(allocations: u64) -> f64 {
    allocations as f64 / f64::from(EVENTS)
}
