//! Who may ask: the keys of a file, and what each of them may do.
//!
//! The file has no keys but their SHA-256: whoever reads it cannot ask. A plain hash is enough, because a key is 256 random
//! bits and no password. It is read again when it changes.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::refusal::{Refusal, RefusalKind};

/// How often the file is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);

/// One key, as the file has it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose key it is; for logs and limits.
    pub name: String,
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// How many answers it may have at a time.
    #[serde(default)]
    pub streams: Option<u32>,
    /// How many requests it may make in a minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// How many tokens, of prompts and answers, it may use in a minute. The request that exceeds it is still answered.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
    /// The models that it may ask; all if there are none.
    #[serde(default)]
    pub models: BTreeSet<String>,
}

/// An entry, and the digest of its key.
type Known = (Arc<Entry>, [u8; 32]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

/// The keys of a file.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: Vec<Known>,
    modified: Option<SystemTime>,
    looked: Instant,
    /// By the name of the key: so limits go on when the file is read again.
    spent: HashMap<String, Spent>,
}

/// What a key has used.
#[derive(Debug, Default)]
struct Spent {
    streams: u32,
    minute: Option<Instant>,
    requests: u32,
    tokens: u64,
}

/// A request that a key has allowed. Its stream counts until this is dropped.
#[derive(Debug)]
pub struct Grant {
    keys: Arc<Keys>,
    entry: Arc<Entry>,
}

impl Grant {
    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Whether the key may ask this model.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.entry.models.is_empty() || self.entry.models.contains(model)
    }

    /// Counts the tokens of the answer.
    pub fn spend(&self, tokens: u64) {
        let mut state = self.keys.state();
        let spent = state.spent.entry(self.entry.name.clone()).or_default();
        spent.tokens = spent.tokens.saturating_add(tokens);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(spent) = self.keys.state().spent.get_mut(&self.entry.name) {
            spent.streams = spent.streams.saturating_sub(1);
        }
    }
}

impl Keys {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// Why it cannot be read, with the place.
    pub fn open(path: PathBuf) -> Result<Arc<Self>, String> {
        let modified = modified(&path);
        let entries = read(&path)?;
        let state = State { entries, modified, looked: Instant::now(), spent: HashMap::new() };
        Ok(Arc::new(Self { path, state: Mutex::new(state) }))
    }

    /// Checks the key of a request, without counting it.
    ///
    /// # Errors
    /// It has none, or an unknown one.
    pub fn check(&self, headers: &HeaderMap) -> Result<Arc<Entry>, Refusal> {
        let Some(given) = key_of(headers) else {
            let message = "this server needs a key: send it as `Authorization: Bearer …` or `x-api-key: …`";
            return Err(Refusal::new(RefusalKind::NoKey, message));
        };
        let digest = Sha256::digest(given);
        let mut state = self.state();
        self.refresh(&mut state);
        // All are compared, so that the time tells nothing of where one differs.
        let mut found = None;
        for (entry, known) in &state.entries {
            if bool::from(known.as_slice().ct_eq(digest.as_slice())) {
                found = Some(Arc::clone(entry));
            }
        }
        found.ok_or_else(|| Refusal::new(RefusalKind::NoKey, "this key is not known here"))
    }

