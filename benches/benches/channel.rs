//! What moving one token through the channel costs, beside rtrb, a well-known ring buffer for the same purpose.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headrace_channel::channel;

/// As large as the engine's items: a token, its timestamp, its kind.
type Item = [u64; 6];

const BATCH: u64 = 64;

fn push_and_take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("channel_push_take");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("headrace", |bencher| {
        let (mut producer, mut consumer) = channel::<Item>(256);
        bencher.iter(|| {
            for value in 0..BATCH {
                let _ = black_box(producer.push([value; 6]));
            }
            producer.notify();
            for item in consumer.drain() {
                black_box(item);
            }
        });
    });
    group.bench_function("rtrb", |bencher| {
        let (mut producer, mut consumer) = rtrb::RingBuffer::<Item>::new(256);
        bencher.iter(|| {
            for value in 0..BATCH {
                let _ = black_box(producer.push([value; 6]));
            }
            while let Ok(item) = consumer.pop() {
                black_box(item);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, push_and_take);
criterion_main!(benches);
