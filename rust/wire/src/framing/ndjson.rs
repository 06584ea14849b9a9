//! Newline-delimited JSON: one document a line, ended by LF or CRLF (<https://github.com/ndjson/ndjson-spec>).
//!
//! The decoder is pushed bytes and pulled for lines. As in [`crate::sse`], what it yields never depends on where the
//! bytes were split, and its time is linear in their number.

use memchr::memchr;

use crate::framing::sse::EventTooLarge;

/// An incremental decoder of lines.
#[derive(Debug)]
pub struct NdjsonDecoder {
    limit: usize,
    /// The start of a line whose end has not arrived, or the line last handed out.
    line: Vec<u8>,
    handed_out: bool,
    failed: bool,
}

impl NdjsonDecoder {
    /// A decoder that refuses a line of more than `limit` bytes, its CR included.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { limit, line: Vec::new(), handed_out: false, failed: false }
    }

    /// Takes the next bytes of the stream, and gives the lines that they complete.
    ///
    /// Pull until [`Lines::next_line`] returns `None`: bytes that were not pulled are lost.
    pub fn feed<'d, 'c>(&'d mut self, bytes: &'c [u8]) -> Lines<'d, 'c> {
        Lines { decoder: self, rest: bytes }
    }

    /// The stream has ended: gives its last line if that has no line end, which the format allows.
    #[must_use]
    pub fn finish(&mut self) -> Option<&[u8]> {
        self.reset();
        self.handed_out = true;
        Some(without_cr(&self.line)).filter(|line| !self.failed && !is_blank(line))
    }

    fn reset(&mut self) {
        if self.handed_out {
            self.line.clear();
            self.handed_out = false;
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

/// The lines that one [`NdjsonDecoder::feed`] completes, in order.
#[derive(Debug)]
#[must_use = "bytes that are not pulled are lost"]
pub struct Lines<'d, 'c> {
    decoder: &'d mut NdjsonDecoder,
    rest: &'c [u8],
}

impl Lines<'_, '_> {
    /// The next line that is not blank, without its end, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`EventTooLarge`], after all lines that came before it.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, EventTooLarge> {
        self.decoder.reset();
        while let Some(end) = memchr(b'\n', self.rest) {
            let (line, rest) = (&self.rest[..end], &self.rest[end + 1..]);
            self.decoder.check(self.decoder.line.len() + line.len())?;
            self.rest = rest;
            // A line that came in one piece needs no copy.
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
            self.decoder.handed_out = true;
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
