//! `Content-Encoding`: bodies that come compressed although nobody asked for it.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use headrace_wire::http1::Headers;

use super::TransportError;
use crate::end::FailureKind;

/// How many compressed bytes are taken at a time. They may be a thousand times as much afterwards.
const PIECE_BYTES: usize = 1024;

/// Undoes the encodings of one body. What it can decode of the bytes so far, it decodes at once.
pub(super) struct ContentDecoder {
    /// In the order in which they are undone.
    layers: Vec<Layer>,
}

enum Layer {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// Servers mean either of two formats by `deflate`; the first byte tells which.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    RawDeflate(DeflateDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl ContentDecoder {
    /// The decoder for these headers; `None` if there is nothing to decode.
    pub(super) fn of(headers: &Headers) -> Result<Option<Self>, TransportError> {
        let names = headers.all("content-encoding").flat_map(|value| value.split(','));
        let names: Vec<String> = names
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        if names.is_empty() {
            return Ok(None);
        }
        let layers = names.iter().rev().map(|name| Layer::new(name)).collect::<Result<_, _>>()?;
        Ok(Some(Self { layers }))
    }

    /// Decodes the next bytes.
    pub(super) fn decode(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), TransportError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut decoded = piece.to_vec();
            for layer in &mut self.layers {
                decoded = layer.decode(&decoded).map_err(|error| damaged(&error))?;
            }
            if !decoded.is_empty() {
                each(&decoded);
            }
        }
        Ok(())
    }
}

impl Layer {
    fn new(name: &str) -> Result<Self, TransportError> {
        match name {
            "gzip" | "x-gzip" => Ok(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), 4096)))),
            "zstd" => {
                let decoder =
                    zstd::stream::write::Decoder::new(Vec::new()).map_err(|error| damaged(&error))?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
            other => Err(TransportError::new(
                FailureKind::Protocol,
                format!(
                    "the response has the Content-Encoding {other:?}; gzip, deflate, br and zstd are known"
                ),
            )),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let Some(first) = bytes.first() else { return Ok(Vec::new()) };
        if matches!(self, Self::Deflate) {
            let is_zlib = first & 0x0f == 8;
            *self = if is_zlib {
                Self::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Self::RawDeflate(DeflateDecoder::new(Vec::new()))
            };
        }
        match self {
            Self::Gzip(decoder) => written(decoder, bytes, MultiGzDecoder::get_mut),
            Self::Zlib(decoder) => written(decoder, bytes, ZlibDecoder::get_mut),
            Self::RawDeflate(decoder) => written(decoder, bytes, DeflateDecoder::get_mut),
            Self::Brotli(decoder) => written(&mut **decoder, bytes, DecompressorWriter::get_mut),
            Self::Zstd(decoder) => written(&mut **decoder, bytes, zstd::stream::write::Decoder::get_mut),
            Self::Deflate => Ok(Vec::new()),
        }
    }
}

/// Writes bytes into a decoder, and takes what it made of them.
fn written<D: Write>(
    decoder: &mut D,
    bytes: &[u8],
    output: impl FnOnce(&mut D) -> &mut Vec<u8>,
) -> io::Result<Vec<u8>> {
    decoder.write_all(bytes)?;
    decoder.flush()?;
    Ok(std::mem::take(output(decoder)))
}

fn damaged(error: &io::Error) -> TransportError {
    TransportError::new(FailureKind::Protocol, format!("the compressed body is damaged: {error}"))
}
