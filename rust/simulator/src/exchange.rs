//! One request and its answer.

use std::sync::Arc;

use headrace_wire::encode::Api;
use serde_json::Value;

use crate::body_writer::BodyWriter;
use crate::http::{Head, Request};
use crate::model_request::{ModelRequest, Target};
use crate::player::Player;
use crate::render::Selection;
use crate::render::document::whole;
use crate::render::fault::{Ending, damage};
use crate::render::plan::Content;
use crate::render::runs::{Run, TokenCounts, runs};
use crate::render::stateful::{StatefulStream, ending};
use crate::render::wire::Wire;
use crate::reply::Reply;
use crate::report::{Outcome, RequestReport};
use crate::route::Route;
use crate::schedule::Schedule;
use crate::script::{Fault, RawFault};
use crate::server::Server;
use crate::socket::{Gone, Socket};

/// What happens to the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is kept for the next request.
    Reuse,
    /// The server closes it.
    Close,
    /// The server resets it.
    Reset,
    /// The client has closed it.
    Gone,
}

/// Answers a request.
pub(crate) async fn answer(
    server: &Server,
    socket: &mut Socket,
    connection: u64,
    mut request: Request,
) -> Next {
    let route = Route::of(&request, server);
    if let Route::Service(reply) = &route {
        let sent = socket.write_all(&reply.wire().bytes).await;
        return if sent.is_err() { Next::Gone } else { after(Ending::Proper, request.close) };
    }
    let body = serde_json::from_slice(&std::mem::take(&mut request.body));
    let (body, problem) = match body {
        Ok(body) => (Arc::new(body), None),
        Err(error) => (Arc::default(), Some(format!("the body is not JSON: {error}"))),
    };
    let entry = server.log.open(new_report(&mut request, connection, &body));
    let api = route.api();
    let writer = BodyWriter { socket, entry: &entry };
    let mut exchange = Exchange { server, request: &request, api, writer };
    let result = match (route, problem) {
        (Route::Model(_), Some(problem)) => exchange.reply(Reply::error(api, 400, &problem)).await,
        (Route::Model(target), None) => exchange.model(&target, &body).await,
        (Route::Reply(reply) | Route::Service(reply), _) => exchange.reply(reply).await,
    };
    let (outcome, next) = match result {
        Ok((outcome, ending)) => (outcome, after(ending, request.close)),
        Err(Gone) => (Outcome::Disconnected, Next::Gone),
    };
    // Before the connection is closed, so that a client that sees the close finds the outcome in the report.
    entry.finish(outcome);
    next
}

fn after(ending: Ending, close: bool) -> Next {
    match ending {
        Ending::Reset => Next::Reset,
        Ending::Proper if !close => Next::Reuse,
        Ending::Proper | Ending::Close | Ending::Stall => Next::Close,
    }
}

/// The report of a request that has just arrived.
fn new_report(request: &mut Request, connection: u64, body: &Arc<Value>) -> RequestReport {
    RequestReport {
        sequence: 0,
        connection,
        method: request.method.clone(),
        path: request.target.clone(),
        headers: Arc::new(std::mem::take(&mut request.headers)),
        body: Arc::clone(body),
        turn: None,
        status: None,
        received_ns: request.received_ns,
        first_byte_ns: None,
        stamps_ns: Vec::new(),
        finished_ns: None,
        disconnected_ns: None,
        bytes_written: 0,
        frames_written: 0,
        outcome: Outcome::Running,
    }
}

/// How an answer went, and what happens to the connection.
type Played = Result<(Outcome, Ending), Gone>;

/// One answer.
struct Exchange<'c> {
    server: &'c Server,
    request: &'c Request,
    api: Api,
    writer: BodyWriter<'c>,
}

