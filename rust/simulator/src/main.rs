//! The command `headrace-simulator`: runs a simulator until it is stopped.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use headrace_simulator::{Options, Script, Simulator};
use tokio::sync::oneshot;

/// A scripted LLM provider on 127.0.0.1. Its first line of output is the base URL for OpenAI clients.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The script, as JSON; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The port to listen on; any free one when 0.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Threads that serve connections.
    #[arg(long, default_value_t = Options::default().worker_threads)]
    workers: usize,
    /// How many requests a report keeps.
    #[arg(long, default_value_t = Options::default().keep)]
    keep: usize,
    /// Also stop when standard input ends, as it does when the parent process exits.
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Ignored: standard error may be closed.
            let _ = writeln!(io::stderr(), "headrace-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let script = match &arguments.script {
        Some(path) => Script::from_json(&read(path)?)?,
        None => Script::default(),
    };
    let options = Options { port: arguments.port, worker_threads: arguments.workers, keep: arguments.keep };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Registered first, so that no signal is lost while the simulator starts.
        let mut stopped = Stopped::new()?;
        let simulator = Simulator::start_with(script, options)?;
        let mut stdout = io::stdout();
        writeln!(stdout, "{}", simulator.base_url())?;
        stdout.flush()?;
        tokio::select! {
            () = stopped.wait() => {}
            () = stdin_closed(arguments.until_stdin_closes) => {}
        }
        simulator.stop();
        Ok(())
    })
}

/// The signals that stop the command: SIGINT and SIGTERM, or Ctrl-C and the end of the session.
#[cfg(unix)]
struct Stopped {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Stopped {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Stopped {
    interrupt: tokio::signal::windows::CtrlC,
    closed: tokio::signal::windows::CtrlClose,
}

#[cfg(windows)]
impl Stopped {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_close};
        Ok(Self { interrupt: ctrl_c()?, closed: ctrl_close()? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.closed.recv() => {}
        }
    }
}

fn read(path: &Path) -> Result<String, Box<dyn Error>> {
    if path == Path::new("-") {
        return Ok(io::read_to_string(io::stdin())?);
    }
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Waits until standard input ends; for ever if not `enabled`.
async fn stdin_closed(enabled: bool) {
    if !enabled {
        return std::future::pending().await;
    }
    let (closed, wait) = oneshot::channel::<()>();
    // In a thread, since a blocking read cannot be cancelled. The thread ends with the process.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while matches!(io::stdin().read(&mut buffer), Ok(1..)) {}
        drop(closed);
    });
    // The thread drops the sender when standard input ends.
    let _ = wait.await;
}
