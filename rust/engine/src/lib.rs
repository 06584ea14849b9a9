//! From the socket to the channel.
//!
//! A map, in the direction in which a token travels:
//!
//! - [`request`]: what to send, and how long to wait for what;
//! - `client`: the HTTP clients and their connection pools;
//! - `runtime`: the threads that they run on, one set per process;
//! - `pump`: the task of one stream: reads, decodes, stamps, pushes;
//! - `body`: what a response's body turns out to be;
//! - `rejection`: what a provider says when it says no;
//! - `retry_after`: how long it asks to wait;
//! - [`stream`]: the reader's end of it;
//! - [`source`]: a stream of bytes that the caller has;
//! - [`end`]: the one typed way in which a stream ends;
//! - [`timing`]: what the stamps say;
//! - [`notifier`]: how many streams wake one event loop;
//! - `fork`: in which process this is;
//! - [`clock`]: the clock of all stamps.
//!
//! Nothing here knows Python, and none of its threads ever runs any.

mod body;
mod client;
pub mod clock;
pub mod end;
mod fork;
#[cfg(unix)]
pub mod notifier;
mod pump;
mod rejection;
pub mod request;
mod retry_after;
mod runtime;
pub mod source;
pub mod stream;
pub mod timing;

pub use end::{End, Failure, FailureKind};
pub use fork::forked;
pub use request::{Request, Timeouts};
pub use retry_after::retry_after;
pub use runtime::RuntimeError;
pub use source::Source;
pub use stream::{Arrival, Closer, Standing, Stream};
