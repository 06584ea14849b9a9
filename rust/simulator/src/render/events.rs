//! Splits the output of an encoder into frames: server-sent events, lines of NDJSON, or AWS messages.

use headrace_wire::Framing;
use headrace_wire::aws_event_stream::write_message;
use headrace_wire::encode::Api;

use super::wire::Batch;
use crate::script::Newline;

/// A truncated JSON document.
const BROKEN: &str = r#"{"type":"broken","delta":{"text":"#;

/// The bytes before the headers of an AWS message, and after its payload.
const AWS_PRELUDE: usize = 12;
const AWS_TRAILER: usize = 4;

/// Splits what the encoder of one API writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    api: Api,
    /// A line end to use instead of the encoder's.
    newline: Option<Newline>,
}

impl Events {
    pub(crate) fn new(api: Api, newline: Option<Newline>) -> Self {
        Self { api, newline: newline.filter(|_| api.framing() == Framing::Sse) }
    }

    /// Adds each event to a batch.
    pub(crate) fn write(self, mut bytes: &[u8], batch: &mut Batch) {
        while !bytes.is_empty() {
            let (event, rest) = bytes.split_at(self.first(bytes));
            self.push(event, batch);
            bytes = rest;
        }
    }

    /// Adds half of the first event.
    pub(crate) fn write_half(self, bytes: &[u8], batch: &mut Batch) {
        batch.push_bytes(&bytes[..self.first(bytes) / 2], false);
    }

    /// Adds an event whose data is not JSON.
    pub(crate) fn write_broken(self, batch: &mut Batch) {
        let named = |name: &str| format!("event: {name}\ndata: {BROKEN}\n\n").into_bytes();
        let message = |kind: &str| {
            let headers =
                [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
            let mut message = Vec::new();
            write_message(&headers, BROKEN.as_bytes(), &mut message);
            message
        };
        let event = match self.api {
            Api::OpenAiResponses => named("response.output_text.delta"),
            Api::Anthropic => named("content_block_delta"),
            Api::Cohere => named("content-delta"),
            Api::OpenAiChat | Api::Gemini => format!("data: {BROKEN}\n\n").into_bytes(),
            Api::OllamaChat | Api::OllamaGenerate => format!("{BROKEN}\n").into_bytes(),
            Api::Converse => message("contentBlockDelta"),
            Api::InvokeModel => message("chunk"),
        };
        self.push(&event, batch);
    }

    /// Removes the last event.
    pub(crate) fn drop_last(self, bytes: &mut Vec<u8>) {
        let mut start = 0;
        while start + self.first(&bytes[start..]) < bytes.len() {
            start += self.first(&bytes[start..]);
        }
        bytes.truncate(start);
    }

    /// The length of a text whose event has `bytes` bytes of data. The last event of `around` is that of an empty text.
    pub(crate) fn text_length(self, around: &[u8], bytes: usize) -> usize {
        let mut last = around;
        while self.first(last) < last.len() {
            last = &last[self.first(last)..];
        }
        let length = bytes.saturating_sub(self.data(last).len());
        // Four characters of base64 are three bytes.
        if self.api == Api::InvokeModel { length / 4 * 3 } else { length }
    }

    /// The data of one event.
    fn data(self, event: &[u8]) -> &[u8] {
        match self.api.framing() {
            Framing::Ndjson => event.trim_ascii_end(),
            Framing::Sse => {
                let lines = event.split(|byte| *byte == b'\n');
                lines
                    .into_iter()
                    .find_map(|line| line.strip_prefix(b"data: "))
                    .map_or(&[], <[u8]>::trim_ascii_end)
            }
            Framing::AwsEventStream => {
                let headers = number(&event[4..]);
                &event[AWS_PRELUDE + headers..event.len() - AWS_TRAILER]
            }
        }
    }

    /// Where the first event ends.
    fn first(self, bytes: &[u8]) -> usize {
        let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
        let end = match self.api.framing() {
            Framing::Ndjson => lines().next().map_or(0, <[u8]>::len),
            Framing::Sse => {
                let whole = lines().take_while(|line| !line.trim_ascii().is_empty());
                let length: usize = whole.map(<[u8]>::len).sum();
                length + lines().find(|line| line.trim_ascii().is_empty()).map_or(0, <[u8]>::len)
            }
            Framing::AwsEventStream => number(bytes),
        };
        end.min(bytes.len())
    }

    fn push(self, event: &[u8], batch: &mut Batch) {
        let Some(newline) = self.newline else {
            batch.push_bytes(event, true);
            return;
        };
        let mut translated = Vec::with_capacity(event.len() + 4);
        for line in event.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            translated.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            translated.extend_from_slice(newline.as_bytes());
        }
        batch.push_bytes(&translated, true);
    }
}

/// A big-endian number of four bytes.
fn number(bytes: &[u8]) -> usize {
    let bytes = bytes.first_chunk::<4>().copied().unwrap_or_default();
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}
