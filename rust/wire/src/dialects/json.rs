//! Lenient JSON: the types that the dialects use to read what providers really send.
//!
//! A member that is missing, `null` or of an unexpected type counts as absent, instead of failing the whole frame.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use compact_str::CompactString;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialects::reasons::is_reason;
use crate::error::is_some_error;
use crate::framing::sse::text;
use crate::stream::DecodeError;

/// Visitor methods for unexpected types: the value counts as absent.
macro_rules! absent {
    ($($visit:ident($value:ty)),+) => {
        $(fn $visit<E>(self, _: $value) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })+

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A string member. Absent if it is missing, `null`, empty or of another type.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    /// The string, unless it is absent or empty.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// The string as a finish reason, unless it is a word for none.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.get().filter(|raw| is_reason(raw))
    }

    /// The string as it is stored in a delta.
    pub(crate) fn compact(&self) -> Option<CompactString> {
        self.get().map(CompactString::from)
    }
}

impl<'a> From<Cow<'a, str>> for Scalar<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(Text(Some(text)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| None)
    }

    absent!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
}

/// A piece of text. Like [`Text`], but a number or a boolean is its JSON text: gateways that read each token as JSON
/// send `5` and `true` for `"5"` and `"true"`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Scalar<'a>(Text<'a>);

impl<'a> Deref for Scalar<'a> {
    type Target = Text<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(|text| Self(Text(text)))
    }
}

/// The text of a floating point number, as JSON writes it.
pub(crate) fn float_text(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(String::new, |number| number.to_string())
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a piece of text")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(float_text(value))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| None)
    }
}

/// An object member. Absent if it is missing or of another type.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for Object<T> {
    type Target = Option<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| None)
    }

    absent!(visit_str(&str), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
}

/// A list of objects. Empty if the member is missing or of another type; elements that are not objects are left out.
#[derive(Debug)]
pub(crate) struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        while let Some(Object(object)) = seq.next_element()? {
            objects.extend(object);
        }
        Ok(objects)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| Vec::new())
    }

    absent!(visit_str(&str), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
}

/// A position in a list, from 0: a number or a string of digits. Absent if it is anything else.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Index(Option<u64>);

impl Index {
    /// The number.
    pub(crate) const fn get(self) -> Option<u64> {
        self.0
    }

    /// The index of a choice: 0 if it is absent.
    pub(crate) fn choice(self) -> u32 {
        self.0.and_then(|index| index.try_into().ok()).unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndexVisitor).map(Self)
    }
}

struct IndexVisitor;

impl<'de> Visitor<'de> for IndexVisitor {
    type Value = Option<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an index")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(value.parse().ok())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| None)
    }

    absent!(visit_bool(bool), visit_i64(i64), visit_f64(f64));
}

/// A member kept as JSON text. Absent if it is missing or `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Raw<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Raw<'a> {
    /// The member's JSON text.
    pub(crate) fn get(&self) -> Option<&'a str> {
        self.0.map(RawValue::get).filter(|json| *json != "null")
    }

    /// The member as an error: absent also if it is empty or `false`, as some servers send it with every chunk.
    pub(crate) fn error(&self) -> Option<&'a str> {
        self.get().filter(|json| is_some_error(json))
    }

    /// The member as a `T`, if it can be read as one.
    pub(crate) fn read<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.get()?).ok()
    }

    /// The member as a count. Some providers write counts as floating point numbers, such as `7.0`.
    pub(crate) fn count(&self) -> Option<u64> {
        let json = self.get()?;
        json.parse().ok().or_else(|| json.strip_suffix(".0")?.parse().ok())
    }

    /// The arguments of a tool call as JSON text. Some providers send a string that contains JSON, others send the
    /// JSON.
    pub(crate) fn arguments(&self) -> Option<Cow<'a, str>> {
        let json = self.get()?;
        let text = if json.starts_with('"') { read_string(json)? } else { Cow::Borrowed(json) };
        (!text.is_empty()).then_some(text)
    }
}

