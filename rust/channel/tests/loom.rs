//! Every interleaving of the two ends, within loom's bounds. Run it with `make test-loom`.
#![cfg(loom)]

use std::task::{Context, Poll};

use headrace_channel::{Consumer, Producer, PushError, Ready, Weight, channel, weighted_channel};
use loom::future::block_on;
use loom::model::Builder;
use loom::thread;

/// Runs a model under loom. Small models are explored without a bound (`None`). Larger ones are limited to three
/// preemptions, which take seconds; loom's documentation says that two or three are enough to find most bugs.
fn model(preemptions: Option<usize>, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(run);
}

async fn push_all(producer: &mut Producer<usize>, values: std::ops::Range<usize>) -> bool {
    for value in values {
        std::future::poll_fn(|context| producer.poll_space(&value, context)).await;
        match producer.push(value) {
            Ok(()) => producer.notify(),
            Err(PushError::Closed(_)) => return false,
            Err(PushError::Full(_)) => unreachable!("poll_space was ready, so there is space"),
        }
    }
    true
}

fn take_all_blocking(mut consumer: Consumer<usize>) -> Vec<usize> {
    let mut taken = Vec::new();
    while consumer.wait() == Ready::Value {
        taken.extend(consumer.drain());
    }
    taken
}

#[test]
fn a_blocking_reader_gets_everything_in_order() {
    model(Some(3), || {
        let (mut producer, consumer) = channel(2);
        let reader = thread::spawn(move || take_all_blocking(consumer));
        block_on(push_all(&mut producer, 0..3));
        drop(producer);
        assert_eq!(reader.join().unwrap(), [0, 1, 2]);
    });
}

#[test]
fn an_async_reader_gets_everything_in_order() {
    model(Some(3), || {
        let (mut producer, mut consumer) = channel(2);
        let writer = thread::spawn(move || {
            block_on(push_all(&mut producer, 0..3));
        });
        let mut taken = Vec::new();
        while block_on(std::future::poll_fn(|context| consumer.poll_ready(context))) == Ready::Value {
            taken.extend(consumer.drain());
        }
        writer.join().unwrap();
        assert_eq!(taken, [0, 1, 2]);
    });
}

#[test]
fn one_wake_up_serves_a_batch() {
    model(None, || {
        let (mut producer, mut consumer) = channel(2);
        let writer = thread::spawn(move || {
            producer.push(0).unwrap();
            producer.push(1).unwrap();
            producer.notify();
            producer
        });
        assert_eq!(consumer.wait(), Ready::Value);
        let mut taken: Vec<usize> = consumer.drain().collect();
        drop(writer.join().unwrap());
        taken.extend(consumer.drain());
        assert_eq!(taken, [0, 1]);
        assert_eq!(consumer.wait(), Ready::Closed);
    });
}

#[test]
fn closing_wakes_a_waiting_reader() {
    model(None, || {
        let (producer, mut consumer) = channel::<usize>(2);
        let closer = thread::spawn(move || drop(producer));
        assert_eq!(consumer.wait(), Ready::Closed);
        closer.join().unwrap();
    });
}

#[test]
fn closing_wakes_poll_closed_even_when_values_are_left() {
    model(None, || {
        let (mut producer, mut consumer) = channel::<usize>(2);
        let closer = thread::spawn(move || producer.push(7).unwrap());
        block_on(std::future::poll_fn(|context| consumer.poll_closed(context)));
        assert_eq!(consumer.pop(), Some(7));
        closer.join().unwrap();
    });
}

#[test]
fn a_value_pushed_before_closing_is_not_lost() {
    model(None, || {
        let (mut producer, mut consumer) = channel(2);
        let writer = thread::spawn(move || producer.push(7).unwrap());
        assert_eq!(consumer.wait(), Ready::Value);
        assert_eq!(consumer.pop(), Some(7));
        assert_eq!(consumer.wait(), Ready::Closed);
        writer.join().unwrap();
    });
}

#[test]
fn dropping_the_reader_wakes_a_writer_that_waits_for_space() {
    model(None, || {
        let (mut producer, consumer) = channel(2);
        producer.push(0).unwrap();
        producer.push(1).unwrap();
        let dropper = thread::spawn(move || drop(consumer));
        assert!(!block_on(push_all(&mut producer, 2..3)));
        dropper.join().unwrap();
    });
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    model(None, || {
        let (mut producer, mut consumer) = channel(2);
        let writer = thread::spawn(move || {
            producer.push(7).unwrap();
            producer.notify();
        });
        // One poll whose waker is never used, as when a task is cancelled at its await.
        block_on(std::future::poll_fn(|context: &mut Context<'_>| {
            let _: Poll<Ready> = consumer.poll_ready(context);
            Poll::Ready(())
        }));
        assert_eq!(consumer.wait(), Ready::Value);
        assert_eq!(consumer.pop(), Some(7));
        writer.join().unwrap();
    });
}

#[test]
fn values_left_in_the_channel_are_dropped_once() {
    model(None, || {
        let value = loom::sync::Arc::new(());
        let (mut producer, mut consumer) = channel(4);
        let held = [value.clone(), value.clone(), value.clone()];
        let writer = thread::spawn(move || {
            for value in held {
                let _: Result<(), PushError<loom::sync::Arc<()>>> = producer.push(value);
            }
        });
        drop(consumer.pop());
        drop(consumer);
        writer.join().unwrap();
        assert_eq!(loom::sync::Arc::strong_count(&value), 1);
    });
}

#[test]
fn a_reader_catches_up_with_a_writer_that_is_blocks_ahead() {
    model(Some(3), || {
        let (mut producer, consumer) = channel(5);
        let writer = thread::spawn(move || {
            for value in 0..5 {
                producer.push(value).unwrap();
            }
        });
        assert_eq!(take_all_blocking(consumer), [0, 1, 2, 3, 4]);
        writer.join().unwrap();
    });
}

/// Each value weighs as much as it says.
struct Itself;

impl Weight<usize> for Itself {
    fn of(value: &usize) -> usize {
        *value
    }
}

#[test]
fn a_writer_waits_until_a_heavy_value_fits() {
    model(Some(3), || {
        let (mut producer, mut consumer) = weighted_channel::<usize, Itself>(2);
        let writer = thread::spawn(move || {
            loom::future::block_on(async {
                for value in [1, 3, 2] {
                    std::future::poll_fn(|context| producer.poll_space(&value, context)).await;
                    producer.push(value).unwrap();
                    producer.notify();
                }
            });
        });
        let mut taken = Vec::new();
        while consumer.wait() == Ready::Value {
            taken.extend(consumer.drain());
        }
        assert_eq!(taken, [1, 3, 2]);
        writer.join().unwrap();
    });
}
