//! The parts of a model request that a script can match, in any dialect.

mod message;
mod read;

use self::message::Message;
use crate::script::{IncludeUsage, Script, Turn, When, count_tokens};

pub(crate) use self::read::Target;

/// A request to the model, borrowed from its body.
#[derive(Debug)]
pub(crate) struct ModelRequest<'b> {
    /// The conversation, with separate instructions as its first message.
    messages: Vec<Message<'b>>,
    model: Option<&'b str>,
    offers_tools: bool,
    wants_usage: bool,
    /// Whether it asks for a stream.
    pub(crate) stream: bool,
    /// How many choices it asks for.
    choices: u64,
}

impl ModelRequest<'_> {
    /// The turn that answers: the first that matches, and its position.
    pub(crate) fn select<'s>(&self, script: &'s Script) -> Option<(usize, &'s Turn)> {
        script.turns.iter().enumerate().find(|(_, turn)| self.matches(&turn.when))
    }

    /// How many choices a turn answers with.
    pub(crate) fn choices(&self, turn: &Turn) -> u32 {
        let asked = u32::try_from(self.choices).unwrap_or(1);
        let given = turn.choices.and_then(|choices| u32::try_from(choices.get()).ok());
        if asked == 1 { 1 } else { given.unwrap_or(asked) }
    }

    /// Whether its stream contains the token counts.
    pub(crate) fn gets_usage(&self, script: &Script) -> bool {
        self.wants_usage || script.include_usage == IncludeUsage::Always
    }

    /// How many tokens its messages have.
    pub(crate) fn input_tokens(&self) -> usize {
        self.messages.iter().flat_map(Message::texts).map(|text| count_tokens(&text)).sum()
    }

    fn matches(&self, when: &When) -> bool {
        let Some(last) = self.messages.last() else {
            return false;
        };
        let contains = |part: &String| last.texts().iter().any(|text| text.contains(part));
        let turn = || self.messages.iter().filter(|message| message.begins_answer()).count();
        when.role.as_ref().is_none_or(|role| last.role == *role)
            && when.contains.as_ref().is_none_or(contains)
            && when.turn.is_none_or(|wanted| turn() == wanted)
            && when.tools.is_none_or(|wanted| self.offers_tools == wanted)
            && when.model.as_deref().is_none_or(|wanted| self.model == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use headrace_wire::encode::Api;
    use serde_json::{Value, json};

    use super::*;

    fn at(api: Api) -> Target {
        Target { api, stream: None, model: Some("big".to_owned()).filter(|_| api != Api::OpenAiChat) }
    }

    fn selected_by(api: Api, script: &Value, request: &Value) -> Option<usize> {
        let script = Script::from_value(script).unwrap();
        ModelRequest::read(&at(api), request).unwrap().select(&script).map(|(position, _)| position)
    }

    fn selected(script: &Value, request: &Value) -> Option<usize> {
        selected_by(Api::OpenAiChat, script, request)
    }

    fn problem(api: Api, body: &Value) -> String {
        ModelRequest::read(&at(api), body).unwrap_err()
    }

    #[test]
    fn the_first_turn_that_matches_answers() {
        let script = json!({ "turns": [
            { "when": { "role": "tool" } },
            { "when": { "contains": "weather", "tools": true } },
            { "when": { "model": "big" } },
            { "when": { "turn": 1 } },
        ] });
        let user = |text: &str| json!({ "role": "user", "content": text });
        let tools = json!([{ "type": "function" }]);
        assert_eq!(selected(&script, &json!({ "messages": [{ "role": "tool", "content": "3" }] })), Some(0));
        assert_eq!(
            selected(&script, &json!({ "messages": [user("the weather?")], "tools": tools })),
            Some(1)
        );
        assert_eq!(selected(&script, &json!({ "messages": [user("the weather?")], "tools": [] })), None);
        assert_eq!(selected(&script, &json!({ "messages": [user("hi")], "model": "big" })), Some(2));
        let conversation = json!([user("hi"), { "role": "assistant", "content": "ho" }, user("hm")]);
        assert_eq!(selected(&script, &json!({ "messages": conversation })), Some(3));
    }

    #[test]
    fn content_may_be_parts() {
        let script = json!({ "turns": [{ "when": { "contains": "cat" } }] });
        let parts = json!([{ "type": "image_url" }, { "type": "text", "text": "which cat is this?" }]);
        assert_eq!(
            selected(&script, &json!({ "messages": [{ "role": "user", "content": parts }] })),
            Some(0)
        );
    }

    #[test]
    fn an_error_names_the_member() {
        let problem = |body: &Value| problem(Api::OpenAiChat, body);
        assert!(problem(&json!([])).contains("object"));
        assert!(problem(&json!({})).contains("`messages`"));
        assert!(problem(&json!({ "messages": [] })).contains("`messages`"));
        assert!(problem(&json!({ "messages": [{}] })).contains("`messages[0].role`"));
        let messages = json!([{ "role": "user" }]);
        assert!(problem(&json!({ "messages": messages, "stream": 1 })).contains("`stream`"));
        assert!(problem(&json!({ "messages": messages, "n": 129 })).contains("`n`"));
    }

    /// The same conversation in each API: instructions, a question, a tool call after some reasoning, its result.
    fn conversations() -> Vec<(Api, Value)> {
        let call =
            json!({ "type": "function", "id": "c", "function": { "name": "look", "arguments": "{}" } });
        let chat = json!({ "tools": [{}], "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "How is the weather?" },
            { "role": "assistant", "tool_calls": [call] },
            { "role": "tool", "content": "very cold" },
        ] });
        let result = json!({ "type": "tool_result", "tool_use_id": "c", "content": [{ "type": "text", "text": "very cold" }] });
        let anthropic = json!({ "tools": [{}], "max_tokens": 9, "system": "Be brief.", "messages": [
            { "role": "user", "content": "How is the weather?" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "c", "name": "look", "input": {} }] },
            { "role": "user", "content": [result] },
        ] });
        let responses = json!({ "tools": [{}], "instructions": "Be brief.", "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "How is the weather?" }] },
            { "type": "reasoning", "summary": [] },
            { "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c", "output": "very cold" },
        ] });
        let answered = json!({ "functionResponse": { "name": "look", "response": { "is": "very cold" } } });
        let gemini = json!({ "tools": [{}], "systemInstruction": { "parts": [{ "text": "Be brief." }] }, "contents": [
            { "role": "user", "parts": [{ "text": "How is the weather?" }] },
            { "role": "model", "parts": [{ "functionCall": { "name": "look", "args": {} } }] },
            { "role": "user", "parts": [answered] },
        ] });
        let result =
            json!({ "toolResult": { "toolUseId": "c", "content": [{ "json": { "is": "very cold" } }] } });
        let converse = json!({ "toolConfig": { "tools": [{}] }, "system": [{ "text": "Be brief." }], "messages": [
            { "role": "user", "content": [{ "text": "How is the weather?" }] },
            { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "c", "name": "look", "input": {} } }] },
            { "role": "user", "content": [result] },
        ] });
        vec![
            (Api::OpenAiChat, chat.clone()),
            (Api::Cohere, chat.clone()),
            (Api::OllamaChat, chat),
            (Api::Anthropic, anthropic.clone()),
            (Api::InvokeModel, anthropic),
            (Api::OpenAiResponses, responses),
            (Api::Gemini, gemini),
            (Api::Converse, converse),
        ]
    }

    #[test]
    fn a_conversation_is_the_same_in_each_dialect() {
        let script = json!({ "turns": [
            { "when": { "role": "user" } },
            { "when": { "turn": 0 } },
            { "when": { "contains": "weather" } },
            { "when": { "tools": false } },
            { "when": { "role": "tool", "contains": "very cold", "turn": 1, "tools": true } },
        ] });
        for (api, request) in conversations() {
            assert_eq!(selected_by(api, &script, &request), Some(4), "{api:?}");
            let target = at(api);
            let asked = ModelRequest::read(&target, &request).unwrap();
            assert_eq!(asked.input_tokens(), 8, "{api:?}");
        }
    }

    #[test]
    fn a_prompt_is_a_message() {
        let script = json!({ "turns": [{ "when": { "role": "user", "contains": "cold", "turn": 0, "model": "big" } }] });
        for (api, request) in [
            (Api::OllamaGenerate, json!({ "prompt": "Is it cold?", "system": "Be brief." })),
            (Api::OpenAiResponses, json!({ "input": "Is it cold?", "instructions": "Be brief." })),
        ] {
            assert_eq!(selected_by(api, &script, &request), Some(0), "{api:?}");
        }
    }

    #[test]
    fn an_error_names_the_member_of_the_dialect() {
        let user = json!({ "role": "user", "content": "hi" });
        for (api, request, member) in [
            (Api::Anthropic, json!({ "messages": [user] }), "`max_tokens`"),
            (Api::Anthropic, json!({ "max_tokens": 5 }), "`messages`"),
            (
                Api::Anthropic,
                json!({ "max_tokens": 5, "messages": [{ "role": "system" }] }),
                "`messages[0].role`",
            ),
            (Api::InvokeModel, json!({ "messages": [user] }), "`max_tokens`"),
            (Api::OpenAiResponses, json!({ "messages": [user] }), "`input`"),
            (Api::OpenAiResponses, json!({ "input": [{ "content": "hi" }] }), "`input[0].role`"),
            (Api::Gemini, json!({ "messages": [user] }), "`contents`"),
            (Api::Gemini, json!({ "contents": [user] }), "`contents[0].parts`"),
            (
                Api::Gemini,
                json!({ "contents": [{ "role": "assistant", "parts": [{}] }] }),
                "`contents[0].role`",
            ),
            (Api::Cohere, json!({ "message": "hi" }), "`messages`"),
            (Api::OllamaChat, json!({ "prompt": "hi" }), "`messages`"),
            (Api::OllamaGenerate, json!({ "messages": [user] }), "`prompt`"),
            (Api::Converse, json!({ "messages": [user] }), "`messages[0].content`"),
        ] {
            assert!(problem(api, &request).contains(member), "{api:?}: {}", problem(api, &request));
        }
    }
}
