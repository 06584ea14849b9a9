//! Writes responses: heads and chunks.

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head(Vec<u8>);

impl Head {
    /// Starts with the status line.
    pub(crate) fn new(status: u16) -> Self {
        Self(format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes())
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.0.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self
    }

    /// Ends the head of a chunked body.
    pub(crate) fn chunked(self) -> Vec<u8> {
        self.with("transfer-encoding", "chunked").end()
    }

    /// Ends the head of a body of `length` bytes.
    pub(crate) fn length(self, length: usize) -> Vec<u8> {
        self.with("content-length", length).end()
    }

    /// Ends the head of a response without a body.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

/// Appends an HTTP chunk to `out`, and returns where in `out` its data starts.
pub(crate) fn write_chunk(data: &[u8], out: &mut Vec<u8>) -> usize {
    write_hex(data.len(), out);
    out.extend_from_slice(b"\r\n");
    let start = out.len();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    start
}

/// By hand, since `write!` would take longer than copying a token's frame.
fn write_hex(number: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = number >> (digit * 4) & 0xF;
        out.push(b"0123456789abcdef"[nibble]);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_its_size_in_hex() {
        for size in [0, 1, 15, 16, 255, 256, 4096, 65_535, 65_536] {
            let mut out = Vec::new();
            let start = write_chunk(&vec![b'x'; size], &mut out);
            assert_eq!(out[..start], *format!("{size:x}\r\n").as_bytes());
            assert_eq!(out.len(), start + size + 2);
        }
    }
}
