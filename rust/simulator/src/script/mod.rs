//! The script: what the simulator answers, how fast, and what goes wrong.
//!
//! Every field has a default, unknown fields are refused, and an error names the field that it is about.

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

pub(crate) use fault::FAILS;
pub(crate) use tokens::count_tokens;

/// How often a comment is sent when the script gives its text and no interval.
const DEFAULT_COMMENT_INTERVAL: Duration = Duration::from_secs(1);

/// The timers tick in milliseconds.
const MIN_COMMENT_INTERVAL: Duration = Duration::from_millis(1);

/// Everything that the simulator does.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The model that answers name, and that `/v1/models` lists.
    pub model: String,
    /// The answers. The first whose `when` matches a request answers it.
    pub turns: Vec<Turn>,
    /// When tokens are sent, unless a turn says otherwise.
    pub pacing: Pacing,
    /// How the bytes of a stream are cut into HTTP chunks.
    pub chunking: Chunking,
    /// The content of every text token is the time of its write instead: `"<monotonic nanoseconds> "`.
    pub stamp: bool,
    /// The line end of server-sent events; that of the provider when not given, which is a line feed, and Google's
    /// carriage return and line feed.
    pub newline: Option<Newline>,
    /// The text of a comment that is sent every so often, whatever else happens.
    pub comments: Option<CommentText>,
    /// How often; every second when only the text is given.
    #[serde(rename = "comment_every_ms", deserialize_with = "millis::optional_interval")]
    pub comment_every: Option<Duration>,
    /// The key that requests must carry as `Authorization: Bearer …`.
    pub api_key: Option<String>,
    /// Which streams tell their token counts.
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
    /// [`ScriptError`], which names the field.
    pub fn from_json(json: &str) -> Result<Self, ScriptError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let script = serde_path_to_error::deserialize(&mut deserializer)?;
        deserializer.end().map_err(|error| ScriptError::new(String::new(), error.to_string()))?;
        Ok(script)
    }

    /// Reads a script from a JSON value, such as `serde_json::json!` makes.
    ///
    /// # Errors
    /// [`ScriptError`], which names the field.
    pub fn from_value(value: &Value) -> Result<Self, ScriptError> {
        Ok(serde_path_to_error::deserialize(value)?)
    }

    /// The comment and its interval, where the script asks for one.
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
    /// One HTTP chunk for each frame; the frames that are due together still go out in one write.
    #[default]
    Frame,
    /// HTTP chunks of this many bytes, wherever that cuts. What is due is never held back to fill a chunk.
    Bytes(NonZeroUsize),
    /// Everything that is due, in HTTP chunks of up to 64 KiB.
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

/// Which streams tell their token counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncludeUsage {
    /// All.
    Always,
    /// Those whose request has `stream_options.include_usage`, as OpenAI does it.
    #[default]
    Requested,
}

/// The text of a comment: one line, or it would not be a comment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CommentText(String);

impl TryFrom<String> for CommentText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains(['\n', '\r']) { Err("a comment is one line") } else { Ok(Self(text)) }
    }
}
