//! The simulator: a script, a listener, and its own thread.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::connection::serve;
use crate::render::plan::PlanCache;
use crate::report::Report;
use crate::request_log::RequestLog;
use crate::script::{Fault, Script};

/// How many connections may wait to be accepted: a load test opens thousands at once.
const BACKLOG: u32 = 4096;

/// How long to wait after a failed accept, which mostly means that the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// Options that are not part of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The port to listen on; any free one when 0.
    pub port: u16,
    /// Threads that serve connections. One is enough for thousands of paced streams, and leaves the other cores to the
    /// program under test.
    pub worker_threads: usize,
    /// How many requests a report keeps.
    pub keep: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, worker_threads: 1, keep: 10_000 }
    }
}

/// A running simulator. Dropping it closes its listener and all its connections.
#[derive(Debug)]
pub struct Simulator {
    server: Arc<Server>,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator on a free port of the loopback interface.
    ///
    /// # Errors
    /// When the system cannot create a socket or a thread.
    pub fn start(script: Script) -> io::Result<Self> {
        Self::start_with(script, Options::default())
    }

    /// Starts a simulator.
    ///
    /// # Errors
    /// When the port is taken, or the system cannot create a socket or a thread.
    pub fn start_with(script: Script, options: Options) -> io::Result<Self> {
        let runtime = runtime(options.worker_threads)?;
        let listener = {
            let _context = runtime.enter();
            listen(options.port)
        };
        let (listener, address) = match listener {
            Ok(bound) => bound,
            Err(error) => {
                // Dropping the runtime would panic if the caller is in an async context.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let server = Arc::new(Server::new(script, options.keep));
        let (stop, stopped) = oneshot::channel();
        let accepting = accept(listener, Arc::clone(&server));
        let thread = std::thread::Builder::new().name("headrace-simulator".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
            // The runtime is dropped here, and every connection with it.
        })?;
        Ok(Self { server, address, running: Some(Running { stop, thread }) })
    }

    /// The base URL that OpenAI clients want: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests up to now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.server.log.report()
    }

    /// Clears the report, and restarts the `times` counts of faults.
    pub fn reset(&self) {
        self.server.reset();
    }

    /// Waits until `predicate` is true of the report; false if `timeout` passes first. It is checked at every change.
    ///
    /// The simulator is blocked while the predicate runs, so the predicate must not call it.
    pub fn wait_for(&self, predicate: impl FnMut(&Report) -> bool, timeout: Duration) -> bool {
        self.server.log.wait_for(predicate, timeout)
    }

    /// Stops the simulator: when this returns, the port is free and every connection is closed. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Both fail only if the thread has already ended.
            let _ = running.stop.send(());
            let _ = running.thread.join();
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) script: Script,
    pub(crate) log: Arc<RequestLog>,
    pub(crate) plans: PlanCache,
    /// How many requests each turn's `status` fault has had, for its `times`. Besides the log, this is the only state
    /// that lasts from one request to the next.
    attempts: Vec<AtomicU64>,
}

impl Server {
    fn new(script: Script, keep: usize) -> Self {
        let attempts = script.turns.iter().map(|_| AtomicU64::new(0)).collect();
        Self { script, log: Arc::new(RequestLog::new(keep)), plans: PlanCache::default(), attempts }
    }

    /// Whether the fault of the turn at `position` happens to this request.
    pub(crate) fn fault_happens(&self, fault: &Fault, position: usize) -> bool {
        let Fault::Status(fault) = fault else {
            return true;
        };
        let attempt =
            self.attempts.get(position).map_or(0, |attempts| attempts.fetch_add(1, Ordering::Relaxed));
        fault.times.is_none_or(|times| attempt < times)
    }

    /// Clears the log and the counts.
    pub(crate) fn reset(&self) {
        self.log.reset();
        for attempts in &self.attempts {
            attempts.store(0, Ordering::Relaxed);
        }
    }
}

fn runtime(worker_threads: usize) -> io::Result<Runtime> {
    // With one worker, the thread that accepts also serves.
    let mut builder =
        if worker_threads <= 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if worker_threads > 1 {
        builder.worker_threads(worker_threads).thread_name("headrace-simulator");
    }
    builder.enable_all().build()
}

fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    // So that the port of an earlier simulator can be used again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Fails only if the connection is already broken; serving it will notice.
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, Arc::clone(&server)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_REST).await,
        }
    }
}
