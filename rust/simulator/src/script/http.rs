//! Parts of a response's head that a script may set, checked to be valid HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct StatusCode(u16);

impl StatusCode {
    pub(super) const fn ok() -> Self {
        Self(200)
    }

    pub(super) const fn temporary_redirect() -> Self {
        Self(307)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for StatusCode {
    /// The status of a `status` fault that does not set one.
    fn default() -> Self {
        Self(500)
    }
}

impl TryFrom<u16> for StatusCode {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, Self::Error> {
        if (200..600).contains(&status) {
            Ok(Self(status))
        } else {
            Err(format!("{status} is not from 200 to 599"))
        }
    }
}

/// The value of a header: one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderText(String);

impl HeaderText {
    pub(super) fn event_stream() -> Self {
        Self("text/event-stream".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains(['\n', '\r', '\0']) {
            Err(format!("{text:?} is not one line"))
        } else {
            Ok(Self(text))
        }
    }
}

/// Headers by their lower-case names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, HeaderText>")]
pub struct Headers(BTreeMap<String, HeaderText>);

impl Headers {
    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<BTreeMap<String, HeaderText>> for Headers {
    type Error = String;

    fn try_from(headers: BTreeMap<String, HeaderText>) -> Result<Self, Self::Error> {
        headers
            .into_iter()
            .map(|(name, value)| Ok((header_name(&name)?, value)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn header_name(name: &str) -> Result<String, String> {
    let name = name.to_ascii_lowercase();
    if matches!(name.as_str(), "content-length" | "transfer-encoding") {
        return Err(format!("`{name}` is set by the simulator"));
    }
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if valid { Ok(name) } else { Err(format!("{name:?} is not the name of a header")) }
}
