//! The status line and the headers of a response.

use httparse::{EMPTY_HEADER, Error, Response, Status};

use super::Tunnel;
use super::body_length::{BodyLength, tokens};
use super::error::Http1Error;

/// The most headers of a response.
pub const MAX_HEADERS: usize = 100;

/// The longest head, in bytes.
pub const MAX_HEAD_BYTES: usize = 256 * 1024;

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// Whether the server keeps the connection open after this response, as far as the head says.
    pub keep_alive: bool,
}

/// The headers of a response, in their order, with their names in lower case. Bytes of a value that are not UTF-8 are
/// replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    pairs: Vec<(String, String)>,
}

impl Headers {
    /// The first value of the header with this name, which is in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of the header with this name, which is in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All headers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pair = |(name, value): (N, V)| {
            (name.as_ref().to_ascii_lowercase(), String::from_utf8_lossy(value.as_ref()).into_owned())
        };
        Self { pairs: pairs.into_iter().map(pair).collect() }
    }
}

/// Collects the bytes of a head until it is whole.
#[derive(Debug)]
pub(super) struct HeadReader {
    collected: Vec<u8>,
    tunnel: Tunnel,
}

impl HeadReader {
    pub(super) const fn new(tunnel: Tunnel) -> Self {
        Self { collected: Vec::new(), tunnel }
    }

    /// The head and what it says of the body, once it is whole. Informational responses are passed over.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<(Head, BodyLength)>, Http1Error> {
        while !input.is_empty() {
            let Some(parsed) = self.next(input)? else { return Ok(None) };
            match parsed.head.status {
                101 => return Err(Http1Error::Upgrade),
                100..=199 => {}
                status => {
                    let Parsed { head, is_http_10 } = parsed;
                    let length = BodyLength::of(status, is_http_10, &head.headers, self.tunnel)?;
                    return Ok(Some((head, length)));
                }
            }
        }
        Ok(None)
    }

    /// Why a connection that was closed now left no head.
    pub(super) fn cut(&self) -> Http1Error {
        parse(&self.collected).err().unwrap_or(Http1Error::NoHead)
    }

    /// The next head, of whatever status.
    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Parsed>, Http1Error> {
        if *self.collected == *b"\r" && input.starts_with(b"\n") {
            self.collected.clear();
            *input = &input[1..];
        }
        if self.collected.is_empty() {
            *input = after_empty_lines(input);
            // A head mostly comes in one piece.
            if let Some((parsed, length)) = parse(input)? {
                *input = &input[length..];
                return Ok(Some(parsed));
            }
            self.collected.extend_from_slice(input);
        } else {
            let already = self.collected.len();
            self.collected.extend_from_slice(input);
            // A head that comes byte by byte is not parsed anew for each byte: it ends with a line feed.
            let may_be_whole = memchr::memchr(b'\n', input).is_some();
            if may_be_whole && let Some((parsed, length)) = parse(&self.collected)? {
                *input = &input[length - already..];
                self.collected = Vec::new();
                return Ok(Some(parsed));
            }
        }
        *input = &[];
        if self.collected.len() > MAX_HEAD_BYTES {
            return Err(Http1Error::HeadTooLarge(MAX_HEAD_BYTES));
        }
        Ok(None)
    }
}

/// What follows empty lines before a head, which are passed over: RFC 9112, section 2.2. Were they collected, each would
/// make all before it be parsed anew.
fn after_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

struct Parsed {
    head: Head,
    is_http_10: bool,
}

/// Parses a head, if it is whole, and says how many bytes it has.
fn parse(bytes: &[u8]) -> Result<Option<(Parsed, usize)>, Http1Error> {
    let mut space = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut space);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(Http1Error::TooManyHeaders(MAX_HEADERS)),
        Err(error) => return Err(Http1Error::Head(describe(error))),
    };
    if length > MAX_HEAD_BYTES {
        return Err(Http1Error::HeadTooLarge(MAX_HEAD_BYTES));
    }
    let is_http_10 = response.version == Some(0);
    let headers: Headers = response.headers.iter().map(|header| (header.name, header.value)).collect();
    let keep_alive = keeps_alive(&headers, is_http_10);
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(Http1Error::Head("its status is not a status"));
    }
    Ok(Some((Parsed { head: Head { status, headers, keep_alive }, is_http_10 }, length)))
}

/// HTTP/1.1 keeps the connection unless the server says `close`; HTTP/1.0 closes it unless the server says `keep-alive`.
fn keeps_alive(headers: &Headers, is_http_10: bool) -> bool {
    let says = |word: &str| {
        headers.all("connection").flat_map(tokens).any(|option| option.eq_ignore_ascii_case(word))
    };
    !says("close") && (!is_http_10 || says("keep-alive"))
}

const fn describe(error: Error) -> &'static str {
    match error {
        Error::HeaderName => "the name of a header is invalid",
        Error::HeaderValue => "the value of a header is invalid",
        Error::NewLine => "a line break is invalid",
        Error::Status => "its status line is invalid",
        Error::Version => "it does not begin with HTTP/1.1 or HTTP/1.0",
        Error::Token | Error::TooManyHeaders => "its first line is invalid",
    }
}
