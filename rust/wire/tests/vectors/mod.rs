//! Reads the conformance vectors, which are plain files so that any language can run them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

/// The file extensions of bodies: one for each framing, and `body` for bodies that are not streams.
const BODIES: [&str; 4] = ["sse", "ndjson", "awses", "body"];

/// All vectors in `tests/conformance/FOLDER`, sorted by name: the name, the body, and what its `NAME.json` expects.
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
