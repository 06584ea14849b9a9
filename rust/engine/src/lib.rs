//! From the socket to the channel.
//!
//! A map, in the direction in which a token travels:
//!
//! - [`request`]: what to send, and the timeouts;
//! - [`transport`]: from the request to the bytes of the response: connections, TLS, proxies, HTTP;
//! - `runtime`: the network threads, one set per process;
//! - `pump`: the task of one stream: it reads, decodes, timestamps and pushes;
//! - `deadline`: the time limits of a stream;
//! - `body`: errors of a response's body;
//! - `rejection`: a provider's error responses;
//! - `retry_after`: how long a provider asks to wait before a retry;
//! - [`stream`]: the reader's end of the stream;
//! - [`source`]: a stream whose bytes the caller feeds;
//! - [`end`]: how a stream ended;
//! - [`timing`]: latencies computed from the timestamps;
//! - [`notifier`]: how many streams wake one event loop, by a `signal`; `bell`: once for all that became ready together;
//! - `head`: what is kept of the head of a response;
//! - `fork`: detects a forked child;
//! - [`clock`]: the clock of all timestamps.
//!
//! Nothing here knows of Python, and no thread of the engine ever runs any.

mod bell;
mod body;
pub mod clock;
mod deadline;
pub mod end;
mod fork;
mod head;
pub mod notifier;
mod pump;
mod rejection;
pub mod request;
mod retry_after;
mod runtime;
mod signal;
pub mod source;
pub mod stream;
pub mod timing;
pub mod transport;

pub use end::{End, Failure, FailureKind};
pub use fork::forked;
pub use head::Head;
pub use request::{Request, Timeouts};
pub use retry_after::{rate_limit_reset, retry_after};
pub use runtime::{RuntimeError, spawn};
pub use source::Source;
pub use stream::{Arrival, Closer, ReadLag, Readiness, Stream};
pub use transport::options::ConnectionOptions;
