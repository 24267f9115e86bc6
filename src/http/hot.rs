//! Requests that many send at once, such as transfers: they go to the writer as they come, are answered together in the commit
//! that carries them out, and no thread waits meanwhile.
//!
//! What every request pays elsewhere, a group pays once: whose secrets these are and what their bearers may do is read inside the
//! commit for all of them, so that a revoked key or a changed role counts from the next commit on; kept keys are looked up and new
//! ones written in one go; that a key was used is written beside them.
//!
//! This way takes only what is in order, from somebody whom this server has let in before. All else goes the ordinary way, which
//! says what is wrong in its order (`routes.rs`). Who was let in before is remembered only to know whose bucket a request empties,
//! and decides nothing.

use super::call::{Answer, Incoming, again, digest};
use super::headers;
use super::operation::{Need, Operation, Read};
use super::problem::Refusal;
use super::routes::UnderWay;
use super::server::State;
use super::store::{self, KeyRow};
use crate::access::{self, Admitted, Secret};
use crate::actor::{Actor, Scope};
use crate::db::seal::{Hash, sha256};
use crate::db::{Asked, Kind, Tx, Who};
use crate::error::{Error, Result};
use actix_web::HttpRequest;
use foldhash::{HashMap, HashMapExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bearers of secrets that are remembered at most; then all are forgotten, and asked for again.
const REMEMBERED: usize = 20_000;

/// Whose secrets were let in, by the digest of the secret.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Hash, Actor>>);

impl Known {
    fn all(&self) -> MutexGuard<'_, HashMap<Hash, Actor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers who was let in.
    pub(super) fn keep(&self, secret: &Secret, actor: &Actor) {
        let digest = sha256(secret.reveal().as_bytes());
        let mut all = self.all();
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.entry(digest).or_insert_with(|| actor.clone());
    }

    /// Whether this secret was let in lately.
    pub(super) fn knows(&self, secret: &Secret) -> bool {
        self.whose(secret).is_some()
    }

    fn whose(&self, secret: &Secret) -> Option<Actor> {
        self.all().get(&sha256(secret.reveal().as_bytes())).cloned()
    }

    /// It was not let in again.
    pub(super) fn forget(&self, secret: &Secret) {
        self.all().remove(&sha256(secret.reveal().as_bytes()));
    }
}

/// A request in the writer's queue. It holds no database: the writer's thread may be the last to let go of it.
struct Waiting {
    operations: Arc<[Operation]>,
    at: usize,
    secret: Secret,
    key: String,
    digest: Hash,
    body: Read,
    /// It is under way until the writer is done with it, also when whoever has asked is gone.
    _counted: Arc<UnderWay>,
}

impl Waiting {
    fn operation(&self) -> Result<&Operation> {
        self.operations.get(self.at).ok_or_else(|| Refusal::NoSuchPath.into())
    }
}

static HOT: Kind<Waiting, Answer> = Kind { name: "http.hot", run };

/// Answers a request by this way, where it may take it.
pub(super) async fn answer(
    state: &Arc<State>,
    at: usize,
    request: &HttpRequest,
    body: &Result<Incoming>,
    counted: &Arc<UnderWay>,
) -> Option<Result<Answer>> {
    let operation = state.operations.get(at)?;
    let hot = operation.hot.as_ref()?;
    let Ok(Incoming::Whole(bytes)) = body else { return None };
    if !request.query_string().is_empty() {
        return None;
    }
    let credentials = headers::credentials(request.headers())?;
    headers::refuse_cross_site(request.method(), request.headers(), credentials.by_cookie).ok()?;
    let secret = credentials.secret;
    let actor = state.known.whose(&secret)?;
    let key = headers::idempotency_key(request.headers()).ok()??;
    let digest = digest(operation.id, request.uri().path(), &[], bytes);
    let body = (hot.read)(bytes).ok()?;
    if state.limits.take(actor.as_str(), Instant::now()).is_err() {
        return Some(Err(Refusal::TooManyRequests.into()));
    }
    let bearer = secret.clone();
    let operations = Arc::clone(&state.operations);
    let waiting = Waiting { operations, at, secret, key, digest, body, _counted: Arc::clone(counted) };
    let (tell, told) = tokio::sync::oneshot::channel();
    // Whoever has gone away needs no answer.
    let tell = Box::new(move |answers| drop(tell.send(answers)));
    if let Err(busy) = state.db.submit(&HOT, &nobody(), vec![waiting], tell) {
        return Some(Err(busy));
    }
    let stopped = || Error::Broken("the writer stopped".to_owned());
    let answers = told.await.unwrap_or_else(|_| Err(stopped()));
    let answer = answers.and_then(|mut all| all.pop().unwrap_or_else(|| Err(stopped())));
    if matches!(&answer, Err(no) if no.code() == "not_signed_in") {
        let place = headers::place(request.peer_addr(), request.headers(), &state.settings.server.trusted_proxies);
        state.guessed(&place, &bearer);
    }
    Some(answer)
}

fn nobody() -> Arc<Who> {
    Arc::new(Who { actor: Actor::system("http"), scope: Scope::nothing() })
}

/// Answers all that wait.
fn run(tx: &mut Tx<'_>, asked: &[Asked<Waiting>]) -> Result<Vec<Result<Answer>>> {
    let waiting: Vec<&Waiting> = asked.iter().map(|a| &a.item).collect();
    let before = Arc::clone(tx.who());
    let bearers = admit_all(tx, &waiting)?;
    let mut group = Group::of(tx, &waiting, bearers)?;
    let mut rows = Vec::with_capacity(group.fresh.len());
    let fresh = std::mem::take(&mut group.fresh);
    // In the order in which they came; those of one operation that stand side by side together.
    for together in fresh.chunk_by(|a, b| waiting.get(*a).map(|w| w.at) == waiting.get(*b).map(|w| w.at)) {
        rows.extend(group.carry_out(tx, together)?);
    }
    store::keep_all(tx.conn(), &rows)?;
    let answers = group.answers(tx, &rows);
    tx.act_as(&before);
    answers
}

/// A key that was used for another request is a refusal like any other.
fn tell_conflict(tx: &mut Tx<'_>, operation: &Operation, who: &Arc<Who>, answer: &Result<Answer>) {
    if let Err(no) = answer {
        tx.act_as(who);
        tx.refused(operation.id, no);
    }
}

/// Who each of the secrets belongs to, and what they may do in this commit.
fn admit_all(tx: &mut Tx<'_>, waiting: &[&Waiting]) -> Result<Vec<Result<Arc<Admitted>>>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut secrets: Vec<&Secret> = Vec::new();
    for one in waiting {
        places.entry(one.secret.reveal()).or_insert_with(|| {
            secrets.push(&one.secret);
            secrets.len() - 1
        });
    }
    let now = tx.now();
    let admitted: Vec<Result<Arc<Admitted>>> =
        access::admit_all(tx.conn(), &secrets, now)?.into_iter().map(|a| a.map(Arc::new)).collect();
    for admitted in admitted.iter().flatten() {
        access::touch_in(tx, admitted)?;
    }
    let of = |one: &&Waiting| places.get(one.secret.reveal()).and_then(|place| admitted.get(*place)).cloned();
    let all: Option<Vec<_>> = waiting.iter().map(of).collect();
    all.ok_or_else(|| Error::Broken("a secret has no answer".to_owned()))
}

/// What is to become of one request.
enum Fate {
    /// Answered already.
    Answered(Result<Answer>),
    /// It is carried out, in the name of this one.
    Fresh(Arc<Who>),
    /// The same principal's same key stands further up in the group.
    Same(usize, Arc<Who>),
}

struct Group<'w> {
    waiting: &'w [&'w Waiting],
    fates: Vec<Fate>,
    /// Those that are carried out.
    fresh: Vec<usize>,
    /// Which row of kept keys a fresh one has made.
    rows: HashMap<usize, usize>,
    made: usize,
}

