//! The JSON documents of a body that was not streamed.

use serde_json::value::RawValue;

use crate::stream::DecodeError;

/// Iterates over the JSON documents of a body: one document, several in a row, or the elements of an array. A last
/// document that was cut off is left out.
#[derive(Debug)]
pub(crate) struct Documents<'a> {
    rest: &'a str,
    in_array: bool,
}

impl<'a> Documents<'a> {
    /// The documents in `body`.
    pub(crate) fn of(body: &'a str) -> Self {
        let start = body.trim_ascii_start();
        let elements = start.strip_prefix('[').filter(|_| !start.starts_with(DONE));
        Self { rest: elements.unwrap_or(start), in_array: elements.is_some() }
    }

    fn read(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let is_between = |char: char| char.is_ascii_whitespace() || (self.in_array && char == ',');
        let rest = self.rest.trim_start_matches(is_between);
        if rest.is_empty() || (self.in_array && rest.starts_with(']')) || rest.starts_with(DONE) {
            return Ok(None);
        }
        let mut documents = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match documents.next() {
            Some(Ok(document)) => {
                self.rest = &rest[documents.byte_offset()..];
                Ok(Some(document.get()))
            }
            Some(Err(error)) if !error.is_eof() => Err(DecodeError::json(&error, rest)),
            _ => Ok(None),
        }
    }
}

/// The last line of a recording that kept the data of each SSE event as a line.
const DONE: &str = "[DONE]";

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a str, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.read().transpose();
        if !matches!(document, Some(Ok(_))) {
            self.rest = "";
        }
        document
    }
}
