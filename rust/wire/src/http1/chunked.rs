//! Bodies of `Transfer-Encoding: chunked`: RFC 9112, section 7.1.

use super::error::Http1Error;
use super::head::MAX_HEADERS;
use super::{Step, take};

/// The most bytes of chunk extensions, and of trailers, of one body.
pub(super) const MAX_EXTRA_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// The size read so far, then what is left of the chunk.
    left: u64,
    extension_bytes: usize,
    trailers: Vec<u8>,
    trailer_lines: usize,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first digit of a size.
    Size,
    /// Another digit, or what follows.
    MoreSize,
    /// White space after the size.
    AfterSize,
    Extension,
    SizeLf,
    Body,
    BodyCr,
    BodyLf,
    /// The first byte of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { place: Place::Size, left: 0, extension_bytes: 0, trailers: Vec::new(), trailer_lines: 0 }
    }

    /// The next bytes of the body. The trailers are checked and dropped.
    pub(super) fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Step<'a>, Http1Error> {
        while let Some(&byte) = input.first() {
            if self.place == Place::Body {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                self.left -= taken as u64;
                if self.left == 0 {
                    self.place = Place::BodyCr;
                }
                return Ok(Step::Body(take(input, taken)));
            }
            *input = &input[1..];
            if self.place == Place::EndLf {
                return self.end(byte).map(|()| Step::End);
            }
            self.place = self.next(byte)?;
        }
        Ok(Step::More)
    }

    /// Where a byte outside of a chunk's content leads.
    fn next(&mut self, byte: u8) -> Result<Place, Http1Error> {
        match (self.place, byte) {
            (Place::Size | Place::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (Place::MoreSize | Place::AfterSize, b'\t' | b' ') => Ok(Place::AfterSize),
            (Place::MoreSize | Place::AfterSize, b';') => Ok(Place::Extension),
            (Place::MoreSize | Place::AfterSize | Place::Extension, b'\r') => Ok(Place::SizeLf),
            // A bare line feed would end the line for some readers and not for others.
            (Place::Extension, b'\n') | (Place::Size | Place::MoreSize | Place::AfterSize, _) => {
                Err(Http1Error::ChunkSize)
            }
            (Place::Extension, _) => {
                self.extension_bytes += 1;
                bounded(self.extension_bytes).map(|()| Place::Extension)
            }
            (Place::SizeLf, b'\n') if self.left == 0 => Ok(Place::TrailerStart),
            (Place::SizeLf, b'\n') => Ok(Place::Body),
            (Place::SizeLf, _) => Err(Http1Error::ChunkSize),
            (Place::BodyCr, b'\r') => Ok(Place::BodyLf),
            (Place::BodyLf, b'\n') => Ok(Place::Size),
            (Place::Body | Place::BodyCr | Place::BodyLf, _) => Err(Http1Error::ChunkEnd),
            (Place::TrailerStart, b'\r') => Ok(Place::EndLf),
            (Place::Trailer, b'\r') => self.trailer(byte, Place::TrailerLf),
            (Place::TrailerStart | Place::Trailer, _) => self.trailer(byte, Place::Trailer),
            (Place::TrailerLf, b'\n') => {
                self.trailer_lines += 1;
                self.trailer(byte, Place::TrailerStart)
            }
            (Place::TrailerLf | Place::EndLf, _) => Err(Http1Error::Trailers),
        }
    }

    fn trailer(&mut self, byte: u8, next: Place) -> Result<Place, Http1Error> {
        self.trailers.push(byte);
        bounded(self.trailers.len()).map(|()| next)
    }

    /// The last byte of the body. The trailers must be headers.
    fn end(&mut self, byte: u8) -> Result<(), Http1Error> {
        if byte != b'\n' {
            return Err(Http1Error::Trailers);
        }
        if self.trailers.is_empty() {
            return Ok(());
        }
        self.trailers.extend_from_slice(b"\r\n");
        let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
        // Room for a trailer in each line: a bare line feed, which some readers take for a line's end, makes no more.
        let Some(space) = space.get_mut(..self.trailer_lines) else { return Err(Http1Error::Trailers) };
        match httparse::parse_headers(&self.trailers, space) {
            Ok(httparse::Status::Complete(_)) => Ok(()),
            Ok(httparse::Status::Partial) | Err(_) => Err(Http1Error::Trailers),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Place, Http1Error> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        let larger = self.left.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
        self.left = larger.ok_or(Http1Error::ChunkSize)?;
        Ok(Place::MoreSize)
    }
}

const fn bounded(count: usize) -> Result<(), Http1Error> {
    if count >= MAX_EXTRA_BYTES { Err(Http1Error::ExtrasTooLarge(MAX_EXTRA_BYTES)) } else { Ok(()) }
}
