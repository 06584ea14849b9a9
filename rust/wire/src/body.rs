//! Decodes a body that may be a stream or JSON documents, or may not be a model's response at all.
//!
//! The first bytes decide what it is, because `Content-Type` headers are too often wrong.

use crate::delta::Delta;
use crate::dialects::Dialect;
use crate::dialects::emit::push_error;
use crate::error::{is_error, read_error, read_page};
use crate::framing::Framing;
use crate::framing::documents::Documents;
use crate::framing::sse::{EventTooLarge, text};
use crate::stream::{DecodeError, Ending, Progress, StreamDecoder};

/// How many characters of a body an error shows.
const EXCERPT_CHARS: usize = 200;

/// The most bytes that these can take.
const EXCERPT_BYTES: usize = 4 * EXCERPT_CHARS;

/// How much of a web page is read: its title is there.
const PAGE_BYTES: usize = 4096;

const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// The first bytes of compressed bodies.
const COMPRESSED: [(&[u8], &str); 2] = [(&[0x1F, 0x8B], "gzip"), (&[0x28, 0xB5, 0x2F, 0xFD], "zstd")];

/// A body that is not a response in the expected dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It does not follow the framing or the dialect.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is a web page.
    #[error("this is a web page, not the answer of a model: {excerpt}")]
    Page {
        /// The start of the page, at most 200 characters.
        excerpt: String,
    },
    /// It is compressed. This crate does not decompress.
    #[error("this is compressed ({format}): decompress it first")]
    Compressed {
        /// The format: `gzip` or `zstd`.
        format: &'static str,
    },
    /// Its dialect was not given and could not be detected.
    #[error("no dialect shows in this; it begins with: {excerpt}")]
    Unknown {
        /// The start of the body, at most 200 characters.
        excerpt: String,
    },
}

/// Decodes the body of one response, whether the provider streamed or not.
///
/// ```
/// use headrace_wire::{BodyDecoder, Dialect, Ending};
///
/// let mut decoder = BodyDecoder::new(Dialect::OpenAiChat, 1 << 20);
/// let mut deltas = Vec::new();
/// let body = br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
/// decoder.feed(body, &mut deltas)?;
/// assert_eq!(decoder.finish(&mut deltas)?, Ending::Complete);
/// assert_eq!(deltas.len(), 2); // the text and the finish reason
/// # Ok::<(), headrace_wire::BodyError>(())
/// ```
#[derive(Debug)]
pub struct BodyDecoder {
    decoder: StreamDecoder,
    dialect: Dialect,
    limit: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Not known yet: too few bytes.
    Unknown(Vec<u8>),
    /// A stream.
    Stream,
    /// JSON documents, from a server that does not stream. They are collected and decoded at the end of the body.
    Documents(Vec<u8>),
    /// A web page, whose start is collected for the error.
    Page(Vec<u8>),
    /// A web page that was an error.
    Ended,
}

impl BodyDecoder {
    /// A decoder for one response. It fails on a frame of more than `limit` bytes, and on a body of more than `limit`
    /// bytes that is not a stream.
    #[must_use]
    pub fn new(dialect: Dialect, limit: usize) -> Self {
        let decoder = StreamDecoder::new(dialect, limit);
        Self { decoder, dialect, limit, shape: Shape::Unknown(Vec::new()) }
    }

