//! Which pieces make up which tool call: one rule, for all dialects.
//!
//! OpenAI's own rule is simple: `index` identifies a call, and `id` and `name` come with its first piece. Other servers
//! leave out the index, use one index or one id for several calls, make up ids, repeat id and name in every piece, or
//! send the name in pieces. So:
//!
//! - **The same call** is what has the same index or the same id, or, without either, what follows a call. A piece with
//!   another id *and* a name begins another call.
//! - **A name** that is sent in pieces is joined, as long as no arguments have come. A name that is repeated, or sent again
//!   and longer, is not.
//! - **Arguments end with their object.** What follows is never appended to them. It is a replacement if they were `{}`,
//!   dropped if it is the same again, and else the arguments of another call.
//! - **A call ends** where its provider ends it, or with the answer, but not with a finish reason: some servers send that
//!   before the last pieces.

use std::collections::HashMap;

use compact_str::CompactString;

use super::arguments::{Arguments, are_same};
use crate::delta::{Delta, DeltaKind, ToolCallStart};

/// The tool calls of one choice, in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    choice: u32,
    calls: Vec<Call>,
    /// The latest call of each key.
    by_key: HashMap<u64, usize>,
    /// The latest call of each id.
    by_id: HashMap<CompactString, usize>,
    /// All calls before this one have ended.
    ended: usize,
    /// All calls before this one have started.
    started: usize,
    /// How many lists of pieces there have been.
    lists: u64,
    /// How many calls there were before the latest list.
    before_list: usize,
    /// The first call of the latest list that began calls.
    group: usize,
}

/// A piece of a call, with whatever its server sent.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The server's number of the call, or of its content block.
    pub(crate) key: Option<u64>,
    pub(crate) id: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) arguments: Option<&'a str>,
    /// Its position in its list, if there are several in it.
    pub(crate) position: Option<usize>,
    /// The arguments are any text, not JSON.
    pub(crate) is_free: bool,
}

#[derive(Debug, Default)]
struct Call {
    key: Option<u64>,
    id: Option<CompactString>,
    name: CompactString,
    /// Its start has been emitted.
    is_started: bool,
    /// Its end has been emitted.
    is_ended: bool,
    arguments: Arguments,
    /// All arguments, if the provider sent them in one piece; used if no pieces follow.
    full_arguments: Option<Box<str>>,
    /// What came after the end of the arguments and may be another call.
    next: Option<Box<Next>>,
    /// Something other than arguments came after the end of the arguments. The rest is dropped.
    is_closed: bool,
    /// The last list that had a piece of this call.
    list: u64,
}

/// A second object after a call's arguments: the same again, or the arguments of another call.
#[derive(Debug, Default)]
struct Next {
    key: Option<u64>,
    id: Option<CompactString>,
    name: Option<CompactString>,
    arguments: Arguments,
}

/// How servers write that there is no id or name.
const NO_WORDS: [&str; 4] = ["null", "None", "none", "undefined"];

impl<'a> Piece<'a> {
    /// The same, without words that stand for nothing.
    fn plain(self) -> Self {
        let word = |text: Option<&'a str>| text.filter(|text| !text.is_empty() && !NO_WORDS.contains(text));
        Self { id: word(self.id), name: word(self.name), ..self }
    }

    /// Whether it has no arguments, or the start of an object.
    fn may_begin(&self) -> bool {
        self.text().is_none_or(|text| text.starts_with('{'))
    }

    /// The arguments, unless they are blank.
    fn text(&self) -> Option<&'a str> {
        self.arguments.map(str::trim_ascii_start).filter(|text| !text.is_empty())
    }
}

impl Call {
    /// Whether this name is its own, or the longer form of it.
    fn has_name(&self, name: &str) -> bool {
        name.starts_with(self.name.as_str())
    }

    /// Whether a piece that has this call's id, key or place begins another call all the same.
    fn is_before(&self, piece: &Piece<'_>, list: u64) -> bool {
        let Some(name) = piece.name else { return false };
        let is_repeated = self.id.is_some() && self.id.as_deref() == piece.id;
        // One list has no piece of a call twice, with its name each time.
        if self.list == list && self.is_started && !is_repeated {
            return true;
        }
        match (self.id.as_deref(), piece.id) {
            // Unless it is in the middle of its arguments, and this may not be the start of others: some servers make up
            // an id for every piece.
            (Some(own), Some(other)) if own != other => {
                !self.arguments.is_partial() || piece.may_begin() || !self.has_name(name)
            }
            _ if self.has_name(name) => false,
            // Another name: a piece of it, if it can be.
            _ => !self.arguments.is_blank(),
        }
    }
}

