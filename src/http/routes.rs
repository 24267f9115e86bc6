//! The way of a request: who asks, how much they may, what they ask for, the operation, the answer.
//!
//! What is wrong is said in this order: the path and the method; who asks; how often they ask; whether they may; the headers, the
//! parameters and the body. So nobody learns from a 400 what they would not learn from a 401.

use super::call::{Answer, Call, Incoming};
use super::cursor::Cursor;
use super::operation::{Body, Method, Need, Operation};
use super::problem::{Problem, Refusal};
use super::server::State;
use super::{headers, hot, live, patience};
use crate::access::{self, Admitted};
use crate::actor::{Actor, Principal, Scope};
use crate::db::Who;
use crate::error::{Error, Result};
use crate::traces;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, guard, rt, web};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::Instrument;

/// A body that is no larger leaves as one.
const PLAIN: usize = 32 << 10;

/// The id of a request, between the rim and the answer.
#[derive(Clone)]
struct RequestId(String);

/// Makes the routes.
pub(super) fn configure(config: &mut web::ServiceConfig, state: &Arc<State>) {
    let mut paths: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (at, operation) in state.operations.iter().enumerate() {
        paths.entry(operation.path).or_default().push(at);
    }
    // Paths are gone through one after the other: first those that many ask for at once, then those that are compared as they
    // stand, and last those with names in them, each of which is a regular expression.
    let is_hot = |place: &usize| state.operations.get(*place).is_some_and(|operation| operation.hot.is_some());
    let mut paths: Vec<(&str, Vec<usize>)> = paths.into_iter().collect();
    paths.sort_by_key(|(path, places)| (!places.iter().any(is_hot), path.contains('{')));
    for (path, places) in paths {
        let mut resource = web::resource(path);
        let mut allowed = vec!["OPTIONS"];
        for (at, operation) in places.into_iter().filter_map(|at| Some((at, state.operations.get(at)?))) {
            allowed.push(operation.method.text());
            let to = move |state: web::Data<State>, request: HttpRequest, payload: web::Payload| {
                respond(state.into_inner(), at, request, payload)
            };
            resource = resource.route(match operation.method {
                Method::Get => {
                    allowed.push("HEAD");
                    web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(to)
                }
                Method::Post => web::post().to(to),
                Method::Put => web::put().to(to),
                Method::Delete => web::delete().to(to),
            });
        }
        config.service(fixed(resource, allowed.join(", ")));
    }
    let document = web::resource("/openapi.json").route(
        web::get()
            .to(|state: web::Data<State>| async move { page("application/json", state.document.clone(), &state) }),
    );
    config.service(fixed(document, "GET, OPTIONS".to_owned()));
    let docs = web::resource("/docs").route(
        web::get().to(|state: web::Data<State>| async move { page("text/html; charset=utf-8", state.docs(), &state) }),
    );
    config.service(fixed(docs, "GET, OPTIONS".to_owned()));
    let style = web::resource("/docs/style.css").route(web::get().to(|state: web::Data<State>| async move {
        page("text/css; charset=utf-8", web::Bytes::from_static(super::docs::STYLE.as_bytes()), &state)
    }));
    config.service(fixed(style, "GET, OPTIONS".to_owned()));
}

/// With answers to OPTIONS and to methods that it does not have.
fn fixed(resource: actix_web::Resource, allowed: String) -> actix_web::Resource {
    let options = allowed.clone();
    resource
        .route(web::method(actix_web::http::Method::OPTIONS).to(move || {
            let allow = options.clone();
            async move { HttpResponse::NoContent().insert_header(("allow", allow)).finish() }
        }))
        .default_service(web::to(move |request: HttpRequest| {
            let allowed = allowed.clone();
            async move {
                let mut response = refusal(&request, &Refusal::MethodNotAllowed { allowed: allowed.clone() }.into());
                if let Ok(value) = HeaderValue::from_str(&allowed) {
                    response.headers_mut().insert(HeaderName::from_static("allow"), value);
                }
                response
            }
        }))
}

fn page(kind: &'static str, text: web::Bytes, state: &State) -> HttpResponse {
    let parts = patience::Parts::of(text, slowest(state));
    HttpResponse::Ok().insert_header(("content-type", kind)).insert_header(("cache-control", "no-cache")).body(parts)
}

fn slowest(state: &State) -> Duration {
    Duration::from_secs(u64::from(state.settings.server.answer_seconds.max(1)))
}

