//! The paths that are served, and their methods.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::protocol::Protocol;

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    Page,
    Live,
    Ready,
    Metrics,
    Description,
    Models,
    Model(String),
    /// The card of an agent, for A2A.
    Card(Option<String>),
    /// Ask an agent, in a protocol; its name, where that is in the path.
    Ask(Protocol, Option<String>),
    Response(String),
    DeleteResponse(String),
    CancelResponse(String),
    BeginConversation,
    Conversation(String),
    DeleteConversation(String),
    Run(String),
    RunEvents(String),
    CancelRun(String),
    SteerRun(String),
}

impl Path {
    /// Whether it is for everybody, without a key.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Page | Self::Live | Self::Ready | Self::Description | Self::Card(_))
    }
}

/// A path: what each of its methods wants. Without any it is not there.
#[derive(Debug)]
pub(crate) struct Place(Vec<(Method, Path)>);

impl Place {
    pub(crate) fn of(path: &str) -> Self {
        let decoded: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let get = |path| vec![(Method::GET, path)];
        let post = |path| vec![(Method::POST, path)];
        Self(match parts.as_slice() {
            [""] => get(Path::Page),
            ["health", "live"] => get(Path::Live),
            ["health", "ready"] => get(Path::Ready),
            ["metrics"] => get(Path::Metrics),
            ["openapi.json"] => get(Path::Description),
            ["v1", "models"] => get(Path::Models),
            // The name of a model may have slashes.
            ["v1", "models", name @ ..] => get(Path::Model(name.join("/"))),
            ["v1", "chat", "completions"] => post(Path::Ask(Protocol::Chat, None)),
            ["v1", "messages"] => post(Path::Ask(Protocol::Messages, None)),
            ["v1", "responses"] => post(Path::Ask(Protocol::Responses, None)),
            ["v1", "responses", id] => vec![
                (Method::GET, Path::Response((*id).to_owned())),
                (Method::DELETE, Path::DeleteResponse((*id).to_owned())),
            ],
            ["v1", "responses", id, "cancel"] => post(Path::CancelResponse((*id).to_owned())),
            ["v1", "conversations"] => post(Path::BeginConversation),
            ["v1", "conversations", id] => vec![
                (Method::GET, Path::Conversation((*id).to_owned())),
                (Method::DELETE, Path::DeleteConversation((*id).to_owned())),
            ],
            ["v1", "runs", id] => get(Path::Run((*id).to_owned())),
            ["v1", "runs", id, "events"] => get(Path::RunEvents((*id).to_owned())),
            ["v1", "runs", id, "cancel"] => post(Path::CancelRun((*id).to_owned())),
            ["v1", "runs", id, "steer"] => post(Path::SteerRun((*id).to_owned())),
            [".well-known", "agent-card.json"] => get(Path::Card(None)),
            ["a2a", agent @ .., ".well-known", "agent-card.json"] => get(Path::Card(joined(agent))),
            ["a2a", agent @ ..] => post(Path::Ask(Protocol::A2a, joined(agent))),
            ["ag-ui", agent @ ..] => post(Path::Ask(Protocol::AgUi, joined(agent))),
            ["api", "chat", agent @ ..] => post(Path::Ask(Protocol::UiMessages, joined(agent))),
            _ => Vec::new(),
        })
    }

    /// What this method wants; `None` if the path is not there or not for this method.
    pub(crate) fn allows(&self, method: &Method) -> Option<Path> {
        self.0.iter().find(|(allowed, _)| allowed == method).map(|(_, path)| path.clone())
    }

    /// The methods of the path.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.0.iter().map(|(method, _)| method)
    }

    /// The protocol whose errors it has.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.0.as_slice() {
            [(_, Path::Ask(protocol, _))] => *protocol,
            _ => Protocol::Chat,
        }
    }
}

fn joined(parts: &[&str]) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_for_its_methods() {
        let wants = |method: Method, path: &str| Place::of(path).allows(&method);
        assert_eq!(wants(Method::GET, "/"), Some(Path::Page));
        assert_eq!(wants(Method::GET, "/v1/models/openai%2Fgpt"), Some(Path::Model("openai/gpt".to_owned())));
        assert_eq!(wants(Method::GET, "/v1/models/openai/gpt"), Some(Path::Model("openai/gpt".to_owned())));
        assert_eq!(wants(Method::POST, "/v1/models"), None);
        assert_eq!(wants(Method::POST, "/ag-ui"), Some(Path::Ask(Protocol::AgUi, None)));
        let named = Path::Ask(Protocol::UiMessages, Some("poet".to_owned()));
        assert_eq!(wants(Method::POST, "/api/chat/poet"), Some(named));
        assert_eq!(wants(Method::DELETE, "/v1/responses/r"), Some(Path::DeleteResponse("r".to_owned())));
        assert_eq!(Place::of("/elsewhere").methods().count(), 0);
    }
}
