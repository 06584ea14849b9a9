//! Framing and dialect in one: the body of a response goes in, deltas come out.

use crate::aws_event_stream::FrameError;
use crate::delta::Delta;
use crate::openai_chat::OpenAiChat;
use crate::sse::{EventTooLarge, SseDecoder};

/// How a provider writes its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions over server-sent events.
    OpenAiChat,
}

impl Dialect {
    /// The name as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
        }
    }

    /// The dialect of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OpenAiChat].into_iter().find(|dialect| dialect.as_str() == name)
    }
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The end marker or an in-band error has been seen: nothing after it counts.
    Ended,
}

/// How a stream stands when its bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The dialect's end was seen.
    Complete,
    /// It was not: something is missing.
    Truncated,
}

/// The bytes are not what the dialect says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// One event is over the cap.
    #[error(transparent)]
    EventTooLarge(#[from] EventTooLarge),
    /// The binary framing is damaged.
    #[error(transparent)]
    Frame(FrameError),
    /// An event's data is not JSON, or not of the shape of a chunk.
    #[error("a chunk is not valid JSON ({reason}): {excerpt}")]
    Json {
        /// What the parser says.
        reason: String,
        /// The start of the data.
        excerpt: String,
    },
}

impl From<FrameError> for DecodeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge(error) => Self::EventTooLarge(error),
            error => Self::Frame(error),
        }
    }
}

impl DecodeError {
    /// How much of the data an error shows.
    const EXCERPT_CHARS: usize = 200;

    pub(crate) fn json(error: &serde_json::Error, json: &str) -> Self {
        let mut excerpt: String = json.chars().take(Self::EXCERPT_CHARS).collect();
        if excerpt.len() < json.len() {
            excerpt.push('…');
        }
        Self::Json { reason: error.to_string(), excerpt }
    }
}

/// Decodes the body of one response.
#[derive(Debug)]
pub struct StreamDecoder {
    sse: SseDecoder,
    dialect: OpenAiChat,
    progress: Progress,
}

impl StreamDecoder {
    /// A decoder for one response, refusing an event of more than `max_event_bytes`.
    #[must_use]
    pub fn new(dialect: Dialect, max_event_bytes: usize) -> Self {
        match dialect {
            Dialect::OpenAiChat => Self {
                sse: SseDecoder::with_limit(max_event_bytes),
                dialect: OpenAiChat::default(),
                progress: Progress::Open,
            },
        }
    }

    /// Takes the next bytes of the body and appends what they say to `out`. Bytes after the end are ignored.
    ///
    /// # Errors
    /// [`DecodeError`], with everything that came before it in `out`. Nothing may be fed after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let mut events = self.sse.feed(bytes);
        while self.progress == Progress::Open
            && let Some(event) = events.next_event()?
        {
            self.progress = self.dialect.event(&event, out)?;
        }
        Ok(self.progress)
    }

    /// Takes a whole body that is one JSON document, from a provider that did not stream.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not.
    pub fn document(&mut self, body: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        self.progress = self.dialect.document(body, out)?;
        Ok(self.progress)
    }

    /// How the stream stands if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.dialect.ending()
    }

    /// The body has ended: appends what only that tells, and says how the stream stands.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Ending {
        self.dialect.finish(out);
        self.dialect.ending()
    }
}
