//! What is at each path, and who may ask it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::asked::{Asked, opening};
use crate::cors;
use crate::exchange::{Answer, Exchange};
use crate::keys::Entry;
use crate::path::{Path, Place};
use crate::places::{OnDrop, Places};
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};
use crate::shared::Shared;
use crate::trace::trace_of;

/// The largest body of a request: conversations contain images.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// The description of all paths, by <https://spec.openapis.org/oas/v3.1.0>.
const DESCRIPTION: &str = include_str!("openapi.json");

/// How long a client may take to send a request.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// The id of the run, for whoever wants to cancel it or to read on.
const RUN: HeaderName = HeaderName::from_static("headrace-run");

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The routes of a server.
pub(crate) struct Routes {
    pub(crate) shared: Arc<Shared>,
    places: Places,
}

impl Routes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let places = Places::new(shared.options.max_streams);
        Self { shared, places }
    }

    /// Answers a request.
    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
    {
        let origin = cors::allowed(&self.shared.options.cors, request.headers());
        let mut response = if origin.is_some() && cors::is_preflight(&request) {
            cors::preflight(&request)
        } else {
            self.route(request).await
        };
        if let Some(origin) = origin {
            cors::allow(origin, response.headers_mut());
        }
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
    {
        let place = Place::of(request.uri().path());
        let protocol = place.protocol();
        let done = async {
            let Some(path) = place.allows(request.method()) else {
                return Ok(wrong_place(&place, request.uri().path()));
            };
            cors::check(&request, &self.shared.options.cors, self.shared.options.own_names)?;
            let key = if path.is_open() { None } else { self.key(&request)? };
            self.act(path, key, request).await
        };
        done.await.unwrap_or_else(|refusal: Refusal| {
            self.shared.metrics.refused(refusal.kind.outcome());
            refused(protocol, &refusal)
        })
    }

    fn key<B>(&self, request: &Request<B>) -> Result<Option<Arc<Entry>>, Refusal> {
        self.shared.keys.as_ref().map(|keys| keys.check(request.headers())).transpose()
    }

    async fn act<B>(
        &self,
        path: Path,
        key: Option<Arc<Entry>>,
        request: Request<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
    {
        let owner = key.as_ref().map(|key| key.name.as_str());
        match path {
            Path::Page => Ok(page(self.shared.options.page.as_deref())),
            Path::Live => Ok(whole(StatusCode::OK, &json!({ "status": "ok" }))),
            Path::Ready => Ok(self.ready()),
            Path::Metrics => Ok(text_response("text/plain; version=0.0.4", self.shared.metrics.text())),
            Path::Description => Ok(json_response(StatusCode::OK, DESCRIPTION.to_owned())),
            Path::Models => Ok(whole(StatusCode::OK, &self.models(key.as_deref()))),
            Path::Model(name) => self.model(&name, key.as_deref()),
            Path::Card(agent) => self.card(agent.as_deref(), &request),
            Path::Ask(Protocol::A2a, agent) => self.call_a2a(agent, key, request).await,
            Path::Ask(protocol, agent) => {
                let trace = trace_of(request.headers());
                let body = self.body(request.into_body()).await?;
                let only = agent.map(|agent| vec![agent]);
                let asked = Asked::read(protocol, &body, &self.shared.options.models, only.as_deref())?;
                drop(body);
                self.ask(asked, key, trace).await
            }
            Path::Response(id) => self.kept_response(&id, owner),
            Path::DeleteResponse(id) => {
                self.kept_response(&id, owner)?;
                self.shared.kept.remove(&id);
                Ok(whole(StatusCode::OK, &json!({ "id": id, "object": "response", "deleted": true })))
            }
            Path::CancelResponse(id) => {
                self.kept_response(&id, owner)?;
                if let Some(exchange) = self.shared.kept.get(&id, owner).and_then(|kept| kept.exchange()) {
                    exchange.cancel();
                }
                self.kept_response(&id, owner)
            }
            Path::BeginConversation => {
                let opening = opening(&self.body(request.into_body()).await?)?;
                let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let id = self.shared.kept.begin_conversation(owner, opening, created);
                Ok(whole(StatusCode::OK, &conversation_document(&id, created)))
            }
            Path::Conversation(id) => {
                let (_, created) = self.conversation(&id, owner)?;
                Ok(whole(StatusCode::OK, &conversation_document(&id, created)))
            }
            Path::DeleteConversation(id) => {
                self.conversation(&id, owner)?;
                self.shared.kept.end_conversation(&id);
                let deleted = json!({ "id": id, "object": "conversation.deleted", "deleted": true });
                Ok(whole(StatusCode::OK, &deleted))
            }
            Path::Run(id) => Ok(whole(StatusCode::OK, &self.run(&id, owner)?.document(&id))),
            Path::CancelRun(id) => {
                let run = self.run(&id, owner)?;
                let running = run.exchange.upgrade().filter(|exchange| !exchange.has_ended());
                let Some(exchange) = running else { return Ok(whole(StatusCode::OK, &run.document(&id))) };
                exchange.cancel();
                Ok(whole(StatusCode::OK, &json!({ "id": id, "object": "run", "status": "cancelled" })))
            }
            Path::SteerRun(id) => {
                let body = self.body(request.into_body()).await?;
                let message = serde_json::from_slice::<Value>(&body).ok();
                let message = message.as_ref().and_then(|body| body["message"].as_str());
                let message = message.filter(|message| !message.is_empty()).ok_or_else(|| {
                    Refusal::new(RefusalKind::Invalid, "the body must be {\"message\": \"…\"}")
                })?;
                let running =
                    self.run(&id, owner)?.exchange.upgrade().filter(|exchange| !exchange.has_ended());
                let exchange = running
                    .ok_or_else(|| Refusal::new(RefusalKind::Invalid, format!("the run {id} has ended")))?;
                exchange.steer(message.to_owned());
                Ok(whole(StatusCode::ACCEPTED, &json!({ "id": id, "object": "run", "status": "running" })))
            }
            Path::RunEvents(id) => self.events(&id, owner, request.headers().get("last-event-id")),
        }
    }

    fn ready(&self) -> Response<Body> {
        if self.shared.draining.load(Ordering::Relaxed) {
            return whole(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }));
        }
        whole(StatusCode::OK, &json!({ "status": "ok" }))
    }

    fn allowed<'a>(&'a self, key: Option<&'a Entry>) -> impl Iterator<Item = &'a String> {
        let may = move |name: &&String| {
            key.is_none_or(|key| key.models.is_empty() || key.models.contains(name.as_str()))
        };
        self.shared.options.models.iter().filter(may)
    }

    /// In the forms of OpenAI and of Anthropic at once: their members have different names.
    fn models(&self, key: Option<&Entry>) -> Value {
        let models: Vec<Value> = self.allowed(key).map(|name| model_document(name)).collect();
        let (first, last) =
            (models.first().map(|model| &model["id"]), models.last().map(|model| &model["id"]));
        json!({ "object": "list", "data": models, "has_more": false, "first_id": first, "last_id": last })
    }

    fn model(&self, name: &str, key: Option<&Entry>) -> Result<Response<Body>, Refusal> {
        self.allowed(key)
            .find(|served| *served == name)
            .map(|name| whole(StatusCode::OK, &model_document(name)))
            .ok_or_else(|| Refusal::new(RefusalKind::NotFound, format!("there is no model {name:?} here")))
    }

    fn kept_response(&self, id: &str, owner: Option<&str>) -> Result<Response<Body>, Refusal> {
        self.shared
            .kept
            .get(id, owner)
            .and_then(|response| response.document())
            .map(|document| json_response(StatusCode::OK, document))
            .ok_or_else(|| no_response(id))
    }

    fn conversation(&self, id: &str, owner: Option<&str>) -> Result<(Arc<Vec<Value>>, u64), Refusal> {
        let unknown = || {
            Refusal::new(RefusalKind::NotFound, format!("there is no conversation {id} here, or no longer"))
        };
        self.shared.kept.conversation(id, owner).ok_or_else(unknown)
    }

    fn run(&self, id: &str, owner: Option<&str>) -> Result<crate::runs::Run, Refusal> {
        let unknown =
            || Refusal::new(RefusalKind::NotFound, format!("there is no run {id} here, or no longer"));
        self.shared.runs.get(id, owner).ok_or_else(unknown)
    }

    /// The events of a run, after the last one that the client has.
    fn events(
        &self,
        id: &str,
        owner: Option<&str>,
        last: Option<&HeaderValue>,
    ) -> Result<Response<Body>, Refusal> {
        let run = self.run(id, owner)?;
        let Some(log) = run.log else {
            let message = "the events of this run are not kept: it ends with its client. Start the server with \
                           --on-disconnect continue";
            return Err(Refusal::new(RefusalKind::Invalid, message));
        };
        let last = match last {
            None => Some(0),
            Some(value) => value.to_str().ok().and_then(|value| value.trim().parse().ok()),
        };
        let last = last.ok_or_else(|| {
            Refusal::new(RefusalKind::Invalid, "Last-Event-ID must be the number of an event")
        })?;
        let body = log.after(last, self.shared.options.keep_alive).ok_or_else(|| {
            let message = format!("the events after {last} are gone, or {last} has not been yet");
            Refusal::new(RefusalKind::Invalid, message)
        })?;
        Ok(begin(Protocol::Chat, id, Answer::Log(body)))
    }

    /// Asks an agent.
    pub(crate) async fn ask(
        &self,
        asked: Asked,
        key: Option<Arc<Entry>>,
        trace: Vec<(String, String)>,
    ) -> Result<Response<Body>, Refusal> {
        let mut asked = asked.checked(&self.shared.options.models)?;
        let protocol = asked.protocol;
        self.go_on(&mut asked, key.as_deref())?;
        let granted = self.places.grant(&self.shared, &asked, key).await?;
        let (background, stream, store) = (asked.response.background, asked.stream, asked.response.store);
        let id = self.shared.arrivals.next_id.fetch_add(1, Ordering::Relaxed);
        let (exchange, answered) = Exchange::new(id, asked, trace, granted, &self.shared);
        if store {
            self.shared.kept.begin(&exchange);
        }
        // If the client leaves before the response has begun, hyper drops this future.
        let waiting = OnDrop(exchange.on_leave());
        let (run, begun) = (exchange.run.clone(), Arc::downgrade(&exchange));
        if background && !stream {
            let document = exchange.unfinished_document();
            self.shared.arrivals.asked(exchange);
            return Ok(begin(protocol, &run, Answer::Document(document)));
        }
        self.shared.arrivals.asked(exchange);
        let mut answered = answered;
        let soon = timeout(self.shared.options.keep_alive, &mut answered).await;
        let answer = if let Ok(answer) = soon {
            answer
        } else {
            // From now on comments tell that the answer is still to come. An error would be in the stream.
            if let Some(exchange) = begun.upgrade() {
                exchange.begin_waiting();
            }
            answered.await
        };
        // An exchange that is dropped answers too, so this does not fail.
        let answer = answer.unwrap_or_else(|_| {
            Answer::Refusal(Refusal::new(RefusalKind::Internal, "the request was not answered"))
        });
        waiting.defuse();
        Ok(begin(protocol, &run, answer))
    }

    /// Puts the conversation of an earlier response before that of this one.
    fn go_on(&self, asked: &mut Asked, key: Option<&Entry>) -> Result<(), Refusal> {
        let owner = key.map(|key| key.name.as_str());
        if let (Protocol::A2a, Some(thread)) = (asked.protocol, &asked.names.thread) {
            let earlier = self.shared.kept.thread(thread, owner);
            asked.messages.splice(0..0, earlier.iter().cloned());
            return Ok(());
        }
        // The instructions of this request come first; those of an earlier one do not count any more.
        let system = usize::from(asked.messages.first().is_some_and(|first| first["role"] == "system"));
        if let (Protocol::Responses, Some(thread)) = (asked.protocol, &asked.names.thread) {
            let (said, _) = self.conversation(thread, owner)?;
            asked.messages.splice(system..system, said.iter().cloned());
            return Ok(());
        }
        let Some(id) = &asked.response.previous else { return Ok(()) };
        let earlier = self.shared.kept.get(id, owner).ok_or_else(|| no_response(id))?;
        if earlier.conversation.is_empty() {
            let message = format!("the response {id} is not complete, so nothing can go on from it");
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        asked.messages.splice(system..system, earlier.conversation.iter().cloned());
        Ok(())
    }

    pub(crate) async fn body<B>(&self, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let collected =
            timeout(REQUEST_LIMIT, Limited::new(body, MAX_BODY).collect()).await.map_err(|_| {
                Refusal::new(RefusalKind::Invalid, "the body of the request did not come in time")
            })?;
        let collected = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => Refusal::new(
                RefusalKind::TooLarge,
                format!("the body is larger than {} MiB", MAX_BODY / 1024 / 1024),
            ),
            None => Refusal::new(RefusalKind::Invalid, format!("the body broke off: {error}")),
        })?;
        Ok(collected.to_bytes())
    }
}

