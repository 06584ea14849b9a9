//! Encodes and decodes random responses in each dialect, as far as the dialect can express them.

mod abilities;
mod decoded;

use abilities::{ABILITIES, Abilities, Calls};
use decoded::decode;
use headrace_wire::encode::{Api, Head, document};
use headrace_wire::{
    CompactString, Delta, DeltaKind, Dialect, Ending, Finish, FinishReason, ProviderError, Response,
    ResponseInfo, Signature, StreamDecoder, StreamEncoder, ToolCallStart, Usage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// A part of a response.
#[derive(Debug, Clone)]
enum Part {
    Text(Vec<String>),
    Refusal(Vec<String>),
    Reasoning(Vec<String>),
    Signature(usize, String),
    Call { name: String, arguments: Map<String, Value>, fragments: usize, signature: Option<String> },
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z ,.]{1,6}",
        1 => Just("\r\n\n\"\\".to_owned()),
        1 => Just("日本 é 😀".to_owned()),
        1 => any::<String>().prop_filter("no piece is empty", |text| !text.is_empty()),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let arguments = vec(
        ("[a-z]{1,3}", prop_oneof![any::<u32>().prop_map(Value::from), piece().prop_map(Value::from)]),
        0..3,
    );
    prop_oneof![
        vec(piece(), 1..4).prop_map(Part::Text),
        vec(piece(), 1..3).prop_map(Part::Refusal),
        vec(piece(), 1..4).prop_map(Part::Reasoning),
        (any::<usize>(), "[A-Za-z0-9+/=]{1,20}").prop_map(|(which, value)| Part::Signature(which, value)),
        ("[a-z_]{1,8}", arguments, 1_usize..4, option::of("[a-z]{4}")).prop_map(
            |(name, arguments, fragments, signature)| Part::Call {
                name,
                arguments: arguments.into_iter().collect(),
                fragments,
                signature,
            }
        ),
    ]
}

#[derive(Debug, Clone)]
struct Answer {
    parts: Vec<Part>,
    reason: usize,
    usage: [u64; 3],
    cached: [Option<u64>; 2],
    reasoning: Option<u64>,
}

fn answer() -> impl Strategy<Value = Answer> {
    let details = ([option::of(0_u64..100), option::of(0_u64..100)], option::of(0_u64..100));
    (vec(part(), 0..7), 0_usize..3, any::<[u16; 3]>(), details).prop_map(
        |(parts, reason, usage, (cached, reasoning))| Answer {
            parts,
            reason,
            usage: usage.map(u64::from),
            cached,
            reasoning,
        },
    )
}

impl Abilities {
    /// The deltas of a response, as far as the dialect can express it, in the dialect's order.
    fn deltas(&self, answer: &Answer) -> Vec<DeltaKind> {
        let mut kinds = Vec::new();
        if self.id || self.model {
            let id = self.id.then(|| "id-1".into());
            let model = self.model.then(|| "m-1".into());
            kinds.push(DeltaKind::Response(Box::new(ResponseInfo { id, model })));
        }
        let mut calls = 0;
        for part in &answer.parts {
            let pieces = |pieces: &[String], kind: fn(CompactString) -> DeltaKind| {
                pieces.iter().map(|piece| kind(piece.into())).collect::<Vec<_>>()
            };
            match part {
                Part::Text(text) => kinds.extend(pieces(text, DeltaKind::Text)),
                Part::Refusal(text) if self.refusals => kinds.extend(pieces(text, DeltaKind::Refusal)),
                Part::Refusal(_) => {}
                Part::Reasoning(text) => kinds.extend(pieces(text, DeltaKind::Reasoning)),
                Part::Signature(which, value) => {
                    if let Some((kind, with_id)) = self.signatures.get(which % self.signatures.len().max(1)) {
                        let (id, value) = (with_id.then(|| "rs-1".into()), value.into());
                        let signature = Signature { kind: *kind, tool_call: None, id, value };
                        kinds.push(DeltaKind::Signature(Box::new(signature)));
                    }
                }
                Part::Call { name, arguments, fragments, signature } => {
                    let id = format!("call-{calls}");
                    let start = ToolCallStart { index: calls, id: Some(id.into()), name: name.into() };
                    kinds.push(DeltaKind::ToolCallStart(Box::new(start)));
                    kinds.extend(self.arguments(calls, arguments, *fragments));
                    if let Some(value) = signature.as_ref().filter(|_| self.call_signatures) {
                        let signature =
                            Signature { tool_call: Some(calls), ..Signature::signed(value.into()) };
                        kinds.push(DeltaKind::Signature(Box::new(signature)));
                    }
                    let end = DeltaKind::ToolCallEnd { index: calls };
                    kinds.push(end);
                    calls += 1;
                }
            }
        }
        let (reason, raw) = self.words[if calls > 0 { 3 } else { answer.reason }];
        kinds.push(DeltaKind::Finish(Box::new(Finish::new(reason, raw.into()))));
        kinds.push(DeltaKind::Usage(Box::new(self.usage(answer))));
        kinds
    }

