//! Faults in every dialect.

use headrace_wire::encode::Api;
use headrace_wire::{Ending, Framing};
use serde_json::{Value, json};

use crate::client::{Answer, Client, End, simulator};
use crate::questions::{answer, decode_document, decode_stream, question, try_decode_stream, whole};

/// A stream of four words with this fault.
fn faulty(api: Api, fault: &Value) -> Answer {
    answer(api, &json!({ "turns": [{ "text": "one two three four", "fault": fault }] }))
}

fn text(api: Api, answer: &Answer) -> String {
    decode_stream(api, &answer.body).response.first().map_or_else(String::new, |choice| choice.text.clone())
}

#[test]
fn a_stream_ends_early() {
    for api in Api::ALL {
        for (kind, end) in [("end", End::Proper), ("close", End::Closed)] {
            let answer = faulty(api, &json!({ "kind": kind, "after": 2 }));
            assert_eq!((text(api, &answer).as_str(), answer.end), ("one two", end), "{api:?}");
            assert_eq!(decode_stream(api, &answer.body).ending, Ending::Truncated, "{api:?}");
        }
        assert_eq!(text(api, &faulty(api, &json!({ "kind": "end" }))), "", "{api:?}");
        let late = faulty(api, &json!({ "kind": "end", "after": 99 }));
        assert_eq!(text(api, &late), "one two three four", "{api:?}");
        assert_eq!(decode_stream(api, &late.body).ending, Ending::Truncated, "{api:?}");
    }
}

#[test]
fn a_reset_comes_in_the_middle_of_a_frame() {
    for api in Api::ALL {
        let between = faulty(api, &json!({ "kind": "reset", "after": 2, "in_frame": false }));
        let within = faulty(api, &json!({ "kind": "reset", "after": 2 }));
        assert_eq!((between.end, within.end), (End::Reset, End::Reset), "{api:?}");
        assert_eq!(text(api, &between), "one two", "{api:?}");
        assert_eq!(text(api, &within), "one two", "{api:?}");
        let half = within.body.strip_prefix(between.body.as_slice()).unwrap();
        assert!(!half.is_empty(), "{api:?}");
    }
}

#[test]
fn after_counts_the_pieces_of_a_call_that_is_sent_whole() {
    let turn = |after: usize| {
        let call = json!({ "name": "add", "arguments": { "a": 1 }, "fragments": 2 });
        json!({ "tool_calls": [call], "fault": { "kind": "end", "after": after } })
    };
    for api in [Api::Gemini, Api::OllamaChat] {
        for (after, expected) in [(2, 0), (3, 1)] {
            let answer = answer(api, &json!({ "turns": [turn(after)] }));
            let response = decode_stream(api, &answer.body).response;
            let calls = response.first().map_or(0, |choice| choice.tool_calls.len());
            assert_eq!(calls, expected, "{api:?}");
        }
    }
}

#[test]
fn only_the_end_marker_is_missing() {
    for api in Api::ALL {
        let script = json!({ "turns": [{ "text": "one two three four" }] });
        let (all, less) = (answer(api, &script), faulty(api, &json!({ "kind": "no_done" })));
        let marker = all.body.strip_prefix(less.body.as_slice()).unwrap();
        let marker = String::from_utf8_lossy(marker);
        let expected = match api {
            Api::OpenAiChat => "[DONE]",
            Api::OpenAiResponses => "response.completed",
            Api::Anthropic => "message_stop",
            Api::Cohere => "message-end",
            Api::OllamaChat | Api::OllamaGenerate => "\"done\":true",
            Api::InvokeModel => "chunk",
            Api::Gemini | Api::Converse => {
                assert_eq!(marker, "", "{api:?}");
                continue;
            }
        };
        assert!(marker.contains(expected), "{api:?}: {marker}");
        assert_eq!(text(api, &less), "one two three four", "{api:?}");
        assert_eq!(less.chunks.len() + 1, all.chunks.len(), "{api:?}");
    }
}

#[test]
fn an_event_is_malformed() {
    for api in Api::ALL {
        let answer = faulty(api, &json!({ "kind": "malformed", "after": 2 }));
        assert!(try_decode_stream(api, &answer.body).is_err(), "{api:?}");
        let before = faulty(api, &json!({ "kind": "end", "after": 2 }));
        assert!(answer.body.starts_with(&before.body), "{api:?}");
        let mark = b"four";
        let goes_on = answer.body.windows(mark.len()).any(|window| window == mark);
        assert!(goes_on || api == Api::InvokeModel, "{api:?}");
    }
}

#[test]
fn an_error_has_the_dialects_format() {
    let error = json!({ "type": "a_kind", "message": "no more", "code": "a_code" });
    for api in Api::ALL {
        let answer = faulty(api, &json!({ "kind": "error", "after": 2, "error": error }));
        let decoded = decode_stream(api, &answer.body);
        assert_eq!(decoded.response.first().unwrap().text, "one two", "{api:?}");
        let error_sent = decoded.response.error.unwrap();
        assert_eq!((error_sent.message.as_str(), answer.end), ("no more", End::Proper), "{api:?}");
        let kind = match api {
            Api::OpenAiChat | Api::Anthropic | Api::InvokeModel | Api::Gemini | Api::Converse => {
                Some("a_kind")
            }
            Api::OpenAiResponses | Api::Cohere | Api::OllamaChat | Api::OllamaGenerate => None,
        };
        assert_eq!(error_sent.kind.as_deref(), kind, "{api:?}");

        let unscripted = faulty(api, &json!({ "kind": "error" }));
        let error_sent = decode_stream(api, &unscripted.body).response.error.unwrap();
        assert_eq!(error_sent.message, "The simulator fails, as its script says.", "{api:?}");
    }
}

