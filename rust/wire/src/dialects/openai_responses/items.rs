//! What has been told of each output item, for the decoder.
//!
//! A text is sent several times: in deltas, in the event that ends its part, in the one that ends its item, and in the
//! response at the end. Some servers leave out some of them. So all are taken, and of each only what is new.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind};

/// The kinds of text in an item.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Text,
    Refusal,
    /// A summary of the reasoning.
    Summary,
    /// The reasoning itself.
    Reasoning,
    Call,
    /// Anything else, which is skipped.
    #[default]
    Other,
}

/// Where an event belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<&'a str>,
    /// The event begins an item, or has all of it.
    pub(super) is_item: bool,
}

/// The items of one response.
#[derive(Debug, Default)]
pub(super) struct Items {
    all: Vec<Item>,
    by_index: HashMap<u64, usize>,
    by_id: HashMap<CompactString, usize>,
    /// The item of the latest piece of text.
    latest: usize,
    /// The latest item of each kind.
    last_of_kind: [Option<usize>; 4],
}

/// What is known of one item.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an item")]
pub(super) struct Item {
    kind: Kind,
    index: Option<u64>,
    id: Option<CompactString>,
    /// What has been emitted of each part.
    said: BTreeMap<(Kind, Option<u64>), String>,
    /// The provider has said that it is complete, or its part.
    pub(super) is_done: bool,
    /// The provider has sent all of it.
    pub(super) is_closed: bool,
    /// Its signature has been emitted.
    pub(super) is_signed: bool,
    /// A call that the provider runs itself.
    pub(super) is_hosted: bool,
}

impl Kind {
    const fn delta(self) -> fn(CompactString) -> DeltaKind {
        match self {
            Self::Refusal => DeltaKind::Refusal,
            Self::Summary | Self::Reasoning => DeltaKind::Reasoning,
            _ => DeltaKind::Text,
        }
    }

    /// Whether texts of these kinds are in the same kind of item.
    const fn goes_with(self, other: Self) -> bool {
        self.item() == other.item()
    }

    /// The kind of item that it is in, as a number.
    const fn item(self) -> usize {
        match self {
            Self::Text | Self::Refusal => 0,
            Self::Summary | Self::Reasoning => 1,
            Self::Call => 2,
            Self::Other => 3,
        }
    }
}

impl Items {
    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether there are items, and the parts of all of them are complete.
    pub(super) fn are_done(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(|item| item.is_done)
    }

    /// Whether there are items, and all of each has been sent.
    pub(super) fn are_closed(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(|item| item.is_closed)
    }

    pub(super) fn get(&mut self, at: usize) -> &mut Item {
        &mut self.all[at]
    }

    /// The item that an event belongs to, which may be a new one.
    pub(super) fn find_or_open(&mut self, kind: Kind, place: Place<'_>) -> usize {
        // Nearly always, it is that of the event before.
        let is_latest = self.all.get(self.latest).is_some_and(|item| {
            let goes = item.kind.goes_with(kind) && !place.is_item && item.index == place.index;
            goes && item.id.as_deref() == place.id
        });
        if !is_latest {
            self.latest = self.find(kind, place).unwrap_or_else(|| self.open(kind, place));
        }
        self.latest
    }

    /// The item that an event belongs to.
    ///
    /// An id that is known says it. An id that is not known says nothing: Copilot makes up a new one for each event. An
    /// event with neither index nor id belongs to the latest item of its kind.
    pub(super) fn find(&self, kind: Kind, place: Place<'_>) -> Option<usize> {
        let goes = |at: &usize| self.all[*at].kind.goes_with(kind);
        let is_other = |item: &Item| {
            place.is_item && item.is_closed && place.index.is_some() && item.index != place.index
        };
        let by_id = place.id.and_then(|id| self.by_id.get(id)).copied();
        let by_id = by_id.filter(|at| !is_other(&self.all[*at]));
        let by_index = || place.index.and_then(|index| self.by_index.get(&index)).copied();
        let is_open = |at: &usize| !(place.is_item && self.all[*at].is_closed);
        let found = by_id.filter(goes).or_else(|| by_index().filter(goes).filter(is_open));
        let is_nowhere = place.index.is_none() && place.id.is_none() && !place.is_item;
        found.or_else(|| self.last_of_kind[kind.item()].filter(|_| is_nowhere))
    }

