//! A shortcut for the chunk that nearly all chunks are.
//!
//! Two consecutive chunks of a provider mostly differ in nothing but the content string. After a chunk that said
//! one text delta and nothing else, the bytes before and after its content are kept. A later chunk with those bytes
//! around another JSON string is the same document with that string replaced: the head ends behind the opening
//! quote, the tail begins with the closing one, and what stands between is checked to be the inside of one string.
//! What the full parse would say is therefore known without it. A chunk that said anything else (a finish reason, a
//! tool call) clears the template, so nothing that the dialect remembers can have changed since it was learnt.
//! `tests/template.rs` holds shortcut and full parse against each other.

use compact_str::CompactString;
use memchr::{memchr, memmem};

use crate::delta::{Delta, DeltaKind};
use crate::json::read_string;

const KEY: &[u8] = b"\"content\"";

/// The bytes around the content of the last chunk that was nothing but text. An empty tail is no template.
#[derive(Debug, Default)]
pub(super) struct Template {
    head: Vec<u8>,
    tail: Vec<u8>,
    choice: u32,
}

impl Template {
    /// The text delta of a chunk that differs from the template in its content only. `None`: parse it.
    pub(super) fn text_of(&self, data: &[u8]) -> Option<Delta> {
        let end = data.len().checked_sub(self.tail.len())?;
        if self.tail.is_empty() || end <= self.head.len() {
            return None;
        }
        if data[end..] != self.tail || data[..self.head.len()] != self.head {
            return None;
        }
        let text = inside_of_string(data, self.head.len(), end)?;
        Some(Delta { choice: self.choice, kind: DeltaKind::Text(text) })
    }

    /// Takes note of a chunk that was parsed in full, and of what it said.
    pub(super) fn learn(&mut self, data: &[u8], deltas: &[Delta]) {
        let [Delta { choice, kind: DeltaKind::Text(text) }] = deltas else {
            self.tail.clear();
            return;
        };
        if let Some((head, tail)) = around(data, text.as_bytes()) {
            self.head.clear();
            self.head.extend_from_slice(head);
            self.tail.clear();
            self.tail.extend_from_slice(tail);
            self.choice = *choice;
        }
    }
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
    let mut keys = memmem::find_iter(data, KEY);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let after = data[key + KEY.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let tail = after.strip_prefix(b"\"")?.strip_prefix(text)?;
    let head = &data[..data.len() - text.len() - tail.len()];
    let plain = tail.starts_with(b"\"") && memchr(b'\\', head).is_none() && memchr(b'\\', tail).is_none();
    plain.then_some((head, tail))
}
