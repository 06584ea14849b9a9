//! The iterators that a caller reads a run with.
//!
//! They call the Python driver between turns. A driver that has opened a turn of plain text yields the turn's stream;
//! then the iterator reads that by itself, without entering Python for each token, and goes back to the driver at its
//! end. A read that is interrupted while tokens are awaited takes nothing, and can be repeated: the driver is not
//! touched by it.
//!
//! - `blocking`: for `for`;
//! - `asynchronous`: for `async for`;
//! - `anext`: what a task awaits.

mod anext;
mod asynchronous;
mod blocking;

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::stream::Stream;

pub(crate) use anext::Anext;
pub(crate) use asynchronous::AsyncTokenIterator;
pub(crate) use blocking::TokenIterator;

/// The turn that is being read, and what was taken of it and not returned yet.
#[derive(Default)]
struct Turn {
    tokens: VecDeque<Py<PyString>>,
    stream: Option<Py<Stream>>,
}

/// The stream of a turn, if this is what a driver yielded.
fn stream_of(item: &Bound<'_, PyAny>) -> Option<Py<Stream>> {
    item.cast::<Stream>().ok().map(|stream| stream.clone().unbind())
}