/// What is at no path of ours.
pub(super) async fn no_such_path(request: HttpRequest) -> HttpResponse {
    refusal(&request, &Refusal::NoSuchPath.into())
}

/// Around everything: the id of the request, the headers of the answer, a line in the log.
pub(super) async fn rim(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = headers::request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let parent = (headers::maybe(request.headers(), "traceparent"), headers::maybe(request.headers(), "tracestate"));
    let span = traces::request(request.method().as_str(), &id, (parent.0.as_deref(), parent.1.as_deref()));
    let (method, path, begun) = (request.method().clone(), request.path().to_owned(), std::time::Instant::now());
    let mut response = next.call(request).instrument(span.clone()).await?;
    let route = response.request().match_pattern();
    traces::answered(&span, method.as_str(), route.as_deref(), response.status().as_u16());
    headers::protect(response.headers_mut(), &id);
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status = response.status().as_u16(), milliseconds, request_id = id, "request");
    Ok(response)
}

/// Whoever asks whether a server is well is answered, also when it is full and when their address has asked for much: a balancer takes
/// a server that says nothing out of service.
fn is_probe(operation: &Operation) -> bool {
    ["livez", "readyz"].contains(&operation.id)
}

/// Counts a request for as long as it is under way.
pub(super) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(state: &Arc<State>, operation: &Operation) -> Result<UnderWay, Refusal> {
        let most = usize::try_from(state.settings.server.requests_at_once).unwrap_or(usize::MAX);
        let counted = UnderWay(Arc::clone(&state.under_way));
        if state.under_way.fetch_add(1, Ordering::Relaxed) >= most && !is_probe(operation) {
            Err(Refusal::ServerFull)
        } else {
            Ok(counted)
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stands before the body of a request, for a thread that may wait.
struct Head {
    method: actix_web::http::Method,
    headers: HeaderMap,
    raw_path: String,
    raw_query: String,
    place: String,
}

impl Head {
    fn of(request: &HttpRequest, state: &State) -> Head {
        Head {
            method: request.method().clone(),
            headers: request.headers().clone(),
            raw_path: request.uri().path().to_owned(),
            raw_query: request.query_string().to_owned(),
            place: headers::place(request.peer_addr(), request.headers(), &state.settings.server.trusted_proxies),
        }
    }
}

/// Answers one request.
async fn respond(state: Arc<State>, at: usize, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(operation) = state.operations.get(at) else { return refusal(&request, &Refusal::NoSuchPath.into()) };
    let credentials = headers::credentials(request.headers());
    if operation.need != Need::Nobody && credentials.is_none() {
        return refusal(&request, &Refusal::NoCredentials.into());
    }
    if request.method() == actix_web::http::Method::GET && live::is_wanted(operation, request.headers()) {
        let _counted = match UnderWay::begin(&state, operation) {
            Ok(counted) => counted,
            Err(full) => return refusal(&request, &full.into()),
        };
        let place = headers::place(request.peer_addr(), request.headers(), &state.settings.server.trusted_proxies);
        let streamed = live::answer(Arc::clone(&state), request.headers(), request.query_string(), place).await;
        return streamed.unwrap_or_else(|error| refusal(&request, &error));
    }
    if operation.body == Body::File {
        // Tens of MiB are read whole, and of nobody who may not send them.
        let (worker, head) = (Arc::clone(&state), Head::of(&request, &state));
        let may = web::block(move || {
            let Some(operation) = worker.operations.get(at) else { return Err(Refusal::NoSuchPath.into()) };
            let_in(&worker, operation, &head)?.map_or(Ok(()), |admitted| allowed(operation, &admitted).map(drop))
        });
        if let Err(error) = may.await.unwrap_or_else(|_| Err(stopping())) {
            return refusal(&request, &error);
        }
    }
    let slow = if operation.body == Body::Stream { patience::Slow::begin(&state).map(Some) } else { Ok(None) };
    let arriving = incoming(operation, &state, request.headers(), payload);
    let arrived = patience::arrived(&state, arriving).await;
    // Counted only now: who sends slowly takes nobody's place.
    let counted = UnderWay::begin(&state, operation);
    let ((body, pump), _slow, counted) = match (arrived, slow, counted) {
        (Ok(arrived), Ok(slow), Ok(counted)) => (arrived, slow, Arc::new(counted)),
        (Err(full), ..) | (_, Err(full), _) | (_, _, Err(full)) => return refusal(&request, &full.into()),
    };
    if let Some(answer) = hot::answer(&state, at, &request, &body, &counted).await {
        return answer.map_or_else(|error| refusal(&request, &error), |answer| response(&request, answer));
    }
    let head = Head::of(&request, &state);
    let worker = Arc::clone(&state);
    let span = tracing::Span::current();
    let worked = web::block(move || {
        let _counted = counted;
        let mut admitted = None;
        let answer = span.in_scope(|| work(&worker, at, head, body, &mut admitted));
        (answer, admitted)
    });
    let pumped = pump.map(|pump| rt::spawn(pump));
    let worked = worked.await;
    if let Some(pumped) = pumped {
        pumped.abort();
    }
    let (answer, admitted) = match worked {
        Ok(worked) => worked,
        Err(_) => (Err(stopping()), None),
    };
    if let Some(admitted) = admitted.filter(Admitted::is_stale) {
        // Housekeeping, off the way of the request. What fails here is tried again by the next one.
        drop(web::block(move || drop(access::touch(&state.db, &admitted))));
    }
    match answer {
        Ok(answer) => response(&request, answer),
        Err(error) => refusal(&request, &error),
    }
}

fn stopping() -> Error {
    Error::Busy("the server is stopping".to_owned())
}

/// Who asks; `None`: nobody, where nobody has to be.
fn let_in(state: &State, operation: &Operation, head: &Head) -> Result<Option<Admitted>> {
    if operation.need == Need::Nobody {
        headers::refuse_cross_site(&head.method, &head.headers, false)?;
        return Ok(None);
    }
    let credentials = headers::credentials(&head.headers).ok_or(Refusal::NoCredentials)?;
    headers::refuse_cross_site(&head.method, &head.headers, credentials.by_cookie)?;
    let secret = &credentials.secret;
    state.refuse_guessing(&head.place, secret)?;
    let now = state.db.clock().now();
    let admitted = state.db.read(|conn| access::admit(conn, secret, now)).inspect_err(|error| {
        if error.is_answer() {
            state.guessed(&head.place, secret);
        }
    })?;
    state.known.keep(secret, &admitted.actor);
    Ok(Some(admitted))
}

/// Whether they may, and where.
fn allowed(operation: &Operation, admitted: &Admitted) -> Result<Arc<Who>> {
    match operation.need {
        Need::Permission(permission) => admitted.who(permission),
        _ => Ok(Arc::new(Who { actor: admitted.actor.clone(), scope: admitted.rights.reach() })),
    }
}

/// Who asks, and whether they may and not too often.
fn admit(state: &State, operation: &Operation, head: &Head) -> Result<(Arc<Who>, Option<Admitted>)> {
    let limited = |principal: &str| {
        let taken = state.limits.take(principal, std::time::Instant::now());
        taken.map_err(|_| Refusal::TooManyRequests)
    };
    match let_in(state, operation, head) {
        Ok(Some(admitted)) => {
            limited(admitted.actor.as_str())?;
            Ok((allowed(operation, &admitted)?, Some(admitted)))
        }
        Ok(None) => {
            if !is_probe(operation) {
                limited(&head.place)?;
            }
            Ok((Arc::new(Who { actor: Actor::system("http"), scope: Scope::nothing() }), None))
        }
        Err(no) => Err(no),
    }
}

/// All that may wait for the database.
fn work(
    state: &Arc<State>,
    at: usize,
    head: Head,
    body: Result<Incoming>,
    is: &mut Option<Admitted>,
) -> Result<Answer> {
    let Some(operation) = state.operations.get(at) else { return Err(Refusal::NoSuchPath.into()) };
    let (who, admitted) = admit(state, operation, &head)?;
    is.clone_from(&admitted);
    traces::asked_by(match who.actor.principal() {
        Principal::Person(_) => "person",
        Principal::Key(_) => "key",
        Principal::Operator(_) | Principal::System(_) => "nobody",
    });
    let path = path_parts(operation, &head.raw_path)?;
    let mut query = pairs(&head.raw_query)?;
    let dry_run = operation.dry_run && take_flag(&mut query, "dry_run")?;
    let cursor = take(&mut query, "cursor").map(|signed| Cursor::read(&signed, &state.cursor_secret)).transpose()?;
    let position = match cursor {
        None => None,
        Some(cursor) => {
            let for_this = cursor.operation == operation.id && cursor.path == head.raw_path;
            if !for_this || cursor.principal != who.actor.as_str() {
                return Err(Refusal::BadCursor { why: "it was given out for another list or to somebody else" }.into());
            }
            if query.iter().any(|pair| !cursor.query.contains(pair)) {
                return Err(Refusal::BadCursor { why: "it carries other filters than those given beside it" }.into());
            }
            query = cursor.query;
            Some(cursor.position)
        }
    };
    let key = headers::idempotency_key(&head.headers)?;
    if key.is_none() && operation.takes_key() && !dry_run {
        return Err(Refusal::KeyMissing.into());
    }
    let if_match = headers::maybe(&head.headers, "if-match");
    if operation.is_configuration && operation.method != Method::Get && if_match.is_none() {
        return Err(Refusal::IfMatchMissing.into());
    }
    let call = Call {
        state: Arc::clone(state),
        operation: operation.id,
        who,
        admitted,
        raw_path: head.raw_path,
        path,
        query,
        position,
        dry_run,
        body: body?,
        key: key.filter(|_| operation.takes_key()),
        if_match,
        place: head.place,
        device: headers::maybe(&head.headers, "user-agent").unwrap_or_default(),
        cookies: headers::maybe(&head.headers, "cookie"),
    };
    let answer = (operation.run)(&call)?;
    let known = headers::maybe(&head.headers, "if-none-match");
    let tag = answer.headers.iter().find(|(name, _)| *name == "ETag").map(|(_, tag)| tag.clone());
    if operation.method == Method::Get && tag.is_some() && known == tag {
        return Ok(Answer { status: 304, body: Vec::new(), headers: answer.headers });
    }
    Ok(answer)
}

/// The named parts of a path. A code with a slash, such as a sub-account's, comes as one part with `%2F`.
fn path_parts(operation: &Operation, raw: &str) -> Result<BTreeMap<String, String>> {
    let mut parts = BTreeMap::new();
    for (pattern, part) in operation.path.split('/').zip(raw.split('/')) {
        if let Some(name) = pattern.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            let bad = || Refusal::BadPath { why: format!("the part {name} of the path is not percent-encoded text") };
            parts.insert(name.to_owned(), headers::decoded(part, false).ok_or_else(bad)?);
        }
    }
    Ok(parts)
}

/// Names and values of the parameters; each name once.
fn pairs(raw: &str) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in raw.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (headers::decoded(name, true), headers::decoded(value, true));
        let bad = || Refusal::BadQuery { why: format!("the parameter {pair} is not percent-encoded text") };
        let (name, value) = name.zip(value).ok_or_else(bad)?;
        if pairs.iter().any(|(n, _)| *n == name) {
            return Err(Refusal::BadQuery { why: format!("the parameter {name} is given twice") }.into());
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn take(query: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = query.iter().position(|(n, _)| n == name)?;
    Some(query.remove(at).1)
}

fn take_flag(query: &mut Vec<(String, String)>, name: &str) -> Result<bool> {
    match take(query, name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Refusal::BadQuery { why: format!("{name} is true or false") }.into()),
    }
}

/// A file that is read whole has so many MiB at most, however large those are that come as a stream.
const WHOLE_MIB: u64 = 32;

type Pump = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// The body: all of it, or the end of a pipe through which it will come, with what moves it there.
async fn incoming(
    operation: &Operation,
    state: &State,
    headers: &HeaderMap,
    payload: web::Payload,
) -> (Result<Incoming>, Option<Pump>) {
    let server = &state.settings.server;
    let declared = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    let most = match operation.body {
        Body::Stream => server.upload_mib.saturating_mul(1 << 20),
        Body::File => server.upload_mib.min(WHOLE_MIB).saturating_mul(1 << 20),
        Body::Json | Body::None => server.body_kib.saturating_mul(1 << 10),
    };
    let is_encoded = |v: &HeaderValue| !v.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get("content-encoding").is_some_and(is_encoded) {
        return (Err(Refusal::EncodedBody.into()), None);
    }
    if declared > most {
        return (Err(Refusal::BodyTooLarge { most }.into()), None);
    }
    if operation.body == Body::Stream {
        let slowest = Duration::from_secs(u64::from(server.body_seconds));
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        let source: Box<dyn Read + Send> = Box::new(Pipe { receiver, chunk: web::Bytes::new() });
        return (Ok(Incoming::Stream(Mutex::new(Some(source)))), Some(Box::pin(pump(payload, sender, most, slowest))));
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let whole = rt::time::timeout(Duration::from_secs(u64::from(server.body_seconds)), payload.to_bytes_limited(limit));
    let read: Result<web::Bytes, Refusal> = match whole.await {
        Err(_) => Err(Refusal::BodyTooSlow),
        Ok(Err(_)) => Err(Refusal::BodyTooLarge { most }),
        Ok(Ok(Err(_))) => Err(Refusal::BodyBroken),
        Ok(Ok(Ok(bytes))) => Ok(bytes),
    };
    let kind = headers::maybe(headers, "content-type").unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"));
    let read = match read {
        Ok(bytes) if operation.body == Body::None && !bytes.is_empty() => {
            Err(Refusal::BadBody { why: "this operation takes none".to_owned() })
        }
        Ok(bytes) if operation.body == Body::Json && !bytes.is_empty() && !is_json => {
            Err(Refusal::UnsupportedBody { wanted: "application/json" })
        }
        other => other,
    };
    (read.map(|bytes| Incoming::Whole(bytes.to_vec())).map_err(Error::from), None)
}

/// Moves a body into a pipe, no faster than it is read there.
async fn pump(
    mut payload: web::Payload,
    sender: tokio::sync::mpsc::Sender<Result<web::Bytes, Refusal>>,
    most: u64,
    slowest: Duration,
) {
    let (mut so_far, mut step) = (0u64, 0);
    let now = rt::time::Instant::now;
    let mut until = now() + slowest;
    loop {
        let chunk = match rt::time::timeout(until.saturating_duration_since(now()), payload.next()).await {
            Ok(None) => return,
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) => {
                let _ = sender.send(Err(Refusal::BodyBroken)).await;
                return;
            }
            Err(_) => {
                let _ = sender.send(Err(Refusal::BodyTooSlow)).await;
                return;
            }
        };
        so_far = so_far.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        step += chunk.len();
        let sent = if so_far > most { Err(Refusal::BodyTooLarge { most }) } else { Ok(chunk) };
        let is_end = sent.is_err();
        let waited = now();
        if sender.send(sent).await.is_err() || is_end {
            return;
        }
        // The time that we have taken ourselves is not the sender's.
        until += waited.elapsed();
        if step >= patience::STEP {
            (step, until) = (0, now() + slowest);
        }
    }
}

/// The end of a pipe from which a thread reads.
struct Pipe {
    receiver: tokio::sync::mpsc::Receiver<Result<web::Bytes, Refusal>>,
    chunk: web::Bytes,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(refusal)) => return Err(std::io::Error::other(refusal)),
            }
        }
        let part = self.chunk.split_to(self.chunk.len().min(into.len()));
        if let Some(place) = into.get_mut(..part.len()) {
            place.copy_from_slice(&part);
        }
        Ok(part.len())
    }
}

fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// A refusal as the answer to this request.
fn refusal(request: &HttpRequest, error: &Error) -> HttpResponse {
    if let Error::Broken(what) = error {
        tracing::error!(request_id = request_id(request), %what, "a request has failed");
    }
    match Answer::problem(error) {
        Ok(answer) => response(request, answer),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// An answer as the response to this request.
fn response(request: &HttpRequest, answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    let mut body = answer.body;
    if answer.status >= 400 {
        response.insert_header(("content-type", "application/problem+json"));
        if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
            let problem = Problem { request_id: Some(request_id(request)), ..problem };
            body = serde_json::to_vec(&problem).unwrap_or(body);
        }
        match answer.status {
            401 => drop(response.insert_header(("www-authenticate", "Bearer"))),
            429 | 503 => drop(response.insert_header(("retry-after", "1"))),
            _ => {}
        }
    } else if !body.is_empty() {
        response.insert_header(("content-type", "application/json"));
    }
    for (name, value) in answer.headers {
        // Of cookies an answer may set several; anything else it says once.
        if name == "Set-Cookie" {
            response.append_header((name, value));
        } else {
            response.insert_header((name, value));
        }
    }
    match request.app_data::<web::Data<State>>() {
        Some(state) if body.len() > PLAIN => response.body(patience::Parts::of(body.into(), slowest(state))),
        _ => response.body(body),
    }
}
