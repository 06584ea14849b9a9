//! A2A's routes: the card of an agent, and the calls to it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::asked::Rpc;
use crate::asked::Wanted;
use crate::front::{card, result_of};
use crate::keys::Entry;
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};
use crate::routes::{Body, BoxError, Routes, whole};
use crate::trace::trace_of;

impl Routes {
    /// The card of an agent; without a name of the only one.
    pub(crate) fn card<B>(
        &self,
        agent: Option<&str>,
        request: &Request<B>,
    ) -> Result<Response<Body>, Refusal> {
        let models = &self.shared.options.models;
        let only = if let [only] = models.as_slice() { Some(only.as_str()) } else { None };
        let named = agent.or(only);
        let name = named.filter(|name| models.iter().any(|served| served == name)).ok_or_else(|| {
            let message = format!(
                "say which agent: /a2a/{{agent}}/.well-known/agent-card.json; served: {}",
                models.join(", ")
            );
            Refusal::new(RefusalKind::NotFound, message)
        })?;
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        // Behind a proxy it is the proxy that is asked.
        let scheme = request.headers().get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok());
        let scheme = if scheme == Some("https") { "https" } else { "http" };
        let path = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("{scheme}://{host}/a2a/{path}");
        Ok(whole(StatusCode::OK, &card(name, &url, self.shared.keys.is_some())))
    }

    /// A call to an agent.
    pub(crate) async fn call_a2a<B>(
        &self,
        agent: Option<String>,
        key: Option<Arc<Entry>>,
        request: Request<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
    {
        let trace = trace_of(request.headers());
        let body = self.body(request.into_body()).await?;
        let rpc = Rpc::read(&body)?;
        drop(body);
        let id = rpc.id.clone();
        let done = async {
            let only = agent.map(|agent| vec![agent]);
            let owner = key.as_ref().map(|key| key.name.clone());
            match rpc.wanted(only.as_deref().unwrap_or(&self.shared.options.models))? {
                Wanted::Ask(asked) => self.ask(*asked, key, trace).await,
                Wanted::Task(task) => {
                    Ok(whole(StatusCode::OK, &result_of(&id, &self.task(&task, owner.as_deref())?)))
                }
                Wanted::Cancel(task) => {
                    self.task(&task, owner.as_deref())?;
                    let kept = self.shared.kept.get(&task, owner.as_deref());
                    if let Some(exchange) = kept.and_then(|kept| kept.exchange()) {
                        exchange.cancel();
                    }
                    Ok(whole(StatusCode::OK, &result_of(&id, &self.task(&task, owner.as_deref())?)))
                }
            }
        };
        done.await.or_else(|refusal: Refusal| match refusal.kind {
            // These are not about the call.
            RefusalKind::NoKey
            | RefusalKind::Forbidden
            | RefusalKind::RateLimit
            | RefusalKind::Unavailable => Err(refusal),
            _ => Ok(whole(StatusCode::OK, &rpc_error(&id, &refusal))),
        })
    }

    fn task(&self, id: &str, owner: Option<&str>) -> Result<Value, Refusal> {
        let document = self.shared.kept.get(id, owner).and_then(|kept| kept.document());
        document.and_then(|document| serde_json::from_str(&document).ok()).ok_or_else(|| {
            Refusal::new(RefusalKind::NotFound, format!("there is no task {id} here, or no longer"))
        })
    }
}

/// The error of a call.
pub(crate) fn rpc_error(id: &Value, refusal: &Refusal) -> Value {
    let code = match refusal.kind {
        RefusalKind::Invalid | RefusalKind::TooLarge => -32602,
        RefusalKind::Method => -32601,
        RefusalKind::NotFound => -32001,
        _ => -32603,
    };
    let name = refusal.name(Protocol::A2a);
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": refusal.message, "data": { "type": name } } })
}
