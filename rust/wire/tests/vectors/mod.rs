//! Reads the conformance vectors, which are plain files so that any language can run them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it finds what it does not expect")]

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

/// The endings of bodies: one for each framing, and that of bodies that are no stream.
const BODIES: [&str; 4] = ["sse", "ndjson", "awses", "body"];

/// Name, body and expectation of each body and its `NAME.json` under `tests/conformance/FOLDER`.
pub(crate) fn read<T: DeserializeOwned>(folder: &str) -> Vec<(String, Vec<u8>, T)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(folder);
    let mut vectors: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| BODIES.iter().any(|body| extension == *body)))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let json = fs::read(path.with_extension("json")).unwrap();
            let expected =
                serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{name}.json: {error}"));
            (name, fs::read(&path).unwrap(), expected)
        })
        .collect();
    vectors.sort_by(|a, b| a.0.cmp(&b.0));
    vectors
}