    /// Counts a request of a key.
    ///
    /// # Errors
    /// The key has reached one of its limits.
    pub fn grant(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Grant, Refusal> {
        let mut state = self.state();
        let spent = state.spent.entry(entry.name.clone()).or_default();
        let now = Instant::now();
        let began = *spent.minute.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= MINUTE {
            (spent.minute, spent.requests, spent.tokens) = (Some(now), 0, 0);
        }
        let left = MINUTE.saturating_sub(passed).as_secs_f64();
        let refused = |what: String, wait: f64| {
            let message = format!("the key {:?} has reached its limit of {what}", entry.name);
            Err(Refusal { kind: RefusalKind::RateLimit, message, retry_after: Some(wait) })
        };
        if let Some(most) = entry.streams.filter(|most| spent.streams >= *most) {
            return refused(format!("{most} answers at a time"), 1.0);
        }
        if let Some(most) = entry.requests_per_minute.filter(|most| spent.requests >= *most) {
            return refused(format!("{most} requests a minute"), left);
        }
        if let Some(most) = entry.tokens_per_minute.filter(|most| spent.tokens >= *most) {
            return refused(format!("{most} tokens a minute"), left);
        }
        spent.streams += 1;
        spent.requests += 1;
        Ok(Grant { keys: Arc::clone(self), entry: Arc::clone(entry) })
    }

    /// Reads the file again if it has changed. One that cannot be read, as while it is being written, changes nothing.
    fn refresh(&self, state: &mut State) {
        if state.looked.elapsed() < LOOK {
            return;
        }
        state.looked = Instant::now();
        let now = modified(&self.path);
        if now != state.modified
            && let Ok(entries) = read(&self.path)
        {
            (state.entries, state.modified) = (entries, now);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn read(path: &Path) -> Result<Vec<Known>, String> {
    let place = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{place}: {error}"))?;
    let mut names = BTreeSet::new();
    let mut entries = Vec::with_capacity(file.key.len());
    for entry in file.key {
        if !names.insert(entry.name.clone()) {
            return Err(format!("{place}: two keys are called {:?}", entry.name));
        }
        let digest = digest_of(&entry.sha256)
            .ok_or_else(|| format!("{place}: the sha256 of {:?} is not 64 hexadecimal digits", entry.name))?;
        entries.push((Arc::new(entry), digest));
    }
    if entries.is_empty() {
        return Err(format!("{place}: there is no key in it; `headrace keys new` makes one"));
    }
    Ok(entries)
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// The key of a request, as clients of OpenAI and of Anthropic send it.
fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| headers.get("x-api-key").map(http::HeaderValue::as_bytes)).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn keys(more: &str) -> (tempfile::NamedTempFile, Arc<Keys>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // The SHA-256 of "secret".
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        write!(file, "[[key]]\nname = \"ann\"\nsha256 = \"{hash}\"\n{more}").unwrap();
        let keys = Keys::open(file.path().to_owned()).unwrap();
        (file, keys)
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_known_in_either_header() {
        let (_file, keys) = keys("");
        for (name, value) in
            [("authorization", "Bearer secret"), ("authorization", "bearer secret"), ("x-api-key", "secret")]
        {
            assert_eq!(keys.check(&headers(name, value)).unwrap().name, "ann");
        }
        for (name, value) in
            [("authorization", "Bearer other"), ("authorization", "secret"), ("x-api-key", "")]
        {
            assert_eq!(keys.check(&headers(name, value)).unwrap_err().kind, RefusalKind::NoKey);
        }
    }

    #[test]
    fn limits_are_each_keys_own() {
        let (_file, keys) = keys("streams = 1\nrequests_per_minute = 2\n");
        let grant = || keys.grant(&keys.check(&headers("x-api-key", "secret")).unwrap());
        let first = grant().unwrap();
        assert!(grant().unwrap_err().message.contains("1 answers at a time"));
        drop(first);
        drop(grant().unwrap());
        let refused = grant().unwrap_err();
        assert!(refused.message.contains("2 requests a minute"));
        assert!(refused.retry_after.is_some_and(|wait| wait > 1.0 && wait <= 60.0));
    }

    #[test]
    fn tokens_count_once_the_answer_is_there() {
        let (_file, keys) = keys("tokens_per_minute = 10\n");
        let grant = || keys.grant(&keys.check(&headers("x-api-key", "secret")).unwrap());
        grant().unwrap().spend(10);
        assert!(grant().unwrap_err().message.contains("10 tokens a minute"));
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_with_the_place() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (text, why) in [
            ("", "no key in it"),
            ("[[key]]\nname = \"ann\"\nsha256 = \"12\"\n", "64 hexadecimal digits"),
            ("[[key]]\nname = \"ann\"\nkey = \"secret\"\n", "unknown field `key`"),
        ] {
            file.as_file_mut().set_len(0).unwrap();
            std::io::Seek::rewind(file.as_file_mut()).unwrap();
            write!(file, "{text}").unwrap();
            let error = Keys::open(file.path().to_owned()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