    pub(super) fn open(&mut self, kind: Kind, place: Place<'_>) -> usize {
        let at = self.all.len();
        let id = place.id.map(CompactString::from);
        self.all.push(Item { kind, index: place.index, id, ..Item::default() });
        if let Some(index) = place.index {
            self.by_index.insert(index, at);
        }
        self.name(at, place.id);
        self.last_of_kind[kind.item()] = Some(at);
        at
    }

    /// Notes another id of an item.
    pub(super) fn name(&mut self, at: usize, id: Option<&str>) {
        if let Some(id) = id {
            self.by_id.insert(id.into(), at);
        }
    }

    /// Emits a piece of text.
    pub(super) fn push(
        &mut self,
        at: usize,
        kind: Kind,
        part: Option<u64>,
        text: &str,
        out: &mut Vec<Delta>,
    ) {
        if text.is_empty() {
            return;
        }
        let item = &mut self.all[at];
        item.is_done = false;
        item.said(kind, part).push_str(text);
        out.push(Delta::first(kind.delta()(text.into())));
    }

    /// Emits what is new in the whole text of a part.
    pub(super) fn complete_part(
        &mut self,
        at: usize,
        kind: Kind,
        part: Option<u64>,
        text: &str,
        out: &mut Vec<Delta>,
    ) {
        let part = self.all[at].part(kind, part);
        if let Some(rest) = text.strip_prefix(self.all[at].said(kind, part).as_str()) {
            self.push(at, kind, part, rest, out);
        }
        self.all[at].is_done = true;
    }

    /// Emits what is new in all parts of one kind.
    pub(super) fn complete(&mut self, at: usize, kind: Kind, parts: &[(u64, &str)], out: &mut Vec<Delta>) {
        let is_done = self.all[at].is_done;
        let said: String = self.all[at].of_kind(kind).map(|(_, said)| said.as_str()).collect();
        let has_parts = self.all[at].of_kind(kind).all(|((_, part), _)| part.is_some());
        let whole: String = parts.iter().map(|(_, text)| *text).collect();
        if whole.starts_with(&said) {
            let mut told = said.len();
            for (part, text) in parts {
                let known = told.min(text.len());
                told -= known;
                self.push(at, kind, Some(*part), &text[known..], out);
            }
        } else if has_parts {
            for (part, text) in parts {
                if self.all[at].said(kind, Some(*part)).is_empty() {
                    self.push(at, kind, Some(*part), text, out);
                }
            }
        }
        self.all[at].is_done = is_done;
    }

    /// Whether this text has been emitted, in any of the first `count` items.
    pub(super) fn have_said(&self, count: usize, kinds: &[Kind], text: &str) -> bool {
        let said = self.all[..count].iter().flat_map(|item| &item.said);
        let said = said.filter(|((kind, _), _)| kinds.contains(kind));
        said.map(|(_, said)| said.as_str()).collect::<String>().contains(text)
    }
}

impl Item {
    /// The index under which a part's text has been noted. Some servers leave it out, in some of the events.
    fn part(&self, kind: Kind, part: Option<u64>) -> Option<u64> {
        let last = self.of_kind(kind).next_back().map(|((_, part), _)| *part);
        match (part, last) {
            (Some(_), Some(None)) => None,
            (None, Some(last)) => last,
            _ => part,
        }
    }

    /// What has been emitted of one kind, in the order of the parts.
    fn of_kind(&self, kind: Kind) -> impl DoubleEndedIterator<Item = (&(Kind, Option<u64>), &String)> {
        self.said.range((kind, None)..=(kind, Some(u64::MAX)))
    }

    fn said(&mut self, kind: Kind, part: Option<u64>) -> &mut String {
        self.said.entry((kind, part)).or_default()
    }
}
