//! The read buffer. It belongs to the thread that reads: a stream that waits holds none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::io::Io;
use super::stamp::Stamp;

const BUFFER_BYTES: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_BYTES].into_boxed_slice());
}

/// Reads once, and hands over what was read. Nothing is the end. `each` must not read.
pub(super) fn poll_read<T>(
    io: &mut Io,
    context: &mut Context<'_>,
    each: impl FnOnce(&[u8], Stamp) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut space = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *io).poll_read(context, &mut space))?;
        Poll::Ready(Ok(each(space.filled(), io.last_stamp().load())))
    })
}
