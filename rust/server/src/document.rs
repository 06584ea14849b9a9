//! The documents of an answer: what a client gets that did not ask for a stream, and what is kept for later.

use std::time::{SystemTime, UNIX_EPOCH};

use headrace_wire::Response;
use headrace_wire::encode::Head;
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::calls::random_id;
use crate::front::{result_of, rpc_id, task};
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};

/// What all parts of an answer say about it.
pub(crate) fn head(asked: &Asked) -> Head {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Head {
        id: random_id(asked.protocol.id_prefix()),
        model: asked.model.clone(),
        created,
        input_tokens: None,
    }
}

/// A whole answer, as its client gets it.
pub(crate) fn whole_answer(asked: &Asked, head: &Head, response: &Response) -> String {
    if asked.protocol == Protocol::A2a {
        let task = task(head, &asked.names, response, "completed", &Value::Null);
        return result_of(&rpc_id(&asked.names), &json!({ "task": task })).to_string();
    }
    kept_document(asked, head, response, None)
}

/// An answer as it is kept, with its status and error if it did not end well.
pub(crate) fn kept_document(
    asked: &Asked,
    head: &Head,
    response: &Response,
    status: Option<(&str, Value)>,
) -> String {
    if asked.protocol == Protocol::A2a {
        let (status, error) = status.unwrap_or(("completed", Value::Null));
        return task(head, &asked.names, response, status, &error).to_string();
    }
    let document = asked.protocol.document(head, response);
    if asked.protocol != Protocol::Responses {
        return document;
    }
    let Ok(mut document) = serde_json::from_str::<Value>(&document) else { return document };
    if let Some((status, error)) = status {
        document["status"] = json!(status);
        document["error"] = error;
    }
    document["background"] = json!(asked.response.background);
    document["store"] = json!(asked.response.store);
    if let Some(thread) = &asked.names.thread {
        document["conversation"] = json!({ "id": thread });
    }
    document["previous_response_id"] = json!(asked.response.previous);
    document.to_string()
}

/// An answer that failed, as it is kept.
pub(crate) fn failed_document(asked: &Asked, head: &Head, response: &Response, refusal: &Refusal) -> String {
    if refusal.kind == RefusalKind::Cancelled {
        return kept_document(asked, head, response, Some(("cancelled", Value::Null)));
    }
    let error = json!({ "code": refusal.name(asked.protocol), "message": refusal.message });
    kept_document(asked, head, response, Some(("failed", error)))
}
