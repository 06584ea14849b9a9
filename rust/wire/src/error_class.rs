//! Classifies the errors of providers.

use crate::delta::ProviderError;

/// The classes of provider errors, the same for all providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The provider does not accept the request.
    BadRequest,
    /// The conversation is longer than the model's context window.
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
    /// The provider is out of capacity.
    Overloaded,
    /// The provider failed.
    Server,
}

/// The providers' names for their errors, in lower case and without separators:
/// <https://docs.anthropic.com/en/api/errors>, <https://platform.openai.com/docs/guides/error-codes>,
/// <https://cloud.google.com/apis/design/errors>, and the exceptions of
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html>.
const NAMES: &[(ErrorClass, &[&str])] = &[
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
            "engineoverloadederror",
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
            "deadlineexceeded",
        ],
    ),
    (
        ErrorClass::BadRequest,
        &[
            "invalidrequesterror",
            "invalidrequest",
            "toolusefailed",
            "invalidargument",
            "badrequest",
            "validationexception",
            "failedprecondition",
        ],
    ),
];

/// Phrases in messages. Many providers use one code for every invalid request, so only the message is specific.
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
    // Google sends these as a bad request.
    (ErrorClass::Authentication, &["api key not valid", "api key expired"]),
];

impl ErrorClass {
    /// The class of an HTTP status; `None` if it has none.
    #[must_use]
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            400 | 413 | 422 => Some(Self::BadRequest),
            401 => Some(Self::Authentication),
            403 => Some(Self::PermissionDenied),
            404 => Some(Self::NotFound),
            429 => Some(Self::RateLimit),
            503 | 529 => Some(Self::Overloaded),
            500..=599 => Some(Self::Server),
            _ => None,
        }
    }
}

impl ProviderError {
    /// The class of this error, by its status, code and message; `None` if they do not show one.
    ///
    /// The HTTP status decides, except for a bad request, where code and message are more specific.
    #[must_use]
    pub fn class(&self, status: Option<u16>) -> Option<ErrorClass> {
        let by_status = status.or(self.status).and_then(ErrorClass::of_status);
        if by_status.is_some_and(|class| class != ErrorClass::BadRequest) {
            return by_status;
        }
        let named = [&self.code, &self.kind].into_iter().flatten().find_map(|name| class_of_name(name));
        match (named, by_status) {
            (Some(ErrorClass::ContextWindow | ErrorClass::ContentPolicy), _) => named,
            (None | Some(ErrorClass::BadRequest), _) | (_, Some(_)) => {
                class_of_message(&self.message).or(by_status).or(named)
            }
            (Some(_), None) => named,
        }
    }
}

fn class_of_name(name: &str) -> Option<ErrorClass> {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(class, _)| *class)
}

fn class_of_message(message: &str) -> Option<ErrorClass> {
    let lower = message.to_ascii_lowercase();
    PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| lower.contains(phrase)))
        .map(|(class, _)| *class)
}
