//! Sends the same tool calls in the ways that servers of OpenAI's dialect do, and decodes them.

mod decoded;

use decoded::decode;
use headrace_wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// How a server sends calls.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each habit is one independent yes or no")]
struct Habits {
    /// `Some(true)` if it counts the calls, `Some(false)` if it numbers each 0.
    counts: Option<bool>,
    ids: Ids,
    /// It repeats id and name in each piece.
    repeats_header: bool,
    /// It sends the name in pieces.
    cuts_name: bool,
    empty_object_first: bool,
    /// It sends the whole call once more at its end.
    repeats_call: bool,
    /// It sends a finish reason in each chunk.
    finishes_early: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ids {
    Own,
    None,
    NullInQuotes,
    /// All calls have the same.
    Shared,
}

fn habits() -> impl Strategy<Value = Habits> {
    let ids = prop_oneof![Just(Ids::Own), Just(Ids::None), Just(Ids::NullInQuotes), Just(Ids::Shared)];
    let counts = prop_oneof![2 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    (counts, ids, any::<[bool; 5]>()).prop_map(|(counts, ids, flags)| {
        let [repeats_header, cuts_name, empty_object_first, repeats_call, finishes_early] = flags;
        // Without id and index, a piece with a name is another call, but in the middle of arguments.
        let has_key = counts.is_some() || matches!(ids, Ids::Own | Ids::Shared);
        Habits {
            counts,
            ids,
            repeats_header: repeats_header && has_key,
            cuts_name: cuts_name && has_key,
            empty_object_first,
            repeats_call: repeats_call && has_key,
            finishes_early,
        }
    })
}

#[derive(Debug, Clone)]
struct Call {
    name: String,
    arguments: String,
    cuts: Vec<Index>,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let text = prop_oneof![
        "[a-z ]{0,4}",
        Just("}\"{\\".to_owned()),
        Just("{}".to_owned()),
        Just("é日😀".to_owned())
    ];
    let arguments = (text, vec(any::<u8>(), 0..3), any::<bool>());
    let call = ("[xyz][abc]", arguments, vec(any::<Index>(), 0..4));
    vec(call, 1..5).prop_map(|calls| {
        let numbered = calls.into_iter().enumerate();
        numbered
            .map(|(number, (name, (text, list, nests), cuts))| {
                let inner = if nests { json!({ "list": list, "o": {} }) } else { json!(list) };
                Call { name, arguments: json!({ "n": number, "t": text, "v": inner }).to_string(), cuts }
            })
            .collect()
    })
}

/// A text in pieces.
fn pieces<'a>(text: &'a str, cuts: &[Index]) -> Vec<&'a str> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
    places.sort_unstable();
    let mut rest = text;
    let mut pieces = Vec::new();
    for place in places.into_iter().rev().filter(|place| text.is_char_boundary(*place)) {
        let (head, tail) = rest.split_at(place);
        pieces.push(tail);
        rest = head;
    }
    pieces.push(rest);
    pieces.reverse();
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

impl Habits {
    /// The entries of a call, one for each chunk.
    fn entries(&self, number: usize, call: &Call) -> Vec<Value> {
        let id = match self.ids {
            Ids::Own => Some(format!("call_{number}")),
            Ids::None => None,
            Ids::NullInQuotes => Some("null".to_owned()),
            Ids::Shared => Some("call".to_owned()),
        };
        let entry = |name: Option<&str>, arguments: &str| {
            let mut entry = json!({ "function": { "arguments": arguments } });
            if let Some(counts) = self.counts {
                entry["index"] = json!(if counts { number } else { 0 });
            }
            if let (Some(id), Some(_)) = (&id, name) {
                entry["id"] = json!(id);
            }
            if let Some(name) = name {
                entry["function"]["name"] = json!(name);
            }
            entry
        };
        let first = if self.empty_object_first { "{}" } else { "" };
        let (start, end) = call.name.split_at(1);
        let mut entries = if self.cuts_name {
            vec![entry(Some(start), ""), entry(Some(end), first)]
        } else {
            vec![entry(Some(&call.name), first)]
        };
        let repeated = Some(call.name.as_str()).filter(|_| self.repeats_header);
        entries.extend(pieces(&call.arguments, &call.cuts).into_iter().map(|piece| entry(repeated, piece)));
        if self.repeats_call {
            entries.push(entry(Some(&call.name), &call.arguments));
        }
        entries
    }

    fn body(&self, calls: &[Call]) -> String {
        let entries = calls.iter().enumerate().flat_map(|(number, call)| self.entries(number, call));
        let finish = self.finishes_early.then_some("tool_calls");
        let chunk = |delta: Value, finish: Option<&str>| {
            let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
            format!("data: {}\n\n", json!({ "choices": choices }))
        };
        let chunks = entries.map(|entry| chunk(json!({ "tool_calls": [entry] }), finish));
        let last = chunk(json!({}), Some("tool_calls"));
        chunks.chain([last, "data: [DONE]\n\n".to_owned()]).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_what_they_are_however_they_are_sent(habits in habits(), calls in calls()) {
        let body = habits.body(&calls);
        let decoded = decode(Dialect::OpenAiChat, [body.as_bytes()]);
        prop_assert_eq!(decoded.state, "complete");
        let found: Vec<(&str, &str)> = decoded.response.choices[0]
            .tool_calls
            .iter()
            .map(|call| (call.name.as_str(), call.arguments.as_str()))
            .collect();
        let sent: Vec<(&str, &str)> =
            calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
        prop_assert_eq!(found, sent, "{}", body);
    }
}

/// Calls that are cut off anywhere: what is complete is a call that was sent whole.
#[test]
fn a_cut_call_is_never_complete() {
    let arguments = r#"{"a":"}{\"","b":[1,{"c":null}]}"#;
    for cut in 0..arguments.len() {
        let entry = json!({ "index": 0, "id": "call_1", "function": { "name": "f", "arguments": &arguments[..cut] } });
        for finish in [Value::Null, json!("length"), json!("content_filter"), json!("whatever")] {
            let delta = json!({ "tool_calls": [entry] });
            let chunk = json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
            let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
            let decoded = decode(Dialect::OpenAiChat, [body.as_bytes()]);
            let choice = &decoded.response.choices[0];
            assert!(!choice.is_complete(&choice.tool_calls[0]), "{body}");
        }
    }
}
