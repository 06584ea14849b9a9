//! Measures whether the simulator is fast enough for benchmarks: bytes per second on one connection, short answers per
//! second, how soon a disconnect is noticed, and the processor time of one paced token.
//!
//! `cargo run --release -p headrace-simulator --example measure`

use std::error::Error;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use headrace_simulator::{Options, Outcome, Script, Simulator, monotonic_ns};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const STREAMS: usize = 500;
const TOKENS: usize = 250;
const INTERVAL_MS: u64 = 20;

/// Long enough for a slow machine: it only ends a measurement that hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let mut out = io::stdout();
    for workers in [1, 2] {
        writeln!(out, "{workers} worker(s)")?;
        for chunking in [json!("frame"), json!("coalesce")] {
            let (bytes, time) = burst(workers, &chunking, false)?;
            writeln!(out, "  burst, {chunking}: {:.0} MB/s", rate(bytes, time) / 1e6)?;
        }
        let (bytes, time) = burst(workers, &json!("frame"), true)?;
        writeln!(out, "  burst, every token stamped: {:.0} MB/s", rate(bytes, time) / 1e6)?;
        let (requests, time) = short_answers(workers)?;
        writeln!(out, "  short answers on one connection: {:.0} per second", rate(requests, time))?;
        let seen = disconnects(workers)?;
        writeln!(
            out,
            "  a disconnect is seen after {:?}, at the worst {:?}",
            seen[seen.len() / 2],
            seen[seen.len() - 1]
        )?;
        let (cpu, late) = paced(workers)?;
        let tokens = STREAMS * TOKENS;
        writeln!(
            out,
            "  {STREAMS} streams of {TOKENS} tokens, one each {INTERVAL_MS} ms: {:.2} µs of processor time a token, \
             {:.0} % of a core; the last stream ended {late:?} late",
            cpu.as_secs_f64() * 1e6 / to_f64(tokens),
            cpu.as_secs_f64() * 100.0 / (to_f64(TOKENS) * to_f64(INTERVAL_MS) / 1000.0),
        )?;
    }
    Ok(())
}

fn start(workers: usize, script: &Value) -> Result<Simulator> {
    let options = Options { worker_threads: workers, ..Options::default() };
    Ok(Simulator::start_with(Script::from_value(script)?, options)?)
}

fn request() -> String {
    let body = json!({ "messages": [{ "role": "user", "content": "go" }], "stream": true }).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a large answer as fast as possible: bytes and time.
fn burst(workers: usize, chunking: &Value, stamp: bool) -> Result<(usize, Duration)> {
    let turns = json!([{ "text": "token", "repeat": 500_000 }]);
    let simulator = start(workers, &json!({ "turns": turns, "chunking": chunking, "stamp": stamp }))?;
    let mut stream = TcpStream::connect(("127.0.0.1", simulator.port()))?;
    let mut buffer = vec![0; 1024 * 1024];
    // Not measured: the first answer is rendered.
    read_answer(&mut stream, &mut buffer)?;
    let started = Instant::now();
    let mut bytes = 0;
    for _ in 0..10 {
        bytes += read_answer(&mut stream, &mut buffer)?;
    }
    Ok((bytes, started.elapsed()))
}

/// Requests one short answer after another: count and time.
fn short_answers(workers: usize) -> Result<(usize, Duration)> {
    let simulator = start(workers, &json!({}))?;
    let mut stream = TcpStream::connect(("127.0.0.1", simulator.port()))?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let count = 20_000;
    let started = Instant::now();
    for _ in 0..count {
        read_answer(&mut stream, &mut buffer)?;
    }
    Ok((count, started.elapsed()))
}

/// Sends a request and reads the whole answer: its bytes.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    stream.write_all(request().as_bytes())?;
    let mut bytes = 0;
    loop {
        let count = stream.read(buffer)?;
        bytes += count;
        if count == 0 {
            return Err("the answer broke off".into());
        }
        if buffer[..count].ends_with(b"\r\n0\r\n\r\n") {
            return Ok(bytes);
        }
    }
}

/// Disconnects from stalled streams: how long each took to be noticed, sorted.
fn disconnects(workers: usize) -> Result<Vec<Duration>> {
    let simulator =
        start(workers, &json!({ "turns": [{ "text": "a b", "fault": { "kind": "stall", "after": 1 } }] }))?;
    let mut seen = Vec::new();
    for _ in 0..200 {
        simulator.reset();
        let mut stream = TcpStream::connect(("127.0.0.1", simulator.port()))?;
        stream.write_all(request().as_bytes())?;
        let last = |report: &headrace_simulator::Report| report.requests.back().cloned();
        simulator.wait_for(|report| last(report).is_some_and(|r| r.frames_written == 2), TIMEOUT);
        let left = monotonic_ns();
        drop(stream);
        simulator.wait_for(|report| last(report).is_some_and(|r| r.disconnected_ns.is_some()), TIMEOUT);
        let noticed =
            last(&simulator.report()).and_then(|r| r.disconnected_ns).ok_or("a disconnect was not seen")?;
        seen.push(Duration::from_nanos(noticed - left));
    }
    seen.sort();
    Ok(seen)
}

/// Many paced streams at once: the processor time of the simulator's threads, and how late the last of them ended.
fn paced(workers: usize) -> Result<(Duration, Duration)> {
    let pacing = json!({ "mode": "steady", "interval_ms": INTERVAL_MS });
    let turns = json!([{ "text": "token", "repeat": TOKENS }]);
    let simulator = start(workers, &json!({ "turns": turns, "pacing": pacing }))?;
    let before = processor_time()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let readers: Vec<_> = (0..STREAMS).map(|_| tokio::spawn(read_paced(simulator.port()))).collect();
        for reader in readers {
            reader.await??;
        }
        Result::Ok(())
    })?;
    let spent = processor_time()?.saturating_sub(before);
    if !simulator.wait_for(|report| report.requests.iter().all(|r| r.outcome == Outcome::Complete), TIMEOUT) {
        return Err("a stream did not complete".into());
    }
    let lasted =
        simulator.report().requests.iter().filter_map(|r| Some(r.finished_ns? - r.received_ns)).max();
    let planned = Duration::from_millis(INTERVAL_MS * (TOKENS as u64 - 1));
    Ok((spent, Duration::from_nanos(lasted.unwrap_or_default()).saturating_sub(planned)))
}

async fn read_paced(port: u16) -> Result<()> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request().as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 || buffer[..count].ends_with(b"\r\n0\r\n\r\n") {
            return Ok(());
        }
    }
}

/// The processor time of the simulator's threads, found by their name.
fn processor_time() -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm"))?.starts_with("headrace-simul") {
            let statistics = fs::read_to_string(thread.join("schedstat"))?;
            nanoseconds += statistics.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn rate(count: usize, time: Duration) -> f64 {
    to_f64(count) / time.as_secs_f64()
}

/// Counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn to_f64(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or_default() as f64
}
