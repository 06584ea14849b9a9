//! From one frame to [`Delta`](crate::Delta)s: one module for each provider's format, and what they share.

pub mod anthropic;
pub mod bedrock;
pub mod cohere;
mod detect;
pub(crate) mod emit;
pub mod gemini;
mod identity;
mod json;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
mod reasons;
mod tool_calls;
