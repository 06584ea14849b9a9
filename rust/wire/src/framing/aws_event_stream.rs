//! The AWS event stream: binary messages with headers, a payload and two checksums.
//!
//! The format: <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream>.
//! A message is a prelude (total length, length of the headers, CRC-32 of these two), the headers, the payload, and the
//! CRC-32 of everything before it. Numbers are big-endian.
//!
//! Why not the crate `aws-smithy-eventstream`: it has sixteen dependencies (`http` and `time` among them), copies
//! each message, has no limit on a message's size, and waits for as many bytes as a length says before it checks the
//! length's checksum. As in [`crate::sse`], the messages do not depend on where the bytes were split, and decoding
//! takes linear time.

use crate::framing::sse::EventTooLarge;

/// Size of the prelude in bytes: two lengths and their checksum.
const PRELUDE: usize = 12;
/// Size of the checksum at the end, in bytes.
const TRAILER: usize = 4;
/// The header type of strings.
const STRING: u8 = 7;

/// The bytes are not an AWS event stream, or were damaged on the way. The decoder cannot be used after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message is over the limit.
    #[error(transparent)]
    TooLarge(#[from] EventTooLarge),
    /// The checksum of the lengths is wrong.
    #[error("the checksum of a message's prelude is wrong")]
    PreludeChecksum,
    /// The checksum of the message is wrong.
    #[error("the checksum of a message is wrong")]
    MessageChecksum,
    /// The lengths contradict each other.
    #[error("the lengths of a message contradict each other")]
    Lengths,
    /// The headers do not follow the format.
    #[error("the headers of a message are malformed")]
    Headers,
}

/// One message. It borrows from the decoder until the next message is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The value of the header with this name, if there is one and its value is a UTF-8 string.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let header = Headers(self.headers).flatten().find(|header| header.name == name.as_bytes())?;
        header.text.and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Reads one complete message whose lengths have been checked.
    fn read(bytes: &'a [u8], lengths: Lengths) -> Result<Self, FrameError> {
        let (covered, checksum) = bytes.split_at(bytes.len() - TRAILER);
        if number(checksum) != Some(crc32fast::hash(covered)) {
            return Err(FrameError::MessageChecksum);
        }
        let (headers, payload) = covered[PRELUDE..].split_at(lengths.headers);
        if Headers(headers).any(|header| header.is_err()) {
            return Err(FrameError::Headers);
        }
        Ok(Self { headers, payload })
    }
}

/// The lengths in a prelude, in bytes.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    total: usize,
    headers: usize,
}

impl Lengths {
    /// Reads the prelude at the start of `bytes`; `None` when it is not complete.
    fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let (Some(total), Some(headers), Some(checksum)) =
            (number(bytes), bytes.get(4..).and_then(number), bytes.get(8..).and_then(number))
        else {
            return Ok(None);
        };
        if checksum != crc32fast::hash(&bytes[..8]) {
            return Err(FrameError::PreludeChecksum);
        }
        let [total, headers] = [total, headers].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if headers.saturating_add(PRELUDE + TRAILER) > total {
            return Err(FrameError::Lengths);
        }
        Ok(Some(Self { total, headers }))
    }
}

/// Whether `bytes` begin with the prelude of a message.
#[must_use]
pub(crate) fn begins_message(bytes: &[u8]) -> bool {
    matches!(Lengths::read(bytes), Ok(Some(_)))
}

/// Whether `bytes` are too short to contain a prelude, but may be the start of one: its first byte is 0 unless the
/// message is larger than 16 MiB, which no provider sends.
#[must_use]
pub(crate) fn may_begin_message(bytes: &[u8]) -> bool {
    bytes.len() < PRELUDE && bytes.first() == Some(&0)
}

/// The big-endian number at the start of `bytes`.
fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Iterates over the headers of a message. Stops after the first one that is malformed.
struct Headers<'a>(&'a [u8]);

struct Header<'a> {
    name: &'a [u8],
    /// The value, if it is a string.
    text: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn header(&mut self) -> Option<Header<'a>> {
        let length = self.byte()?;
        let name = self.take(length.into())?;
        let kind = self.byte()?;
        let length = match kind {
            // True and false have no value.
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            // A 64-bit integer, and a time.
            5 | 8 => 8,
            // Bytes, and a string.
            6 | STRING => self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?,
            // A UUID.
            9 => 16,
            _ => return None,
        };
        let value = self.take(length.into())?;
        Some(Header { name, text: (kind == STRING).then_some(value) })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let header = self.header();
        if header.is_none() {
            self.0 = &[];
        }
        Some(header.ok_or(FrameError::Headers))
    }
}