    /// The same deltas, in the order in which they are decoded.
    fn decoded(&self, deltas: Vec<Delta>) -> Vec<Delta> {
        let is_late = |delta: &Delta| match &delta.kind {
            DeltaKind::ToolCallEnd { .. } => self.calls != Calls::Fragments,
            // Some servers send it first, and then the arguments.
            DeltaKind::ToolCallArguments { fragment, .. } => fragment == "{}",
            _ => false,
        };
        let (ends, mut decoded): (Vec<Delta>, Vec<Delta>) = deltas.into_iter().partition(is_late);
        let is_finish = |delta: &Delta| matches!(delta.kind, DeltaKind::Finish(_));
        let finish = decoded.iter().position(is_finish).filter(|_| self.calls == Calls::WholeWithArguments);
        let at = finish.unwrap_or(decoded.len());
        decoded.splice(at..at, ends);
        decoded
    }

    fn arguments(&self, index: u32, arguments: &Map<String, Value>, fragments: usize) -> Vec<DeltaKind> {
        let whole = matches!(self.calls, Calls::Whole | Calls::WholeWithArguments);
        if arguments.is_empty() && self.calls != Calls::WholeWithArguments {
            return Vec::new();
        }
        let text: Vec<char> = Value::Object(arguments.clone()).to_string().chars().collect();
        let size = if whole { text.len() } else { text.len().div_ceil(fragments) };
        text.chunks(size)
            .map(|fragment| DeltaKind::ToolCallArguments { index, fragment: fragment.iter().collect() })
            .collect()
    }

    fn usage(&self, answer: &Answer) -> Usage {
        let [input, output, total] = answer.usage;
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            total_tokens: self.total.then_some(total),
            cached_tokens: answer.cached[0].filter(|_| self.cached),
            cache_write_tokens: answer.cached[1].filter(|_| self.cache_write),
            reasoning_tokens: answer.reasoning.filter(|_| self.reasoning),
            raw: Box::default(),
        }
    }

    fn api(&self) -> Api {
        if self.invoke { Api::InvokeModel } else { Api::from(self.dialect) }
    }

    fn body(&self, deltas: &[Delta]) -> Vec<u8> {
        let mut encoder = StreamEncoder::new(self.api(), head());
        let mut body = Vec::new();
        for delta in deltas {
            encoder.encode(delta, &mut body);
        }
        encoder.finish(&mut body);
        body
    }
}

fn head() -> Head {
    Head { id: "id-1".into(), model: "m-1".into(), created: 1_700_000_000, input_tokens: None }
}

/// The same deltas without the provider's own usage JSON, which an encoder cannot restore.
fn without_raw(mut deltas: Vec<Delta>) -> Vec<Delta> {
    for delta in &mut deltas {
        if let DeltaKind::Usage(usage) = &mut delta.kind {
            usage.raw = Box::default();
        }
    }
    deltas
}

fn is_withheld(deltas: &[Delta]) -> bool {
    let filtered = |finish: &Finish| finish.reason == FinishReason::ContentFilter;
    deltas.iter().any(|delta| matches!(&delta.kind, DeltaKind::Finish(finish) if filtered(finish)))
}

