//! Decodes a recorded body, and finds out how it ends.

use crate::body::{BodyDecoder, BodyError, page, start, unknown};
use crate::delta::Delta;
use crate::dialects::Dialect;
use crate::dialects::detect::other_api_of;
use crate::dialects::emit::push_error;
use crate::end_state::EndState;
use crate::error::{is_error, read_error};
use crate::framing::aws_event_stream::may_begin_message;
use crate::framing::documents::Documents;
use crate::framing::sse::{SseDecoder, text};
use crate::response::Response;
use crate::stream::{Ending, StreamDecoder};

/// How a recorded body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedEnd {
    /// The whole answer is there.
    Complete,
    /// It ends before the dialect's end marker.
    Truncated,
    /// The provider reported an error, which is in the response.
    Error,
    /// The bytes are not valid in the dialect, or the dialect could not be detected.
    Protocol(BodyError),
}

impl RecordedEnd {
    /// The state, which has a name that users see.
    #[must_use]
    pub const fn state(&self) -> EndState {
        match self {
            Self::Complete => EndState::Complete,
            Self::Truncated => EndState::Truncated,
            Self::Error => EndState::Error,
            Self::Protocol(_) => EndState::Protocol,
        }
    }
}

/// Decodes one recorded body.
#[derive(Debug)]
pub struct RecordedBody {
    source: Source,
    limit: usize,
    response: Response,
    failed: Option<BodyError>,
}

#[derive(Debug)]
enum Source {
    /// The dialect is not known yet. Holds all bytes so far, and how many there must be before the next try to detect it:
    /// the number doubles, so that each byte is looked at only a few times.
    Unknown {
        held: Vec<u8>,
        next_look: usize,
    },
    Known(Box<BodyDecoder>),
}

impl RecordedBody {
    /// A decoder for a body of this dialect, or of one to detect. Events of more than `limit` bytes are an error.
    #[must_use]
    pub fn new(dialect: Option<Dialect>, limit: usize) -> Self {
        let source = dialect.map_or(Source::Unknown { held: Vec::new(), next_look: 1 }, |dialect| {
            Source::Known(Box::new(BodyDecoder::new(dialect, limit)))
        });
        Self { source, limit, response: Response::default(), failed: None }
    }

    /// The dialect, if it is known yet.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        match &self.source {
            Source::Unknown { .. } => None,
            Source::Known(body) => Some(body.dialect()),
        }
    }

    /// The response so far.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// What the body says instead of an answer, if it does; see [`BodyDecoder::excerpt`].
    #[must_use]
    pub fn excerpt(&self) -> Option<String> {
        match &self.source {
            Source::Unknown { .. } => None,
            Source::Known(body) => body.excerpt(),
        }
    }

    /// Takes the next bytes of the body and appends their deltas to `out`. Bytes after the end or after an error are
    /// ignored.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) {
        if self.failed.is_some() {
            return;
        }
        let first = out.len();
        let fed = match &mut self.source {
            Source::Known(body) => body.feed(bytes, out).map(|_| ()),
            Source::Unknown { held, next_look } => {
                held.extend_from_slice(bytes);
                if held.len() < *next_look {
                    return;
                }
                *next_look = held.len() * 2;
                self.look(out)
            }
        };
        self.failed = fed.err();
        self.note(&out[first..]);
    }

    /// Handles the end of the body: appends the last deltas, and returns how it ended.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> RecordedEnd {
        let first = out.len();
        let ending = self.last(out);
        self.note(&out[first..]);
        match ending {
            _ if self.response.error.is_some() => RecordedEnd::Error,
            Err(error) => RecordedEnd::Protocol(error),
            Ok(Ending::Complete) => RecordedEnd::Complete,
            Ok(Ending::Truncated) => RecordedEnd::Truncated,
        }
    }

    /// Tries to detect the dialect from the bytes so far.
    fn look(&mut self, out: &mut Vec<Delta>) -> Result<(), BodyError> {
        let Source::Unknown { held, .. } = &self.source else { return Ok(()) };
        match Dialect::shown(&held[..held.len().min(self.limit)]) {
            Some(dialect) => self.begin(dialect, out),
            None if held.len() > self.limit => Err(unknown(held)),
            None => Ok(()),
        }
    }

    /// Starts to decode, with the dialect known.
    fn begin(&mut self, dialect: Dialect, out: &mut Vec<Delta>) -> Result<(), BodyError> {
        let mut body = Box::new(BodyDecoder::new(dialect, self.limit));
        let fed = match &self.source {
            Source::Unknown { held, .. } => body.feed(held, out).map(|_| ()),
            Source::Known(_) => Ok(()),
        };
        self.source = Source::Known(body);
        fed
    }

    fn last(&mut self, out: &mut Vec<Delta>) -> Result<Ending, BodyError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Source::Unknown { held, .. } = &self.source {
            match Dialect::detect(&held[..held.len().min(self.limit)]) {
                Some(dialect) => self.begin(dialect, out)?,
                None => return undecided(held, out),
            }
        }
        match &mut self.source {
            Source::Known(body) => body.finish(out),
            Source::Unknown { .. } => Ok(Ending::Truncated),
        }
    }

    fn note(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            self.response.apply(delta);
        }
    }
}

/// The end of a body whose dialect could not be detected: it may be too short, or an error of a proxy or a gateway, which
/// is in no dialect.
fn undecided(held: &[u8], out: &mut Vec<Delta>) -> Result<Ending, BodyError> {
    if let Some(other) = other_api_of(held) {
        return Err(other.into());
    }
    let nothing = match start(held).first() {
        None => true,
        Some(b'<') => {
            page(held, out)?;
            true
        }
        Some(b'{' | b'[') => {
            let json = text(start(held));
            let first = Documents::of(&json).next().transpose()?;
            if let Some(error) = first.filter(|json| is_error(json)) {
                push_error(read_error(error), out);
            }
            first.is_none() || !out.is_empty()
        }
        Some(_) => {
            stream_error(held, out);
            !out.is_empty() || begins_stream(held)
        }
    };
    if nothing { Ok(Ending::Truncated) } else { Err(unknown(held)) }
}

/// Appends the error of a stream that has no events of any dialect.
fn stream_error(held: &[u8], out: &mut Vec<Delta>) {
    // All dialects over SSE agree about what is not theirs.
    let mut decoder = StreamDecoder::new(Dialect::Anthropic, held.len().max(1));
    let mut deltas = Vec::new();
    if decoder.feed(held, &mut deltas).is_ok() {
        decoder.finish(&mut deltas);
    }
    out.extend(deltas.into_iter().find(Delta::is_error));
}

/// Whether this is the start of a stream that has no events yet.
fn begins_stream(held: &[u8]) -> bool {
    if may_begin_message(held) {
        return true;
    }
    let mut sse = SseDecoder::default();
    let has_event = !matches!(sse.feed(held).next_event(), Ok(None));
    let line = start(held).split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_whole = field.len() < start(held).len();
    let is_field = [&b""[..], b"data", b"event", b"id", b"retry"]
        .iter()
        .any(|name| if is_whole { *name == field } else { name.starts_with(field) });
    is_field && !has_event
}
