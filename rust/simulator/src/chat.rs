//! What matters of a chat request.

use serde_json::Value;

use crate::script::{IncludeUsage, Script, Turn, When, count_tokens};

/// The most choices that a request may ask for, as OpenAI has it.
const MAX_CHOICES: u64 = 128;

/// A chat request, borrowed from its body.
#[derive(Debug)]
pub(crate) struct ChatRequest<'b> {
    messages: &'b [Value],
    model: Option<&'b str>,
    offers_tools: bool,
    wants_usage: bool,
    /// It asks for a stream.
    pub(crate) stream: bool,
    /// How many choices it asks for.
    choices: u64,
}

impl<'b> ChatRequest<'b> {
    /// Reads a body. The error says what is wrong with it.
    pub(crate) fn read(body: &'b Value) -> Result<Self, String> {
        let request = body.as_object().ok_or("the body is not a JSON object")?;
        let messages = request.get("messages").ok_or("`messages` is missing")?;
        let messages = messages.as_array().filter(|messages| !messages.is_empty());
        let messages = messages.ok_or("`messages` is not a list of at least one message")?;
        if let Some(position) = messages.iter().position(|message| message["role"].as_str().is_none()) {
            return Err(format!("`messages[{position}].role` is not a string"));
        }
        let stream = optional(request.get("stream"), Value::as_bool, "`stream` is not a boolean")?;
        let choices = optional(request.get("n"), Value::as_u64, "`n` is not a number")?.unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&choices) {
            return Err(format!("`n` is not from 1 to {MAX_CHOICES}"));
        }
        Ok(Self {
            messages,
            model: request.get("model").and_then(Value::as_str),
            offers_tools: request
                .get("tools")
                .and_then(Value::as_array)
                .is_some_and(|tools| !tools.is_empty()),
            wants_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
            stream: stream.unwrap_or(false),
            choices,
        })
    }

    /// The turn that answers: the first that matches, and its position.
    pub(crate) fn select<'s>(&self, script: &'s Script) -> Option<(usize, &'s Turn)> {
        script.turns.iter().enumerate().find(|(_, turn)| self.matches(&turn.when))
    }

    /// How many choices it gets from a turn.
    pub(crate) fn choices(&self, turn: &Turn) -> u32 {
        let asked = u32::try_from(self.choices).unwrap_or(1);
        let given = turn.choices.and_then(|choices| u32::try_from(choices.get()).ok());
        if asked == 1 { 1 } else { given.unwrap_or(asked) }
    }

    /// Whether its stream tells the token counts.
    pub(crate) fn gets_usage(&self, script: &Script) -> bool {
        self.wants_usage || script.include_usage == IncludeUsage::Always
    }

    /// How many tokens its messages have.
    pub(crate) fn input_tokens(&self) -> usize {
        self.messages.iter().flat_map(|message| texts(&message["content"])).map(count_tokens).sum()
    }

    fn matches(&self, when: &When) -> bool {
        let Some(last) = self.messages.last() else {
            return false;
        };
        let contains = |part: &String| texts(&last["content"]).any(|text| text.contains(part));
        let turn = || self.messages.iter().filter(|message| message["role"] == "assistant").count();
        when.role.as_ref().is_none_or(|role| last["role"] == **role)
            && when.contains.as_ref().is_none_or(contains)
            && when.turn.is_none_or(|wanted| turn() == wanted)
            && when.tools.is_none_or(|wanted| self.offers_tools == wanted)
            && when.model.as_deref().is_none_or(|wanted| self.model == Some(wanted))
    }
}

/// A field that may be missing or null.
fn optional<T>(
    value: Option<&Value>,
    read: fn(&Value) -> Option<T>,
    problem: &str,
) -> Result<Option<T>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| problem.to_owned()),
    }
}

/// The texts of a message's content: a string, or a list of parts some of which have text.
fn texts(content: &Value) -> impl Iterator<Item = &str> {
    let parts = content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    content.as_str().into_iter().chain(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(script: &Value, request: &Value) -> Option<usize> {
        let script = Script::from_value(script).unwrap();
        ChatRequest::read(request).unwrap().select(&script).map(|(position, _)| position)
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
    fn what_is_wrong_is_named() {
        let problem = |body: &Value| ChatRequest::read(body).unwrap_err();
        assert!(problem(&json!([])).contains("object"));
        assert!(problem(&json!({})).contains("`messages`"));
        assert!(problem(&json!({ "messages": [] })).contains("`messages`"));
        assert!(problem(&json!({ "messages": [{}] })).contains("`messages[0].role`"));
        let messages = json!([{ "role": "user" }]);
        assert!(problem(&json!({ "messages": messages, "stream": 1 })).contains("`stream`"));
        assert!(problem(&json!({ "messages": messages, "n": 129 })).contains("`n`"));
    }
}
