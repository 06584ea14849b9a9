//! A turn as deltas, in the order in which they are sent.

use headrace_wire::{CompactString, DeltaKind, Signature, ToolCallStart, Usage};

use crate::script::{ToolCall, Turn, UsageCounts, UsageSpec};

/// The length of a fragment of arguments, unless the script sets one.
const FRAGMENT_CHARS: usize = 8;

/// How many runs an answer has.
pub(crate) const RUNS: usize = 5;

/// A sequence of deltas, sent `times` times. It is encoded only once.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kinds: Vec<DeltaKind>,
    pub(crate) times: u32,
    /// The positions at which tool calls end, in order, and the calls' indices.
    ends: Vec<(usize, u32)>,
}

impl Run {
    fn once(kinds: Vec<DeltaKind>) -> Self {
        Self { kinds, times: 1, ends: Vec::new() }
    }

    /// How many deltas are sent.
    pub(crate) fn len(&self) -> usize {
        self.kinds.len() * self.times as usize
    }

    /// The end of the tool call whose last piece is at `position`. It has no position of its own.
    pub(crate) fn end(&self, position: usize) -> Option<DeltaKind> {
        let found = self.ends.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(DeltaKind::ToolCallEnd { index: self.ends[found].1 })
    }
}

/// The runs of the turn at `position` of the script.
pub(crate) fn runs(turn: &Turn, position: usize) -> [Run; RUNS] {
    let kinds = |tokens: &[String], kind: fn(CompactString) -> DeltaKind| {
        tokens.iter().map(|token| kind(CompactString::from(token.as_str()))).collect()
    };
    [
        Run::once(kinds(turn.reasoning.as_slice(), DeltaKind::Reasoning)),
        Run::once(signatures(turn)),
        Run { times: turn.repeat.unwrap_or(1), ..Run::once(kinds(turn.text.as_slice(), DeltaKind::Text)) },
        Run::once(kinds(turn.refusal.as_slice(), DeltaKind::Refusal)),
        calls(turn, position),
    ]
}

/// How many tokens one choice of an answer has. Each delta is one, except signatures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenCounts {
    output: usize,
    reasoning: usize,
}

impl TokenCounts {
    pub(crate) fn of(runs: &[Run; RUNS]) -> Self {
        let [reasoning, _, text, refusal, calls] = runs;
        let signatures = calls.kinds.iter().filter(|kind| matches!(kind, DeltaKind::Signature(_))).count();
        let output = reasoning.len() + text.len() + refusal.len() + calls.len() - signatures;
        Self { output, reasoning: reasoning.len() }
    }

    /// The usage of an answer with this many choices; `None` if it has none.
    pub(crate) fn usage(
        self,
        spec: &UsageSpec,
        choices: u32,
        input_tokens: impl FnOnce() -> usize,
    ) -> Option<Usage> {
        let times = |count: usize| count as u64 * u64::from(choices);
        let counts = match spec {
            UsageSpec::Omitted => return None,
            UsageSpec::Given(counts) => *counts,
            UsageSpec::Counted => UsageCounts {
                input_tokens: Some(input_tokens() as u64),
                output_tokens: Some(times(self.output)),
                reasoning_tokens: (self.reasoning > 0).then_some(times(self.reasoning)),
                ..UsageCounts::default()
            },
        };
        let total = counts.input_tokens.zip(counts.output_tokens).map(|(input, output)| input + output);
        Some(Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            total_tokens: counts.total_tokens.or(total),
            cached_tokens: counts.cached_tokens,
            cache_write_tokens: counts.cache_write_tokens,
            reasoning_tokens: counts.reasoning_tokens,
            raw: Box::default(),
        })
    }
}

/// The signature of the reasoning, and the encrypted reasoning.
fn signatures(turn: &Turn) -> Vec<DeltaKind> {
    let signed = turn.signature.as_deref().map(|value| Signature::signed(value.into()));
    let encrypted = turn.encrypted.as_deref().map(|value| Signature::encrypted(value.into()));
    signed.into_iter().chain(encrypted).map(|signature| DeltaKind::Signature(Box::new(signature))).collect()
}

/// The tool calls: one after the other, or interleaved.
fn calls(turn: &Turn, position: usize) -> Run {
    let mut calls: Vec<_> = turn
        .tool_calls
        .iter()
        .zip(0..)
        .map(|(call, index)| pieces(call, position, index).into_iter().map(move |piece| (index, piece)))
        .collect();
    let mut sent = Vec::new();
    if turn.interleave_calls {
        loop {
            let before = sent.len();
            sent.extend(calls.iter_mut().filter_map(Iterator::next));
            if sent.len() == before {
                break;
            }
        }
    } else {
        sent.extend(calls.into_iter().flatten());
    }
    let last = |index: u32| sent.iter().rposition(|(of, _)| *of == index).map(|position| (position, index));
    let mut ends: Vec<(usize, u32)> = (0..).take(turn.tool_calls.len()).filter_map(last).collect();
    ends.sort_unstable();
    Run { kinds: sent.into_iter().map(|(_, piece)| piece).collect(), times: 1, ends }
}

/// The start of a call, the fragments of its arguments, and its signature.
fn pieces(call: &ToolCall, position: usize, index: u32) -> Vec<DeltaKind> {
    let id = call.id.clone().unwrap_or_else(|| format!("call_{position}_{index}"));
    let name = CompactString::from(call.name.as_str());
    let start = ToolCallStart { index, id: Some(id.into()), name };
    let arguments = fragments(&call.arguments.0, call.fragments.map(usize::from))
        .map(|fragment| DeltaKind::ToolCallArguments { index, fragment: fragment.into() });
    let signature = call.signature.as_deref().map(|value| {
        let signature = Signature { tool_call: Some(index), ..Signature::signed(value.into()) };
        DeltaKind::Signature(Box::new(signature))
    });
    std::iter::once(DeltaKind::ToolCallStart(Box::new(start))).chain(arguments).chain(signature).collect()
}

/// Splits a text into `pieces` of about the same number of characters, none of them empty.
fn fragments(text: &str, pieces: Option<usize>) -> impl Iterator<Item = &str> {
    let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let chars = bounds.len() - 1;
    let pieces = pieces.unwrap_or_else(|| chars.div_ceil(FRAGMENT_CHARS)).min(chars);
    (0..pieces).map(move |piece| &text[bounds[piece * chars / pieces]..bounds[(piece + 1) * chars / pieces]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_between_characters() {
        assert_eq!(fragments("äöü", Some(3)).collect::<Vec<_>>(), ["ä", "ö", "ü"]);
        assert_eq!(fragments("äöü", Some(9)).count(), 3);
        assert_eq!(fragments("{\"a\":1,\"b\":2}", Some(4)).count(), 4);
        assert_eq!(fragments("", Some(2)).count(), 0);
        assert_eq!(fragments("12345678", None).count(), 1);
        assert_eq!(fragments("123456789", None).count(), 2);
    }

    proptest::proptest! {
        #[test]
        fn fragments_joined_are_the_text(text in "\\PC*", pieces in proptest::option::of(1_usize..9)) {
            let cut: Vec<_> = fragments(&text, pieces).collect();
            proptest::prop_assert_eq!(&cut.concat(), &text);
            proptest::prop_assert!(cut.iter().all(|piece| !piece.is_empty()));
        }
    }
}
