use super::*;
use serde_json::json;

const SERVED: [&str; 1] = ["poet"];

fn read(protocol: Protocol, body: &Value) -> Result<Asked, Refusal> {
    Asked::read(protocol, body.to_string().as_bytes(), &SERVED.map(str::to_owned), None)
}

fn messages(protocol: Protocol, body: &Value) -> Vec<Value> {
    read(protocol, body).unwrap().messages
}

fn refused(protocol: Protocol, body: &Value) -> String {
    read(protocol, body).unwrap_err().message
}

#[test]
fn unknown_members_are_tolerated() {
    let body = json!({
        "model": "poet", "messages": [{ "role": "user", "content": "Hi." }], "stream": true, "n": 1,
        "stream_options": { "include_usage": true, "new": 1 }, "user": "ann", "max_tokens": 5, "stop": null,
    });
    let asked = read(Protocol::Chat, &body).unwrap();
    assert!(asked.stream && asked.include_usage);
    assert_eq!(asked.messages, vec![json!({ "role": "user", "content": "Hi." })]);
    assert_eq!(Value::Object(asked.parameters), json!({ "max_tokens": 5 }));
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let refused = |body: &[u8]| Asked::read(Protocol::Chat, body, &[], None).unwrap_err().message;
    assert!(refused(b"{").contains("EOF"));
    assert!(refused(b"{\"messages\": []}").contains("missing field `model`"));
    assert!(refused(b"{\"model\": \"poet\", \"messages\": [], \"n\": 2}").contains("n must be 1"));
    assert!(refused(b"{\"model\": \"poet\", \"messages\": []}").contains("no model \"poet\""));
}

#[test]
fn tools_need_names_of_their_own() {
    let body = |tools: Value| json!({ "model": "poet", "messages": [], "tools": tools });
    let add = json!({ "type": "function", "function": { "name": "add" } });
    assert!(
        refused(Protocol::Chat, &body(json!([{ "type": "function" }]))).contains("a function with a name")
    );
    assert!(refused(Protocol::Chat, &body(json!([add, add]))).contains("the same name"));
    assert_eq!(read(Protocol::Chat, &body(json!([add]))).unwrap().tool_names().collect::<Vec<_>>(), ["add"]);
}

#[test]
fn anthropics_conversation_becomes_openais() {
    let body = json!({
        "model": "poet", "max_tokens": 10,
        "system": [{ "type": "text", "text": "You greet." }],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "Look." },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "QQ==" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "x" },
                { "type": "text", "text": "I add." },
                { "type": "tool_use", "id": "toolu_1", "name": "add", "input": { "a": 1 } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": [{ "type": "text", "text": "1" }] },
                { "type": "text", "text": "Go on." },
            ] },
        ],
    });
    let function = json!({ "name": "add", "arguments": "{\"a\":1}" });
    assert_eq!(
        messages(Protocol::Messages, &body),
        vec![
            json!({ "role": "system", "content": "You greet." }),
            json!({ "role": "user", "content": [
                { "type": "text", "text": "Look." },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,QQ==" } },
            ] }),
            json!({ "role": "assistant", "content": "I add.", "tool_calls": [
                { "id": "toolu_1", "type": "function", "function": function },
            ] }),
            json!({ "role": "tool", "tool_call_id": "toolu_1", "content": "1" }),
            json!({ "role": "user", "content": [{ "type": "text", "text": "Go on." }] }),
        ]
    );
}

#[test]
fn nothing_of_a_tool_result_of_anthropics_is_lost() {
    let source = json!({ "type": "url", "url": "https://example.org/a.png" });
    let body = json!({ "model": "poet", "messages": [{ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "No." },
        { "type": "tool_result", "tool_use_id": "b", "content": [{ "type": "image", "source": source }] },
    ] }] });
    assert_eq!(
        messages(Protocol::Messages, &body),
        vec![
            json!({ "role": "tool", "tool_call_id": "a", "content": "The tool failed: No." }),
            json!({ "role": "tool", "tool_call_id": "b", "content": "" }),
            json!({ "role": "user", "content": [
                { "type": "text", "text": "An image from the result of \"b\":" },
                { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } },
            ] }),
        ]
    );
    let body = json!({ "model": "poet", "messages": [{ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "b", "content": [{ "type": "document" }] },
    ] }] });
    assert!(refused(Protocol::Messages, &body).contains("a block of the type document"));
}

#[test]
fn anthropics_tools_and_options_become_openais() {
    let asked = read(
        Protocol::Messages,
        &json!({
            "model": "poet", "max_tokens": 10, "messages": [], "stop_sequences": ["x"], "top_k": 4,
            "tools": [{ "name": "add", "description": "Adds.", "input_schema": { "type": "object" } }],
            "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
        }),
    )
    .unwrap();
    let function = json!({ "name": "add", "description": "Adds.", "parameters": { "type": "object" } });
    assert_eq!(asked.tools, vec![json!({ "type": "function", "function": function })]);
    assert_eq!(asked.tool_choice, Some(json!("required")));
    let parameters = json!({ "max_tokens": 10, "stop": ["x"], "parallel_tool_calls": false });
    assert_eq!(Value::Object(asked.parameters), parameters);
}

#[test]
fn a_message_that_cannot_be_converted_is_named() {
    let given =
        json!([{ "role": "user", "content": "Hi." }, { "role": "user", "content": [{ "type": "audio" }] }]);
    let body = json!({ "model": "poet", "messages": given });
    assert!(refused(Protocol::Messages, &body).starts_with("messages[1] has a block of the type audio"));
}

