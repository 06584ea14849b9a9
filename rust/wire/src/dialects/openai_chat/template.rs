//! A shortcut for the chunk that nearly all chunks are.
//!
//! Two consecutive chunks of a provider mostly differ in nothing but the content string. After a chunk that said
//! one text delta and nothing else, the bytes before and after its content are kept. A later chunk with those bytes
//! around another JSON string is the same document with that string replaced: the head ends behind the opening
//! quote, the tail begins with the closing one, and what stands between is checked to be the inside of one string.
//! What the full parse would say is therefore known without it. OpenAI pads its chunks with a second string, so that
//! their lengths tell nothing of their tokens: `"obfuscation"`, which no part of the dialect reads. Where it stands behind
//! the content, it may be any plain string. A chunk that said anything else (a finish reason, a
//! tool call) clears the template, so nothing that the dialect remembers can have changed since it was learnt.
//! `tests/template.rs` holds shortcut and full parse against each other.

use compact_str::CompactString;
use memchr::{memchr, memmem, memrchr};

use crate::delta::{Delta, DeltaKind};
use crate::dialects::json::read_string;

const CONTENT: &[u8] = b"\"content\"";

/// <https://platform.openai.com/docs/api-reference/chat/create>, `stream_options.include_obfuscation`.
const PADDING: &[u8] = b"\"obfuscation\"";

/// The bytes around the content of the last chunk that was nothing but text, and around its padding, which stands
/// between `middle` and `tail` if there is a `middle`. An empty tail is no template.
#[derive(Debug, Default)]
pub(super) struct Template {
    head: Vec<u8>,
    middle: Vec<u8>,
    tail: Vec<u8>,
    choice: u32,
}

impl Template {
    /// The text delta of a chunk that differs from the template in its content and padding only. `None`: parse it.
    pub(super) fn text_of(&self, data: &[u8]) -> Option<Delta> {
        let end = self.end_of_content(data)?;
        if end <= self.head.len() || data[..self.head.len()] != self.head {
            return None;
        }
        let text = inside_of_string(data, self.head.len(), end)?;
        Some(Delta { choice: self.choice, kind: DeltaKind::Text(text) })
    }

    /// Where the content's closing quote is, if all from there on is as in the template.
    fn end_of_content(&self, data: &[u8]) -> Option<usize> {
        let end = before(data, &self.tail)?;
        if self.middle.is_empty() {
            return Some(end);
        }
        let padding = memrchr(b'"', &data[..end])? + 1;
        let plain = data[padding..end].iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
        before(&data[..padding], &self.middle).filter(|_| plain)
    }

    /// Takes note of a chunk that was parsed in full, and of what it said.
    pub(super) fn learn(&mut self, data: &[u8], deltas: &[Delta]) {
        let [Delta { choice, kind: DeltaKind::Text(text) }] = deltas else {
            self.tail.clear();
            return;
        };
        if let Some((head, rest)) = around(data, text.as_bytes()) {
            let (middle, tail) = around_padding(rest).unwrap_or((b"", rest));
            for (part, bytes) in [(&mut self.head, head), (&mut self.middle, middle), (&mut self.tail, tail)]
            {
                part.clear();
                part.extend_from_slice(bytes);
            }
            self.choice = *choice;
        }
    }
}

/// Where what `data` ends with begins.
fn before(data: &[u8], ending: &[u8]) -> Option<usize> {
    let start = data.len().checked_sub(ending.len())?;
    (!ending.is_empty() && data[start..] == *ending).then_some(start)
}

/// `data[start..end]` as the inside of one JSON string, whose quotes stand on either side.
fn inside_of_string(data: &[u8], start: usize, end: usize) -> Option<CompactString> {
    let middle = &data[start..end];
    if middle.iter().all(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        return CompactString::from_utf8(middle).ok();
    }
    let text = read_string(std::str::from_utf8(&data[start - 1..=end]).ok()?)?;
    (!text.is_empty()).then(|| CompactString::from(text))
}

/// The bytes up to and from the quotes of the content, if it can be located beyond doubt: the key is spelt once,
/// nothing outside the content is escaped (which could hide another spelling of it), and the value is `text`.
fn around<'a>(data: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut keys = memmem::find_iter(data, CONTENT);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let after = data[key + CONTENT.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let tail = after.strip_prefix(b"\"")?.strip_prefix(text)?;
    let head = &data[..data.len() - text.len() - tail.len()];
    let plain = tail.starts_with(b"\"") && memchr(b'\\', head).is_none() && memchr(b'\\', tail).is_none();
    plain.then_some((head, tail))
}

/// Splits what stands behind the content around the padding, if its key is spelt once. No byte of `rest` is a backslash, so
/// that a quote is where a string begins or ends, and the key no part of another string.
fn around_padding(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut keys = memmem::find_iter(rest, PADDING);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let after = rest[key + PADDING.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let padding = after.strip_prefix(b"\"")?;
    let tail = &padding[memchr(b'"', padding)?..];
    Some((&rest[..rest.len() - padding.len()], tail))
}
