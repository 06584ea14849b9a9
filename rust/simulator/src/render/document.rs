//! The answer to a request without a stream: one JSON document.

use headrace_wire::encode::{Api, Head, document};
use headrace_wire::openai_chat::read_error;
use headrace_wire::{CompactString, Delta, DeltaKind, Response};

use serde_json::Value;

use super::Selection;
use super::runs::{RUNS, Run, TokenCounts};
use crate::clock::monotonic_ns;
use crate::failure;
use crate::script::Fault;

/// The document, in the dialect of the request.
pub(crate) fn whole(
    selection: &Selection<'_>,
    runs: &[Run; RUNS],
    input_tokens: impl FnOnce() -> usize,
) -> Vec<u8> {
    let mut response = Response::default();
    let head = selection.head(None);
    if let Some(Fault::Error { error, .. }) = &selection.turn.fault {
        return failed(selection.api, &head, error.as_ref());
    }
    for choice in 0..selection.choices {
        let mut apply = |kind| response.apply(&Delta { choice, kind });
        for run in runs {
            let kinds = run
                .kinds
                .iter()
                .map(|kind| if selection.script.stamp { stamped(kind) } else { kind.clone() });
            std::iter::repeat_n(kinds, run.times as usize).flatten().for_each(&mut apply);
        }
        apply(DeltaKind::Finish(Box::new(selection.finish())));
    }
    let counts = TokenCounts::of(runs);
    response.usage = counts.usage(&selection.turn.usage, selection.choices, input_tokens);
    let body = document(selection.api, &head, &response);
    let Some(Fault::Huge { bytes, .. }) = selection.turn.fault else {
        return body.into_bytes();
    };
    let padding = "x".repeat(bytes.saturating_sub(body.len()));
    response.apply(&Delta::first(DeltaKind::Text(padding.into())));
    document(selection.api, &head, &response).into_bytes()
}

/// The error document. In OpenAI responses it has the form of an answer.
fn failed(api: Api, head: &Head, error: Option<&Value>) -> Vec<u8> {
    let json = failure::scripted(api, error).to_string();
    if api != Api::OpenAiResponses {
        return json.into_bytes();
    }
    let response = Response { error: Some(read_error(&json)), ..Response::default() };
    document(api, head, &response).into_bytes()
}

/// The same delta, with its text replaced by the time.
fn stamped(kind: &DeltaKind) -> DeltaKind {
    match kind {
        DeltaKind::Text(_) => DeltaKind::Text(CompactString::from(format!("{} ", monotonic_ns()))),
        kind => kind.clone(),
    }
}
