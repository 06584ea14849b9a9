//! The channel on real threads.
#![cfg(not(loom))]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use headrace_channel::{PushError, Ready, Weight, channel, weighted_channel};

#[test]
fn a_full_channel_gives_the_value_back() {
    let (mut producer, mut consumer) = channel(2);
    producer.push(1).unwrap();
    producer.push(2).unwrap();
    assert_eq!(producer.push(3), Err(PushError::Full(3)));
    assert_eq!(consumer.pop(), Some(1));
    producer.push(3).unwrap();
    assert_eq!(consumer.drain().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_channel_without_a_reader_gives_the_value_back() {
    let (mut producer, consumer) = channel(2);
    drop(consumer);
    assert!(producer.is_closed());
    assert_eq!(producer.push(1), Err(PushError::Closed(1)));
}

#[test]
fn a_wait_ends_at_its_timeout() {
    let (_producer, mut consumer) = channel::<u8>(2);
    assert_eq!(consumer.wait(Duration::from_millis(1)), None);
}

#[test]
fn values_left_in_the_channel_are_dropped_with_it() {
    let value = Arc::new(());
    let (mut producer, consumer) = channel(8);
    for _ in 0..5 {
        producer.push(Arc::clone(&value)).unwrap();
    }
    drop(consumer);
    drop(producer);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_long_backlog_is_dropped_without_recursion() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = channel(1_000_000);
    for _ in 0..1_000_000 {
        producer.push(Arc::clone(&value)).unwrap();
    }
    assert_eq!(consumer.drain().take(1000).count(), 1000);
    drop(producer);
    // A small stack: dropping the blocks recursively would overflow it.
    let small = thread::Builder::new().stack_size(64 * 1024);
    small.spawn(move || drop(consumer)).unwrap().join().unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_million_values_arrive_once_and_in_order() {
    const COUNT: u64 = 1_000_000;
    let (mut producer, mut consumer) = channel(64);
    let writer = thread::spawn(move || {
        for mut value in 0..COUNT {
            while let Err(PushError::Full(back)) = producer.push(value) {
                value = back;
                producer.notify();
                thread::yield_now();
            }
            if value % 7 == 0 {
                producer.notify();
            }
        }
    });
    let mut next = 0;
    while consumer.wait(Duration::from_secs(60)) == Some(Ready::Value) {
        for value in consumer.drain() {
            assert_eq!(value, next);
            next += 1;
        }
    }
    writer.join().unwrap();
    assert_eq!(next, COUNT);
}

/// Each text weighs its length.
struct Length;

impl Weight<&str> for Length {
    fn of(value: &&str) -> usize {
        value.len()
    }
}

#[test]
fn the_capacity_is_a_weight_where_values_have_one() {
    let (mut producer, mut consumer) = weighted_channel::<&str, Length>(4);
    assert_eq!(producer.push("abc"), Ok(()));
    assert_eq!(producer.push("de"), Err(PushError::Full("de")));
    assert_eq!(producer.push("d"), Ok(()));
    assert_eq!(consumer.pop(), Some("abc"));
    assert_eq!(producer.push("efg"), Ok(()));
    assert_eq!(producer.push("h"), Err(PushError::Full("h")));
    assert_eq!(consumer.drain().collect::<Vec<_>>(), ["d", "efg"]);
}

#[test]
fn a_value_that_weighs_more_than_the_capacity_passes_alone() {
    let (mut producer, mut consumer) = weighted_channel::<&str, Length>(2);
    assert_eq!(producer.push("a"), Ok(()));
    assert_eq!(producer.push("heavy"), Err(PushError::Full("heavy")));
    assert_eq!(consumer.pop(), Some("a"));
    assert_eq!(producer.push("heavy"), Ok(()));
    assert_eq!(producer.push("b"), Err(PushError::Full("b")));
    assert_eq!(consumer.pop(), Some("heavy"));
    assert_eq!(producer.push("b"), Ok(()));
}
