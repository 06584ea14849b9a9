//! The decoder alone, and with the OpenAI dialect behind it, on 300-byte events fed in reads of 16 KiB.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headrace_benches::openai_body;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{Dialect, StreamDecoder};

const READ: usize = 16 * 1024;

fn decode(criterion: &mut Criterion) {
    let body = openai_body(4096);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("sse", |bencher| {
        bencher.iter(|| {
            let mut decoder = SseDecoder::default();
            let mut bytes = 0;
            for read in body.chunks(READ) {
                let mut events = decoder.feed(read);
                while let Ok(Some(event)) = events.next_event() {
                    bytes += black_box(event.data()).len();
                }
            }
            bytes
        });
    });
    group.bench_function("sse_openai_chat", |bencher| {
        let mut deltas = Vec::new();
        bencher.iter(|| {
            let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
            for read in body.chunks(READ) {
                deltas.clear();
                let _ = black_box(decoder.feed(read, &mut deltas));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
