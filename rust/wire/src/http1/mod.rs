//! Reads HTTP/1.1 responses from bytes, without I/O.
//!
//! - [`head`]: the status line and the headers;
//! - `body_length`: how long a body is;
//! - `chunked`: bodies of `Transfer-Encoding: chunked`;
//! - [`error`]: what a server can do wrong.
//!
//! The rules are those of RFC 9112. Where it leaves a choice, the reader does as hyper does; a fuzz target compares the
//! two.

mod body_length;
mod chunked;
pub mod error;
pub mod head;

use self::body_length::BodyLength;
use self::chunked::Chunked;
pub use self::error::Http1Error;
use self::head::HeadReader;
pub use self::head::{Head, Headers};

/// Reads one response to a request that is neither HEAD nor CONNECT.
///
/// ```
/// use headrace_wire::http1::{ResponseReader, Step};
///
/// let mut reader = ResponseReader::new();
/// let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
/// let Step::Head(head) = reader.step(&mut bytes)? else { panic!() };
/// assert_eq!(head.status, 200);
/// assert_eq!(reader.step(&mut bytes)?, Step::Body(b"hi"));
/// assert_eq!(reader.step(&mut bytes)?, Step::End);
/// # Ok::<(), headrace_wire::http1::Http1Error>(())
/// ```
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    has_begun: bool,
    keep_alive: bool,
}

/// What comes next in a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All input was read, and more is needed.
    More,
    /// The head. Comes once; informational responses (1xx) are left out.
    Head(Head),
    /// Bytes of the body, never empty.
    Body(&'a [u8]),
    /// The response has ended. Input that is left does not belong to it.
    End,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Ended,
}

impl ResponseReader {
    /// A reader that expects a response's first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::expecting(Tunnel::No)
    }

    /// A reader for the response to a CONNECT request: a success has no body.
    #[must_use]
    pub fn of_connect() -> Self {
        Self::expecting(Tunnel::Yes)
    }

    const fn expecting(tunnel: Tunnel) -> Self {
        Self { state: State::Head(HeadReader::new(tunnel)), has_begun: false, keep_alive: false }
    }

    /// Reads on, and takes from the front of `input` what it read.
    ///
    /// # Errors
    /// The bytes are not HTTP. The reader must not be used any more.
    pub fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Step<'a>, Http1Error> {
        match &mut self.state {
            State::Head(reader) => {
                self.has_begun |= !input.is_empty();
                let Some((head, length)) = reader.read(input)? else { return Ok(Step::More) };
                self.keep_alive = head.keep_alive && length != BodyLength::UntilClose;
                self.state = match length {
                    BodyLength::Known(0) => State::Ended,
                    BodyLength::Known(bytes) => State::Length(bytes),
                    BodyLength::Chunked => State::Chunked(Chunked::new()),
                    BodyLength::UntilClose => State::UntilClose,
                };
                Ok(Step::Head(head))
            }
            State::Ended => Ok(Step::End),
            _ if input.is_empty() => Ok(Step::More),
            State::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::Ended;
                }
                Ok(Step::Body(take(input, taken)))
            }
            State::UntilClose => Ok(Step::Body(take(input, input.len()))),
            State::Chunked(chunked) => {
                let step = chunked.step(input)?;
                if step == Step::End {
                    self.state = State::Ended;
                }
                Ok(step)
            }
        }
    }

    /// The connection was closed. Ends a body that lasts until then.
    ///
    /// # Errors
    /// The response is not whole.
    pub fn finish(&mut self) -> Result<(), Http1Error> {
        match self.state {
            State::Ended => Ok(()),
            State::UntilClose => {
                self.state = State::Ended;
                Ok(())
            }
            State::Head(ref reader) => Err(reader.cut()),
            State::Length(_) | State::Chunked(_) => Err(Http1Error::Cut),
        }
    }

    /// Whether the server has said anything: a byte of the response, of an informational one, or of what is not HTTP.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the whole response has been read.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether the connection can carry another request: the response is whole, and the server keeps the connection.
    #[must_use]
    pub const fn is_reusable(&self) -> bool {
        self.has_ended() && self.keep_alive
    }
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the response is to a CONNECT request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tunnel {
    No,
    Yes,
}

/// Takes the first bytes of `input`.
fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}
