//! Text as tokens.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A text as tokens: in JSON a list of tokens, or one string, which is split before each word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<String>);

impl Tokens {
    /// The tokens. They are sent as they are, even if empty.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for Tokens {
    fn from(text: &str) -> Self {
        Self(split(text).map(str::to_owned).collect())
    }
}

impl<S: Into<String>> FromIterator<S> for Tokens {
    fn from_iter<I: IntoIterator<Item = S>>(tokens: I) -> Self {
        Self(tokens.into_iter().map(Into::into).collect())
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokensVisitor)
    }
}

/// How many tokens a text has.
pub(crate) fn count_tokens(text: &str) -> usize {
    split(text).count()
}

/// Splits before the space of each word, as tokenizers do: `"a b"` becomes `"a"`, `" b"`. No character is lost.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |space| word + space);
        let (token, after) = rest.split_at(end);
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

struct TokensVisitor;

impl<'de> Visitor<'de> for TokensVisitor {
    type Value = Tokens;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, text: &str) -> Result<Tokens, E> {
        Ok(Tokens::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tokens, A::Error> {
        let mut tokens = Vec::new();
        while let Some(token) = seq.next_element()? {
            tokens.push(token);
        }
        Ok(Tokens(tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_includes_its_leading_space() {
        assert_eq!(Tokens::from("Hello from  here.\n").as_slice(), ["Hello", " from", "  here.", "\n"]);
        assert!(Tokens::from("").as_slice().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn tokens_joined_are_the_text(text in "\\PC*|[a \n]*") {
            proptest::prop_assert_eq!(Tokens::from(text.as_str()).as_slice().concat(), text);
        }
    }
}