impl ToolCalls {
    /// The tool calls of the choice with this index.
    pub(crate) fn for_choice(choice: u32) -> Self {
        Self { choice, ..Self::default() }
    }

    /// How many calls have started so far, which is the index of the next one.
    pub(crate) fn count(&self) -> u32 {
        ordinal(self.calls.len())
    }

    /// Whether a call with this key is open.
    pub(crate) fn is_open(&self, key: u64) -> bool {
        self.by_key.contains_key(&key)
    }

    /// Whether the arguments of a call have begun and not ended. There must be more, whatever the finish reason says.
    pub(crate) fn is_partial(&self) -> bool {
        self.calls[self.ended..].iter().any(|call| !call.is_ended && call.arguments.is_partial())
    }

    /// A list of pieces begins.
    pub(crate) fn begin_list(&mut self) {
        self.lists += 1;
        self.before_list = self.calls.len();
    }

    /// Takes a piece from a server that may not follow the rules. Returns the index of its call; `None` if there is
    /// nothing in it.
    pub(crate) fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<Delta>) -> Option<u32> {
        let piece = piece.plain();
        let is_nothing = piece.id.is_none() && piece.name.is_none() && piece.text().is_none();
        let at = self.find(&piece).or_else(|| (!is_nothing).then(|| self.open(piece.key)))?;
        let at = self.extend(at, &piece, out);
        if let Some(key) = piece.key {
            self.by_key.insert(key, at);
        }
        Some(ordinal(at))
    }

    /// Starts a call, in a dialect that says so. The same id again is no other call; what else is open with this key ends.
    pub(crate) fn start(&mut self, key: u64, id: Option<&str>, name: Option<&str>, out: &mut Vec<Delta>) {
        let piece = Piece { key: Some(key), id, name, ..Piece::default() };
        let piece = piece.plain();
        let open = self.by_key.get(&key).copied();
        let same = open.filter(|call| piece.id.is_some() && self.calls[*call].id.as_deref() == piece.id);
        let at = same.unwrap_or_else(|| {
            self.end(key, None, out);
            self.open(Some(key))
        });
        let at = self.extend(at, &piece, out);
        if !self.calls[at].is_started {
            self.begin(at, out);
        }
    }

    /// The arguments of this open call are any text, not JSON.
    pub(crate) fn set_free(&mut self, key: u64) {
        if let Some(call) = self.by_key.get(&key).map(|at| &mut self.calls[*at])
            && call.arguments.is_blank()
        {
            call.arguments = Arguments::free();
        }
    }

    /// Sets all arguments of an open call. They are emitted at its end, if no pieces have been by then.
    pub(crate) fn set_full_arguments(&mut self, key: u64, arguments: Option<&str>) {
        if let Some(call) = self.by_key.get(&key).map(|at| &mut self.calls[*at])
            && let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty())
        {
            call.full_arguments = Some(Box::from(arguments));
        }
    }

    /// Emits a piece of the arguments of an open call.
    pub(crate) fn arguments(&mut self, key: u64, text: &str, out: &mut Vec<Delta>) {
        if let Some(at) = self.by_key.get(&key).copied() {
            self.text(at, text, &Piece::default(), out);
        }
    }

    /// Ends a call. `arguments` are all of its arguments; what is missing of them is emitted.
    pub(crate) fn end(&mut self, key: u64, arguments: Option<&str>, out: &mut Vec<Delta>) {
        let mut arguments = arguments;
        // Its end may show that there is another call after it.
        while let Some(at) = self.by_key.remove(&key) {
            self.end_call(at, arguments.take(), out);
        }
    }

    /// Emits a call that was sent in one piece.
    pub(crate) fn push_complete(
        &mut self,
        id: Option<&str>,
        name: Option<&str>,
        arguments: Option<&str>,
        out: &mut Vec<Delta>,
    ) {
        // No provider uses a key this large.
        let key = u64::MAX;
        self.end(key, None, out);
        self.start(key, id, name, out);
        self.end(key, arguments, out);
    }

    /// Ends all calls that are open, because the answer has ended.
    pub(crate) fn end_all(&mut self, out: &mut Vec<Delta>) {
        while self.ended < self.calls.len() {
            self.end_call(self.ended, None, out);
            self.ended += 1;
        }
        self.by_key.clear();
        self.by_id.clear();
    }

    /// The open call that a piece belongs to; `None` if it begins a new one.
    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let open = |at: &usize| !self.calls[*at].is_ended;
        let by_key = piece.key.and_then(|key| self.by_key.get(&key)).copied().filter(open);
        let by_id = piece.id.and_then(|id| self.by_id.get(id)).copied().filter(open);
        // An id may be shared, so a key is the better sign.
        let by_key_and_id = by_key.filter(|at| by_id.is_some() && self.calls[*at].id.as_deref() == piece.id);
        if let Some(at) = by_key_and_id.or(by_id) {
            let call = &self.calls[at];
            let other_key = piece.key.is_some() && call.key.is_some() && piece.key != call.key;
            let other_name = piece.name.is_some_and(|name| !call.has_name(name));
            let is_before = call.is_before(piece, self.lists) || (other_key && other_name);
            return (!is_before).then_some(at);
        }
        if let Some(at) = by_key {
            return (!self.calls[at].is_before(piece, self.lists)).then_some(at);
        }
        self.find_last(piece, self.calls.len().checked_sub(1).filter(open)?)
    }

    /// Whether a piece that has no known id and no known key belongs to the `last` call.
    fn find_last(&self, piece: &Piece<'_>, last: usize) -> Option<usize> {
        let call = &self.calls[last];
        match (piece.key, piece.id, piece.name) {
            // Nothing but arguments: in a list, only the position can tell the calls apart.
            (None, None, None) => {
                let at = piece.position.map(|position| self.group + position);
                Some(at.filter(|at| *at <= last).unwrap_or(last))
            }
            // An index or an id that changes from piece to piece, unless the name is still to come.
            (Some(_), None, None) | (None, Some(_), None) => {
                (piece.text().is_some() && !call.arguments.is_done()).then_some(last)
            }
            (Some(_), Some(_), None) | (Some(_), _, Some(_)) => None,
            // A name that is repeated in each piece.
            (None, _, Some(name)) => {
                let continues = call.arguments.is_partial() && !piece.may_begin();
                let repeats = call.arguments.is_blank() && piece.id.is_none() && call.list != self.lists;
                (call.is_started && call.has_name(name) && (continues || repeats)).then_some(last)
            }
        }
    }

    fn open(&mut self, key: Option<u64>) -> usize {
        let at = self.calls.len();
        self.group = self.before_list;
        self.calls.push(Call { key, ..Call::default() });
        if let Some(key) = key {
            self.by_key.insert(key, at);
        }
        at
    }

    /// Adds a piece to a call. Returns the call that has the end of it.
    fn extend(&mut self, at: usize, piece: &Piece<'_>, out: &mut Vec<Delta>) -> usize {
        let call = &mut self.calls[at];
        call.list = self.lists;
        if piece.is_free && call.arguments.is_blank() {
            call.arguments = Arguments::free();
        }
        let is_whole = call.arguments.is_done() && !call.arguments.is_empty_object();
        let is_late_name = call.name.is_empty() && piece.text().is_none();
        if is_whole
            && !is_late_name
            && let Some(name) = piece.name
        {
            // The arguments that may follow show whether id and name are repeated, or those of another call.
            call.is_closed = false;
            let next = call.next.get_or_insert_default();
            if next.arguments.is_blank() {
                next.key = piece.key;
                next.id = piece.id.map(CompactString::from);
                next.name = Some(name.into());
            }
        } else if !is_whole || piece.text().is_none() {
            self.name(at, piece, out);
        }
        self.text(at, piece.arguments.unwrap_or_default(), piece, out)
    }

    /// Takes id and name of a piece, and emits the start if that is new.
    fn name(&mut self, at: usize, piece: &Piece<'_>, out: &mut Vec<Delta>) {
        let call = &mut self.calls[at];
        let mut is_new = false;
        if let Some(id) = piece.id.filter(|_| call.id.is_none()) {
            let id = CompactString::from(id);
            call.id = Some(id.clone());
            is_new = call.is_started;
            self.by_id.insert(id, at);
        }
        if let Some(name) = piece.name.filter(|name| *name != call.name) {
            if call.has_name(name) {
                call.name = name.into();
            } else {
                call.name.push_str(name);
            }
            is_new = true;
        }
        if is_new {
            self.begin(at, out);
        }
    }

    /// Emits the start of a call, and the arguments that came before its name. The calls before it start first, even if
    /// their names have not come: a call's index is its place among the starts.
    fn begin(&mut self, at: usize, out: &mut Vec<Delta>) {
        while self.started < at {
            if !self.calls[self.started].is_started {
                self.begin_one(self.started, out);
            }
            self.started += 1;
        }
        self.begin_one(at, out);
    }

    fn begin_one(&mut self, at: usize, out: &mut Vec<Delta>) {
        let call = &mut self.calls[at];
        let is_first = !std::mem::replace(&mut call.is_started, true);
        let start = ToolCallStart { index: ordinal(at), id: call.id.clone(), name: call.name.clone() };
        let early = CompactString::from(call.arguments.text());
        out.push(self.delta(DeltaKind::ToolCallStart(Box::new(start))));
        if is_first {
            self.emit(at, early, out);
        }
    }

    fn emit(&self, at: usize, fragment: CompactString, out: &mut Vec<Delta>) {
        if !fragment.is_empty() && self.calls[at].is_started {
            out.push(self.delta(DeltaKind::ToolCallArguments { index: ordinal(at), fragment }));
        }
    }

    /// Adds text to the arguments of a call, or to what follows it. Returns the call that has the end of it.
    fn text(&mut self, mut at: usize, mut text: &str, piece: &Piece<'_>, out: &mut Vec<Delta>) -> usize {
        while !text.is_empty() {
            let call = &mut self.calls[at];
            if !call.arguments.is_done() {
                let (own, rest) = call.arguments.take(text);
                text = rest;
                self.emit(at, own, out);
                continue;
            }
            if call.is_closed {
                break;
            }
            if call.next.as_ref().is_none_or(|next| next.arguments.is_blank()) {
                text = text.trim_ascii_start();
                if !text.starts_with('{') {
                    call.is_closed = !text.is_empty();
                    break;
                }
                if call.arguments.is_empty_object() {
                    text = call.arguments.replace_empty(text);
                    continue;
                }
            }
            let next = call.next.get_or_insert_default();
            next.id = next.id.take().or_else(|| piece.id.map(CompactString::from));
            text = next.arguments.take(text).1;
            if next.arguments.is_done() {
                at = self.resolve_next(at, out);
            }
        }
        at
    }

    /// Decides what the object after a call's arguments is: the same again, or the arguments of another call. Returns the
    /// call that more text belongs to.
    fn resolve_next(&mut self, at: usize, out: &mut Vec<Delta>) -> usize {
        let call = &mut self.calls[at];
        let Some(next) = call.next.take() else { return at };
        let Next { key, id, name, arguments } = *next;
        let has_other_key = name.is_some() && key.is_some() && call.key.is_some() && key != call.key;
        let (own, whole) = (call.arguments.text(), arguments.whole());
        let is_call = if arguments.is_empty_object() {
            // With the call's own id, it stands for nothing.
            name.is_some() && (id.is_none() || id != call.id)
        } else if arguments.is_done() {
            has_other_key || !are_same(own, &whole)
        } else {
            // It was cut off.
            name.is_some() && !own.starts_with(whole.as_str())
        };
        if !is_call {
            if arguments.is_empty_object() {
                // What it stands for may follow.
                call.next = Some(Box::new(Next { key, id, name, arguments: Arguments::default() }));
            }
            return at;
        }
        let (key, list) = (key.or(call.key), call.list);
        let name = name.unwrap_or_else(|| call.name.clone());
        let another = self.open(key);
        if let Some(id) = &id {
            self.by_id.insert(id.clone(), another);
        }
        self.calls[another] = Call { key, id, name, arguments, list, ..Call::default() };
        self.begin(another, out);
        another
    }

    fn end_call(&mut self, at: usize, arguments: Option<&str>, out: &mut Vec<Delta>) {
        let call = &mut self.calls[at];
        if call.is_ended {
            return;
        }
        let full = call.full_arguments.take();
        if let Some(full) = arguments.filter(|full| !full.is_empty()).or(full.as_deref()) {
            self.complete(at, full, out);
        }
        if !self.calls[at].is_started {
            // The name never came. Start the call with an empty one, so that its arguments are not lost.
            self.begin(at, out);
        }
        let held = self.calls[at].arguments.release();
        self.emit(at, held, out);
        self.resolve_next(at, out);
        let call = &mut self.calls[at];
        call.is_ended = true;
        call.arguments = Arguments::default();
        out.push(self.delta(DeltaKind::ToolCallEnd { index: ordinal(at) }));
    }

    /// Adds what is missing of a call's arguments, of which these are all.
    fn complete(&mut self, at: usize, full: &str, out: &mut Vec<Delta>) {
        let arguments = &self.calls[at].arguments;
        let missing = if arguments.is_done() && !arguments.is_empty_object() {
            None
        } else if arguments.is_empty_object() {
            Some(full)
        } else {
            full.strip_prefix(arguments.text())
        };
        if let Some(missing) = missing {
            self.text(at, missing, &Piece::default(), out);
        }
    }

    const fn delta(&self, kind: DeltaKind) -> Delta {
        Delta { choice: self.choice, kind }
    }
}

/// The call's index in the deltas. A response never has so many calls that this overflows.
fn ordinal(call: usize) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
