//! A fast path for the most common chunk: one that differs from the chunk before it only in the content string.
//!
//! After a chunk that gave one text delta and nothing else, the bytes before and after its content are kept as a
//! template. If a later chunk starts and ends with the same bytes and has the inside of one JSON string in between,
//! it is the same document with another content, so its delta is known without parsing it.
//!
//! OpenAI also pads its chunks with a second string, `"obfuscation"`, to hide the lengths of the tokens. The decoder
//! never reads it. If it comes after the content, it may be any plain string.
//!
//! Any other chunk (a finish reason, a tool call) clears the template, so the decoder's state is the same as when the
//! template was made. `tests/template.rs` compares the fast path with the full parse.

use compact_str::CompactString;
use memchr::{memchr, memmem, memrchr};

use crate::delta::{Delta, DeltaKind};
use crate::dialects::json::read_string;

const CONTENT: &[u8] = b"\"content\"";

/// <https://platform.openai.com/docs/api-reference/chat/create>, `stream_options.include_obfuscation`.
const PADDING: &[u8] = b"\"obfuscation\"";

/// The bytes around the content of the last text-only chunk: `head` content `tail`, or, if the chunk has padding,
/// `head` content `middle` padding `tail`. If `tail` is empty, there is no template.
#[derive(Debug, Default)]
pub(super) struct Template {
    head: Vec<u8>,
    middle: Vec<u8>,
    tail: Vec<u8>,
    choice: u32,
}

impl Template {
    /// The text delta of a chunk that differs from the template in its content and padding only. `None` if the chunk
    /// must be parsed.
    pub(super) fn text_of(&self, data: &[u8]) -> Option<Delta> {
        let end = self.end_of_content(data)?;
        if end <= self.head.len() || data[..self.head.len()] != self.head {
            return None;
        }
        let text = inside_of_string(data, self.head.len(), end)?;
        Some(Delta { choice: self.choice, kind: DeltaKind::Text(text) })
    }

    /// The position of the content's closing quote, if everything from there on matches the template.
    fn end_of_content(&self, data: &[u8]) -> Option<usize> {
        let end = before(data, &self.tail)?;
        if self.middle.is_empty() {
            return Some(end);
        }
        let padding = memrchr(b'"', &data[..end])? + 1;
        let plain = data[padding..end].iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
        before(&data[..padding], &self.middle).filter(|_| plain)
    }

    /// Updates the template from a chunk that was parsed in full, and its deltas.
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

/// The position in `data` at which `ending` starts, if `data` ends with it and it is not empty.
fn before(data: &[u8], ending: &[u8]) -> Option<usize> {
    let start = data.len().checked_sub(ending.len())?;
    (!ending.is_empty() && data[start..] == *ending).then_some(start)
}

/// `data[start..end]` as the inside of one JSON string; the bytes on either side are its quotes. `None` if it is not a
/// valid one.
fn inside_of_string(data: &[u8], start: usize, end: usize) -> Option<CompactString> {
    let middle = &data[start..end];
    if middle.iter().all(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        return CompactString::from_utf8(middle).ok();
    }
    let text = read_string(std::str::from_utf8(&data[start - 1..=end]).ok()?)?;
    (!text.is_empty()).then(|| CompactString::from(text))
}

/// Splits a chunk around its content: the bytes up to and including the opening quote, and from the closing quote on.
///
/// `None` unless the content is found beyond doubt: the key occurs once, its value is `text`, and there is no escape
/// outside the content, since an escape could spell the key in another way.
fn around<'a>(data: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut keys = memmem::find_iter(data, CONTENT);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let after = data[key + CONTENT.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let tail = after.strip_prefix(b"\"")?.strip_prefix(text)?;
    let head = &data[..data.len() - text.len() - tail.len()];
    let plain = tail.starts_with(b"\"") && memchr(b'\\', head).is_none() && memchr(b'\\', tail).is_none();
    plain.then_some((head, tail))
}

/// Splits the bytes after the content around the padding, if its key occurs once. There is no backslash in `rest`, so
/// every quote starts or ends a string, and the key cannot be part of another string.
fn around_padding(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut keys = memmem::find_iter(rest, PADDING);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let after = rest[key + PADDING.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let padding = after.strip_prefix(b"\"")?;
    let tail = &padding[memchr(b'"', padding)?..];
    Some((&rest[..rest.len() - padding.len()], tail))
}
