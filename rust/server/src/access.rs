//! The access log: a line of JSON for each request that an agent was asked.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// One request, when its answer has ended.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    pub(crate) run: &'a str,
    /// The name of the key; never the key.
    pub(crate) key: Option<&'a str>,
    pub(crate) model: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) status: u16,
    /// `complete`, `left`, or the class of the error.
    pub(crate) outcome: &'a str,
    pub(crate) seconds: f64,
    pub(crate) ttft: Option<f64>,
    /// Tokens of the prompt and the answer, as far as they are known.
    pub(crate) tokens: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    record: &'a Record<'a>,
}

/// Where the lines go.
#[derive(Debug, Default)]
pub(crate) struct Access(Option<Mutex<File>>);

impl Access {
    /// Opens the log; `None` for none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        Ok(Self(file.map(Mutex::new)))
    }

    pub(crate) fn write(&self, record: &Record<'_>) {
        let Some(file) = &self.0 else { return };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let Ok(mut line) = serde_json::to_vec(&Line { time, record }) else { return };
        line.push(b'\n');
        // A full disk must not stop answers.
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }
}
