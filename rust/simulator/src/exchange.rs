//! One request and its answer.

use std::sync::Arc;

use headrace_wire::encode::Api;
use serde_json::Value;

use crate::body_writer::Outlet;
use crate::http::{Head, Request};
use crate::model_request::{Ask, Target};
use crate::player::Player;
use crate::render::Selection;
use crate::render::document::whole;
use crate::render::fault::{Ending, damage};
use crate::render::plan::Content;
use crate::render::runs::{Run, TokenCounts, runs};
use crate::render::stateful::{Speech, ending};
use crate::render::wire::Wire;
use crate::reply::Reply;
use crate::report::{Outcome, RequestReport};
use crate::route::Route;
use crate::schedule::Schedule;
use crate::script::{Fault, RawFault};
use crate::server::Server;
use crate::socket::{Gone, Socket};

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request may come.
    Reuse,
    /// We close it.
    Close,
    /// We reset it.
    Reset,
    /// The client has left.
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
    let entry = server.ledger.open(record(&mut request, connection, &body));
    let api = route.api();
    let outlet = Outlet { socket, entry: &entry };
    let mut exchange = Exchange { server, request: &request, api, outlet };
    let result = match (route, problem) {
        (Route::Model(_), Some(problem)) => exchange.reply(Reply::error(api, 400, &problem)).await,
        (Route::Model(target), None) => exchange.model(&target, &body).await,
        (Route::Reply(reply) | Route::Service(reply), _) => exchange.reply(reply).await,
    };
    let (outcome, next) = match result {
        Ok((outcome, ending)) => (outcome, after(ending, request.close)),
        Err(Gone) => (Outcome::Disconnected, Next::Gone),
    };
    // Before the connection is closed: whoever sees the close finds the outcome in the report.
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

/// The first lines of a request's report.
fn record(request: &mut Request, connection: u64, body: &Arc<Value>) -> RequestReport {
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
        finished_ns: None,
        disconnected_ns: None,
        bytes_written: 0,
        frames_written: 0,
        outcome: Outcome::Running,
    }
}

/// How an answer went, and how the connection goes on.
type Played = Result<(Outcome, Ending), Gone>;

/// One answer.
struct Exchange<'c> {
    server: &'c Server,
    request: &'c Request,
    api: Api,
    outlet: Outlet<'c>,
}

