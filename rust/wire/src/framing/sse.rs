//! Server-sent events: the algorithm of the WHATWG HTML standard, section 9.2.6 ("Interpreting an event stream").
//!
//! The decoder is pushed bytes and pulled for events. What it yields never depends on where the bytes were
//! split, and its time is linear in their number: no byte of an unfinished line is looked at twice.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The cap on one event's size that [`SseDecoder::default`] sets: 16 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event, borrowed from the decoder until the next one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    name: &'a [u8],
    data: &'a [u8],
    id: &'a str,
    retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// The event's type: `message` unless an `event` field named another.
    #[must_use]
    pub fn event_type(&self) -> Cow<'a, str> {
        if self.name.is_empty() { Cow::Borrowed("message") } else { text(self.name) }
    }

    /// Whether the event named no type.
    #[must_use]
    pub const fn has_default_type(&self) -> bool {
        self.name.is_empty()
    }

    /// The data as it came, lines joined by LF; not checked to be UTF-8.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Whether the data say nothing, or nothing of the answer: the pings of gateways have a type, and no object.
    pub(crate) fn is_aside(&self) -> bool {
        match self.data.trim_ascii_start().first() {
            None => true,
            Some(b'{' | b'[') => false,
            Some(_) => !matches!(self.name, b"" | b"message" | b"error"),
        }
    }

    /// Whether the data are `[DONE]`: OpenAI's end marker, which gateways put behind other dialects too.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.data.trim_ascii(), b"[DONE]")
    }

    /// The data as text; invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn data_text(&self) -> Cow<'a, str> {
        text(self.data)
    }

    /// The last event id at the time of this event: it lasts until another `id` field replaces it.
    #[must_use]
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// The reconnection time at the time of this event, in milliseconds, if the stream has set one.
    #[must_use]
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }
}

/// One event is over the cap of [`SseDecoder::with_limit`]. The decoder stays failed: the stream cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than the limit of {limit} bytes")]
pub struct EventTooLarge {
    /// The cap, in bytes.
    pub limit: usize,
}

/// An incremental decoder of one event stream.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts about where in the stream it stands"
)]
pub struct SseDecoder {
    limit: usize,
    /// How much of a leading byte order mark has been seen; 3 when that question is settled.
    bom_seen: usize,
    /// The last line ended in CR at the end of the input: an LF that comes next belongs to it.
    after_cr: bool,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// The data buffer: each data line with its LF.
    data: Vec<u8>,
    event_type: Vec<u8>,
    id_buffer: String,
    /// The id that the last blank line committed.
    id: String,
    retry: Option<u64>,
    comments: u64,
    /// A field has been seen since the last blank line.
    mid_event: bool,
    /// The event last handed out still stands in the buffers.
    handed_out: bool,
    failed: bool,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::with_limit(DEFAULT_MAX_EVENT_BYTES)
    }
}

