//! Server-sent events, by the algorithm of the WHATWG HTML standard, sections 9.2.5 and 9.2.6:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//!
//! Feed the decoder bytes, then pull events from it. The events do not depend on where the bytes were split. Decoding
//! takes linear time: no byte of an unfinished line is scanned twice.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The limit on the size of one event that [`SseDecoder::default`] uses, in bytes: 16 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event. It borrows from the decoder until the next event is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    name: &'a [u8],
    data: &'a [u8],
    id: &'a str,
    retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// The event's type: `message` unless an `event` field set another.
    #[must_use]
    pub fn event_type(&self) -> Cow<'a, str> {
        if self.name.is_empty() { Cow::Borrowed("message") } else { text(self.name) }
    }

    /// Whether no `event` field set a type.
    #[must_use]
    pub const fn has_default_type(&self) -> bool {
        self.name.is_empty()
    }

    /// The data as it was sent, its lines joined by LF. It may be invalid UTF-8.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Whether the data begin as a JSON object or a list of them does. All else is no chunk of any dialect: the
    /// keep-alive of a gateway (`ping`, `null`, `: PROCESSING`), or a text.
    pub(crate) fn is_json(&self) -> bool {
        match self.data.first() {
            Some(b'{') => true,
            _ => match self.data.trim_ascii_start() {
                [b'{', ..] => true,
                [b'[', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'{' | b'[' | b']')),
                _ => false,
            },
        }
    }

    /// Whether the event is of the type `error`.
    pub(crate) const fn is_error(&self) -> bool {
        matches!(self.name, b"error")
    }

    /// Whether the data are `[DONE]`: OpenAI's end marker, which gateways send after other dialects too, some of them
    /// in quotes or in lower case.
    pub(crate) fn is_done(&self) -> bool {
        match self.data {
            [b'{', ..] => false,
            b"[DONE]" => true,
            data => {
                let data = data.trim_ascii();
                let unquoted =
                    data.strip_prefix(b"\"").and_then(|data| data.strip_suffix(b"\"")).unwrap_or(data);
                unquoted.trim_ascii().eq_ignore_ascii_case(b"[DONE]")
            }
        }
    }

    /// The data as text; invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn data_text(&self) -> Cow<'a, str> {
        text(self.data)
    }

    /// The last event id as of this event. It stays the same until another `id` field replaces it.
    #[must_use]
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// The reconnection time as of this event, in milliseconds, if a `retry` field has set one.
    #[must_use]
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }
}

/// A frame is over the decoder's limit. The decoder cannot be used after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than the limit of {limit} bytes")]
pub struct EventTooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

/// An incremental decoder of server-sent events.
///
/// ```
/// use headrace_wire::sse::SseDecoder;
///
/// let mut decoder = SseDecoder::default();
/// let mut received = Vec::new();
/// // The pieces of a body as they arrive from a socket: the second event is split.
/// for piece in [&b"data: Hello\n\ndata: wo"[..], b"rld\nid: 7\n\n"] {
///     let mut events = decoder.feed(piece);
///     while let Some(event) = events.next_event()? {
///         received.push(event.data_text().into_owned());
///     }
/// }
/// assert_eq!(received, ["Hello", "world"]);
/// assert_eq!(decoder.last_event_id(), "7");
/// assert!(!decoder.is_mid_event());
/// # Ok::<(), headrace_wire::sse::EventTooLarge>(())
/// ```
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent flags of the parser's state")]
pub struct SseDecoder {
    limit: usize,
    /// How many bytes of a leading byte order mark have been seen; 3 once the start of the stream is past.
    bom_seen: usize,
    /// The input so far ends in CR: if the next byte is LF, it belongs to the same line end.
    after_cr: bool,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// The data buffer: each data line with an LF.
    data: Vec<u8>,
    event_type: Vec<u8>,
    /// The value of the last `id` field.
    id_buffer: String,
    /// `id_buffer` as of the last blank line.
    id: String,
    retry: Option<u64>,
    comments: u64,
    /// A field has been seen since the last blank line.
    mid_event: bool,
    /// The event that was yielded last is still in the buffers.
    yielded: bool,
    failed: bool,
    /// What is neither a field nor a comment, for a reader that wants it; see [`SseDecoder::of_a_provider`].
    strays: Option<Strays>,
}

/// The lines of a stream that are no field of the standard. Providers and proxies say there what went wrong.
#[derive(Debug, Default)]
struct Strays(Vec<u8>);

impl Strays {
    /// How much is kept, in bytes.
    const LIMIT: usize = 16 * 1024;

    fn keep(&mut self, line: &[u8]) {
        let space = Self::LIMIT.saturating_sub(self.0.len() + 1);
        self.0.extend_from_slice(&line[..line.len().min(space)]);
        if space > 0 {
            self.0.push(b'\n');
        }
    }
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::with_limit(DEFAULT_MAX_EVENT_BYTES)
    }
}

