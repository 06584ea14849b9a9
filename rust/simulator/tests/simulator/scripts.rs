//! Parsing of scripts.

use headrace_simulator::Script;
use serde_json::{Value, json};

/// The error of a script.
fn error(script: &Value) -> String {
    Script::from_value(script).unwrap_err().to_string()
}

#[test]
fn an_empty_script_is_a_script() {
    let script = Script::from_json("{}").unwrap();
    assert_eq!((script.model.as_str(), script.turns.len()), ("sim", 1));
}

#[test]
fn every_field_is_parsed() {
    let script = json!({
        "model": "m",
        "turns": [
            {
                "when": { "role": "user", "contains": "x", "turn": 0, "tools": true, "model": "m" },
                "reasoning": "r", "text": ["a", "b"], "repeat": 2, "refusal": "no",
                "tool_calls": [{ "id": "c", "name": "n", "arguments": { "a": 1 }, "fragments": 2 }],
                "interleave_calls": true, "usage": { "input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
                "cached_tokens": 4, "reasoning_tokens": 5 }, "finish_reason": "length", "choices": 2,
                "pacing": { "mode": "burst", "size": 8, "interval_ms": 100.0,
                "first_ms": 1.5, "jitter_ms": 2, "seed": 3 },
                "fault": { "kind": "no_done" },
            },
            { "usage": true }, { "usage": false },
            { "fault": { "kind": "status", "status": 429, "body": {}, "headers": { "retry-after": "2" }, "times": 1 } },
            { "fault": { "kind": "stall", "after": 1 } },
            { "fault": { "kind": "reset", "after": 1, "in_frame": true } },
            { "fault": { "kind": "end", "after": 1 } },
            { "fault": { "kind": "close", "after": 1 } },
            { "fault": { "kind": "malformed", "after": 1 } },
            { "fault": { "kind": "error", "after": 1, "error": { "message": "m", "type": "t", "code": "c" } } },
            { "fault": { "kind": "huge", "after": 1, "bytes": 10 } },
            { "fault": { "kind": "html" } },
            { "fault": { "kind": "raw", "body": "x", "content_type": "a/b", "status": 200, "chunk_bytes": 1 } },
            { "fault": { "kind": "raw", "body_base64": "AAA=" } },
            { "fault": { "kind": "cut", "sizes": [1, 3, 7], "interval_ms": 1 } },
            { "fault": { "kind": "redirect", "location": "/", "status": 308 } },
            { "fault": { "kind": "silent" } },
            { "fault": { "kind": "slow_headers", "ms": 5 } },
        ],
        "pacing": { "mode": "steady", "interval_ms": 20.0 },
        "chunking": { "bytes": 7 }, "stamp": true, "newline": "\r\n", "comments": "ping", "comment_every_ms": 50,
        "api_key": "k", "include_usage": "always",
    });
    assert_eq!(Script::from_value(&script).unwrap().turns.len(), 18);
    assert_eq!(Script::from_json(&script.to_string()).unwrap().turns.len(), 18);
}

#[test]
fn an_error_contains_the_field() {
    let turn = |turn: Value| json!({ "turns": [turn] });
    let fault = |fault: Value| json!({ "turns": [{}, { "fault": fault }] });
    let cases = [
        (json!({ "modle": "x" }), "modle"),
        (json!({ "pacing": { "mode": "slow" } }), "pacing.mode"),
        (json!({ "pacing": { "mode": "steady", "interval_ms": -1 } }), "pacing.interval_ms"),
        (json!({ "pacing": { "mode": "steady", "size": 2 } }), "`size` needs"),
        (json!({ "pacing": { "interval_ms": 2 } }), "`interval_ms` needs"),
        (json!({ "pacing": { "mode": "burst", "size": 0 } }), "pacing.size"),
        (json!({ "chunking": { "bytes": 0 } }), "chunking"),
        (json!({ "newline": "x" }), "newline"),
        (json!({ "comments": "a\nb" }), "comments"),
        (json!({ "comment_every_ms": 0 }), "comment_every_ms"),
        (turn(json!({ "text": 5 })), "turns[0].text"),
        (turn(json!({ "text": ["a", 5] })), "turns[0].text[1]"),
        (turn(json!({ "when": { "rolle": "x" } })), "turns[0].when.rolle"),
        (turn(json!({ "usage": { "tokens": 1 } })), "turns[0].usage"),
        (turn(json!({ "usage": 5 })), "turns[0].usage"),
        (turn(json!({ "tool_calls": [{}] })), "missing field `name`"),
        (
            turn(json!({ "tool_calls": [{ "name": "f", "fragments": 0 }] })),
            "turns[0].tool_calls[0].fragments",
        ),
        (fault(json!({ "kind": "explode" })), "turns[1].fault"),
        (fault(json!({ "kind": "silent", "after": 1 })), "`after`"),
        (fault(json!({ "kind": "stall", "aftr": 1 })), "`aftr`"),
        (fault(json!({ "kind": "huge" })), "`bytes`"),
        (fault(json!({ "kind": "cut", "sizes": [] })), "`sizes`"),
        (fault(json!({ "kind": "status", "status": 99 })), "turns[1].fault"),
        (fault(json!({ "kind": "status", "headers": { "a b": "x" } })), "\"a b\""),
        (fault(json!({ "kind": "status", "headers": { "Content-Length": "1" } })), "content-length"),
        (fault(json!({ "kind": "redirect", "location": "a\r\nb" })), "turns[1].fault"),
        (fault(json!({ "kind": "raw", "body": "x", "body_base64": "" })), "`body_base64`"),
        (fault(json!({ "kind": "raw", "body_base64": "?" })), "`body_base64`"),
    ];
    for (script, name) in cases {
        let error = error(&script);
        assert!(error.contains(name), "{name} is not in: {error}");
        let from_text = Script::from_json(&script.to_string()).unwrap_err().to_string();
        assert!(from_text.contains(name), "{name} is not in: {from_text}");
    }
}

#[test]
fn invalid_json_is_an_error() {
    for text in ["", "{", "5", "{} {}"] {
        assert!(Script::from_json(text).is_err(), "{text}");
    }
}
