//! The body of a request.

use std::collections::BTreeMap;

use super::request::ReadError;
use crate::socket::Socket;

/// The largest body that is accepted.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The longest line of chunk framing: a size with its extension, or a trailer.
const MAX_LINE: usize = 8 * 1024;

/// How a body is delimited (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `content-length`; without it, the body is empty.
    Length(usize),
    /// By chunks.
    Chunked,
}

impl Framing {
    /// The framing that the headers announce.
    pub(super) fn of(headers: &BTreeMap<String, String>) -> Result<Self, ReadError> {
        match (headers.get("transfer-encoding"), headers.get("content-length")) {
            (Some(_), Some(_)) => {
                Err(ReadError::new(400, "`transfer-encoding` and `content-length` exclude each other"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Self::Chunked),
            (Some(coding), None) => {
                Err(ReadError::new(501, format_args!("no transfer coding but `chunked`: {coding}")))
            }
            (None, Some(length)) => Self::length(length),
            (None, None) => Ok(Self::Length(0)),
        }
    }

    fn length(value: &str) -> Result<Self, ReadError> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ReadError::new(400, format_args!("`content-length` is not a number: {value}")));
        }
        // A number that does not fit into a usize is too large in any case.
        let length = value.parse().unwrap_or(usize::MAX);
        if length > MAX_BODY { Err(too_large()) } else { Ok(Self::Length(length)) }
    }
}

/// Reads a body from the socket.
pub(super) async fn read(socket: &mut Socket, framing: Framing) -> Result<Vec<u8>, ReadError> {
    match framing {
        Framing::Length(length) => take(socket, length).await,
        Framing::Chunked => {
            let mut body = Vec::new();
            while let Some(size) = chunk_size(socket).await? {
                if size > MAX_BODY - body.len() {
                    return Err(too_large());
                }
                body.append(&mut take(socket, size).await?);
                if take(socket, 2).await? != b"\r\n" {
                    return Err(ReadError::new(400, "a chunk is longer than it says"));
                }
            }
            Ok(body)
        }
    }
}

/// The size of the next chunk; `None` after the last, with its trailers read.
async fn chunk_size(socket: &mut Socket) -> Result<Option<usize>, ReadError> {
    let size_line = line(socket).await?;
    let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&size_line) else {
        return Err(ReadError::new(400, "a chunk has no size"));
    };
    if size > 0 {
        return Ok(Some(usize::try_from(size).unwrap_or(usize::MAX)));
    }
    while line(socket).await? != b"\r\n" {}
    Ok(None)
}

/// Reads a line, including its end.
async fn line(socket: &mut Socket) -> Result<Vec<u8>, ReadError> {
    loop {
        if let Some(end) = socket.inbox.windows(2).position(|pair| pair == b"\r\n") {
            return take(socket, end + 2).await;
        }
        if socket.inbox.len() > MAX_LINE {
            return Err(ReadError::new(400, "a line of chunk framing does not end"));
        }
        socket.receive().await?;
    }
}

/// Reads `length` bytes.
async fn take(socket: &mut Socket, length: usize) -> Result<Vec<u8>, ReadError> {
    while socket.inbox.len() < length {
        socket.receive().await?;
    }
    let rest = socket.inbox.split_off(length);
    Ok(std::mem::replace(&mut socket.inbox, rest))
}

fn too_large() -> ReadError {
    ReadError::new(413, format_args!("the body of a request is limited to {MAX_BODY} bytes"))
}
