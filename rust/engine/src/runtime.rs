//! One tokio runtime per process, built on first use, and built again in a forked child.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::bell;
use crate::fork::Process;
use crate::transport::options::ConnectionOptions;
use crate::transport::{Transport, TransportError};

/// The most network threads, unless `HEADRACE_WORKER_THREADS` is set. A machine with two or three processors gets one
/// thread: two of them and the reader would compete for two processors. Measured with the HTTP client before this one, on
/// two processors, with one token per chunk: one thread was 1.3 times as fast, in four fifths of the processor time.
const MAX_WORKER_THREADS: usize = 2;

/// The environment variable with the number of network threads.
const WORKER_THREADS_VARIABLE: &str = "HEADRACE_WORKER_THREADS";

/// The runtime, and the transports that live on it.
pub(crate) struct Engine {
    pub(crate) runtime: Runtime,
    transports: Mutex<HashMap<Arc<ConnectionOptions>, Arc<Transport>>>,
}

impl Engine {
    /// The transport with these options, made at the first call.
    pub(crate) fn transport(
        &self,
        options: &Arc<ConnectionOptions>,
    ) -> Result<Arc<Transport>, TransportError> {
        let mut transports = self.transports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = transports.get(options) {
            return Ok(Arc::clone(transport));
        }
        let transport = Arc::new(Transport::new(ConnectionOptions::clone(options))?);
        transports.insert(Arc::clone(options), Arc::clone(&transport));
        Ok(transport)
    }
}

/// The engine of one process. It is leaked, once per process: dropping the runtime in a forked child would wait for
/// threads that do not exist there.
struct ProcessEngine {
    process: Process,
    engine: &'static Engine,
}

static CURRENT: ArcSwapOption<ProcessEngine> = ArcSwapOption::const_empty();

/// The network threads could not be started.
#[derive(Debug)]
pub enum RuntimeError {
    /// `HEADRACE_WORKER_THREADS` has this value, which is not a positive number.
    WorkerThreads(String),
    /// The operating system returned an error.
    Io(io::Error),
}

/// The engine of this process.
///
/// The common path takes no lock: a lock that another thread holds during a `fork` would stay locked in the child for
/// ever.
pub(crate) fn engine() -> Result<&'static Engine, RuntimeError> {
    let process = Process::current();
    if let Some(owned) = CURRENT.load().as_ref().filter(|owned| owned.process == process) {
        return Ok(owned.engine);
    }
    let built = ProcessEngine { process, engine: Box::leak(Box::new(build()?)) };
    // Two threads may get here at once. The second one's engine is not stored, and its threads stay idle.
    let built = std::sync::Arc::new(built);
    CURRENT.rcu(|current| match current {
        Some(owned) if owned.process == process => std::sync::Arc::clone(owned),
        _ => std::sync::Arc::clone(&built),
    });
    Ok(CURRENT.load().as_ref().map_or(built.engine, |owned| owned.engine))
}

/// Runs a task on the network threads of this process.
///
/// # Errors
/// [`RuntimeError`] when the network threads cannot be started.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<AbortHandle, RuntimeError> {
    Ok(engine()?.runtime.spawn(task).abort_handle())
}

fn build() -> Result<Engine, RuntimeError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(worker_threads()?.get())
        .thread_name("headrace-net")
        .on_thread_park(bell::about_to_sleep)
        .enable_all()
        .build()
        .map_err(RuntimeError::Io)?;
    Ok(Engine { runtime, transports: Mutex::default() })
}

fn worker_threads() -> Result<NonZeroUsize, RuntimeError> {
    match std::env::var(WORKER_THREADS_VARIABLE) {
        Ok(text) if !text.is_empty() => text.trim().parse().map_err(|_| RuntimeError::WorkerThreads(text)),
        _ => Ok(default_worker_threads()),
    }
}

/// One for every two processors, at least 1 and at most [`MAX_WORKER_THREADS`].
fn default_worker_threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((processors / 2).min(MAX_WORKER_THREADS)).unwrap_or(NonZeroUsize::MIN)
}
