//! Bodies that are not a model's response, or not in the expected form.

use headrace_wire::{BodyDecoder, BodyError, DecodeError, Delta, Dialect, Ending, RecordedBody, RecordedEnd};

/// Decodes a body of this dialect in pieces of this size.
fn decode(dialect: Dialect, body: &[u8], size: usize) -> (Vec<Delta>, Result<Ending, BodyError>) {
    let mut decoder = BodyDecoder::new(dialect, 4096);
    let mut deltas = Vec::new();
    for piece in body.chunks(size) {
        if let Err(error) = decoder.feed(piece, &mut deltas) {
            return (deltas, Err(error));
        }
    }
    let ending = decoder.finish(&mut deltas);
    (deltas, ending)
}

/// Decodes a body of unknown dialect in pieces of this size.
fn recorded(body: &[u8], size: usize) -> (Option<Dialect>, RecordedEnd) {
    let mut decoder = RecordedBody::new(None, 4096);
    let mut deltas = Vec::new();
    body.chunks(size).for_each(|piece| decoder.feed(piece, &mut deltas));
    let end = decoder.finish(&mut deltas);
    (decoder.dialect(), end)
}

#[test]
fn a_web_page_is_an_error_in_every_dialect() {
    let page = format!("\u{feff} \r\n<!DOCTYPE html><title>Grüße</title>{}", "<p>".repeat(2000));
    for dialect in Dialect::ALL {
        let (deltas, whole) = decode(dialect, page.as_bytes(), page.len());
        assert!(
            matches!(&whole, Err(BodyError::Page { excerpt }) if excerpt.starts_with("<!DOCTYPE html><title>Grüße")),
            "{dialect:?}: {whole:?}"
        );
        assert_eq!(deltas, []);
        for size in [1, 2, 3, 1000] {
            assert_eq!(decode(dialect, page.as_bytes(), size).1, whole, "{dialect:?} in pieces of {size}");
        }
    }
}

#[test]
fn a_short_web_page_is_an_error() {
    for size in [1, 100] {
        let (_, ending) = decode(Dialect::OpenAiChat, b"<html>", size);
        assert_eq!(ending, Err(BodyError::Page { excerpt: "<html>".to_owned() }));
    }
}

#[test]
fn a_compressed_body_is_an_error() {
    for (body, format) in [(&b"\x1f\x8b\x08\0\0\0\0"[..], "gzip"), (b"\x28\xb5\x2f\xfd\0\0", "zstd")] {
        for dialect in Dialect::ALL {
            for size in [1, 2, 100] {
                assert_eq!(
                    decode(dialect, body, size).1,
                    Err(BodyError::Compressed { format }),
                    "{dialect:?}"
                );
            }
        }
        assert_eq!(recorded(body, 1).1, RecordedEnd::Protocol(BodyError::Compressed { format }));
    }
}

#[test]
fn a_body_that_is_not_a_stream_has_a_size_limit() {
    let document = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{}\"}}}}]}}", "x".repeat(5000));
    for size in [1, 999, document.len()] {
        let (_, ending) = decode(Dialect::OpenAiChat, document.as_bytes(), size);
        assert!(
            matches!(ending, Err(BodyError::Decode(DecodeError::EventTooLarge(_)))),
            "pieces of {size}: {ending:?}"
        );
    }
}

#[test]
fn a_stream_of_small_events_has_no_size_limit() {
    let stream =
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".repeat(1000) + "data: [DONE]\n\n";
    for size in [7, stream.len()] {
        let (deltas, ending) = decode(Dialect::OpenAiChat, stream.as_bytes(), size);
        assert_eq!((deltas.len(), ending), (1000, Ok(Ending::Complete)));
    }
}

#[test]
fn the_dialect_is_detected_wherever_the_body_is_cut() {
    let openai = b"\xef\xbb\xbf: ping\n\nevent: ping\ndata: 1\n\ndata: {\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n\n";
    let ollama = b"\n{\"error\":\"no such model\"}";
    for size in 1..openai.len() {
        assert_eq!(
            recorded(openai, size),
            (Some(Dialect::OpenAiChat), RecordedEnd::Complete),
            "pieces of {size}"
        );
        assert_eq!(recorded(ollama, size), (Some(Dialect::Ollama), RecordedEnd::Error), "pieces of {size}");
    }
}

#[test]
fn the_error_for_an_unknown_dialect_has_an_excerpt() {
    let body = format!("no {}", "ü".repeat(5000));
    for size in [1, 1000, body.len()] {
        let (dialect, end) = recorded(body.as_bytes(), size);
        assert_eq!(dialect, None);
        let RecordedEnd::Protocol(BodyError::Unknown { excerpt }) = end else {
            unreachable!("{end:?}");
        };
        assert_eq!(excerpt, body.chars().take(200).collect::<String>());
    }
}