impl SseDecoder {
    /// A decoder that fails on a line, or on the data of an event, of more than `limit` bytes.
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
            yielded: false,
            failed: false,
            strays: None,
        }
    }

    /// A decoder of a provider's stream: it keeps the lines that the standard ignores, and a field `error`, as
    /// llama.cpp sends it, makes an event of that type.
    pub(crate) fn of_a_provider(limit: usize) -> Self {
        Self { strays: Some(Strays::default()), ..Self::with_limit(limit) }
    }

    /// The start of the lines that are no field.
    pub(crate) fn strays(&self) -> &[u8] {
        self.strays.as_ref().map_or(&[], |strays| &strays.0)
    }

    /// What an unfinished event says, if the body ends here: its data, and the line whose end has not arrived. The
    /// start of a field's name is left out.
    pub(crate) fn tail(&self) -> Vec<u8> {
        const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];
        let mut tail = if self.yielded { Vec::new() } else { self.data.clone() };
        match (split_field(&self.line), memchr(b':', &self.line)) {
            ((b"data" | b"error", value), Some(_)) => tail.extend_from_slice(value),
            ((name, _), Some(_)) if name.is_empty() || FIELDS.contains(&name) => {}
            (_, None) if FIELDS.iter().any(|field| field.starts_with(&self.line)) => {}
            _ => tail.extend_from_slice(&self.line),
        }
        tail
    }

    /// Takes the next bytes of the body and returns the events that they complete.
    ///
    /// Call [`Events::next_event`] until it returns `None`: bytes that it has not read by then are lost.
    pub fn feed<'d, 'c>(&'d mut self, bytes: &'c [u8]) -> Events<'d, 'c> {
        let rest = self.skip_bom(bytes);
        Events { decoder: self, rest }
    }

    /// The reconnection time of the last valid `retry` field, in milliseconds.
    #[must_use]
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The last event id as of the last blank line: what a client sends as `Last-Event-ID` when it reconnects.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.id
    }

    /// How many comment lines have been seen.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        self.comments
    }

    /// Whether the input so far stops inside an event. If the body ends here, that event is discarded.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        self.mid_event || !self.line.is_empty() || matches!(self.bom_seen, 1 | 2)
    }

    /// 9.2.5: one leading byte order mark is ignored, even when it arrives in pieces.
    fn skip_bom<'c>(&mut self, mut bytes: &'c [u8]) -> &'c [u8] {
        while self.bom_seen < BOM.len() {
            match bytes.split_first() {
                None => break,
                Some((byte, rest)) if *byte == BOM[self.bom_seen] => {
                    self.bom_seen += 1;
                    bytes = rest;
                }
                Some(_) => {
                    // Not a byte order mark after all: the bytes are the start of the first line.
                    self.line.extend_from_slice(&BOM[..self.bom_seen]);
                    self.bom_seen = BOM.len();
                }
            }
        }
        bytes
    }

    /// Clears the buffers of the event that was yielded last.
    fn reset_event(&mut self) {
        if self.yielded {
            self.data.clear();
            self.event_type.clear();
            self.yielded = false;
        }
    }

    const fn check(&mut self, size: usize) -> Result<(), EventTooLarge> {
        if size > self.limit {
            self.failed = true;
            return Err(EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Processes one complete line. True when it dispatched an event, which is then in the buffers.
    fn line(&mut self, line: &[u8]) -> Result<bool, EventTooLarge> {
        self.check(line.len())?;
        match line.first() {
            None => return Ok(self.dispatch()),
            Some(b':') => {
                self.comments += 1;
                if let Some(strays) = &mut self.strays
                    && says_no(line)
                {
                    strays.keep(&line[1..]);
                }
            }
            Some(_) => {
                self.mid_event = true;
                let (name, value) = split_field(line);
                if let Some(strays) = &mut self.strays
                    && !matches!(name, b"data" | b"event" | b"id" | b"retry" | b"error")
                {
                    strays.keep(line);
                }
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
                // A number that does not fit into a u64 is ignored, like any invalid value.
                self.retry = text(value).parse().ok().or(self.retry);
            }
            b"error" if self.strays.is_some() => {
                self.event_type.clear();
                self.event_type.extend_from_slice(b"error");
                self.data.clear();
                return self.field(b"data", value);
            }
            _ => {}
        }
        Ok(())
    }

    /// 9.2.6, "dispatch the event": an event without data is not dispatched, but its id is kept.
    fn dispatch(&mut self) -> bool {
        self.mid_event = false;
        if self.id != self.id_buffer {
            self.id.clone_from(&self.id_buffer);
        }
        if self.data.pop().is_none() {
            self.event_type.clear();
            return false;
        }
        self.yielded = true;
        true
    }

    /// Whether nothing of a line or an event is buffered, so that an event can be read directly from the input.
    fn is_clean(&self) -> bool {
        !self.mid_event && self.line.is_empty() && !self.after_cr
    }
}

/// The events that one call of [`SseDecoder::feed`] completes, in order.
#[derive(Debug)]
#[must_use = "bytes that are not read are lost"]
pub struct Events<'d, 'c> {
    decoder: &'d mut SseDecoder,
    rest: &'c [u8],
}

impl<'c> Events<'_, 'c> {
    /// The next event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an event is over the limit, after the events before it were returned; and on every later
    /// call.
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

    /// Fast path without a copy, for what nearly all events of all providers are: one `data` line and a blank line.
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
        // `is_clean` means that no field came since the last blank line, which committed any id before it.
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

/// Whether a comment may be a gateway's error, as opposed to its keep-alive.
fn says_no(comment: &[u8]) -> bool {
    memchr(b'{', comment).is_some() || comment.windows(5).any(|word| word.eq_ignore_ascii_case(b"error"))
}

/// 9.2.6: the field's name is everything before the first colon; one space after the colon is not part of the value.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, &[]) };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// Decodes UTF-8, with U+FFFD for invalid sequences. The standard decodes the whole stream before it is split into
/// lines. The result is the same, because lines end at ASCII bytes and those are never part of an invalid sequence.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    simdutf8::basic::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
