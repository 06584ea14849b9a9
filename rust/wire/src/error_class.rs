//! Classifies the errors of providers.

use crate::delta::{FinishReason, ProviderError};
use crate::dialects::reasons::{bad_end, plain};

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
        &[
            "contextlengthexceeded",
            "contextwindowexceeded",
            "exceedcontextsizeerror",
            "modelmaxprompttokensexceeded",
            "promptexceedsmaxlength",
        ],
    ),
    (
        ErrorClass::ContentPolicy,
        &[
            "contentpolicyviolation",
            "contentfilteringpolicy",
            "responsibleaipolicyviolation",
            "datainspectionfailed",
            "moderationblocked",
            "inputmoderation",
            "outputmoderation",
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
            "insufficientbalance",
            "exceededcurrentquotaerror",
            "quotaexceeded",
            "billinghardlimitreached",
            "ratelimitreachederror",
            "toomanyrequestsexception",
            "servicequotaexceededexception",
            "throttling",
            "throttlingratequota",
            "throttlingallocationquota",
            "usagelimitreached",
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
            "serviceunavailableerror",
            "modeloverloaded",
            "serveroverloaded",
            "capacityexceeded",
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
            "timeoutexception",
            "requesttimeout",
            "gatewaytimeout",
            "badgateway",
            "upstreamerror",
            "upstreamtimeout",
            "providererror",
            "apiconnectionerror",
            "connectionerror",
            "streamerror",
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

/// Phrases in messages, in lower case, with the words of who sends them. Many providers use one code for every invalid
/// request, so only the message is specific. The first that fits decides.
const PHRASES: &[(ErrorClass, &str)] = &[
    // OpenAI, vLLM: "This model's maximum context length is 8192 tokens."
    (ErrorClass::ContextWindow, "context length"),
    // OpenAI responses: "Your input exceeds the context window of this model."
    (ErrorClass::ContextWindow, "context window"),
    // llama.cpp: "the request exceeds the available context size"
    (ErrorClass::ContextWindow, "context size"),
    // Anthropic: "input length and `max_tokens` exceed context limit"
    (ErrorClass::ContextWindow, "context limit"),
    // llama.cpp and its wrappers: "context too long"
    (ErrorClass::ContextWindow, "context too"),
    // Anthropic: "prompt is too long: 210000 tokens > 200000 maximum"
    (ErrorClass::ContextWindow, "prompt is too long"),
    // Ollama: "prompt too long; exceeded max context length"
    (ErrorClass::ContextWindow, "prompt too long"),
    // Bedrock: "Input is too long for requested model."
    (ErrorClass::ContextWindow, "input is too long"),
    // Google: "The input token count (…) exceeds the maximum number of tokens allowed"
    (ErrorClass::ContextWindow, "exceeds the maximum number of tokens"),
    // Google, Vertex
    (ErrorClass::ContextWindow, "exceeds the maximum number of input tokens"),
    // Cohere: "too many tokens: total number of tokens in the prompt cannot exceed 4081"
    (ErrorClass::ContextWindow, "too many tokens: "),
    // xAI: "This model's maximum prompt length is 131072"
    (ErrorClass::ContextWindow, "maximum prompt length"),
    // Groq: "Please reduce the length of the messages or completion."
    (ErrorClass::ContextWindow, "reduce the length of the messages"),
    // DashScope: "Range of input length should be [1, 30720]"
    (ErrorClass::ContextWindow, "range of input length should be"),
    // Zhipu 1261: "Prompt exceeds max length"
    (ErrorClass::ContextWindow, "exceeds max length"),
    // Moonshot: "Your request exceeded model token limit: 8192"
    (ErrorClass::ContextWindow, "model token limit"),
    // TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096"
    (ErrorClass::ContextWindow, "`max_new_tokens` must be"),
    // vLLM: "The decoder prompt (…) is longer than the maximum model length of 4096"
    (ErrorClass::ContextWindow, "maximum model length"),
    // GitHub Copilot: "prompt token count of 70000 exceeds the limit of 64000"
    (ErrorClass::ContextWindow, "prompt token count of"),
    // Azure: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
    (ErrorClass::ContentPolicy, "content management policy"),
    // OpenAI
    (ErrorClass::ContentPolicy, "content policy"),
    // Azure, Anthropic: "Output blocked by content filtering policy"
    (ErrorClass::ContentPolicy, "content filter"),
    // OpenAI: "Your request was rejected as a result of our safety system."
    (ErrorClass::ContentPolicy, "safety system"),
    // OpenAI: "flagged as potentially violating our usage policy"
    (ErrorClass::ContentPolicy, "usage policy"),
    // Anthropic
    (ErrorClass::ContentPolicy, "usage policies"),
    // xAI: "Content violates usage guidelines."
    (ErrorClass::ContentPolicy, "usage guidelines"),
    // DashScope: "Input data may contain inappropriate content."
    (ErrorClass::ContentPolicy, "inappropriate content"),
    // DeepSeek: "Content Exists Risk"
    (ErrorClass::ContentPolicy, "content exists risk"),
    // Moonshot: "The request was rejected because it was considered high risk"
    (ErrorClass::ContentPolicy, "considered high risk"),
    // MiniMax 1026, 1027: "input new_sensitive"
    (ErrorClass::ContentPolicy, "new_sensitive"),
    // Zhipu 1301: "系统检测到输入或生成内容可能包含不安全或敏感内容"
    (ErrorClass::ContentPolicy, "敏感内容"),
    // Cloudflare AI Gateway 2016: "Prompt blocked due to security configurations"
    (ErrorClass::ContentPolicy, "due to security configurations"),
    // OpenRouter: "requires moderation on … Your input was flagged for …"
    (ErrorClass::ContentPolicy, "input was flagged"),
    // Bedrock, LiteLLM: "Violated guardrail policy"
    (ErrorClass::ContentPolicy, "guardrail"),
    // Google, Vertex
    (ErrorClass::ContentPolicy, "prohibited use policy"),
    // OpenAI, Google: "You exceeded your current quota, please check your plan and billing details."
    (ErrorClass::RateLimit, "exceeded your current quota"),
    // Google: "Quota exceeded for metric"; DashScope: "Free allocated quota exceeded."
    (ErrorClass::RateLimit, "quota exceeded"),
    // OpenAI
    (ErrorClass::RateLimit, "insufficient_quota"),
    // DeepSeek: "Insufficient Balance"; MiniMax 1008
    (ErrorClass::RateLimit, "insufficient balance"),
    // OpenRouter: "Insufficient credits"
    (ErrorClass::RateLimit, "insufficient credit"),
    // OpenRouter: "This request requires more credits, or fewer max_tokens."
    (ErrorClass::RateLimit, "requires more credits"),
    // Anthropic: "Your credit balance is too low to access the Anthropic API."
    (ErrorClass::RateLimit, "credit balance is too low"),
    // OpenAI: "Billing hard limit has been reached"
    (ErrorClass::RateLimit, "billing hard limit"),
    // Zhipu 1113
    (ErrorClass::RateLimit, "余额不足"),
    // ChatGPT: "The usage limit has been reached"
    (ErrorClass::RateLimit, "usage limit"),
    // Cloudflare, as plain text
    (ErrorClass::RateLimit, "error code: 1015"),
    // OpenAI, Groq: "Rate limit reached for model"
    (ErrorClass::RateLimit, "rate limit"),
    // LiteLLM
    (ErrorClass::RateLimit, "rate_limit"),
    // Bedrock: "Too many requests, please wait before trying again."
    (ErrorClass::RateLimit, "too many requests"),
    // Bedrock
    (ErrorClass::RateLimit, "too many tokens, please wait"),
    // OpenAI, Groq: "on tokens per minute (TPM)"
    (ErrorClass::RateLimit, "tokens per minute"),
    // OpenAI, Mistral
    (ErrorClass::RateLimit, "requests per minute"),
    // Vertex: "Resource exhausted. Please try again later."
    (ErrorClass::RateLimit, "resource exhausted"),
    // Mistral: "Service tier capacity exceeded for this model."
    (ErrorClass::RateLimit, "capacity exceeded"),
    // Google, with status 400
    (ErrorClass::Authentication, "api key not valid"),
    // Google, with status 400
    (ErrorClass::Authentication, "api key expired"),
    // Groq: "Invalid API Key"
    (ErrorClass::Authentication, "invalid api key"),
    // OpenAI: "Incorrect API key provided"
    (ErrorClass::Authentication, "incorrect api key"),
    // Anthropic: "Overloaded"; Google: "The model is overloaded."
    (ErrorClass::Overloaded, "overloaded"),
    // Google, OpenAI: "currently experiencing high demand"
    (ErrorClass::Overloaded, "high demand"),
    // OpenRouter, nginx
    (ErrorClass::Overloaded, "temporarily unavailable"),
    // HTTP
    (ErrorClass::Overloaded, "service unavailable"),
    // Together: "Model … is at capacity"
    (ErrorClass::Overloaded, "at capacity"),
    // new-api: "No available channel for model"
    (ErrorClass::Overloaded, "no available"),
    // gateways: "upstream timed out"
    (ErrorClass::Server, "timed out"),
    // MiniMax 1001; gateways
    (ErrorClass::Server, "timeout"),
    // HTTP: "504 Gateway Time-out"
    (ErrorClass::Server, "gateway time"),
    // HTTP: "502 Bad Gateway"
    (ErrorClass::Server, "bad gateway"),
    // Google: "An internal error has occurred."
    (ErrorClass::Server, "internal error"),
    // HTTP
    (ErrorClass::Server, "internal server error"),
    // OpenAI: "The server had an error while processing your request."
    (ErrorClass::Server, "server error"),
    // Envoy
    (ErrorClass::Server, "upstream connect error"),
    // OpenRouter
    (ErrorClass::Server, "upstream error"),
    // new-api: "upstream request failed"
    (ErrorClass::Server, "upstream request"),
    // Envoy
    (ErrorClass::Server, "connection reset"),
    // LiteLLM
    (ErrorClass::Server, "connection error"),
    // OpenRouter: "Provider disconnected unexpectedly"
    (ErrorClass::Server, "provider disconnected"),
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
            // A timeout, a conflict and "too early" pass, as failures of a server do.
            408 | 409 | 425 | 500..=599 => Some(Self::Server),
            _ => None,
        }
    }
}