/// An incremental decoder of an AWS event stream.
#[derive(Debug)]
pub struct MessageDecoder {
    limit: usize,
    /// The start of a message whose end has not arrived; or, if `yielded`, the message that was yielded last.
    pending: Vec<u8>,
    yielded: bool,
    failed: Option<FrameError>,
}

impl MessageDecoder {
    /// A decoder that fails on a message of more than `limit` bytes, headers and checksums included.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { limit, pending: Vec::new(), yielded: false, failed: None }
    }

    /// Takes the next bytes of the body and returns the messages that they complete.
    ///
    /// Call [`Messages::next_message`] until it returns `None`: bytes that it has not read by then are lost.
    pub fn feed<'d, 'c>(&'d mut self, bytes: &'c [u8]) -> Messages<'d, 'c> {
        Messages { decoder: self, rest: bytes }
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        *self.failed.insert(error)
    }

    /// The lengths of the message at the start of `bytes`; `None` when its prelude is not complete.
    fn lengths(&mut self, bytes: &[u8]) -> Result<Option<Lengths>, FrameError> {
        let lengths = Lengths::read(bytes).map_err(|error| self.fail(error))?;
        if lengths.is_some_and(|lengths| lengths.total > self.limit) {
            return Err(self.fail(EventTooLarge { limit: self.limit }.into()));
        }
        Ok(lengths)
    }
}

/// The messages that one call of [`MessageDecoder::feed`] completes, in order.
#[derive(Debug)]
#[must_use = "bytes that are not read are lost"]
pub struct Messages<'d, 'c> {
    decoder: &'d mut MessageDecoder,
    rest: &'c [u8],
}

impl Messages<'_, '_> {
    /// The next message; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when a message is damaged or over the limit, after the messages before it were returned; and on
    /// every later call.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, FrameError> {
        if self.decoder.yielded {
            self.decoder.pending.clear();
            self.decoder.yielded = false;
        }
        if let Some(error) = self.decoder.failed {
            return Err(error);
        }
        // A message that arrived in one piece needs no copy.
        if self.decoder.pending.is_empty()
            && let Some(lengths) = self.decoder.lengths(self.rest)?
            && let Some((bytes, rest)) = self.rest.split_at_checked(lengths.total)
        {
            self.rest = rest;
            return Message::read(bytes, lengths).map(Some).map_err(|error| self.decoder.fail(error));
        }
        let Some(lengths) = self.assemble()? else { return Ok(None) };
        let decoder = &mut *self.decoder;
        decoder.yielded = true;
        let message = Message::read(&decoder.pending, lengths);
        if let Err(error) = message {
            decoder.failed = Some(error);
        }
        message.map(Some)
    }

    /// Copies bytes to the pending message until it is complete; `None` when there are not enough.
    fn assemble(&mut self) -> Result<Option<Lengths>, FrameError> {
        self.fill(PRELUDE);
        let Some(prelude) = self.decoder.pending.first_chunk::<PRELUDE>().copied() else { return Ok(None) };
        let lengths = self.decoder.lengths(&prelude)?;
        Ok(lengths.filter(|lengths| self.fill(lengths.total)))
    }

    /// Copies bytes until the pending message has `length` of them; false when there are not enough.
    fn fill(&mut self, length: usize) -> bool {
        let pending = &mut self.decoder.pending;
        let missing = length.saturating_sub(pending.len()).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(missing);
        pending.extend_from_slice(taken);
        self.rest = rest;
        pending.len() >= length
    }
}

/// Appends one message to `out`. All headers are strings. A name is cut to 255 bytes and a value to 65535 bytes, the
/// most that the format can express.
pub fn write_message(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let mut block = Vec::new();
    for (name, value) in headers {
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        block.push(length);
        block.extend_from_slice(&name.as_bytes()[..length.into()]);
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        block.push(STRING);
        block.extend_from_slice(&length.to_be_bytes());
        block.extend_from_slice(&value.as_bytes()[..length.into()]);
    }
    let start = out.len();
    let total = PRELUDE + block.len() + payload.len() + TRAILER;
    for length in [total, block.len()] {
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}