fn without_error(mut deltas: Vec<Delta>) -> Vec<Delta> {
    deltas.retain(|delta| !delta.is_error());
    deltas
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_streams_are_decoded(answer in answer()) {
        for abilities in ABILITIES {
            let deltas: Vec<Delta> = abilities.deltas(&answer).into_iter().map(Delta::first).collect();
            let body = abilities.body(&deltas);
            let decoded = decode(abilities.dialect, [body.as_slice()]);
            let shown = String::from_utf8_lossy(&body);
            // An answer that was withheld ends in an error, which no encoder is told.
            let withheld = decoded.deltas.last().is_some_and(Delta::is_error);
            prop_assert_eq!(withheld, is_withheld(&deltas), "{:?}: {}", abilities.dialect, &shown);
            let state = if withheld { "error" } else { "complete" };
            prop_assert_eq!(decoded.state, state, "{:?}: {}", abilities.dialect, &shown);
            let found = without_error(without_raw(decoded.deltas));
            prop_assert_eq!(found, abilities.decoded(deltas), "{:?}: {}", abilities.dialect, &shown);
            prop_assert_eq!(Dialect::detect(&body), Some(abilities.dialect), "{}", shown);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_documents_are_decoded(answer in answer()) {
        for abilities in ABILITIES {
            let mut response = Response::default();
            for kind in abilities.deltas(&answer) {
                response.apply(&Delta::first(kind));
            }
            let document = document(abilities.api(), &head(), &response);
            let mut decoder = StreamDecoder::new(abilities.dialect, 1 << 20);
            let mut deltas = Vec::new();
            let read = decoder.document(document.as_bytes(), &mut deltas);
            prop_assert!(read.is_ok(), "{:?}: {}", abilities.dialect, document);
            let ending = decoder.finish(&mut deltas);
            let mut found = Response::default();
            for delta in without_error(without_raw(deltas)) {
                found.apply(&delta);
            }
            prop_assert_eq!(ending, Ending::Complete, "{}", &document);
            prop_assert_eq!(abilities.whole(found), abilities.whole(response), "{}", &document);
            // InvokeModel returns the model's own JSON.
            let shown = if abilities.invoke { Dialect::Anthropic } else { abilities.dialect };
            prop_assert_eq!(Dialect::detect(document.as_bytes()), Some(shown), "{}", document);
        }
    }
}

impl Abilities {
    /// A response, as far as a document of the dialect can express it.
    fn whole(&self, mut response: Response) -> Response {
        for choice in &mut response.choices {
            for call in &mut choice.tool_calls {
                // No arguments are written as an empty object.
                if call.arguments.is_empty() {
                    "{}".clone_into(&mut call.arguments);
                }
            }
            // The signatures of calls are written with the calls, after the reasoning.
            choice.signatures.sort_by_key(|placed| placed.signature.tool_call);
            if self.dialect == Dialect::OpenAiChat {
                for placed in &mut choice.signatures {
                    placed.reasoning_end = choice.reasoning.len();
                }
            }
            for placed in &mut choice.signatures {
                if placed.signature.tool_call.is_some() {
                    placed.reasoning_end = choice.reasoning.len();
                }
            }
        }
        response
    }
}

fn decode_with(abilities: &Abilities, kinds: Vec<DeltaKind>) -> decoded::Decoded {
    let deltas: Vec<Delta> = kinds.into_iter().map(Delta::first).collect();
    decode(abilities.dialect, [abilities.body(&deltas).as_slice()])
}

#[test]
fn overlapping_calls_without_ends_are_encoded() {
    let start = |index: u32| {
        let id = Some(CompactString::from(format!("call-{index}")));
        DeltaKind::ToolCallStart(Box::new(ToolCallStart { index, id, name: "add".into() }))
    };
    let piece = |index, fragment: &str| DeltaKind::ToolCallArguments { index, fragment: fragment.into() };
    for abilities in ABILITIES {
        let (reason, raw) = abilities.words[3];
        let finish = DeltaKind::Finish(Box::new(Finish::new(reason, raw.into())));
        let usage = DeltaKind::Usage(Box::new(Usage { output_tokens: Some(1), ..Usage::default() }));
        let kinds = vec![
            DeltaKind::Text("a".into()),
            start(0),
            start(1),
            piece(0, "{\"a\""),
            piece(1, "{\"b\""),
            piece(0, ":1}"),
            piece(1, ":2}"),
            finish,
            usage,
        ];
        let decoded = decode_with(&abilities, kinds);
        let choice = decoded.response.first().unwrap();
        let arguments: Vec<&str> = choice.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, ["{\"a\":1}", "{\"b\":2}"], "{:?}", abilities.dialect);
        assert!(choice.tool_calls.iter().all(|call| call.ended), "{:?}", abilities.dialect);
        assert_eq!(choice.finish.as_ref().unwrap().reason, reason, "{:?}", abilities.dialect);
    }
}

#[test]
fn an_unknown_finish_reason_becomes_the_dialects_own() {
    for abilities in ABILITIES {
        let (_, own) = abilities.words[1];
        let finish = Finish::new(FinishReason::Length, "out of paper".into());
        let decoded = decode_with(&abilities, vec![DeltaKind::Finish(Box::new(finish))]);
        if abilities.dialect == Dialect::OpenAiChat {
            // Its encoder writes any word as it is: the simulator needs that to test clients.
            continue;
        }
        let found = decoded.response.first().unwrap().finish.clone().unwrap();
        assert_eq!(found, Finish::new(FinishReason::Length, own.into()), "{:?}", abilities.dialect);
    }
}

#[test]
fn errors_come_after_earlier_deltas() {
    let error = ProviderError { message: "no more".to_owned(), ..ProviderError::default() };
    for abilities in ABILITIES {
        let kinds = vec![DeltaKind::Text("a".into()), DeltaKind::Error(Box::new(error.clone()))];
        let decoded = decode_with(&abilities, kinds);
        assert_eq!(decoded.state, "error", "{:?}", abilities.dialect);
        assert_eq!(decoded.response.error.unwrap().message, "no more", "{:?}", abilities.dialect);
        assert_eq!(decoded.response.choices[0].text, "a", "{:?}", abilities.dialect);
    }
}

#[test]
fn anthropic_sends_input_tokens_at_the_start() {
    let head = Head { input_tokens: Some(7), ..Head::default() };
    let mut body = Vec::new();
    StreamEncoder::new(Dialect::Anthropic, head)
        .encode(&Delta::first(DeltaKind::Text("a".into())), &mut body);
    let decoded = decode(Dialect::Anthropic, [body.as_slice()]);
    assert_eq!(decoded.response.usage.unwrap().input_tokens, Some(7));
    assert_eq!(decoded.state, "truncated");
}