fn no_response(id: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("there is no response {id} here, or no longer"))
}

fn conversation_document(id: &str, created: u64) -> Value {
    json!({ "id": id, "object": "conversation", "created_at": created, "metadata": {} })
}

fn model_document(name: &str) -> Value {
    json!({
        "id": name, "object": "model", "created": 0, "owned_by": "headrace",
        "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z",
    })
}

fn page(page: Option<&str>) -> Response<Body> {
    let Some(page) = page else {
        return refused(Protocol::Chat, &Refusal::new(RefusalKind::NotFound, "there is no page here"));
    };
    let mut response = text_response("text/html; charset=utf-8", page.to_owned());
    let headers = response.headers_mut();
    // Nothing from elsewhere, and nobody may put it into a frame.
    let policy = "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'unsafe-inline'; script-src \
                  'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert("content-security-policy", HeaderValue::from_static(policy));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn begin(protocol: Protocol, run: &str, answer: Answer) -> Response<Body> {
    let mut response = match answer {
        Answer::Refusal(refusal) => refused(protocol, &refusal),
        Answer::Document(document) => json_response(StatusCode::OK, document),
        Answer::Stream(body) => stream_response(protocol, body.boxed_unsync()),
        Answer::Log(body) => stream_response(protocol, body.boxed_unsync()),
    };
    if let Ok(run) = HeaderValue::from_str(run) {
        response.headers_mut().insert(RUN, run);
    }
    response
}

