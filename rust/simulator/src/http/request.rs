//! Reads requests: the head with `httparse`, the body by its length or in chunks.

use std::collections::BTreeMap;
use std::fmt;

use tokio::time::Instant;

use super::body::{self, Framing};
use super::credentials::{Credentials, REDACTED, is_secret, without_secrets};
use crate::clock::monotonic_ns;
use crate::socket::{Gone, Socket};

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// A complete request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path and the query, with credentials redacted.
    pub(crate) target: String,
    /// By lower-case name. Repeated headers are joined with a comma; credentials are redacted.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) credentials: Credentials,
    pub(crate) body: Vec<u8>,
    /// Whether the client wants the connection closed after the answer.
    pub(crate) close: bool,
    /// When it had arrived completely, on the clock of the timers and on that of the report.
    pub(crate) received: Instant,
    pub(crate) received_ns: u64,
}

impl Request {
    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client closed the connection, which is normal between two requests.
    Gone,
    /// The request is malformed, so it is also unknown where the next one starts.
    Refused { status: u16, reason: String },
}

impl ReadError {
    pub(super) fn new(status: u16, reason: impl fmt::Display) -> Self {
        Self::Refused { status, reason: reason.to_string() }
    }
}

impl From<Gone> for ReadError {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The head, and how the body is delimited.
struct ParsedHead {
    request: Request,
    framing: Framing,
    expects_continue: bool,
    length: usize,
}

/// Reads the next request.
pub(crate) async fn read(socket: &mut Socket) -> Result<Request, ReadError> {
    let head = loop {
        if let Some(head) = parse(&socket.inbox)? {
            break head;
        }
        if socket.inbox.len() > MAX_HEAD {
            return Err(ReadError::new(
                431,
                format_args!("the head of a request is limited to {MAX_HEAD} bytes"),
            ));
        }
        socket.receive().await?;
    };
    socket.inbox.drain(..head.length);
    // Not needed if the client has already started to send the body.
    if head.expects_continue && socket.inbox.is_empty() {
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut request = head.request;
    request.body = body::read(socket, head.framing).await?;
    // In this order, a frame that is sent at its deadline never seems to be early.
    request.received_ns = monotonic_ns();
    request.received = Instant::now();
    Ok(request)
}

/// Parses the head of the request at the start of `bytes`; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<ParsedHead>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(ReadError::new(400, format_args!("this is not HTTP/1.1: {error}"))),
    };
    if parsed.version != Some(1) {
        return Err(ReadError::new(505, "only HTTP/1.1 is supported"));
    }
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let find = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| text(header.value))
    };
    let says = |name: &str, word: &str| find(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let target = parsed.path.unwrap_or_default();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: without_secrets(target),
        headers: collect(parsed.headers),
        credentials: Credentials::new(find, target),
        body: Vec::new(),
        close: says("connection", "close"),
        received: Instant::now(),
        received_ns: 0,
    };
    let framing = Framing::of(&request.headers)?;
    Ok(Some(ParsedHead { framing, expects_continue: says("expect", "100-continue"), length, request }))
}

fn collect(headers: &[httparse::Header<'_>]) -> BTreeMap<String, String> {
    let mut collected: BTreeMap<String, String> = BTreeMap::new();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        let value = if is_secret(&name) { REDACTED.into() } else { String::from_utf8_lossy(header.value) };
        collected
            .entry(name)
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    collected
}