/// Whether this JSON text is an object without members.
pub(crate) fn is_empty_object(json: &str) -> bool {
    let inside = json.trim_ascii().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Calls `read` with a document. If that fails, repairs the document and calls `read` again. So `read` must parse
/// before it has any side effect.
pub(crate) fn lenient<R>(
    data: &[u8],
    mut read: impl FnMut(&str) -> Result<R, serde_json::Error>,
) -> Result<R, DecodeError> {
    let json = text(data);
    read(&json).or_else(|error| {
        let repaired = repair(&json).ok_or_else(|| DecodeError::json(&error, &json))?;
        read(&repaired).map_err(|error| DecodeError::json(&error, &json))
    })
}

/// Whether a document has a `type` that is not in `known`. Such a document may have any shape, so failing to parse it
/// is not an error.
pub(crate) fn has_unknown_type(json: &str, known: &[&str]) -> bool {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Text<'a>,
    }
    let event: Result<Event<'_>, _> = serde_json::from_str(json);
    event.is_ok_and(|event| event.kind.get().is_some_and(|kind| !known.contains(&kind)))
}

/// Reads a JSON string. A lone surrogate escape in it becomes U+FFFD.
pub(crate) fn read_string(json: &str) -> Option<Cow<'_, str>> {
    let read: Result<Borrowed<'_>, _> = serde_json::from_str(json);
    match read {
        Ok(Borrowed(text)) => Some(text),
        Err(_) => serde_json::from_str(&replace_lone_surrogates(json)).ok().map(Cow::Owned),
    }
}

/// Serde reads a plain `Cow` as owned; this one borrows where it can.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// Repairs a document that the strict parser refused, for the three faults that real streams contain: a lone surrogate
/// escape becomes U+FFFD, a number that JSON does not have (`NaN`, `-Infinity`) becomes null, and of two members with
/// the same name the last one is kept. `None` if something else is wrong.
fn repair(json: &str) -> Option<String> {
    let json = replace_lone_surrogates(&without_odd_numbers(json)?);
    let value: serde_json::Value = serde_json::from_str(&json).ok()?;
    serde_json::to_string(&value).ok()
}

/// Replaces the numbers that JavaScript and Python write and JSON does not have. `None` if one is among the arguments of
/// a tool call: nobody but the model may change those.
fn without_odd_numbers(json: &str) -> Option<Cow<'_, str>> {
    const ODD: [&str; 5] = ["NaN", "-NaN", "Infinity", "-Infinity", "+Infinity"];
    const ARGUMENTS: [&str; 4] = ["arguments", "args", "input", "parameters"];
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Some(Cow::Borrowed(json));
    }
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    let mut last_string = "";
    // The members that the current place is in, as far as their values are objects or lists.
    let mut path: Vec<&str> = Vec::new();
    let mut member = "";
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let length = string_length(rest);
                last_string = rest[..length].trim_matches('"');
                length
            }
            ':' => {
                member = last_string;
                1
            }
            '{' | '[' => {
                path.push(member);
                member = "";
                1
            }
            '}' | ']' => {
                path.pop();
                1
            }
            _ => match ODD.iter().find(|odd| rest.starts_with(**odd)) {
                Some(odd) => {
                    if path.iter().chain([&member]).any(|name| ARGUMENTS.contains(name)) {
                        return None;
                    }
                    repaired.push_str("null");
                    rest = &rest[odd.len()..];
                    continue;
                }
                None => first.len_utf8(),
            },
        };
        repaired.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Some(Cow::Owned(repaired))
}

/// The length of the JSON string at the start of `json`, with its quotes.
fn string_length(json: &str) -> usize {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

/// Replaces lone surrogate escapes, whose meaning RFC 8259 section 8.2 leaves undefined. Providers that run JavaScript
/// send them when a token boundary falls inside a character.
fn replace_lone_surrogates(json: &str) -> String {
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                repaired.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            // A backslash and the character that it escapes, which may take several bytes.
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        repaired.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    repaired
}

/// The UTF-16 code unit of a `\uXXXX` escape at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}
