//! Errors of a script.

use std::fmt;

/// A script that cannot be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    field: String,
    reason: String,
}

impl ScriptError {
    pub(super) fn new(field: String, reason: String) -> Self {
        Self { field, reason }
    }

    /// The path of the field, such as `turns[0].fault`; empty if the error is about the whole document.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "the script is wrong: {}", self.reason),
            field => write!(f, "the script is wrong at `{field}`: {}", self.reason),
        }
    }
}

impl std::error::Error for ScriptError {}

impl From<serde_path_to_error::Error<serde_json::Error>> for ScriptError {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let field = error.path().to_string();
        // `serde_path_to_error` writes "." for the document itself.
        let field = if field == "." { String::new() } else { field };
        Self::new(field, error.into_inner().to_string())
    }
}
