//! The answer to a request that did not ask for a stream.

use headrace_wire::{CompactString, Delta, DeltaKind, Response};

use super::Selection;
use super::runs::{RUNS, Run, TokenCounts};
use crate::clock::monotonic_ns;
use crate::script::Fault;

/// The `chat.completion` document.
pub(crate) fn document(
    selection: &Selection<'_>,
    runs: &[Run; RUNS],
    input_tokens: impl FnOnce() -> usize,
) -> Vec<u8> {
    let mut response = Response::default();
    for choice in 0..selection.choices {
        let mut say = |kind| response.apply(&Delta { choice, kind });
        for run in runs {
            let kinds = run
                .kinds
                .iter()
                .map(|kind| if selection.script.stamp { stamped(kind) } else { kind.clone() });
            std::iter::repeat_n(kinds, run.times as usize).flatten().for_each(&mut say);
        }
        say(DeltaKind::Finish(Box::new(selection.finish())));
    }
    let counts = TokenCounts::of(runs);
    response.usage = counts.usage(&selection.turn.usage, selection.choices, input_tokens);
    let encoder = selection.encoder();
    let body = encoder.completion(&response);
    let Some(Fault::Huge { bytes, .. }) = selection.turn.fault else {
        return body.into_bytes();
    };
    let padding = "x".repeat(bytes.saturating_sub(body.len()));
    response.apply(&Delta::first(DeltaKind::Text(padding.into())));
    encoder.completion(&response).into_bytes()
}

/// The same delta, its text replaced with the time.
fn stamped(kind: &DeltaKind) -> DeltaKind {
    match kind {
        DeltaKind::Text(_) => DeltaKind::Text(CompactString::from(format!("{} ", monotonic_ns()))),
        kind => kind.clone(),
    }
}