#[test]
fn the_items_of_a_response_become_messages() {
    let body = json!({
        "model": "poet", "instructions": "Be short.", "previous_response_id": "resp_1",
        "reasoning": { "effort": "low" }, "max_output_tokens": 9,
        "text": { "format": { "type": "json_schema", "name": "n", "schema": {}, "strict": true } },
        "tools": [{ "type": "function", "name": "add", "parameters": {}, "strict": false }],
        "tool_choice": { "type": "function", "name": "add" },
        "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "Add." }] },
            { "type": "reasoning", "id": "rs_1", "summary": [] },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I add." }] },
            { "type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}" },
            { "type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "1" },
        ],
    });
    let asked = read(Protocol::Responses, &body).unwrap();
    let call =
        |id: &str| json!({ "id": id, "type": "function", "function": { "name": "add", "arguments": "{}" } });
    assert_eq!(
        asked.messages,
        vec![
            json!({ "role": "system", "content": "Be short." }),
            json!({ "role": "user", "content": [{ "type": "text", "text": "Add." }] }),
            json!({ "role": "assistant", "content": "I add.", "tool_calls": [call("c1"), call("c2")] }),
            json!({ "role": "tool", "tool_call_id": "c1", "content": "1" }),
        ]
    );
    assert_eq!(asked.tools[0]["function"]["strict"], json!(false));
    assert_eq!(asked.tool_choice, Some(json!({ "type": "function", "function": { "name": "add" } })));
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "strict": true } });
    let parameters = json!({ "max_tokens": 9, "reasoning_effort": "low", "response_format": format });
    assert_eq!(Value::Object(asked.parameters), parameters);
    let previous = Some("resp_1".to_owned());
    assert_eq!(asked.response, ResponseOptions { previous, store: true, background: false });
}

#[test]
fn what_a_response_cannot_have_is_refused() {
    for (member, value, why) in [
        ("input", json!(7), "input must be a string or a list of items"),
        ("input", json!([{ "type": "item_reference", "id": "x" }]), "input[0] is of the type item_reference"),
        ("tools", json!([{ "type": "web_search" }]), "the type web_search is not served"),
        ("conversation", json!({}), "conversation must have an id"),
        ("conversation", json!("conv_1"), "exclude each other"),
        ("store", json!(false), "background needs store"),
    ] {
        let mut body = json!({
            "model": "poet", "input": "Hi.", "background": true, "previous_response_id": "resp_1",
        });
        body[member] = value;
        assert!(refused(Protocol::Responses, &body).contains(why), "{member}");
    }
}

#[test]
fn messages_of_front_ends_become_openais() {
    let body = json!({
        "threadId": "t", "runId": "r", "state": {}, "context": [],
        "tools": [{ "name": "show", "description": "Shows." }],
        "messages": [
            { "id": "1", "role": "user", "content": "Hi." },
            { "id": "2", "role": "reasoning", "content": "Hm." },
            { "id": "3", "role": "assistant", "toolCalls": [
                { "id": "c", "type": "function", "function": { "name": "show", "arguments": "{}" } },
            ] },
            { "id": "4", "role": "tool", "toolCallId": "c", "content": "Shown." },
        ],
    });
    let asked = read(Protocol::AgUi, &body).unwrap();
    let call = json!({ "id": "c", "type": "function", "function": { "name": "show", "arguments": "{}" } });
    assert_eq!(
        asked.messages,
        vec![
            json!({ "role": "user", "content": "Hi." }),
            json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
            json!({ "role": "tool", "tool_call_id": "c", "content": "Shown." }),
        ]
    );
    assert_eq!((asked.names.thread.as_deref(), asked.names.run.as_deref()), (Some("t"), Some("r")));
    let body = json!({ "id": "chat", "messages": [
        { "role": "user", "parts": [{ "type": "text", "text": "Add." }] },
        { "role": "assistant", "parts": [
            { "type": "step-start" },
            { "type": "tool-add", "toolCallId": "c", "state": "output-available", "input": { "a": 1 }, "output": 3 },
            { "type": "step-start" },
            { "type": "text", "text": "It is 3." },
        ] },
    ] });
    let call =
        json!({ "id": "c", "type": "function", "function": { "name": "add", "arguments": "{\"a\":1}" } });
    assert_eq!(
        messages(Protocol::UiMessages, &body),
        vec![
            json!({ "role": "user", "content": [{ "type": "text", "text": "Add." }] }),
            json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
            json!({ "role": "tool", "tool_call_id": "c", "content": "3" }),
            json!({ "role": "assistant", "content": "It is 3." }),
        ]
    );
}

#[test]
fn a_front_end_names_the_agent_if_there_are_several() {
    let served = ["poet", "miller"].map(str::to_owned);
    let body = json!({ "messages": [{ "role": "user", "parts": [] }] }).to_string();
    let read = |only: Option<&[String]>| Asked::read(Protocol::UiMessages, body.as_bytes(), &served, only);
    assert!(read(None).unwrap_err().message.contains("served: poet, miller"));
    assert_eq!(read(Some(&["miller".to_owned()])).unwrap().model, "miller");
    assert_eq!(read(Some(&["other".to_owned()])).unwrap_err().kind, RefusalKind::NotFound);
}
