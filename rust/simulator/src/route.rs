//! Finds what a request is for.

use std::borrow::Cow;

use headrace_wire::encode::Api;
use serde_json::json;

use crate::http::{Credentials, Request};
use crate::model_request::Target;
use crate::reply::Reply;
use crate::script::Script;
use crate::server::Server;

/// What a request is for.
#[derive(Debug)]
pub(crate) enum Route {
    /// The model.
    Model(Target),
    /// A reply that does not come from the model.
    Reply(Reply),
    /// The simulator's own interface. Such requests are not in the report.
    Service(Reply),
}

impl Route {
    /// The API whose format the answer has.
    pub(crate) fn api(&self) -> Api {
        match self {
            Self::Model(target) => target.api,
            Self::Reply(_) | Self::Service(_) => Api::OpenAiChat,
        }
    }

    /// Finds the route. A request to the simulator's own interface is carried out at once.
    pub(crate) fn of(request: &Request, server: &Server) -> Self {
        let path = request.path();
        let method = request.method.as_str();
        let script = &server.script;
        match path {
            "/_report" => Self::Service(allow("GET", method, || report(server))),
            "/_reset" => Self::Service(allow("POST", method, || {
                server.reset();
                Reply::json(200, &json!({}))
            })),
            _ if path.ends_with("/models") => {
                let problem = problem("GET", request, script, Api::OpenAiChat);
                Self::Reply(problem.unwrap_or_else(|| Reply::models(script)))
            }
            _ => match target(path) {
                Some(target) => match problem("POST", request, script, target.api) {
                    Some(reply) => Self::Reply(reply),
                    None => Self::Model(target),
                },
                None => Self::Reply(Reply::refusal(404, &format!("there is no {path} here"))),
            },
        }
    }
}

/// The APIs whose paths contain nothing else, by the ends of their paths.
const PATH_SUFFIXES: [(&str, Api); 6] = [
    ("/chat/completions", Api::OpenAiChat),
    ("/responses", Api::OpenAiResponses),
    ("/messages", Api::Anthropic),
    ("/v2/chat", Api::Cohere),
    ("/api/chat", Api::OllamaChat),
    ("/api/generate", Api::OllamaGenerate),
];

/// What follows the model's name in a path; and whether it asks for a stream, if the body does not say.
const MODEL_SUFFIXES: [(&str, Api, Option<bool>); 8] = [
    (":streamGenerateContent", Api::Gemini, Some(true)),
    (":generateContent", Api::Gemini, Some(false)),
    // Anthropic's models at Google.
    (":streamRawPredict", Api::Anthropic, None),
    (":rawPredict", Api::Anthropic, None),
    ("/converse-stream", Api::Converse, Some(true)),
    ("/converse", Api::Converse, Some(false)),
    ("/invoke-with-response-stream", Api::InvokeModel, Some(true)),
    ("/invoke", Api::InvokeModel, Some(false)),
];

/// The API of a path, with the model and the stream flag if the path has them.
fn target(path: &str) -> Option<Target> {
    if let Some((_, api)) = PATH_SUFFIXES.iter().find(|(end, _)| path.ends_with(end)) {
        return Some(Target { api: *api, stream: None, model: None });
    }
    // The colon may be percent-encoded, and so may slashes within a model's name.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    MODEL_SUFFIXES.into_iter().find_map(|(end, api, stream)| {
        let (before, model) = path.strip_suffix(end)?.rsplit_once('/')?;
        let has_model = before.ends_with("/model") || before.ends_with("/models") || end.starts_with(':');
        has_model.then(|| Target { api, stream, model: Some(unescape(model).into_owned()) })
    })
}

/// Percent-decodes a segment of a path.
fn unescape(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return segment.into();
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The error for a request with the wrong method or without the script's key.
fn problem(allowed: &str, request: &Request, script: &Script, api: Api) -> Option<Reply> {
    if request.method != allowed {
        return Some(not_allowed(allowed, &request.method));
    }
    let key = script.api_key.as_ref()?;
    let Credentials { bearer, api_key, is_signed, .. } = &request.credentials;
    let (given, where_to) = match api {
        Api::Anthropic => (api_key.as_ref().or(bearer.as_ref()), "`x-api-key: …`"),
        Api::Gemini => {
            let named = request.credentials.google.as_ref();
            (named.or(bearer.as_ref()), "`x-goog-api-key: …`")
        }
        Api::Converse | Api::InvokeModel if *is_signed => return None,
        Api::Converse | Api::InvokeModel => (bearer.as_ref(), "the signature"),
        _ => (bearer.as_ref(), "`Authorization: Bearer …`"),
    };
    let message = format!("{where_to} is missing or not the key of the script");
    (given != Some(key)).then(|| Reply::error(api, 401, &message))
}

fn report(server: &Server) -> Reply {
    match serde_json::to_vec(&server.log.report()) {
        Ok(report) => Reply::new(200, "application/json", report),
        Err(error) => Reply::refusal(500, &error.to_string()),
    }
}

fn allow(allowed: &str, method: &str, reply: impl FnOnce() -> Reply) -> Reply {
    if method == allowed { reply() } else { not_allowed(allowed, method) }
}

fn not_allowed(allowed: &str, method: &str) -> Reply {
    Reply::refusal(405, &format!("this path takes {allowed}, not {method}")).with("allow", allowed)
}
