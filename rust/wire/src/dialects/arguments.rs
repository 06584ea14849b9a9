//! Finds the end of a call's arguments while they arrive.

use compact_str::CompactString;

/// Where in a JSON text the scanner is. It only looks for the end of an object: whether the JSON between is valid, is not
/// its concern.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Only white space so far.
    #[default]
    Start,
    /// Between the brackets of an object.
    Inside,
    /// In a string.
    String,
    /// In a string, after a backslash.
    Escape,
    /// The object has ended.
    Done,
    /// This is no object, so its end cannot be known.
    Other,
}

/// The arguments of one call, as far as they have arrived. Each byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    place: Place,
    /// How many brackets are open.
    depth: usize,
    /// Something is in the object.
    has_members: bool,
    /// What has been handed out.
    text: String,
    /// The end of an empty object, or all of it. It is held back because some servers send `{}` first and then the
    /// arguments, which replace it.
    held: CompactString,
}

impl Arguments {
    /// Arguments that may be any text, and end where the call ends.
    pub(super) fn free() -> Self {
        Self { place: Place::Other, ..Self::default() }
    }

    /// What has been handed out.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing has arrived yet.
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty() && self.held.is_empty()
    }

    /// Whether the object has ended.
    pub(super) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Whether the object has ended and nothing is in it.
    pub(super) fn is_empty_object(&self) -> bool {
        self.is_done() && !self.has_members
    }

    /// All of it, with what is held back.
    pub(super) fn whole(&self) -> CompactString {
        CompactString::from(self.text.as_str()) + &self.held
    }

    /// Whether an object has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self.place, Place::Inside | Place::String | Place::Escape)
    }

    /// Takes the text up to the end of the object. Returns what is to be handed out, and the rest.
    pub(super) fn take<'a>(&mut self, text: &'a str) -> (CompactString, &'a str) {
        let end = self.scan(text.as_bytes());
        let (own, rest) = text.split_at(end.unwrap_or(text.len()));
        if self.is_empty_object() {
            self.held.push_str(own);
            return (CompactString::default(), rest);
        }
        self.text.push_str(own);
        (CompactString::from(own), rest)
    }

    /// Takes back an empty object, because `text` replaces it. Returns the rest of `text`, without what has been handed
    /// out already.
    pub(super) fn replace_empty<'a>(&mut self, text: &'a str) -> &'a str {
        self.held = CompactString::default();
        if self.text.trim_start().is_empty() {
            self.place = Place::Start;
            self.depth = 0;
            return text;
        }
        // The opening bracket has been handed out.
        self.place = Place::Inside;
        self.depth = 1;
        text.trim_ascii_start().strip_prefix('{').unwrap_or(text)
    }

    /// What was held back and is to be handed out now.
    pub(super) fn release(&mut self) -> CompactString {
        self.text.push_str(&self.held);
        std::mem::take(&mut self.held)
    }

    /// The position after the object's end, if it ends in this text.
    fn scan(&mut self, text: &[u8]) -> Option<usize> {
        for (position, byte) in text.iter().enumerate() {
            match (self.place, byte) {
                (Place::Done | Place::Other, _) => return None,
                (Place::Start | Place::Inside, b' ' | b'\t' | b'\r' | b'\n') => {}
                (Place::Start, b'{') => {
                    self.place = Place::Inside;
                    self.depth = 1;
                }
                (Place::Start, _) => self.place = Place::Other,
                (Place::Inside, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.place = Place::Done;
                        return Some(position + 1);
                    }
                }
                (Place::Inside, byte) => {
                    self.has_members = true;
                    match byte {
                        b'"' => self.place = Place::String,
                        b'{' | b'[' => self.depth += 1,
                        _ => {}
                    }
                }
                (Place::String, b'"') => self.place = Place::Inside,
                (Place::String, b'\\') => self.place = Place::Escape,
                (Place::Escape, _) => self.place = Place::String,
                (Place::String, _) => {}
            }
        }
        None
    }
}

/// Whether two texts are the same arguments.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    one.trim() == other.trim() || value(one).is_some_and(|one| Some(one) == value(other))
}
