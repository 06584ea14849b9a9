//! How much of a channel's capacity a value takes.

/// Weighs the values of a channel. The weight of a value must not change while it is in the channel.
pub trait Weight<T> {
    /// How much of the capacity this value takes, from 1.
    fn of(value: &T) -> usize;
}

/// Every value weighs 1: the capacity is a number of values.
#[derive(Debug, Clone, Copy)]
pub struct One;

impl<T> Weight<T> for One {
    fn of(_: &T) -> usize {
        1
    }
}
