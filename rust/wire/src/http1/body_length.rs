//! How long a response's body is: RFC 9112, section 6.3.

use super::Tunnel;
use super::error::Http1Error;
use super::head::Headers;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(u64),
    Chunked,
    UntilClose,
}

impl BodyLength {
    pub(super) fn of(
        status: u16,
        is_http_10: bool,
        headers: &Headers,
        tunnel: Tunnel,
    ) -> Result<Self, Http1Error> {
        if matches!(status, 204 | 304) || (tunnel == Tunnel::Yes && (200..300).contains(&status)) {
            return Ok(Self::Known(0));
        }
        if let Some(last) = headers.all("transfer-encoding").last() {
            // Before `Content-Length`: a response with both is a smuggler's, or a proxy's that forgot to remove one.
            if is_http_10 {
                return Err(Http1Error::TransferEncoding);
            }
            // A value of other than ASCII is no list of encodings, whatever it ends with.
            let is_chunked = last.is_ascii()
                && tokens(last).next_back().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            return Ok(if is_chunked { Self::Chunked } else { Self::UntilClose });
        }
        content_length(headers).map(|length| length.map_or(Self::UntilClose, Self::Known))
    }
}

/// The one number that all `Content-Length` headers say.
fn content_length(headers: &Headers) -> Result<Option<u64>, Http1Error> {
    let mut length = None;
    for value in headers.all("content-length").flat_map(tokens) {
        // Not `parse` alone, which takes a sign.
        let digits = (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())).then_some(value);
        let number = digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(Http1Error::ContentLength)?;
        // The largest two are no lengths in hyper, which keeps them for other meanings.
        if number > u64::MAX - 2 || length.is_some_and(|known| known != number) {
            return Err(Http1Error::ContentLength);
        }
        length = Some(number);
    }
    Ok(length)
}

/// The elements of a comma-separated list. Only a space and a tab are white space in HTTP: RFC 9110, section 5.6.3.
pub(super) fn tokens(value: &str) -> impl DoubleEndedIterator<Item = &str> {
    value.split(',').map(|element| element.trim_matches([' ', '\t']))
}
