//! Faults: what goes wrong with an answer.

use std::num::NonZeroUsize;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use super::http::{HeaderText, Headers, StatusCode};
use super::millis;

/// The message of errors for which the script gives none.
pub(crate) const DEFAULT_ERROR_MESSAGE: &str = "The simulator fails, as its script says.";

/// One way in which an answer goes wrong.
///
/// `after` counts deltas: pieces of reasoning, text, refusal and tool calls, and signatures. The frame with the role
/// comes before the first and is not counted; the finish reason, the usage and the end marker come after the last.
///
/// A request without a stream gets the nearest equivalent: its body ends, resets or stalls halfway. `no_done` and `cut`
/// do not affect it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An HTTP error instead of an answer.
    Status(StatusFault),
    /// The stream goes silent, and stays open until the client disconnects.
    Stall {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
    },
    /// The connection is reset (TCP RST). Bytes that do not fit into the client's receive buffer are lost.
    Reset {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
        /// Whether half of the next frame is sent first.
        #[serde(default = "yes")]
        in_frame: bool,
    },
    /// The body ends properly, without finish reason and `[DONE]`.
    End {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
    },
    /// The connection is closed (TCP FIN), without the chunk that ends the body.
    Close {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
    },
    /// Everything is sent except the end marker.
    NoDone {},
    /// An event with malformed JSON, after which the stream goes on.
    Malformed {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
    },
    /// An error inside the stream, which ends it.
    Error {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
        /// The error object; by default a server error.
        #[serde(default)]
        error: Option<Value>,
    },
    /// One very large event, after which the stream goes on.
    Huge {
        /// After this many deltas.
        #[serde(default)]
        after: usize,
        /// The size of its data; at least that of an event without text.
        bytes: usize,
    },
    /// A web page instead of an answer.
    Html {},
    /// This body instead of an answer.
    Raw(RawFault),
    /// The stream is sent in TCP writes of these numbers of bytes, repeated in turn.
    Cut {
        /// The sizes.
        #[serde(deserialize_with = "sizes")]
        sizes: Vec<NonZeroUsize>,
        /// The pause between two writes, so that the client can read each one separately.
        #[serde(default = "one_millisecond", rename = "interval_ms", deserialize_with = "millis::duration")]
        interval: Duration,
    },
    /// A redirect instead of an answer.
    Redirect {
        /// Where to.
        location: HeaderText,
        /// The status; by default 307, which keeps the method and the body.
        #[serde(default = "StatusCode::temporary_redirect")]
        status: StatusCode,
    },
    /// The request is accepted and never answered.
    Silent {},
    /// Nothing is sent for a while; then everything that is due is sent at once.
    SlowHeaders {
        /// For how long.
        #[serde(rename = "ms", deserialize_with = "millis::duration")]
        delay: Duration,
    },
}

/// An HTTP error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusFault {
    /// The status; by default 500.
    #[serde(default)]
    pub status: StatusCode,
    /// The body: text if it is a string, else JSON; by default an error in the request's dialect.
    #[serde(default)]
    pub body: Option<Value>,
    /// More headers.
    #[serde(default)]
    pub headers: Headers,
    /// Only this many requests fail, and later ones are answered. `POST /_reset` restarts the count.
    #[serde(default)]
    pub times: Option<u64>,
}

/// A body, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawFields")]
pub struct RawFault {
    /// The bytes.
    pub body: Vec<u8>,
    /// The content type.
    pub content_type: HeaderText,
    /// The status.
    pub status: StatusCode,
    /// The size of the HTTP chunks; by default one chunk for the whole body.
    pub chunk_bytes: Option<NonZeroUsize>,
}

/// The JSON of [`RawFault`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFields {
    body: Option<String>,
    body_base64: Option<String>,
    content_type: Option<HeaderText>,
    #[serde(default = "StatusCode::ok")]
    status: StatusCode,
    chunk_bytes: Option<NonZeroUsize>,
}

impl TryFrom<RawFields> for RawFault {
    type Error = String;

    fn try_from(fields: RawFields) -> Result<Self, Self::Error> {
        let body = match (fields.body, fields.body_base64) {
            (Some(_), Some(_)) => return Err("`body` and `body_base64` exclude each other".to_owned()),
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => {
                BASE64_STANDARD.decode(base64).map_err(|error| format!("`body_base64`: {error}"))?
            }
            (None, None) => Vec::new(),
        };
        let content_type = fields.content_type.unwrap_or_else(HeaderText::event_stream);
        Ok(Self { body, content_type, status: fields.status, chunk_bytes: fields.chunk_bytes })
    }
}

fn sizes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NonZeroUsize>, D::Error> {
    let sizes = Vec::deserialize(deserializer)?;
    if sizes.is_empty() { Err(D::Error::custom("`sizes` is empty")) } else { Ok(sizes) }
}

const fn yes() -> bool {
    true
}

const fn one_millisecond() -> Duration {
    Duration::from_millis(1)
}
