//! Amazon Bedrock over the AWS event stream.
//!
//! - `ConverseStream` has one format for all models, decoded by `converse`:
//!   <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>;
//! - `InvokeModelWithResponseStream` sends the model's own JSON as base64 in `chunk` messages, decoded by `invoke`;
//! - `SageMaker` endpoints send pieces of an OpenAI chat body over SSE in `PayloadPart` messages.
//!
//! An exception is a message of its own and ends the stream.

mod converse;
mod document;
mod encode;
mod invoke;

pub(crate) use self::document::document;
pub(crate) use self::encode::{Encoder, write_chunks};

use serde::Deserialize;

use self::converse::Converse;
use self::invoke::Invoke;
use crate::delta::{Delta, ProviderError};
use crate::dialects::emit::push_error;
use crate::dialects::json::{Raw, lenient};
use crate::dialects::openai_chat::OpenAiChat;
use crate::error::read_error;
use crate::framing::aws_event_stream::Message;
use crate::framing::sse::{SseDecoder, text};
use crate::stream::{DecodeError, Ending, Progress};

/// Decodes one response.
#[derive(Debug, Default)]
pub struct Bedrock {
    converse: Converse,
    invoke: Invoke,
    sagemaker: Option<Box<Endpoint>>,
}

/// The SSE body in the messages of a `SageMaker` endpoint.
#[derive(Debug, Default)]
struct Endpoint {
    sse: SseDecoder,
    chat: OpenAiChat,
}

impl Bedrock {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) fn take_work(&mut self) -> bool {
        let chat = self.sagemaker.as_mut().is_some_and(|endpoint| endpoint.chat.take_work());
        self.converse.take_work() | self.invoke.take_work() | chat
    }

    /// Decodes one message and appends its deltas to `out`.
    ///
    /// # Errors
    /// [`DecodeError`] if the payload is not what the message's type says.
    pub fn message(&mut self, message: &Message<'_>, out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        if message.header(":message-type").is_some_and(|kind| kind != "event") {
            push_error(read_exception(message), out);
            return Ok(Progress::Ended);
        }
        match message.header(":event-type").unwrap_or_default() {
            "chunk" => self.invoke.chunk(&mut self.converse, message.payload(), out),
            "PayloadPart" => self.part(message.payload(), out),
            kind => lenient(message.payload(), |json| self.converse.event(kind, json, out)),
        }
    }

    /// Decodes a whole response that was not streamed: from `Converse`, or the model's own JSON from `InvokeModel`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let output = lenient(data, |json| {
            let document: converse::Document<'_> = serde_json::from_str(json)?;
            Ok(document.output.is_some().then(|| self.converse.whole(&document, out)))
        })?;
        output.map_or_else(|| self.invoke.document(&mut self.converse, data, out), Ok)
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let sagemaker = self.sagemaker.as_ref().map(|endpoint| endpoint.chat.ending());
        let complete = self.converse.is_stopped()
            || self.invoke.ending() == Ending::Complete
            || sagemaker == Some(Ending::Complete);
        if complete { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body: ends the tool calls that are still open.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            self.converse.finish(out);
        }
        self.invoke.finish(out);
        if let Some(endpoint) = &mut self.sagemaker {
            endpoint.chat.finish(out);
        }
    }

    fn part(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let Endpoint { sse, chat } = &mut **self.sagemaker.get_or_insert_default();
        let mut events = sse.feed(bytes);
        while let Some(event) = events.next_event()? {
            if chat.event(&event, out)? == Progress::Ended {
                return Ok(Progress::Ended);
            }
        }
        Ok(Progress::Open)
    }
}

/// Reads an `exception` message, which is modeled by the API and has a type, or an `error` message, which has a code.
/// See <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html>.
fn read_exception(message: &Message<'_>) -> ProviderError {
    #[derive(Deserialize)]
    struct ModelError<'a> {
        #[serde(borrow, default, rename = "originalStatusCode")]
        status: Raw<'a>,
    }
    if let Some(code) = message.header(":error-code") {
        let text = message.header(":error-message").unwrap_or(code);
        return ProviderError {
            message: text.to_owned(),
            code: Some(code.to_owned()),
            body: Some(text.into()),
            ..ProviderError::default()
        };
    }
    let payload = text(message.payload());
    let error = read_error(&payload);
    let original: Option<ModelError<'_>> = serde_json::from_str(&payload).ok();
    let status = original.and_then(|error| u16::try_from(error.status.count()?).ok());
    let kind = message.header(":exception-type").map(str::to_owned);
    ProviderError { kind: kind.or(error.kind), status: status.or(error.status), ..error }
}