#[test]
fn a_document_with_an_error_is_the_error() {
    for api in Api::ALL {
        let fault = json!({ "kind": "error", "error": { "type": "a_kind", "message": "no more" } });
        let simulator = simulator(&json!({ "turns": [{ "text": "a", "fault": fault }] }));
        let mut client = Client::connect(&simulator);
        let (path, body) = whole(api);
        client.send("POST", &path, &body.to_string());
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{api:?}");
        if matches!(api, Api::Converse | Api::InvokeModel) {
            // These APIs have no errors besides HTTP errors.
            assert_eq!(answer.json(), json!({ "message": "no more" }), "{api:?}");
        } else {
            assert_eq!(
                decode_document(api, &answer.body).response.error.unwrap().message,
                "no more",
                "{api:?}"
            );
        }
    }
}

#[test]
fn an_event_is_huge() {
    for api in Api::ALL {
        let answer = faulty(api, &json!({ "kind": "huge", "after": 1, "bytes": 5000 }));
        let decoded = decode_stream(api, &answer.body);
        assert_eq!(decoded.ending, Ending::Complete, "{api:?}");
        let text = &decoded.response.first().unwrap().text;
        assert!(text.starts_with("onexxx") && text.ends_with("xxx two three four"), "{api:?}: {text}");
        let longest = match api.framing() {
            Framing::AwsEventStream => {
                let around = 200;
                let largest = answer.chunks.iter().max().unwrap();
                assert!((5000 - 4..5000 + around).contains(largest), "{api:?}: {largest}");
                continue;
            }
            Framing::Sse | Framing::Ndjson => {
                let events = answer.text().lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
                // Later events of OpenAI responses repeat the text, and are larger.
                events.filter(|event| !event.contains(" two three four")).map(str::len).max()
            }
        };
        assert_eq!(longest, Some(5000), "{api:?}");
    }
}

#[test]
fn writes_are_split_anywhere() {
    for api in Api::ALL {
        let answer = faulty(api, &json!({ "kind": "cut", "sizes": [1, 40, 3], "interval_ms": 0 }));
        assert_eq!(answer.chunks[..3], [1, 40, 3], "{api:?}");
        assert_eq!(text(api, &answer), "one two three four", "{api:?}");
        assert_eq!(decode_stream(api, &answer.body).ending, Ending::Complete, "{api:?}");
    }
}

#[test]
fn a_stall_comes_after_the_given_number_of_deltas() {
    for api in Api::ALL {
        let simulator =
            simulator(&json!({ "turns": [{ "text": "a b", "fault": { "kind": "stall", "after": 1 } }] }));
        let mut client = Client::connect(&simulator);
        let (path, body) = question(api);
        client.send("POST", path, &body.to_string());
        client.head();
        let before =
            answer(api, &json!({ "turns": [{ "text": "a b", "fault": { "kind": "end", "after": 1 } }] }));
        let received: Vec<u8> = before.chunks.iter().flat_map(|_| client.chunk().unwrap().unwrap()).collect();
        assert_eq!(received, before.body, "{api:?}");
    }
}

/// The class and the message of an error.
fn class_and_message(api: Api, answer: &Answer) -> (String, String) {
    let body = answer.json();
    let (class, message) = match api {
        Api::OpenAiChat | Api::OpenAiResponses | Api::Anthropic => {
            (&body["error"]["type"], &body["error"]["message"])
        }
        Api::Gemini => (&body["error"]["status"], &body["error"]["message"]),
        Api::OllamaChat | Api::OllamaGenerate => (&Value::Null, &body["error"]),
        Api::Cohere => (&Value::Null, &body["message"]),
        Api::Converse | Api::InvokeModel => {
            let class = answer.headers["x-amzn-errortype"].clone();
            return (class, body["message"].as_str().unwrap().to_owned());
        }
    };
    (class.as_str().unwrap_or_default().to_owned(), message.as_str().unwrap().to_owned())
}

#[test]
fn a_status_has_a_body_in_the_dialects_format() {
    for (status, expected) in [
        (429, ["rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"]),
        (500, ["server_error", "api_error", "INTERNAL", "InternalServerException"]),
        (529, ["server_error", "overloaded_error", "INTERNAL", "InternalServerException"]),
    ] {
        let apis = [Api::OpenAiResponses, Api::Anthropic, Api::Gemini, Api::Converse];
        for (api, class) in apis.into_iter().zip(expected) {
            let answer = faulty(api, &json!({ "kind": "status", "status": status }));
            assert_eq!(answer.status, status);
            let message = "The simulator fails, as its script says.";
            assert_eq!(class_and_message(api, &answer), (class.to_owned(), message.to_owned()), "{api:?}");
        }
    }
}

#[test]
fn an_invalid_body_is_an_error_in_the_dialects_format() {
    for api in Api::ALL {
        let simulator = simulator(&json!({}));
        let mut client = Client::connect(&simulator);
        for (body, problem) in [("{", "not JSON"), ("{\"max_tokens\":1}", "`")] {
            client.send("POST", question(api).0, body);
            let answer = client.answer();
            let (class, message) = class_and_message(api, &answer);
            assert_eq!(answer.status, 400, "{api:?}");
            assert!(message.contains(problem), "{api:?}: {message}");
            let expected = match api {
                Api::OpenAiChat | Api::OpenAiResponses | Api::Anthropic => "invalid_request_error",
                Api::Gemini => "INVALID_ARGUMENT",
                Api::Converse | Api::InvokeModel => "ValidationException",
                Api::Cohere | Api::OllamaChat | Api::OllamaGenerate => "",
            };
            assert_eq!(class, expected, "{api:?}");
        }
    }
}
