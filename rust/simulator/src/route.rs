//! Where a request goes.

use serde_json::json;

use crate::http::Request;
use crate::reply::Reply;
use crate::server::Server;

/// What a request is for.
#[derive(Debug)]
pub(crate) enum Route {
    /// The model.
    Chat,
    /// An answer without the model.
    Reply(Reply),
    /// The simulator itself. Such requests are not in the report.
    Service(Reply),
}

impl Route {
    /// Finds the route, and does at once what there is to do for it.
    pub(crate) fn of(request: &Request, server: &Server) -> Self {
        let path = request.target.split('?').next().unwrap_or_default();
        let method = request.method.as_str();
        match path {
            "/_report" => Self::Service(allow("GET", method, || report(server))),
            "/_reset" => Self::Service(allow("POST", method, || {
                server.reset();
                Reply::json(200, &json!({}))
            })),
            _ if path.ends_with("/chat/completions") => Self::model("POST", request, server, Self::Chat),
            _ if path.ends_with("/models") => {
                Self::model("GET", request, server, Self::Reply(Reply::models(&server.script)))
            }
            _ => Self::Reply(Reply::error(404, &format!("there is no {path} here"))),
        }
    }

    /// A route of the provider: it has a method, and may need a key.
    fn model(allowed: &str, request: &Request, server: &Server, route: Self) -> Self {
        if request.method != allowed {
            return Self::Reply(not_allowed(allowed, &request.method));
        }
        match &server.script.api_key {
            Some(key) if request.bearer.as_ref() != Some(key) => Self::Reply(Reply::error(
                401,
                "`Authorization: Bearer …` is missing or not the key of the script",
            )),
            _ => route,
        }
    }
}

fn report(server: &Server) -> Reply {
    match serde_json::to_vec(&server.ledger.report()) {
        Ok(report) => Reply::new(200, "application/json", report),
        Err(error) => Reply::error(500, &error.to_string()),
    }
}

fn allow(allowed: &str, method: &str, reply: impl FnOnce() -> Reply) -> Reply {
    if method == allowed { reply() } else { not_allowed(allowed, method) }
}

fn not_allowed(allowed: &str, method: &str) -> Reply {
    Reply::error(405, &format!("this path takes {allowed}, not {method}")).with("allow", allowed)
}