impl SseDecoder {
    /// A decoder that refuses a line, or the data of an event, of more than `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            bom_seen: 0,
            after_cr: false,
            line: Vec::new(),
            data: Vec::new(),
            event_type: Vec::new(),
            id_buffer: String::new(),
            id: String::new(),
            retry: None,
            comments: 0,
            mid_event: false,
            handed_out: false,
            failed: false,
        }
    }

    /// Takes the next bytes of the stream, and gives the events that they complete.
    ///
    /// Pull until [`Events::next_event`] returns `None`: bytes that were not pulled are lost.
    pub fn feed<'d, 'c>(&'d mut self, bytes: &'c [u8]) -> Events<'d, 'c> {
        let rest = self.skip_bom(bytes);
        Events { decoder: self, rest }
    }

    /// The reconnection time of the last valid `retry` field, in milliseconds.
    #[must_use]
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The last event id, as committed by the last blank line: what a reconnection sends as `Last-Event-ID`.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.id
    }

    /// How many comment lines have been seen.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        self.comments
    }

    /// Whether the input so far stops inside an event: if it ends here, that event is discarded.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        self.mid_event || !self.line.is_empty() || matches!(self.bom_seen, 1 | 2)
    }

    /// 9.2.5: one leading byte order mark is ignored, also when it arrives in pieces.
    fn skip_bom<'c>(&mut self, mut bytes: &'c [u8]) -> &'c [u8] {
        while self.bom_seen < BOM.len() {
            match bytes.split_first() {
                None => break,
                Some((byte, rest)) if *byte == BOM[self.bom_seen] => {
                    self.bom_seen += 1;
                    bytes = rest;
                }
                Some(_) => {
                    // It only began like one: the bytes are the start of the first line.
                    self.line.extend_from_slice(&BOM[..self.bom_seen]);
                    self.bom_seen = BOM.len();
                }
            }
        }
        bytes
    }

    /// Drops the event that was handed out last.
    fn reset_event(&mut self) {
        if self.handed_out {
            self.data.clear();
            self.event_type.clear();
            self.handed_out = false;
        }
    }

    const fn check(&mut self, size: usize) -> Result<(), EventTooLarge> {
        if size > self.limit {
            self.failed = true;
            return Err(EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Processes one whole line. True when it dispatched an event, which then stands in the buffers.
    fn line(&mut self, line: &[u8]) -> Result<bool, EventTooLarge> {
        self.check(line.len())?;
        match line.first() {
            None => return Ok(self.dispatch()),
            Some(b':') => self.comments += 1,
            Some(_) => {
                self.mid_event = true;
                let (name, value) = split_field(line);
                self.field(name, value)?;
            }
        }
        Ok(false)
    }

    /// 9.2.6, "process the field".
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), EventTooLarge> {
        match name {
            b"data" => {
                self.check(self.data.len() + value.len() + 1)?;
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.event_type.clear();
                self.event_type.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => {
                self.id_buffer.clear();
                self.id_buffer.push_str(&text(value));
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // Digits that do not fit are no time that anybody could wait: ignored, like any bad value.
                self.retry = text(value).parse().ok().or(self.retry);
            }
            _ => {}
        }
        Ok(())
    }

    /// 9.2.6, "dispatch the event": an event without data is dropped, but its id stays.
    fn dispatch(&mut self) -> bool {
        self.mid_event = false;
        if self.id != self.id_buffer {
            self.id.clone_from(&self.id_buffer);
        }
        if self.data.pop().is_none() {
            self.event_type.clear();
            return false;
        }
        self.handed_out = true;
        true
    }

    /// True when nothing of an event or a line is pending, so that an event may be taken from the input as it stands.
    fn is_clean(&self) -> bool {
        !self.mid_event && self.line.is_empty() && !self.after_cr
    }
}

/// The events that one [`SseDecoder::feed`] completes, in order.
#[derive(Debug)]
#[must_use = "bytes that are not pulled are lost"]
pub struct Events<'d, 'c> {
    decoder: &'d mut SseDecoder,
    rest: &'c [u8],
}

impl<'c> Events<'_, 'c> {
    /// The next event, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`EventTooLarge`], after all events that came before it.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, EventTooLarge> {
        self.decoder.reset_event();
        if self.decoder.failed {
            return Err(EventTooLarge { limit: self.decoder.limit });
        }
        if let Some(data) = self.whole_event()? {
            return Ok(Some(Event { name: &[], data, id: &self.decoder.id, retry: self.decoder.retry }));
        }
        while let Some(dispatched) = self.next_line()? {
            if dispatched {
                let SseDecoder { event_type, data, id, retry, .. } = &*self.decoder;
                return Ok(Some(Event { name: event_type, data, id, retry: *retry }));
            }
        }
        Ok(None)
    }

    /// The shape of nearly every event of every provider, `data: …` and a blank line, needs no copy.
    fn whole_event(&mut self) -> Result<Option<&'c [u8]>, EventTooLarge> {
        if !self.decoder.is_clean() {
            return Ok(None);
        }
        let Some(value) = self.rest.strip_prefix(b"data:") else { return Ok(None) };
        let Some(end) = memchr2(b'\n', b'\r', value) else { return Ok(None) };
        let (value, after) = value.split_at(end);
        let Some(rest) = after.strip_prefix(b"\n\n").or_else(|| after.strip_prefix(b"\r\n\r\n")) else {
            return Ok(None);
        };
        self.decoder.check(b"data:".len() + value.len())?;
        // An id that an earlier block set without data is committed already: `is_clean` says a blank line came since.
        self.rest = rest;
        Ok(Some(value.strip_prefix(b" ").unwrap_or(value)))
    }

    /// Processes the next line. `None` when its end has not arrived.
    fn next_line(&mut self) -> Result<Option<bool>, EventTooLarge> {
        if self.decoder.after_cr && !self.rest.is_empty() {
            self.decoder.after_cr = false;
            self.rest = self.rest.strip_prefix(b"\n").unwrap_or(self.rest);
        }
        let Some(end) = memchr2(b'\n', b'\r', self.rest) else {
            self.decoder.line.extend_from_slice(self.rest);
            self.rest = &[];
            self.decoder.check(self.decoder.line.len())?;
            return Ok(None);
        };
        let (line, terminator) = self.rest.split_at(end);
        self.rest = match terminator {
            [b'\r'] => {
                self.decoder.after_cr = true;
                &[]
            }
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
        if self.decoder.line.is_empty() {
            return self.decoder.line(line).map(Some);
        }
        let mut whole = std::mem::take(&mut self.decoder.line);
        whole.extend_from_slice(line);
        let dispatched = self.decoder.line(&whole);
        whole.clear();
        self.decoder.line = whole;
        dispatched.map(Some)
    }
}

/// 9.2.6: the name is what stands before the first colon; one space after it is not part of the value.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, &[]) };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// Lines end at ASCII bytes, which no ill-formed sequence can swallow: replacing per value equals the
/// standard's replacing over the whole stream.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    simdutf8::basic::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
