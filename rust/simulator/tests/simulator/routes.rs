//! Where requests go.

use serde_json::{Value, json};

use crate::client::{Client, End, eventually, plain, simulator, streaming};

#[test]
fn a_stream_is_chunked_server_sent_events() {
    let simulator = simulator(&json!({}));
    let answer = Client::connect(&simulator).exchange(&streaming());
    assert_eq!((answer.status, answer.end), (200, End::Proper));
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["transfer-encoding"], "chunked");
    assert_eq!(answer.headers["x-request-id"], "req-0");
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(answer.stream().text(), "Hello from the simulator.");
}

#[test]
fn without_a_stream_the_answer_is_a_document() {
    let simulator = simulator(&json!({ "model": "m" }));
    let answer = Client::connect(&simulator).exchange(&plain());
    assert_eq!(answer.headers["content-type"], "application/json");
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "m");
    assert_eq!(body["choices"][0]["message"]["content"], "Hello from the simulator.");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6 }));
}

#[test]
fn any_path_that_ends_in_chat_completions_will_do() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    for path in ["/chat/completions", "/openai/deployments/x/chat/completions?api-version=1"] {
        client.send("POST", path, &plain().to_string());
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn the_models_are_listed() {
    let simulator = simulator(&json!({ "model": "m" }));
    let mut client = Client::connect(&simulator);
    client.send("GET", "/v1/models", "");
    assert_eq!(client.answer().json()["data"][0]["id"], "m");
}

#[test]
fn the_report_can_be_read_and_reset_over_http() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    client.exchange(&plain());
    let report = |client: &mut Client| -> Value {
        client.send("GET", "/_report", "");
        client.answer().json()
    };
    let before = report(&mut client);
    assert_eq!(before["requests"][0]["outcome"], "complete");
    assert_eq!(before["requests_seen"], 1);
    assert_eq!(before["connections"], json!({ "accepted": 1, "open": 1 }));
    client.send("POST", "/_reset", "");
    assert_eq!(client.answer().status, 200);
    let after = report(&mut client);
    assert_eq!(after["requests"], json!([]));
    assert_eq!(after["connections"], json!({ "accepted": 0, "open": 1 }));
}

#[test]
fn what_is_not_there_is_404_and_what_is_not_meant_405() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    client.send("GET", "/v1/embeddings", "");
    let answer = client.answer();
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("/v1/embeddings"));
    for (method, path, allowed) in
        [("GET", "/v1/chat/completions", "POST"), ("POST", "/v1/models", "GET"), ("GET", "/_reset", "POST")]
    {
        client.send(method, path, "");
        let answer = client.answer();
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, allowed));
    }
}

#[test]
fn a_bad_body_is_400_and_says_why() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    for (body, problem) in [("{", "not JSON"), ("{}", "`messages`"), ("", "not JSON")] {
        client.send("POST", "/v1/chat/completions", body);
        let answer = client.answer();
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains(problem), "{}", answer.error());
    }
}

#[test]
fn a_key_is_asked_for_where_the_script_has_one() {
    let simulator = simulator(&json!({ "api_key": "secret" }));
    let mut client = Client::connect(&simulator);
    let answer = client.exchange(&plain());
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    let body = plain().to_string();
    for (key, status) in [("wrong", 401), ("secret", 200)] {
        let length = body.len();
        client.write(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(client.answer().status, status);
    }
    let report = eventually(&simulator, |report| report.requests.len() == 3);
    assert_eq!(report.requests[2].headers["authorization"], "***");
    assert!(!serde_json::to_string(&report).unwrap().contains("secret"));
}

#[test]
fn a_request_that_no_turn_matches_is_500() {
    let simulator = simulator(&json!({ "turns": [{ "when": { "role": "tool" }, "text": "x" }] }));
    let answer = Client::connect(&simulator).exchange(&streaming());
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("no turn"));
}
