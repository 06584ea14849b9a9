//! One tokio runtime per process, built on first use, and built again in a forked child.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Runtime};

use crate::client::Clients;
use crate::fork::Process;

/// How many network threads there are at most, unless `HEADRACE_WORKER_THREADS` says otherwise. On a small machine there
/// is one: the tasks of a connection and of its stream wake each other for each HTTP chunk, and where they are on two
/// threads, they and the reader wait for two processors. Measured on two: one chunk for each token is 1.3 times as fast
/// with one thread, for four fifths of the processor time.
const MOST_WORKER_THREADS: usize = 2;

/// Names the number of network threads.
const WORKER_THREADS: &str = "HEADRACE_WORKER_THREADS";

/// The runtime and what lives as long as it.
pub(crate) struct Engine {
    pub(crate) runtime: Runtime,
    pub(crate) clients: Mutex<Clients>,
}

/// The engine of one process. Dropping this must not drop the engine: in a forked child that would wait for threads
/// that do not exist there. So it is leaked, once per process.
struct Owned {
    process: Process,
    engine: &'static Engine,
}

static CURRENT: ArcSwapOption<Owned> = ArcSwapOption::const_empty();

/// The network threads could not be started.
#[derive(Debug)]
pub enum RuntimeError {
    /// `HEADRACE_WORKER_THREADS` is not a positive number; this is its value.
    WorkerThreads(String),
    /// The operating system refused.
    Io(io::Error),
}

/// The engine of this process.
///
/// Lock-free on the way that every call takes: a lock that another thread held at the moment of a `fork` would stay
/// locked in the child for ever.
pub(crate) fn engine() -> Result<&'static Engine, RuntimeError> {
    let process = Process::current();
    if let Some(owned) = CURRENT.load().as_ref().filter(|owned| owned.process == process) {
        return Ok(owned.engine);
    }
    let built = Owned { process, engine: Box::leak(Box::new(build()?)) };
    // Two threads may come here at once. The second to store loses: its threads idle, and nobody else uses them.
    let built = std::sync::Arc::new(built);
    CURRENT.rcu(|current| match current {
        Some(owned) if owned.process == process => std::sync::Arc::clone(owned),
        _ => std::sync::Arc::clone(&built),
    });
    Ok(CURRENT.load().as_ref().map_or(built.engine, |owned| owned.engine))
}

fn build() -> Result<Engine, RuntimeError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(worker_threads()?.get())
        .thread_name("headrace-net")
        .enable_all()
        .build()
        .map_err(RuntimeError::Io)?;
    Ok(Engine { runtime, clients: Mutex::default() })
}

fn worker_threads() -> Result<NonZeroUsize, RuntimeError> {
    match std::env::var(WORKER_THREADS) {
        Ok(text) if !text.is_empty() => text.trim().parse().map_err(|_| RuntimeError::WorkerThreads(text)),
        _ => Ok(default_worker_threads()),
    }
}

/// One for every two processors, up to the most.
fn default_worker_threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((processors / 2).min(MOST_WORKER_THREADS)).unwrap_or(NonZeroUsize::MIN)
}
