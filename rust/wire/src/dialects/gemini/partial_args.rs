//! Arguments of a tool call that come member by member:
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc>.
//!
//! Each piece names its place in the arguments by a JSON path, such as `$.flights[0].city`. A string may come in several
//! pieces, which are joined.

use serde_json::{Map, Value};

/// How many places of arrays may be skipped, and how deep arguments may be. No model sends more; a server could
/// otherwise fill the memory or the stack.
const MAX_SKIPPED: usize = 1024;
const MAX_DEPTH: usize = 100;

/// The arguments so far.
#[derive(Debug, Default)]
pub(super) struct PartialArgs {
    members: Map<String, Value>,
    /// How many places of arrays have been skipped.
    skipped: usize,
    /// Some piece could not be placed, so that these are not all arguments.
    is_broken: bool,
}

/// A step of a JSON path.
#[derive(Debug)]
enum Step<'a> {
    Member(&'a str),
    Index(usize),
}

impl PartialArgs {
    /// Adds an object of arguments.
    pub(super) fn add_members(&mut self, json: &str) {
        match serde_json::from_str::<Map<String, Value>>(json) {
            Ok(members) => self.members.extend(members),
            Err(_) => self.is_broken = true,
        }
    }

    /// Adds the pieces of a `partialArgs` list.
    pub(super) fn add(&mut self, json: &str) {
        let Ok(pieces) = serde_json::from_str::<Vec<Map<String, Value>>>(json) else {
            self.is_broken = true;
            return;
        };
        for mut piece in pieces {
            let mut member = |camel: &str, snake: &str| piece.remove(camel).or_else(|| piece.remove(snake));
            let path = member("jsonPath", "json_path");
            let null = member("nullValue", "null_value").map(|_| Value::Null);
            let value = member("stringValue", "string_value")
                .or_else(|| member("numberValue", "number_value"))
                .or_else(|| member("boolValue", "bool_value"))
                .or(null);
            let Some(value) = value else { continue };
            let placed = path.as_ref().and_then(Value::as_str).and_then(|path| self.place(path, value));
            self.is_broken |= placed.is_none();
        }
    }

    /// The arguments as JSON text, whose end is left out unless they are all.
    pub(super) fn text(&self, is_all: bool) -> String {
        let mut text = serde_json::to_string(&self.members).unwrap_or_default();
        if self.is_broken || !is_all {
            text.pop();
        }
        text
    }

    /// Puts a value where the path says, behind the string that may be there. `None` if that is not possible.
    fn place(&mut self, path: &str, value: Value) -> Option<()> {
        let steps = steps(path)?;
        let (Step::Member(first), rest) = steps.split_first()? else { return None };
        let mut place = self.members.entry(*first).or_insert(Value::Null);
        for step in rest {
            place = match step {
                Step::Member(name) => {
                    if place.is_null() {
                        *place = Value::Object(Map::new());
                    }
                    place.as_object_mut()?.entry(*name).or_insert(Value::Null)
                }
                Step::Index(index) => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let items = place.as_array_mut()?;
                    if *index >= items.len() {
                        self.skipped = self.skipped.saturating_add(*index - items.len());
                        if self.skipped > MAX_SKIPPED {
                            return None;
                        }
                        items.resize(*index + 1, Value::Null);
                    }
                    &mut items[*index]
                }
            };
        }
        match (place, value) {
            (Value::String(text), Value::String(more)) => text.push_str(&more),
            (place, value) => *place = value,
        }
        Some(())
    }
}

/// The steps of a JSON path (RFC 9535) that names one place: `$.a`, `$[0]`, `$['a']`.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == MAX_DEPTH {
            return None;
        }
        if let Some(bracket) = rest.strip_prefix('[') {
            let quote = bracket.chars().next().filter(|char| matches!(char, '\'' | '"'));
            let (step, after) = if let Some(quote) = quote {
                let (name, after) = bracket[1..].split_once(&format!("{quote}]"))?;
                (Step::Member(name), after)
            } else {
                let (index, after) = bracket.split_once(']')?;
                (Step::Index(index.trim().parse().ok()?), after)
            };
            steps.push(step);
            rest = after;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Member(&name[..end]));
            rest = &name[end..];
        }
    }
    Some(steps)
}