fn stream_response(protocol: Protocol, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx collects a response before it sends it, unless it is told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if protocol == Protocol::UiMessages {
        headers
            .insert(HeaderName::from_static("x-vercel-ai-ui-message-stream"), HeaderValue::from_static("v1"));
    }
    response
}

fn refused(protocol: Protocol, refusal: &Refusal) -> Response<Body> {
    let mut response = whole(refusal.kind.status(), &refusal.body(protocol));
    if let Some(seconds) = refusal.retry_after {
        // In whole seconds, so that nobody asks too early.
        let seconds = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default().as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.kind == RefusalKind::NoKey {
        response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    response
}

/// The error for a path that is not there, or not for this method.
fn wrong_place(place: &Place, path: &str) -> Response<Body> {
    let allowed: Vec<&str> = place.methods().map(Method::as_str).collect();
    if allowed.is_empty() {
        return refused(
            place.protocol(),
            &Refusal::new(RefusalKind::NotFound, format!("there is no {path} here")),
        );
    }
    let allowed = allowed.join(", ");
    let refusal = Refusal::new(RefusalKind::Method, format!("this path is for {allowed}"));
    let mut response = refused(place.protocol(), &refusal);
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

pub(crate) fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    json_response(status, body.to_string())
}

fn json_response(status: StatusCode, body: String) -> Response<Body> {
    let mut response = text_response("application/json", body);
    *response.status_mut() = status;
    response
}

fn text_response(kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
