//! Deltas → lines of `/api/chat`, or of `/api/generate`.

use compact_str::CompactString;
use serde_json::{Value, json};

use super::REASONS;
use crate::delta::{Delta, DeltaKind, Finish, FinishReason, Usage};
use crate::encode::{Head, WholeCall, WholeCalls, parse_arguments, text_and_refusal};
use crate::response::{Choice, Response};

/// Encodes one response as lines.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    /// For `/api/generate`, which has the members of the message at the top level, and no tool calls.
    generates: bool,
    calls: WholeCalls,
    /// Sent in the last line, with the usage.
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Encoder {
    /// An encoder for one response of `/api/chat`.
    pub(crate) fn chat(head: Head) -> Self {
        Self { head, generates: false, calls: WholeCalls::default(), finish: None, usage: None }
    }

    /// An encoder for one response of `/api/generate`.
    pub(crate) fn generate(head: Head) -> Self {
        Self { generates: true, ..Self::chat(head) }
    }

    /// The JSON document of a response that is not streamed: the last line of a stream, with the whole text. It has the
    /// first choice only.
    pub(crate) fn document(mut self, response: &Response) -> Value {
        let none = Choice::default();
        let choice = response.first().unwrap_or(&none);
        let mut message = json!({ "content": text_and_refusal(choice) });
        if !choice.reasoning.is_empty() {
            message["thinking"] = json!(choice.reasoning);
        }
        if !choice.tool_calls.is_empty() {
            let calls = (0..).zip(&choice.tool_calls);
            message["tool_calls"] = calls
                .map(|(index, call)| {
                    entry(index, call.id.as_ref(), &call.name, &parse_arguments(&call.arguments))
                })
                .collect();
        }
        self.finish.clone_from(&choice.finish);
        self.usage.clone_from(&response.usage);
        self.last(message)
    }

    /// Appends the line of a delta. There is only one choice; deltas of others are left out, and so are signatures. A
    /// tool call is sent when it ends. A refusal is sent as text.
    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        if delta.choice != 0 {
            return;
        }
        match &delta.kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                self.message(json!({ "content": text }), out);
            }
            DeltaKind::Reasoning(text) => self.message(json!({ "content": "", "thinking": text }), out),
            DeltaKind::ToolCallStart(start) => self.calls.begin(0, start),
            DeltaKind::ToolCallArguments { index, fragment } => self.calls.extend(0, *index, fragment),
            DeltaKind::ToolCallEnd { index } => {
                if let Some(call) = self.calls.end(0, *index) {
                    self.call(&call, out);
                }
            }
            DeltaKind::Finish(finish) => self.finish = Some((**finish).clone()),
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Error(error) => write_line(&json!({ "error": error.message }), out),
            DeltaKind::Logprobs(_) | DeltaKind::Signature(_) | DeltaKind::Response(_) => {}
        }
    }

    /// Appends the last line, which has the finish reason and the token counts.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        for call in self.calls.end_all(None) {
            self.call(&call, out);
        }
        let line = self.last(json!({ "content": "" }));
        write_line(&line, out);
    }

    /// The line with the finish reason and the token counts.
    fn last(&mut self, message: Value) -> Value {
        let finish = self.finish.take().unwrap_or(Finish::new(FinishReason::Stop, CompactString::default()));
        let usage = self.usage.take().unwrap_or_default();
        let mut line = self.line(message);
        for (name, count) in [("prompt_eval_count", usage.input_tokens), ("eval_count", usage.output_tokens)]
        {
            if let Some(count) = count {
                line[name] = json!(count);
            }
        }
        line["done"] = json!(true);
        line["done_reason"] = json!(REASONS.write(&finish));
        line
    }

    fn call(&self, call: &WholeCall, out: &mut Vec<u8>) {
        if self.generates {
            return;
        }
        let arguments = call.arguments().unwrap_or_else(|| json!({}));
        let entry = entry(call.index, call.id.as_ref(), &call.name, &arguments);
        self.message(json!({ "content": "", "tool_calls": [entry] }), out);
    }

    fn message(&self, message: Value, out: &mut Vec<u8>) {
        write_line(&self.line(message), out);
    }

    /// A line with this message, or, for `/api/generate`, with its members.
    fn line(&self, mut message: Value) -> Value {
        let (model, created_at) = (&self.head.model, rfc3339(self.head.created));
        let mut line = json!({ "model": model, "created_at": created_at, "done": false });
        if self.generates {
            line["response"] = message["content"].take();
            if message["thinking"].is_string() {
                line["thinking"] = message["thinking"].take();
            }
        } else {
            message["role"] = json!("assistant");
            line["message"] = message;
        }
        line
    }
}

fn entry(index: u32, id: Option<&CompactString>, name: &str, arguments: &Value) -> Value {
    let mut entry = json!({ "function": { "index": index, "name": name, "arguments": arguments } });
    if let Some(id) = id {
        entry["id"] = json!(id);
    }
    entry
}

fn write_line(line: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{line}\n").as_bytes());
}

/// Formats seconds since 1970 as RFC 3339, in UTC. The date is computed by Howard Hinnant's `civil_from_days`:
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
    }
}