impl<'w> Group<'w> {
    /// Sorts out who may not ask, and what was answered before.
    fn of(tx: &mut Tx<'_>, waiting: &'w [&'w Waiting], bearers: Vec<Result<Arc<Admitted>>>) -> Result<Group<'w>> {
        let mut whos: HashMap<(*const Admitted, usize), Arc<Who>> = HashMap::new();
        let mut fates = Vec::with_capacity(waiting.len());
        for (one, bearer) in waiting.iter().zip(bearers) {
            let need = one.operation()?.need;
            let who = bearer.and_then(|admitted| {
                let place = (Arc::as_ptr(&admitted), one.at);
                if let Some(who) = whos.get(&place) {
                    return Ok(Arc::clone(who));
                }
                let who = who_of(&admitted, need)?;
                whos.insert(place, Arc::clone(&who));
                Ok(who)
            });
            fates.push(who.map_or_else(|no| Fate::Answered(Err(no)), Fate::Fresh));
        }
        let mut keys: HashMap<&str, Vec<&str>> = HashMap::new();
        for (one, fate) in waiting.iter().zip(&fates) {
            if let Fate::Fresh(who) = fate {
                keys.entry(who.actor.as_str()).or_default().push(&one.key);
            }
        }
        let mut kept: HashMap<(String, String), KeyRow> = HashMap::new();
        for (principal, keys) in keys {
            let found = store::kept_of(tx.conn(), principal, &keys)?;
            kept.extend(found.into_iter().map(|row| ((row.principal.clone(), row.key.clone()), row)));
        }
        let mut first: HashMap<(Actor, &str), usize> = HashMap::with_capacity(waiting.len());
        let mut fresh = Vec::with_capacity(waiting.len());
        for (place, (one, fate)) in waiting.iter().zip(&mut fates).enumerate() {
            let Fate::Fresh(who) = fate else { continue };
            let of = |row: &KeyRow| again(row, &one.digest);
            let row = if kept.is_empty() { None } else { kept.get(&(who.actor.to_string(), one.key.clone())) };
            if let Some(answer) = row.map(of) {
                tell_conflict(tx, one.operation()?, who, &answer);
                *fate = Fate::Answered(answer);
                continue;
            }
            match first.entry((who.actor.clone(), one.key.as_str())) {
                std::collections::hash_map::Entry::Occupied(earlier) => {
                    *fate = Fate::Same(*earlier.get(), Arc::clone(who));
                }
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(place);
                    fresh.push(place);
                }
            }
        }
        Ok(Group { waiting, fates, fresh, rows: HashMap::new(), made: 0 })
    }

    /// Carries some out, which are of one operation; their answers, to be kept under their keys.
    fn carry_out(&mut self, tx: &mut Tx<'_>, places: &[usize]) -> Result<Vec<KeyRow>> {
        let asked: Vec<(usize, &Waiting, Arc<Who>)> = places
            .iter()
            .filter_map(|place| match (self.waiting.get(*place), self.fates.get(*place)) {
                (Some(one), Some(Fate::Fresh(who))) => Some((*place, *one, Arc::clone(who))),
                _ => None,
            })
            .collect();
        let Some((_, first, _)) = asked.first() else { return Ok(Vec::new()) };
        let operation = first.operation()?;
        let hot = operation.hot.as_ref().ok_or_else(|| Error::Broken("this operation has no fast way".to_owned()))?;
        let items: Vec<(&Arc<Who>, &Read)> = asked.iter().map(|(_, one, who)| (who, &one.body)).collect();
        let answers = (hot.answer)(tx, &items)?;
        assert!(answers.len() == asked.len(), "{}: one answer for each request", operation.id);
        let mut rows = Vec::with_capacity(asked.len());
        for ((place, one, who), answer) in asked.into_iter().zip(answers) {
            let answer = match answer {
                Ok(answer) => answer,
                Err(no) if no.is_answer() => {
                    tx.act_as(&who);
                    tx.refused(operation.id, &no);
                    Answer::problem(&no)?
                }
                Err(fault) => return Err(fault),
            };
            rows.push(KeyRow::of((who.actor.as_str(), &one.key), operation.id, &one.digest, &answer, tx.now())?);
            self.rows.insert(place, self.made);
            self.made += 1;
            if let Some(fate) = self.fates.get_mut(place) {
                *fate = Fate::Answered(Ok(answer));
            }
        }
        Ok(rows)
    }

    /// One answer for each request.
    fn answers(self, tx: &mut Tx<'_>, rows: &[KeyRow]) -> Result<Vec<Result<Answer>>> {
        let Group { waiting, fates, rows: made, .. } = self;
        let one = |(one, fate): (&&Waiting, Fate)| match fate {
            Fate::Answered(answer) => Ok(answer),
            Fate::Same(earlier, who) => {
                let row = made.get(&earlier).and_then(|row| rows.get(*row));
                let row = row.ok_or_else(|| Error::Broken("an equal request has no answer".to_owned()))?;
                let answer = again(row, &one.digest);
                tell_conflict(tx, one.operation()?, &who, &answer);
                Ok(answer)
            }
            Fate::Fresh(_) => Err(Error::Broken("a request has no answer".to_owned())),
        };
        waiting.iter().zip(fates).map(one).collect()
    }
}

fn who_of(admitted: &Admitted, need: Need) -> Result<Arc<Who>> {
    match need {
        Need::Permission(permission) => admitted.who(permission),
        _ => Ok(Arc::new(Who { actor: admitted.actor.clone(), scope: admitted.rights.reach() })),
    }
}