impl Exchange<'_> {
    /// Sends a reply that does not come from the model.
    async fn reply(&mut self, reply: Reply) -> Played {
        self.writer.entry.status(reply.status);
        let id = self.request_id();
        let mut reply = self.id_headers().fold(reply, |reply, name| reply.with(name, &id));
        if self.request.close {
            reply = reply.with("connection", "close");
        }
        self.writer.send(&reply.wire()).await?;
        Ok((Outcome::Complete, Ending::Proper))
    }

    /// Answers a request to the model.
    async fn model(&mut self, target: &Target, body: &Value) -> Played {
        let asked = match ModelRequest::read(target, body) {
            Ok(asked) => asked,
            Err(problem) => return self.reply(Reply::error(self.api, 400, &problem)).await,
        };
        let script = &self.server.script;
        let Some((position, turn)) = asked.select(script) else {
            let problem = "no turn of the script matches this request";
            return self.reply(Reply::error(self.api, 500, problem)).await;
        };
        self.writer.entry.turn(position);
        let fault = turn.fault.as_ref().filter(|fault| self.server.fault_happens(fault, position));
        if let Some(ending) = self.fault_reply(fault).await? {
            return Ok((Outcome::Fault, ending));
        }
        let selection = Selection { api: self.api, script, turn, position, choices: asked.choices(turn) };
        let ending = match (asked.stream, self.api) {
            (true, Api::OpenAiChat) => self.stream(&asked, &selection).await?,
            (true, _) => self.stateful_stream(&asked, &selection).await?,
            (false, _) => self.document(&asked, &selection).await?,
        };
        Ok((if fault.is_some() { Outcome::Fault } else { Outcome::Complete }, ending))
    }

    /// Plays a fault that comes before or instead of an answer; `None` if the answer follows.
    async fn fault_reply(&mut self, fault: Option<&Fault>) -> Result<Option<Ending>, Gone> {
        let reply = match fault {
            Some(Fault::Status(fault)) => Reply::status_fault(self.api, fault),
            Some(Fault::Html {}) => Reply::html(),
            Some(Fault::Redirect { location, status }) => Reply::redirect(*status, location),
            Some(Fault::Raw(raw)) => return self.raw(raw).await.map(Some),
            Some(Fault::Silent {}) => return Err(self.writer.socket.gone().await),
            Some(Fault::SlowHeaders { delay }) => {
                self.writer.socket.sleep_until(self.request.received + *delay).await?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.reply(reply).await.map(|(_, ending)| Some(ending))
    }

    /// Sends the body of a raw fault.
    async fn raw(&mut self, raw: &RawFault) -> Result<Ending, Gone> {
        let mut wire = self.head(raw.status.get(), raw.content_type.as_str(), Head::chunked);
        let size = raw.chunk_bytes.map_or(raw.body.len().max(1), usize::from);
        for chunk in raw.body.chunks(size) {
            crate::http::write_chunk(chunk, &mut wire.bytes);
        }
        wire.end_body();
        self.writer.send(&wire).await?;
        Ok(Ending::Proper)
    }

    /// Answers with an OpenAI chat stream.
    async fn stream(&mut self, asked: &ModelRequest<'_>, selection: &Selection<'_>) -> Result<Ending, Gone> {
        let plan = self.server.plans.plan(selection);
        let usage = if asked.gets_usage(selection.script) {
            plan.counts.usage(&selection.turn.usage, selection.choices, || asked.input_tokens())
        } else {
            None
        };
        let tail = plan.tail(selection, usage);
        let mut player = self.player(selection);
        match &plan.content {
            Content::Ready(wire) => player.play_ready(wire).await?,
            Content::Paced(frames) => player.play(frames).await?,
        }
        player.play(&tail).await?;
        player.close(plan.ending).await
    }

    /// Answers with a stream in any other dialect.
    async fn stateful_stream(
        &mut self,
        asked: &ModelRequest<'_>,
        selection: &Selection<'_>,
    ) -> Result<Ending, Gone> {
        let runs = runs(selection.turn, selection.position);
        let counts = TokenCounts::of(&runs);
        let usage = counts.usage(&selection.turn.usage, selection.choices, || asked.input_tokens());
        let mut stream = StatefulStream::new(selection, &runs, usage.as_ref());
        let mut player = self.player(selection);
        player.play_stateful(&mut stream).await?;
        player.close(ending(selection)).await
    }

    /// A player that starts with the head of the response.
    fn player(&mut self, selection: &Selection<'_>) -> Player<'_> {
        let content_type = self.api.framing().content_type();
        let head = self.head(200, content_type, |head| head.with("cache-control", "no-cache").chunked());
        let writer = BodyWriter { socket: self.writer.socket, entry: self.writer.entry };
        Player::new(writer, selection, self.request.received, head)
    }

    /// Answers with one JSON document.
    async fn document(
        &mut self,
        asked: &ModelRequest<'_>,
        selection: &Selection<'_>,
    ) -> Result<Ending, Gone> {
        let runs = runs(selection.turn, selection.position);
        let schedule = Schedule::new(self.request.received, selection.pacing());
        let last_slot = runs.iter().map(Run::len).sum::<usize>().saturating_sub(1);
        self.writer.socket.sleep_until(schedule.at(u32::try_from(last_slot).unwrap_or(u32::MAX))).await?;
        let body = whole(selection, &runs, || asked.input_tokens());
        let damaged = damage(body, selection.turn.fault.as_ref());
        let mut wire = self.head(200, "application/json", |head| head.length(damaged.length));
        wire.bytes.extend_from_slice(&damaged.body);
        self.writer.send(&wire).await?;
        match damaged.ending {
            Ending::Stall => Err(self.writer.socket.gone().await),
            ending => Ok(ending),
        }
    }

    fn head(&self, status: u16, content_type: &str, finish: impl FnOnce(Head) -> Vec<u8>) -> Wire {
        self.writer.entry.status(status);
        let head = Head::new(status).with("content-type", content_type);
        let mut head = self.id_headers().fold(head, |head, name| head.with(name, self.request_id()));
        if self.request.close {
            head = head.with("connection", "close");
        }
        Wire::head(finish(head))
    }

    /// The headers with the request's id: a common one, and the provider's own.
    fn id_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        let own = match self.api {
            Api::Anthropic => Some("request-id"),
            Api::Converse | Api::InvokeModel => Some("x-amzn-requestid"),
            _ => None,
        };
        std::iter::once("x-request-id").chain(own)
    }

    fn request_id(&self) -> String {
        format!("req-{}", self.writer.entry.sequence())
    }
}