    /// The dialect.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Decodes the next bytes of the body and appends their deltas to `out`. Bytes after the end marker are ignored.
    ///
    /// # Errors
    /// [`BodyError`]. The deltas before the error are in `out`. The decoder must not be fed again.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, BodyError> {
        let mut held = match &mut self.shape {
            Shape::Ended => return Ok(Progress::Ended),
            Shape::Stream => return Ok(self.decoder.feed(bytes, out)?),
            Shape::Unknown(held) | Shape::Documents(held) | Shape::Page(held) => std::mem::take(held),
        };
        held.extend_from_slice(bytes);
        if matches!(self.shape, Shape::Unknown(_)) {
            self.shape = sniff(self.dialect.framing(), &held)?;
        }
        match &mut self.shape {
            Shape::Stream => return self.stream(&held, out),
            Shape::Ended => return Ok(Progress::Ended),
            Shape::Page(_) if held.len() >= PAGE_BYTES => {
                page(&held[..PAGE_BYTES], out)?;
                self.shape = Shape::Ended;
                return Ok(Progress::Ended);
            }
            _ if held.len() > self.limit => {
                return Err(DecodeError::from(EventTooLarge { limit: self.limit }).into());
            }
            Shape::Unknown(kept) | Shape::Documents(kept) | Shape::Page(kept) => *kept = held,
        }
        Ok(Progress::Open)
    }

    /// Whether the bytes since the last call show the provider at work; see [`StreamDecoder::take_work`].
    pub fn take_work(&mut self) -> bool {
        self.decoder.take_work()
    }

    /// Whether the model is known to be done; see [`StreamDecoder::is_answered`].
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.decoder.is_answered()
    }

    /// What the body says instead of an answer, if it does, for the error of one that was cut off: the lines and the data
    /// that no dialect has. At most 200 characters.
    #[must_use]
    pub fn excerpt(&self) -> Option<String> {
        self.decoder.excerpt()
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.decoder.ending()
    }

    /// Call this when the body has ended. Appends the last deltas to `out` (all of them, if the body was not a
    /// stream) and returns whether the response is complete.
    ///
    /// # Errors
    /// [`BodyError`]. The deltas before the error are in `out`.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Result<Ending, BodyError> {
        match std::mem::replace(&mut self.shape, Shape::Stream) {
            Shape::Stream => {}
            Shape::Ended => return Ok(Ending::Truncated),
            Shape::Unknown(held) => {
                self.stream(&held, out)?;
            }
            Shape::Documents(held) => self.documents(&held, out)?,
            Shape::Page(held) => page(&held, out)?,
        }
        Ok(self.decoder.finish(out))
    }

    fn stream(&mut self, held: &[u8], out: &mut Vec<Delta>) -> Result<Progress, BodyError> {
        // SSE has its own rule for a byte order mark; NDJSON has none, so remove it here.
        let held = if self.dialect.framing() == Framing::Ndjson { without_bom(held) } else { held };
        Ok(self.decoder.feed(held, out)?)
    }

    fn documents(&mut self, held: &[u8], out: &mut Vec<Delta>) -> Result<(), DecodeError> {
        let first = out.len();
        for document in Documents::of(&text(without_bom(held))) {
            let document = document?;
            let progress = self.decoder.document(document.as_bytes(), out)?;
            // Gateways and proxies send errors that are in no dialect.
            if out.len() == first && is_error(document) {
                push_error(read_error(document), out);
            }
            if progress == Progress::Ended || out.last().is_some_and(Delta::is_error) {
                break;
            }
        }
        Ok(())
    }
}

/// The shape of a body that starts with `held`, if its stream would have this framing.
fn sniff(framing: Framing, held: &[u8]) -> Result<Shape, BodyError> {
    if let Some(format) = compression(held) {
        return Err(BodyError::Compressed { format });
    }
    let is_short = COMPRESSED.iter().any(|(magic, _)| magic.starts_with(held));
    let start = start(held);
    Ok(match start.first() {
        Some(_) if is_short => Shape::Unknown(Vec::new()),
        None => Shape::Unknown(Vec::new()),
        Some(b'<') => Shape::Page(Vec::new()),
        Some(b'{') if framing == Framing::Ndjson => sniff_line(start),
        Some(b'{' | b'[') => Shape::Documents(Vec::new()),
        Some(_) => Shape::Stream,
    })
}

/// The shape of an NDJSON body that starts with a JSON object. If its first line is not a complete object, the body
/// is one document that spans several lines.
fn sniff_line(start: &[u8]) -> Shape {
    let Some(end) = memchr::memchr(b'\n', start) else { return Shape::Unknown(Vec::new()) };
    let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&start[..end]);
    match read {
        Err(error) if error.is_eof() => Shape::Documents(Vec::new()),
        _ => Shape::Stream,
    }
}

/// The body without leading white space and byte order mark, of which only a part may have arrived.
pub(crate) fn start(held: &[u8]) -> &[u8] {
    if held.len() < BOM.len() && BOM.starts_with(held) { &[] } else { without_bom(held).trim_ascii_start() }
}

pub(crate) fn without_bom(held: &[u8]) -> &[u8] {
    held.strip_prefix(BOM).unwrap_or(held)
}

/// The error for a body whose dialect could not be detected.
pub(crate) fn unknown(held: &[u8]) -> BodyError {
    match (compression(held), start(held).first()) {
        (Some(format), _) => BodyError::Compressed { format },
        (None, Some(b'<')) => BodyError::Page { excerpt: excerpt(start(held)) },
        (None, _) => BodyError::Unknown { excerpt: excerpt(start(held)) },
    }
}

/// Handles a web page. That of a proxy names the HTTP status that it would have sent, and is then the error of that
/// status; any other page is from no provider.
pub(crate) fn page(held: &[u8], out: &mut Vec<Delta>) -> Result<(), BodyError> {
    let error = read_page(&text(start(held)));
    if error.status.is_none() {
        return Err(unknown(held));
    }
    push_error(error, out);
    Ok(())
}

fn compression(held: &[u8]) -> Option<&'static str> {
    COMPRESSED.iter().find(|(magic, _)| held.starts_with(magic)).map(|(_, format)| *format)
}

fn excerpt(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(EXCERPT_BYTES)];
    match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_some() => start[..start.len().min(32)].escape_ascii().to_string(),
        // The last character may be incomplete.
        _ => text(start).chars().take(EXCERPT_CHARS).filter(|char| *char != '\u{FFFD}').collect(),
    }
}
