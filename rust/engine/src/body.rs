//! Turns an error of a response's body into the failure of its stream.

use headrace_wire::{BodyError, DecodeError};

use crate::end::{Failure, FailureKind};
use crate::pump::Stop;

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        let kind = match &error {
            BodyError::Decode(DecodeError::EventTooLarge(_)) => FailureKind::EventTooLarge,
            _ => FailureKind::Protocol,
        };
        let message = match error {
            BodyError::Page { excerpt } => format!(
                "the server answered with a web page instead of a stream; is the URL right? {excerpt}"
            ),
            error => error.to_string(),
        };
        Failure::new(kind, message).into()
    }
}