impl ProviderError {
    /// The class of this error, by its status, code and message; `None` if they do not show one.
    ///
    /// The HTTP status decides, except for a bad request, where code and message are more specific, and for one that is
    /// forbidden, which it may be by a filter.
    #[must_use]
    pub fn class(&self, status: Option<u16>) -> Option<ErrorClass> {
        let status = status.or(self.status);
        let by_status = status.and_then(ErrorClass::of_status);
        let named = [&self.code, &self.kind].into_iter().flatten().find_map(|name| class_of_name(name));
        match by_status {
            Some(ErrorClass::PermissionDenied) => {
                let by_words = named.or_else(|| class_of_message(&self.message));
                by_words.filter(|class| *class == ErrorClass::ContentPolicy).or(by_status)
            }
            Some(class) if class != ErrorClass::BadRequest => by_status,
            _ => self.class_by_words(named, by_status, status.is_some()),
        }
    }

    /// The class by code and message: `named` by the code, and no class by the status, or that of a bad request.
    fn class_by_words(
        &self,
        named: Option<ErrorClass>,
        by_status: Option<ErrorClass>,
        has_status: bool,
    ) -> Option<ErrorClass> {
        use ErrorClass::{BadRequest, ContentPolicy, ContextWindow, Overloaded, Server};
        let by_words = class_of_message(&self.message);
        // A request that is bad is not made good by the failure that its message speaks of.
        let fault = by_words.filter(|class| !matches!(class, Overloaded | Server));
        match (named, by_status) {
            (Some(ContextWindow | ContentPolicy), _) => named,
            // A status without a class, such as 402, is not that of a failure.
            (None, None) if has_status => fault,
            (None, None) => by_words,
            (None | Some(BadRequest | Overloaded | Server), Some(_)) => fault.or(by_status),
            (Some(Server), None) => by_words.or(named),
            (Some(BadRequest), None) | (Some(_), Some(_)) => fault.or(named),
            (Some(_), None) => named,
        }
    }
}

fn class_of_name(name: &str) -> Option<ErrorClass> {
    let plain = plain(name);
    let known = NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(class, _)| *class);
    known.or_else(|| match bad_end(name)? {
        FinishReason::ContentFilter => Some(ErrorClass::ContentPolicy),
        _ => Some(ErrorClass::Server),
    })
}

/// The class of the first phrase that is in a message.
pub(crate) fn class_of_message(message: &str) -> Option<ErrorClass> {
    let lower = message.to_lowercase();
    PHRASES.iter().find(|(_, phrase)| lower.contains(phrase)).map(|(class, _)| *class)
}
