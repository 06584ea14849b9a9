//! An error in a provider's words, in any of the shapes that they come in, and what class of error they mean.

use serde_json::Value;

use crate::delta::ProviderError;

/// What kind of no a provider says, whoever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request is not one that the provider understands.
    BadRequest,
    /// The conversation is longer than the model reads.
    ContextWindow,
    /// A filter refused the request or its answer.
    ContentPolicy,
    /// The key is missing or wrong.
    Authentication,
    /// The key may not do this.
    PermissionDenied,
    /// There is no such model, or no such path.
    NotFound,
    /// Too many requests, or too many tokens, for now.
    RateLimit,
    /// The provider has more to do than it can.
    Overloaded,
    /// Something broke at the provider.
    Server,
}

/// The words by which providers name their errors, in lower case and without what separates them.
const WORDS: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::ContextWindow,
        &["contextlengthexceeded", "exceedcontextsizeerror", "modelmaxprompttokensexceeded"],
    ),
    (
        ErrorClass::ContentPolicy,
        &[
            "contentfilter",
            "contentpolicyviolation",
            "responsibleaipolicyviolation",
            "datainspectionfailed",
            "moderationblocked",
        ],
    ),
    (
        ErrorClass::RateLimit,
        &[
            "ratelimiterror",
            "ratelimitexceeded",
            "ratelimit",
            "throttlingexception",
            "resourceexhausted",
            "toomanyrequests",
            "insufficientquota",
        ],
    ),
    (
        ErrorClass::Overloaded,
        &[
            "overloadederror",
            "overloaded",
            "engineoverloaded",
            "unavailable",
            "serviceunavailable",
            "serviceunavailableexception",
            "modelnotreadyexception",
        ],
    ),
    (
        ErrorClass::Authentication,
        &[
            "authenticationerror",
            "invalidapikey",
            "unauthenticated",
            "unauthorized",
            "unrecognizedclientexception",
        ],
    ),
    (
        ErrorClass::PermissionDenied,
        &["permissionerror", "permissiondenied", "accessdeniedexception", "forbidden"],
    ),
    (ErrorClass::NotFound, &["notfounderror", "notfound", "modelnotfound", "resourcenotfoundexception"]),
    (
        ErrorClass::Server,
        &[
            "servererror",
            "apierror",
            "internal",
            "internalerror",
            "internalservererror",
            "internalserverexception",
            "modelstreamerrorexception",
            "modeltimeoutexception",
            "modelerrorexception",
            "timeouterror",
        ],
    ),
    (
        ErrorClass::BadRequest,
        &[
            "invalidrequesterror",
            "invalidrequest",
            "invalidargument",
            "badrequest",
            "validationexception",
            "failedprecondition",
        ],
    ),
];

/// What only the message tells: many providers have one code for everything that is wrong with a request.
const PHRASES: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::ContextWindow,
        &[
            "context length",
            "context window",
            "context size",
            "context limit",
            "prompt is too long",
            "input is too long",
            "exceeds the maximum number of tokens",
            "too many tokens: ",
            "maximum prompt length",
        ],
    ),
    (
        ErrorClass::ContentPolicy,
        &[
            "content management policy",
            "content policy",
            "content filter",
            "safety system",
            "usage policy",
            "usage policies",
        ],
    ),
];

impl ProviderError {
    /// What class of error this is, by the status, the provider's words and its message; `None` where they tell nothing.
    ///
    /// The HTTP status goes first, but for a bad request: there the words say what was bad.
    #[must_use]
    pub fn class(&self, status: Option<u16>) -> Option<ErrorClass> {
        let by_status = status.or(self.status).and_then(class_of_status);
        if by_status.is_some_and(|class| class != ErrorClass::BadRequest) {
            return by_status;
        }
        let named = [&self.code, &self.kind].into_iter().flatten().find_map(|word| class_of_word(word));
        match (named, by_status) {
            (Some(ErrorClass::ContextWindow | ErrorClass::ContentPolicy), _) => named,
            (None | Some(ErrorClass::BadRequest), _) | (_, Some(_)) => {
                class_of_message(&self.message).or(by_status).or(named)
            }
            (Some(_), None) => named,
        }
    }
}

const fn class_of_status(status: u16) -> Option<ErrorClass> {
    match status {
        400 | 413 | 422 => Some(ErrorClass::BadRequest),
        401 => Some(ErrorClass::Authentication),
        403 => Some(ErrorClass::PermissionDenied),
        404 => Some(ErrorClass::NotFound),
        429 => Some(ErrorClass::RateLimit),
        503 | 529 => Some(ErrorClass::Overloaded),
        500..=599 => Some(ErrorClass::Server),
        _ => None,
    }
}

fn class_of_word(word: &str) -> Option<ErrorClass> {
    let plain: String =
        word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    WORDS.iter().find(|(_, words)| words.contains(&plain.as_str())).map(|(class, _)| *class)
}

fn class_of_message(message: &str) -> Option<ErrorClass> {
    let lower = message.to_ascii_lowercase();
    PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| lower.contains(phrase)))
        .map(|(class, _)| *class)
}

/// Reads an error object, a JSON string, or plain text. Nothing is refused: an unknown shape becomes the message.
#[must_use]
pub fn read_error(json: &str) -> ProviderError {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => match object.get("error") {
            Some(inner @ (Value::Object(_) | Value::String(_))) => from_value(inner, json),
            _ => from_value(&Value::Object(object), json),
        },
        // Google, asked for an array of chunks, answers with an array of one error.
        Ok(Value::Array(items)) if matches!(items.as_slice(), [Value::Object(_)]) => {
            read_error(&items[0].to_string())
        }
        Ok(value) => from_value(&value, json),
        Err(_) => ProviderError { message: json.trim().to_owned(), ..ProviderError::default() },
    }
}

fn from_value(value: &Value, json: &str) -> ProviderError {
    if let Value::String(message) = value {
        return ProviderError { message: message.clone(), ..ProviderError::default() };
    }
    let first = |names: &[&str]| names.iter().find_map(|name| value.get(name).and_then(scalar));
    ProviderError {
        message: first(&["message", "detail"]).unwrap_or_else(|| json.to_owned()),
        // That an error is an "error" is no class. Google has no `type`: its class of error is a `status` in words.
        kind: first(&["type"])
            .filter(|kind| kind != "error")
            .or_else(|| value.get("status").and_then(Value::as_str).map(str::to_owned)),
        code: first(&["code"]),
        status: ["status", "status_code", "code"].iter().find_map(|name| status(value.get(name)?)),
    }
}

fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
