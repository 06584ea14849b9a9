//! The SSE decoder alone, and with the `OpenAI` dialect, on 300-byte events; and every dialect on 4096 tokens from its
//! own encoder. The input comes in reads of 16 KiB.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headrace_benches::{openai_body, openai_body_padded};
use headrace_wire::encode::Head;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{Delta, DeltaKind, Dialect, StreamDecoder, StreamEncoder};

const READ: usize = 16 * 1024;
const TOKENS: u64 = 4096;

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
    let padded = openai_body_padded(4096);
    for (name, body) in [("sse_openai_chat", &body), ("sse_openai_chat_padded", &padded)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            let mut deltas = Vec::new();
            bencher.iter(|| {
                let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
                for read in body.chunks(READ) {
                    deltas.clear();
                    let _ = black_box(decoder.feed(read, &mut deltas));
                }
            });
        });
    }
    group.finish();
}

/// Per token, so that dialects can be compared although their bytes differ.
fn dialects(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dialect");
    group.throughput(Throughput::Elements(TOKENS));
    for dialect in Dialect::ALL {
        let body = tokens(dialect);
        let mut deltas = Vec::new();
        group.bench_function(dialect.as_str(), |bencher| {
            bencher.iter(|| {
                let mut decoder = StreamDecoder::new(dialect, 1 << 20);
                for read in body.chunks(READ) {
                    deltas.clear();
                    let _ = black_box(decoder.feed(read, &mut deltas));
                }
            });
        });
    }
    group.finish();
}

fn tokens(dialect: Dialect) -> Vec<u8> {
    let head = Head { id: "id-1".to_owned(), model: "model-1".to_owned(), ..Head::default() };
    let mut encoder = StreamEncoder::new(dialect, head);
    let mut body = Vec::new();
    for token in 0..TOKENS {
        encoder.encode(&Delta::first(DeltaKind::Text(format!(" tok{token}").into())), &mut body);
    }
    body
}

criterion_group!(benches, decode, dialects);
criterion_main!(benches);