impl Exchange<'_> {
    /// Answers without the model.
    async fn reply(&mut self, reply: Reply) -> Played {
        self.outlet.entry.status(reply.status);
        let id = self.request_id();
        let mut reply = self.id_headers().fold(reply, |reply, name| reply.with(name, &id));
        if self.request.close {
            reply = reply.with("connection", "close");
        }
        self.outlet.send(&reply.wire()).await?;
        Ok((Outcome::Complete, Ending::Proper))
    }

    /// Answers a request to the model.
    async fn model(&mut self, target: &Target, body: &Value) -> Played {
        let ask = match Ask::read(target, body) {
            Ok(ask) => ask,
            Err(problem) => return self.reply(Reply::error(self.api, 400, &problem)).await,
        };
        let script = &self.server.script;
        let Some((position, turn)) = ask.select(script) else {
            let problem = "no turn of the script matches this request";
            return self.reply(Reply::error(self.api, 500, problem)).await;
        };
        self.outlet.entry.turn(position);
        let fault = turn.fault.as_ref().filter(|fault| self.server.happens(fault, position));
        if let Some(instead) = self.instead(fault).await? {
            return Ok((Outcome::Fault, instead));
        }
        let selection = Selection { api: self.api, script, turn, position, choices: ask.choices(turn) };
        let ending = match (ask.stream, self.api) {
            (true, Api::OpenAiChat) => self.stream(&ask, &selection).await?,
            (true, _) => self.speech(&ask, &selection).await?,
            (false, _) => self.document(&ask, &selection).await?,
        };
        Ok((if fault.is_some() { Outcome::Fault } else { Outcome::Complete }, ending))
    }

    /// Plays the faults that come before or instead of an answer; `None` when the answer follows.
    async fn instead(&mut self, fault: Option<&Fault>) -> Result<Option<Ending>, Gone> {
        let reply = match fault {
            Some(Fault::Status(fault)) => Reply::status_fault(self.api, fault),
            Some(Fault::Html {}) => Reply::html(),
            Some(Fault::Redirect { location, status }) => Reply::redirect(*status, location),
            Some(Fault::Raw(raw)) => return self.raw(raw).await.map(Some),
            Some(Fault::Silent {}) => return Err(self.outlet.socket.gone().await),
            Some(Fault::SlowHeaders { delay }) => {
                self.outlet.socket.sleep_until(self.request.received + *delay).await?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.reply(reply).await.map(|(_, ending)| Some(ending))
    }

    /// Sends a body byte for byte.
    async fn raw(&mut self, raw: &RawFault) -> Result<Ending, Gone> {
        let mut wire = self.head(raw.status.get(), raw.content_type.as_str(), Head::chunked);
        let size = raw.chunk_bytes.map_or(raw.body.len().max(1), usize::from);
        for chunk in raw.body.chunks(size) {
            crate::http::write_chunk(chunk, &mut wire.bytes);
        }
        wire.end_body();
        self.outlet.send(&wire).await?;
        Ok(Ending::Proper)
    }

    /// Answers with a stream of OpenAI chat.
    async fn stream(&mut self, ask: &Ask<'_>, selection: &Selection<'_>) -> Result<Ending, Gone> {
        let plan = self.server.plans.plan(selection);
        let usage = if ask.gets_usage(selection.script) {
            plan.counts.usage(&selection.turn.usage, selection.choices, || ask.input_tokens())
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

    /// Answers with a stream of any other dialect.
    async fn speech(&mut self, ask: &Ask<'_>, selection: &Selection<'_>) -> Result<Ending, Gone> {
        let runs = runs(selection.turn, selection.position);
        let counts = TokenCounts::of(&runs);
        let usage = counts.usage(&selection.turn.usage, selection.choices, || ask.input_tokens());
        let mut speech = Speech::new(selection, &runs, usage.as_ref());
        let mut player = self.player(selection);
        player.speak(&mut speech).await?;
        player.close(ending(selection)).await
    }

    /// A player that begins with the head of a stream.
    fn player(&mut self, selection: &Selection<'_>) -> Player<'_> {
        let content_type = self.api.framing().content_type();
        let head = self.head(200, content_type, |head| head.with("cache-control", "no-cache").chunked());
        let outlet = Outlet { socket: self.outlet.socket, entry: self.outlet.entry };
        Player::new(outlet, selection, self.request.received, head)
    }

    /// Answers with a document.
    async fn document(&mut self, ask: &Ask<'_>, selection: &Selection<'_>) -> Result<Ending, Gone> {
        let runs = runs(selection.turn, selection.position);
        let schedule = Schedule::new(self.request.received, selection.pacing());
        let last_slot = runs.iter().map(Run::len).sum::<usize>().saturating_sub(1);
        self.outlet.socket.sleep_until(schedule.at(u32::try_from(last_slot).unwrap_or(u32::MAX))).await?;
        let body = whole(selection, &runs, || ask.input_tokens());
        let damaged = damage(body, selection.turn.fault.as_ref());
        let mut wire = self.head(200, "application/json", |head| head.length(damaged.length));
        wire.bytes.extend_from_slice(&damaged.body);
        self.outlet.send(&wire).await?;
        match damaged.ending {
            Ending::Stall => Err(self.outlet.socket.gone().await),
            ending => Ok(ending),
        }
    }

    fn head(&self, status: u16, content_type: &str, end: impl FnOnce(Head) -> Vec<u8>) -> Wire {
        self.outlet.entry.status(status);
        let head = Head::new(status).with("content-type", content_type);
        let mut head = self.id_headers().fold(head, |head, name| head.with(name, self.request_id()));
        if self.request.close {
            head = head.with("connection", "close");
        }
        Wire::head(end(head))
    }

    /// The headers that tell the request's id: one that all tell, and that of the provider.
    fn id_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        let own = match self.api {
            Api::Anthropic => Some("request-id"),
            Api::Converse | Api::InvokeModel => Some("x-amzn-requestid"),
            _ => None,
        };
        std::iter::once("x-request-id").chain(own)
    }

    fn request_id(&self) -> String {
        format!("req-{}", self.outlet.entry.sequence())
    }
}
