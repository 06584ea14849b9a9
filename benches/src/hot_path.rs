//! Runs one part of the hot path for COUNT events, for callgrind to count: `hot-path CASE COUNT`.

use std::error::Error;
use std::hint::black_box;

use headrace_benches::{openai_body, openai_body_all_parsed, openai_body_padded};
use headrace_channel::channel;
use headrace_wire::sse::SseDecoder;
use headrace_wire::{DecodeError, Dialect, StreamDecoder};

/// How many events the body has. It is read again and again.
const EVENTS: usize = 4096;
const READ: usize = 16 * 1024;
const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let count: usize = arguments.next().unwrap_or_default().parse()?;
    if !count.is_multiple_of(EVENTS) {
        return Err(format!("{count} is not a multiple of {EVENTS}").into());
    }
    let rounds = count / EVENTS;
    match case.as_str() {
        "sse" => sse(&openai_body(EVENTS), rounds)?,
        "openai-alike" => openai_chat(&openai_body(EVENTS), rounds)?,
        "openai-padded" => openai_chat(&openai_body_padded(EVENTS), rounds)?,
        "openai-parsed" => openai_chat(&openai_body_all_parsed(EVENTS), rounds)?,
        "channel" => push_and_take(count / BATCH),
        _ => return Err(format!("there is no case {case:?}").into()),
    }
    Ok(())
}

/// The SSE decoder alone.
fn sse(body: &[u8], rounds: usize) -> Result<(), DecodeError> {
    let mut decoder = SseDecoder::default();
    for read in (0..rounds).flat_map(|_| body.chunks(READ)) {
        let mut events = decoder.feed(read);
        while let Some(event) = events.next_event()? {
            black_box(event.data());
        }
    }
    Ok(())
}

/// The SSE decoder and the OpenAI dialect.
fn openai_chat(body: &[u8], rounds: usize) -> Result<(), DecodeError> {
    let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
    let mut deltas = Vec::new();
    for read in (0..rounds).flat_map(|_| body.chunks(READ)) {
        deltas.clear();
        decoder.feed(read, &mut deltas)?;
        black_box(&deltas);
    }
    Ok(())
}

/// Moves batches through the channel in one thread. Items have the size of the engine's.
fn push_and_take(batches: usize) {
    let (mut producer, mut consumer) = channel::<[u64; 6]>(1024);
    for _ in 0..batches {
        for value in 0..BATCH as u64 {
            let _ = black_box(producer.push([value; 6]));
        }
        producer.notify();
        for item in consumer.drain() {
            black_box(item);
        }
    }
}
