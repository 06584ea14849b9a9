//! Newline-delimited JSON: one document per line, ended by LF or CRLF (<https://github.com/ndjson/ndjson-spec>).
//!
//! Feed the decoder bytes, then pull lines from it. As in [`crate::sse`], the lines do not depend on where the bytes
//! were split, and decoding takes linear time.

use memchr::memchr;

use crate::framing::sse::EventTooLarge;

/// An incremental decoder of NDJSON lines. It does not parse the JSON.
#[derive(Debug)]
pub struct NdjsonDecoder {
    limit: usize,
    /// The start of a line whose end has not arrived; or, if `yielded`, the line that was yielded last.
    line: Vec<u8>,
    yielded: bool,
    failed: bool,
}

impl NdjsonDecoder {
    /// A decoder that fails on a line of more than `limit` bytes, counting a CR but not the LF.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { limit, line: Vec::new(), yielded: false, failed: false }
    }

    /// Takes the next bytes of the body and returns the lines that they complete.
    ///
    /// Call [`Lines::next_line`] until it returns `None`: bytes that it has not read by then are lost.
    pub fn feed<'d, 'c>(&'d mut self, bytes: &'c [u8]) -> Lines<'d, 'c> {
        Lines { decoder: self, rest: bytes }
    }

    /// Call this when the body has ended: returns the last line if it has no line end, which the format allows.
    #[must_use]
    pub fn finish(&mut self) -> Option<&[u8]> {
        self.reset();
        self.yielded = true;
        Some(without_cr(&self.line)).filter(|line| !self.failed && !is_blank(line))
    }

    fn reset(&mut self) {
        if self.yielded {
            self.line.clear();
            self.yielded = false;
        }
    }

    const fn check(&mut self, size: usize) -> Result<(), EventTooLarge> {
        if self.failed || size > self.limit {
            self.failed = true;
            return Err(EventTooLarge { limit: self.limit });
        }
        Ok(())
    }
}

/// The lines that one call of [`NdjsonDecoder::feed`] completes, in order.
#[derive(Debug)]
#[must_use = "bytes that are not read are lost"]
pub struct Lines<'d, 'c> {
    decoder: &'d mut NdjsonDecoder,
    rest: &'c [u8],
}

impl Lines<'_, '_> {
    /// The next line that is not blank, without its line end; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`EventTooLarge`] when a line is over the limit, after the lines before it were returned; and on every later
    /// call.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, EventTooLarge> {
        self.decoder.reset();
        while let Some(end) = memchr(b'\n', self.rest) {
            let (line, rest) = (&self.rest[..end], &self.rest[end + 1..]);
            self.decoder.check(self.decoder.line.len() + line.len())?;
            self.rest = rest;
            // A line that arrived in one piece needs no copy.
            if self.decoder.line.is_empty() {
                if !is_blank(line) {
                    return Ok(Some(without_cr(line)));
                }
                continue;
            }
            self.decoder.line.extend_from_slice(line);
            if is_blank(&self.decoder.line) {
                self.decoder.line.clear();
                continue;
            }
            self.decoder.yielded = true;
            return Ok(Some(without_cr(&self.decoder.line)));
        }
        self.decoder.check(self.decoder.line.len() + self.rest.len())?;
        self.decoder.line.extend_from_slice(self.rest);
        self.rest = &[];
        Ok(None)
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
