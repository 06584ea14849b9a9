//! A client that gives tests every byte.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use headrace_simulator::{Report, Script, Simulator};
use headrace_wire::{Delta, Dialect, Ending, Response, StreamDecoder};
use serde_json::{Value, json};

/// How long to wait for what takes milliseconds on an idle machine. Only a hang should exceed it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// Starts a simulator on a script.
pub(crate) fn simulator(script: &Value) -> Simulator {
    Simulator::start(Script::from_value(script).unwrap()).unwrap()
}

/// Waits until the predicate is true of the report.
pub(crate) fn eventually(simulator: &Simulator, predicate: impl FnMut(&Report) -> bool) -> Report {
    assert!(simulator.wait_for(predicate, TIMEOUT), "{:#?}", simulator.report());
    simulator.report()
}

/// A request for a stream.
pub(crate) fn streaming() -> Value {
    json!({ "model": "any", "messages": [{ "role": "user", "content": "hello there" }], "stream": true })
}

/// A request for a document.
pub(crate) fn plain() -> Value {
    json!({ "model": "any", "messages": [{ "role": "user", "content": "hello there" }] })
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, as far as it arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// The body without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The sizes of its chunks.
    pub(crate) chunks: Vec<usize>,
    pub(crate) end: End,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP says it should.
    Proper,
    /// With a FIN before its proper end.
    Closed,
    /// With a RST before its proper end.
    Reset,
}

impl Client {
    pub(crate) fn connect(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", simulator.port())).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a chat request.
    pub(crate) fn ask(&mut self, body: &Value) {
        self.send("POST", "/v1/chat/completions", &body.to_string());
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        self.write(format!(
            "{method} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    }

    /// Reads until `length` bytes have been received, or returns how the connection ended.
    pub(crate) fn fill(&mut self, length: usize) -> Result<(), End> {
        let mut buffer = vec![0; 256 * 1024];
        while self.received.len() < length {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(End::Closed),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(End::Reset),
                Err(error) => panic!("nothing arrives: {error}"),
            }
        }
        Ok(())
    }

    /// What the next read would return, without consuming it.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        self.stream.peek(buffer).unwrap()
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.stream.shutdown(how).unwrap();
    }

    /// Reads up to and including `mark`; if the connection ends first, returns everything.
    pub(crate) fn take_until(&mut self, mark: &[u8]) -> Result<Vec<u8>, (End, Vec<u8>)> {
        loop {
            let found = self.received.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Ok(self.received.drain(..at + mark.len()).collect());
            }
            if let Err(end) = self.fill(self.received.len() + 1) {
                return Err((end, std::mem::take(&mut self.received)));
            }
        }
    }

    /// Reads the head of a response.
    pub(crate) fn head(&mut self) -> Answer {
        let head = self.take_until(b"\r\n\r\n").unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut headers);
        assert!(parsed.parse(&head).unwrap().is_complete());
        let text = |header: &httparse::Header<'_>| String::from_utf8(header.value.to_vec()).unwrap();
        Answer {
            status: parsed.code.unwrap(),
            headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header))).collect(),
            body: Vec::new(),
            chunks: Vec::new(),
            end: End::Proper,
        }
    }

    /// Reads a response until it ends in any way.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if answer.status == 204 {
            return answer;
        }
        let result = match answer.headers.get("content-length") {
            Some(length) => self.sized(length.parse().unwrap(), &mut answer.body),
            None => self.chunked(&mut answer),
        };
        answer.end = result.err().unwrap_or(End::Proper);
        answer
    }

    /// Sends a chat request and reads the response.
    pub(crate) fn exchange(&mut self, body: &Value) -> Answer {
        self.ask(body);
        self.answer()
    }

    /// Reads one chunk; `None` at the last.
    pub(crate) fn chunk(&mut self) -> Result<Option<Vec<u8>>, End> {
        let line = self.take_until(b"\r\n").map_err(|(end, rest)| {
            assert!(rest.is_empty());
            end
        })?;
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
        let mut data = Vec::new();
        self.sized(size, &mut data)?;
        assert_eq!(self.take_until(b"\r\n").unwrap(), b"\r\n");
        Ok((size > 0).then_some(data))
    }

    fn sized(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), End> {
        let result = self.fill(length);
        let length = length.min(self.received.len());
        body.extend(self.received.drain(..length));
        result
    }

    fn chunked(&mut self, answer: &mut Answer) -> Result<(), End> {
        while let Some(chunk) = self.chunk()? {
            answer.chunks.push(chunk.len());
            answer.body.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The message of an error.
    pub(crate) fn error(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The body as a stream.
    pub(crate) fn stream(&self) -> Stream {
        Stream::decode(&self.body)
    }
}

/// A stream, decoded.
#[derive(Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) deltas: Vec<Delta>,
    pub(crate) response: Response,
    pub(crate) ending: Ending,
}

impl Stream {
    pub(crate) fn decode(body: &[u8]) -> Self {
        let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 64 * 1024 * 1024);
        let mut deltas = Vec::new();
        decoder.feed(body, &mut deltas).unwrap();
        let ending = decoder.finish(&mut deltas);
        let mut response = Response::default();
        for delta in &deltas {
            response.apply(delta);
        }
        Self { deltas, response, ending }
    }

    /// The text of the first choice.
    pub(crate) fn text(&self) -> &str {
        self.response.first().map_or("", |choice| &choice.text)
    }
}
