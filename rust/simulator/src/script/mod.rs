//! The script: what the simulator answers, how fast, and what goes wrong.
//!
//! Every field has a default, unknown fields are refused, and errors contain the path of the field.

mod error;
mod fault;
mod http;
mod millis;
mod pacing;
mod tokens;
mod turn;

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

pub use error::ScriptError;
pub use fault::{Fault, RawFault, StatusFault};
pub use http::{HeaderText, Headers, StatusCode};
pub use pacing::{Pacing, Rhythm};
pub use tokens::Tokens;
pub use turn::{Arguments, ToolCall, Turn, UsageCounts, UsageSpec, When};

pub(crate) use fault::DEFAULT_ERROR_MESSAGE;
pub(crate) use tokens::count_tokens;

/// The interval of comments if the script gives a text but no interval.
const DEFAULT_COMMENT_INTERVAL: Duration = Duration::from_secs(1);

/// The resolution of the timers.
const MIN_COMMENT_INTERVAL: Duration = Duration::from_millis(1);

/// Everything that the simulator does.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The name of the model, in answers and in `/v1/models`.
    pub model: String,
    /// The answers. The first whose `when` matches a request answers it.
    pub turns: Vec<Turn>,
    /// When tokens are sent, unless a turn says otherwise.
    pub pacing: Pacing,
    /// How the bytes of a stream are cut into HTTP chunks.
    pub chunking: Chunking,
    /// Replaces the content of every text token with the time of its write: `"<monotonic nanoseconds> "`.
    pub stamp: bool,
    /// The line end of server-sent events; by default the provider's: CRLF for Google, LF for all others.
    pub newline: Option<Newline>,
    /// The text of a comment that is sent at regular intervals.
    pub comments: Option<CommentText>,
    /// The interval of comments; by default a second.
    #[serde(rename = "comment_every_ms", deserialize_with = "millis::optional_interval")]
    pub comment_every: Option<Duration>,
    /// The key that requests must carry as `Authorization: Bearer …`.
    pub api_key: Option<String>,
    /// Which streams contain token counts.
    pub include_usage: IncludeUsage,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            model: "sim".to_owned(),
            turns: vec![Turn::text("Hello from the simulator.")],
            pacing: Pacing::default(),
            chunking: Chunking::default(),
            stamp: false,
            newline: None,
            comments: None,
            comment_every: None,
            api_key: None,
            include_usage: IncludeUsage::default(),
        }
    }
}

impl Script {
    /// Reads a script from JSON text.
    ///
    /// # Errors
    /// [`ScriptError`] with the path of the field.
    pub fn from_json(json: &str) -> Result<Self, ScriptError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let script = serde_path_to_error::deserialize(&mut deserializer)?;
        deserializer.end().map_err(|error| ScriptError::new(String::new(), error.to_string()))?;
        Ok(script)
    }

    /// Reads a script from a JSON value, such as `serde_json::json!` makes.
    ///
    /// # Errors
    /// [`ScriptError`] with the path of the field.
    pub fn from_value(value: &Value) -> Result<Self, ScriptError> {
        Ok(serde_path_to_error::deserialize(value)?)
    }

    /// The comment and its interval, if the script has one.
    pub(crate) fn heartbeat(&self) -> Option<(&str, Duration)> {
        if self.comments.is_none() && self.comment_every.is_none() {
            return None;
        }
        let text = self.comments.as_ref().map_or("ping", |comment| comment.0.as_str());
        Some((text, self.comment_every.unwrap_or(DEFAULT_COMMENT_INTERVAL).max(MIN_COMMENT_INTERVAL)))
    }
}

/// How the bytes of a stream are cut into HTTP chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunking {
    /// One HTTP chunk for each frame. Frames that are due together still go out in one write.
    #[default]
    Frame,
    /// HTTP chunks of this many bytes, split anywhere. Frames that are due are not held back to fill a chunk.
    Bytes(NonZeroUsize),
    /// HTTP chunks of up to 64 KiB, with everything that is due.
    Coalesce,
}

/// The line end of server-sent events. The standard allows all three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Newline {
    /// Line feed.
    #[default]
    #[serde(rename = "\n")]
    Lf,
    /// Carriage return and line feed.
    #[serde(rename = "\r\n")]
    CrLf,
    /// Carriage return.
    #[serde(rename = "\r")]
    Cr,
}

impl Newline {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::Cr => b"\r",
        }
    }
}

/// Which streams contain token counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncludeUsage {
    /// All.
    Always,
    /// Those whose request sets `stream_options.include_usage`, as OpenAI does it.
    #[default]
    Requested,
}

/// The text of a comment: one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CommentText(String);

impl TryFrom<String> for CommentText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains(['\n', '\r']) { Err("a comment is one line") } else { Ok(Self(text)) }
    }
}
