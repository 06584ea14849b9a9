//! What a response's body turns out to be: a stream, JSON documents, or no answer at all.
//!
//! Content types are too often wrong to trust them: the first bytes tell.

use crate::delta::Delta;
use crate::dialects::Dialect;
use crate::dialects::emit::fail;
use crate::error::{is_error, read_error};
use crate::framing::Framing;
use crate::framing::documents::Documents;
use crate::framing::sse::{EventTooLarge, text};
use crate::stream::{DecodeError, Ending, Progress, StreamDecoder};

/// How much of a body an error shows.
const EXCERPT_CHARS: usize = 200;

/// As many bytes as that can be.
const EXCERPT_BYTES: usize = 4 * EXCERPT_CHARS;

const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// How compressed bodies begin.
const COMPRESSED: [(&[u8], &str); 2] = [(&[0x1F, 0x8B], "gzip"), (&[0x28, 0xB5, 0x2F, 0xFD], "zstd")];

/// A body that holds no answer, or not the one that the dialect says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is a stream, but a bad one.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is a web page.
    #[error("this is a web page, not the answer of a model: {excerpt}")]
    Page {
        /// The start of the page.
        excerpt: String,
    },
    /// It is compressed, which only the headers of the response would tell how to undo.
    #[error("this is compressed ({format}): decompress it first")]
    Compressed {
        /// The format.
        format: &'static str,
    },
    /// It is of no dialect that is known here.
    #[error("no dialect shows in this; it begins with: {excerpt}")]
    Unknown {
        /// The start of the body.
        excerpt: String,
    },
}

/// Decodes the body of one response, whether the provider streamed or not.
#[derive(Debug)]
pub struct BodyDecoder {
    decoder: StreamDecoder,
    dialect: Dialect,
    limit: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// The bytes so far do not tell.
    Unknown(Vec<u8>),
    /// A stream.
    Stream,
    /// JSON documents, from a server that does not stream: collected until their end.
    Documents(Vec<u8>),
    /// A web page, of which an error shows the start.
    Page(Vec<u8>),
}

impl BodyDecoder {
    /// A decoder for one response, refusing an event, and a body that is no stream, of more than `limit` bytes.
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

    /// Takes the next bytes of the body and appends what they say to `out`. Bytes after the end are ignored.
    ///
    /// # Errors
    /// [`BodyError`], with everything that came before it in `out`. Nothing may be fed after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, BodyError> {
        let mut held = match &mut self.shape {
            Shape::Stream => return Ok(self.decoder.feed(bytes, out)?),
            Shape::Unknown(held) | Shape::Documents(held) | Shape::Page(held) => std::mem::take(held),
        };
        held.extend_from_slice(bytes);
        if matches!(self.shape, Shape::Unknown(_)) {
            self.shape = sniff(self.dialect.framing(), &held)?;
        }
        match &mut self.shape {
            Shape::Stream => return self.stream(&held, out),
            Shape::Page(_) if held.len() >= EXCERPT_BYTES => return Err(page(&held)),
            _ if held.len() > self.limit => {
                return Err(DecodeError::from(EventTooLarge { limit: self.limit }).into());
            }
            Shape::Unknown(kept) | Shape::Documents(kept) | Shape::Page(kept) => *kept = held,
        }
        Ok(Progress::Open)
    }

    /// How the answer stands if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.decoder.ending()
    }

    /// The body has ended: appends what only that tells, and says how the answer stands.
    ///
    /// # Errors
    /// [`BodyError`], with everything that came before it in `out`.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Result<Ending, BodyError> {
        match std::mem::replace(&mut self.shape, Shape::Stream) {
            Shape::Stream => {}
            Shape::Unknown(held) => {
                self.stream(&held, out)?;
            }
            Shape::Documents(held) => self.documents(&held, out)?,
            Shape::Page(held) => return Err(page(&held)),
        }
        Ok(self.decoder.finish(out))
    }

    fn stream(&mut self, held: &[u8], out: &mut Vec<Delta>) -> Result<Progress, BodyError> {
        // Only event streams know what a byte order mark is.
        let held = if self.dialect.framing() == Framing::Ndjson { without_bom(held) } else { held };
        Ok(self.decoder.feed(held, out)?)
    }

    fn documents(&mut self, held: &[u8], out: &mut Vec<Delta>) -> Result<(), DecodeError> {
        let first = out.len();
        for document in Documents::of(&text(without_bom(held))) {
            let document = document?;
            let progress = self.decoder.document(document.as_bytes(), out)?;
            // What stands between a caller and a model has errors of its own, in no dialect.
            if out.len() == first && is_error(document) {
                fail(read_error(document), out);
            }
            if progress == Progress::Ended || out.last().is_some_and(Delta::is_error) {
                break;
            }
        }
        Ok(())
    }
}

/// What a body is that begins with `held`, and that is expected to be of `framing`.
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

/// Where each line is a document, a first line that is not a whole one is the start of one over many lines.
fn sniff_line(start: &[u8]) -> Shape {
    let Some(end) = memchr::memchr(b'\n', start) else { return Shape::Unknown(Vec::new()) };
    let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&start[..end]);
    match read {
        Err(error) if error.is_eof() => Shape::Documents(Vec::new()),
        _ => Shape::Stream,
    }
}

/// Where the body itself begins: behind a byte order mark, of which there may be only a part yet, and white space.
pub(crate) fn start(held: &[u8]) -> &[u8] {
    if held.len() < BOM.len() && BOM.starts_with(held) { &[] } else { without_bom(held).trim_ascii_start() }
}

pub(crate) fn without_bom(held: &[u8]) -> &[u8] {
    held.strip_prefix(BOM).unwrap_or(held)
}

/// The error for a body that is of no dialect.
pub(crate) fn unknown(held: &[u8]) -> BodyError {
    match (compression(held), start(held).first()) {
        (Some(format), _) => BodyError::Compressed { format },
        (None, Some(b'<')) => page(held),
        (None, _) => BodyError::Unknown { excerpt: excerpt(start(held)) },
    }
}

fn page(held: &[u8]) -> BodyError {
    BodyError::Page { excerpt: excerpt(start(held)) }
}

fn compression(held: &[u8]) -> Option<&'static str> {
    COMPRESSED.iter().find(|(magic, _)| held.starts_with(magic)).map(|(_, format)| *format)
}

fn excerpt(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(EXCERPT_BYTES)];
    match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_some() => start[..start.len().min(32)].escape_ascii().to_string(),
        // The last character may have been cut.
        _ => text(start).chars().take(EXCERPT_CHARS).filter(|char| *char != '\u{FFFD}').collect(),
    }
}
