//! Routes.

use headrace_wire::encode::Api;
use serde_json::{Value, json};

use crate::client::{Client, End, eventually, plain, simulator, streaming};
use crate::questions::question;

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
fn any_path_that_ends_in_chat_completions_is_accepted() {
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
fn an_unknown_path_is_404_and_a_wrong_method_405() {
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
fn an_invalid_body_is_400_with_a_reason() {
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
fn a_script_with_a_key_requires_it() {
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

/// The status for a request with this path and header.
fn status_with(client: &mut Client, api: Api, path: &str, header: &str) -> u16 {
    let body = question(api).1.to_string();
    let length = body.len();
    client.write(format!("POST {path} HTTP/1.1\r\n{header}\r\ncontent-length: {length}\r\n\r\n{body}"));
    client.answer().status
}

#[test]
fn each_provider_has_its_own_place_for_the_key() {
    let simulator = simulator(&json!({ "api_key": "secret" }));
    let mut client = Client::connect(&simulator);
    for api in Api::ALL {
        let path = question(api).0;
        let places = [
            "authorization: Bearer KEY",
            "x-api-key: KEY",
            "x-goog-api-key: KEY",
            "authorization: AWS4-HMAC-SHA256 Credential=KEY",
        ];
        let own: &[usize] = match api {
            Api::Anthropic => &[0, 1],
            Api::Gemini => &[0, 2],
            Api::Converse | Api::InvokeModel => &[0, 3],
            _ => &[0],
        };
        for (place, header) in places.into_iter().enumerate() {
            let right = status_with(&mut client, api, path, &header.replace("KEY", "secret"));
            assert_eq!(right, if own.contains(&place) { 200 } else { 401 }, "{api:?}, {header}");
            let wrong = status_with(&mut client, api, path, &header.replace("KEY", "wrong"));
            // A signature is not checked.
            assert_eq!(wrong, if place == 3 && own.contains(&3) { 200 } else { 401 }, "{api:?}, {header}");
        }
    }
    let path = format!("{}&key=secret", question(Api::Gemini).0);
    assert_eq!(status_with(&mut client, Api::Gemini, &path, "host: here"), 200);
    let report = eventually(&simulator, |report| report.requests_seen == 73);
    assert!(!serde_json::to_string(&report).unwrap().contains("secret"));
    assert!(report.requests[72].path.ends_with("?alt=sse&key=***"));
}

#[test]
fn the_model_in_a_path_is_matched() {
    for (path, api, model) in [
        ("/v1beta/models/gemini-2.5-flash:generateContent", Api::Gemini, "gemini-2.5-flash"),
        ("/v1beta/models/gemini-2.5-flash%3AgenerateContent", Api::Gemini, "gemini-2.5-flash"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", Api::Gemini, "g"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/c@1:streamRawPredict",
            Api::Anthropic,
            "c@1",
        ),
        ("/model/anthropic.claude-3%3A0/converse", Api::Converse, "anthropic.claude-3:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aprofile%2Fx/converse-stream",
            Api::Converse,
            "arn:aws:bedrock:profile/x",
        ),
        ("/model/anthropic.claude-3:0/invoke", Api::InvokeModel, "anthropic.claude-3:0"),
    ] {
        let simulator = simulator(&json!({ "turns": [{ "when": { "model": model } }] }));
        let mut client = Client::connect(&simulator);
        client.send("POST", path, &question(api).1.to_string());
        assert_eq!(client.answer().status, 200, "{path}");
    }
}

#[test]
fn similar_paths_are_404() {
    let simulator = simulator(&json!({}));
    let mut client = Client::connect(&simulator);
    for path in
        ["/v1/chat", "/chat", "/v1/messages/count_tokens", "/v1beta/models/g:embedContent", "/converse"]
    {
        client.send("POST", path, "{}");
        assert_eq!(client.answer().status, 404, "{path}");
    }
}

#[test]
fn a_request_that_no_turn_matches_is_500() {
    let simulator = simulator(&json!({ "turns": [{ "when": { "role": "tool" }, "text": "x" }] }));
    let answer = Client::connect(&simulator).exchange(&streaming());
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("no turn"));
}
