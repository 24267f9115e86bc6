//! One request, as an operation sees it, and what it answers.

use super::cursor::Cursor;
use super::json::{Limit, Page};
use super::problem::{Problem, Refusal};
use super::server::State;
use super::store::{self, KeyRow};
use crate::access::oidc::Provider;
use crate::access::{Admitted, Opened, Secret, Settings};
use crate::actor::Actor;
use crate::banking::Profiles;
use crate::config;
use crate::db::seal::{Hash, sha256};
use crate::db::{Conn, Db, Tx, Who};
use crate::error::{Error, Result};
use crate::scope::Scope;
use crate::time::{Instant, stored};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

/// What an operation answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// A document.
    pub fn json(status: u16, value: &impl Serialize) -> Result<Answer> {
        let body = serde_json::to_vec(value).map_err(|e| Error::Broken(format!("an answer cannot be written: {e}")))?;
        Ok(Answer { status, body, headers: Vec::new() })
    }

    /// A browser is to go there.
    pub fn elsewhere(location: String) -> Answer {
        Answer { status: 303, body: Vec::new(), headers: vec![("Location", location)] }
    }

    /// Text of this kind.
    pub(super) fn text(status: u16, media: &'static str, text: String) -> Answer {
        Answer { status, body: text.into_bytes(), headers: Vec::new() }.with("content-type", media.to_owned())
    }

    /// With a header.
    pub fn with(mut self, name: &'static str, value: String) -> Answer {
        self.headers.push((name, value));
        self
    }

    /// With the ETag of what it says.
    pub(super) fn with_etag(self) -> Answer {
        let tag = etag_of(&self.body);
        self.with("ETag", tag)
    }
}

/// The ETag of a document: 128 bits of its digest.
fn etag_of(body: &[u8]) -> String {
    let digest = sha256(body);
    let hex: Vec<String> = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("\"{}\"", hex.concat())
}

/// What a command is asked for, as read from path, parameters and body.
pub struct Asked<Q, B> {
    path: BTreeMap<String, String>,
    /// The parameters.
    pub query: Q,
    /// The body.
    pub body: B,
    if_match: Option<String>,
    made: Option<Made>,
}

/// An id and a secret that were made before the command, which may run twice.
#[derive(Clone)]
pub struct Made {
    /// For the thing that the secret opens.
    pub id: String,
    /// Answered once, and kept nowhere.
    pub secret: Secret,
}

impl<Q, B> Asked<Q, B> {
    /// A part of the path.
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// What was made for it, where the operation makes a secret.
    pub fn made(&self) -> Result<&Made> {
        self.made.as_ref().ok_or_else(|| Error::Broken("no secret was made for this".to_owned()))
    }

    /// Refuses when what is there is not what the sender has read. Asked inside the commit.
    pub fn expect_unchanged(&self, now: &impl Serialize) -> Result<()> {
        let there = etag_of(&Answer::json(200, now)?.body);
        match &self.if_match {
            None => Err(Refusal::IfMatchMissing.into()),
            Some(tags) if tags.split(',').any(|t| t.trim() == there) => Ok(()),
            Some(_) => Err(Refusal::ChangedMeanwhile { now: there }.into()),
        }
    }
}

/// What came in the body.
pub(super) enum Incoming {
    /// All of it.
    Whole(Vec<u8>),
    /// As it comes.
    Stream(Mutex<Option<Box<dyn Read + Send>>>),
}

/// One request.
pub struct Call {
    pub(super) state: Arc<State>,
    pub(super) operation: &'static str,
    pub(super) who: Arc<Who>,
    pub(super) admitted: Option<Admitted>,
    /// As the request has it.
    pub(super) raw_path: String,
    pub(super) path: BTreeMap<String, String>,
    /// Without the cursor and the dry run; a cursor's are in there.
    pub(super) query: Vec<(String, String)>,
    pub(super) position: Option<String>,
    pub(super) dry_run: bool,
    pub(super) body: Incoming,
    pub(super) key: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) place: String,
    pub(super) device: String,
    pub(super) cookies: Option<String>,
}

impl Call {
    /// The database.
    pub fn db(&self) -> &Db {
        &self.state.db
    }

    /// The database, for work that goes on after the answer.
    pub fn shared_db(&self) -> Arc<Db> {
        Arc::clone(&self.state.db)
    }

    /// Who asks, with the scope of the operation's permission.
    pub fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// Where the operation's permission holds.
    pub fn scope(&self) -> &Scope {
        &self.who.scope
    }

    /// What they may do in all; `None` where anybody may ask.
    pub fn admitted(&self) -> Option<&Admitted> {
        self.admitted.as_ref()
    }

    /// A session was opened: its first request is no guess, whatever else comes from that address.
    pub fn lets_in(&self, opened: &Opened) {
        self.state.known.keep(&opened.secret, &Actor::person(&opened.person));
    }

    /// How people sign in here.
    pub fn access_settings(&self) -> &Settings {
        &self.state.settings.access
    }

    /// The profiles that this server reads banks' own files by.
    pub fn profiles(&self) -> &Profiles {
        &self.state.settings.profiles
    }

    /// How events are sent from here.
    pub fn webhooks(&self) -> &config::Webhooks {
        &self.state.settings.webhooks
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.state.db.clock().now()
    }

    /// Where the request comes from, as far as the connection tells.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// As the sender calls itself.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What a browser sends along under this name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        super::headers::cookie(self.cookies.as_deref()?, name)
    }

    /// The provider that people sign in by, where one is configured.
    pub fn provider(&self) -> Option<&Provider> {
        self.state.provider.as_ref()
    }

    /// What all servers on the database share and nobody else knows.
    pub fn shared_secret(&self) -> &[u8] {
        &self.state.cursor_secret
    }

    /// Reads in one snapshot.
    pub fn read<A>(&self, f: impl FnOnce(&mut Conn) -> Result<A>) -> Result<A> {
        self.state.db.read(f)
    }

    /// A part of the path.
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// Where the page begins, by what the page before it has given to [`Call::page`].
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// As [`Call::position`], of a list by number.
    pub fn position_number(&self) -> Result<Option<i64>> {
        let number = self.position().map(str::parse).transpose();
        number.map_err(|_| Refusal::BadCursor { why: "it is of an earlier version" }.into())
    }

    /// A page of a list, with the place where the next one begins.
    pub fn page<T>(&self, items: Vec<T>, next: Option<String>) -> Page<T> {
        let cursor = |position| Cursor {
            operation: self.operation.to_owned(),
            path: self.raw_path.clone(),
            principal: self.who.actor.to_string(),
            query: self.query.clone(),
            position,
        };
        Page { items, next_cursor: next.map(|position| cursor(position).sign(&self.state.cursor_secret)) }
    }

    /// A page out of a list that was read whole: what comes behind the position, `limit` at most. `place` names an item's place,
    /// which must grow from item to item.
    pub fn page_of<T>(&self, all: Vec<T>, limit: Option<Limit>, place: impl Fn(&T) -> String) -> Page<T> {
        let limit = Limit::of(limit);
        let behind = |item: &T| self.position.as_deref().is_none_or(|p| place(item).as_str() > p);
        let mut items: Vec<T> = all.into_iter().filter(behind).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(&place) } else { None };
        self.page(items, next)
    }

    pub(super) fn query<Q: DeserializeOwned>(&self) -> Result<Q> {
        let text: Vec<String> = self
            .query
            .iter()
            .map(|(n, v)| format!("{}={}", super::headers::encoded(n), super::headers::encoded(v)))
            .collect();
        let read = actix_web::web::Query::<Q>::from_query(&text.join("&"));
        let bad = |e: actix_web::error::QueryPayloadError| Refusal::BadQuery {
            why: format!(
                "the parameters cannot be used: {}",
                e.to_string().trim_start_matches("Query deserialize error: ")
            ),
        };
        Ok(read.map_err(bad)?.into_inner())
    }

    pub(super) fn body<B: DeserializeOwned>(&self) -> Result<B> {
        let Incoming::Whole(bytes) = &self.body else {
            return Err(Error::Broken("a stream has no document".to_owned()));
        };
        read_body(bytes)
    }

    /// The bytes of a file that is the body.
    pub(super) fn file(&self) -> Result<Vec<u8>> {
        match &self.body {
            Incoming::Whole(bytes) if bytes.is_empty() => Err(Refusal::no_file().into()),
            Incoming::Whole(bytes) => Ok(bytes.clone()),
            Incoming::Stream(_) => Err(Error::Broken("a stream is not read whole".to_owned())),
        }
    }

    /// The body as it comes; a second time there is none.
    pub(super) fn stream(&self) -> Box<dyn Read + Send> {
        match &self.body {
            Incoming::Whole(bytes) => Box::new(std::io::Cursor::new(bytes.clone())),
            Incoming::Stream(source) => {
                let taken = source.lock().unwrap_or_else(PoisonError::into_inner).take();
                taken.unwrap_or_else(|| Box::new(std::io::empty()))
            }
        }
    }

    /// What a key stands for: the operation with all that it is asked for.
    fn digest(&self) -> Hash {
        let Incoming::Whole(bytes) = &self.body else {
            return digest(self.operation, &self.raw_path, &self.query, &[]);
        };
        digest(self.operation, &self.raw_path, &self.query, bytes)
    }

    /// Runs a command in one commit, once per key: in the same commit its answer is kept, also when it is a refusal, and given
    /// again to whoever comes with the same key. A dry run keeps nothing. A secret that was made for it is in the first answer only.
    pub(super) fn commit<Q, B, A>(
        &self,
        status: u16,
        made: Option<Made>,
        body: B,
        f: impl Fn(&mut Tx<'_>, &Asked<Q, B>) -> Result<A> + Copy + Send + 'static,
    ) -> Result<Answer>
    where
        Q: DeserializeOwned + Send + Sync + 'static,
        B: Send + Sync + 'static,
        A: Serialize + 'static,
    {
        let query = self.query()?;
        let secret = made.as_ref().map(|made| made.secret.clone());
        let asked = Asked { path: self.path.clone(), query, body, if_match: self.if_match.clone(), made };
        let operation = self.operation;
        if self.dry_run {
            return self.db().write(operation, &self.who, move |tx| {
                let (answer, _) = tx.rehearse(|tx| f(tx, &asked))?;
                Ok(answer.and_then(|a| Answer::json(status, &a)))
            })?;
        }
        let Some(key) = self.key.clone() else {
            return self.db().write(operation, &self.who, move |tx| Answer::json(status, &f(tx, &asked)?));
        };
        let (principal, digest) = (self.who.actor.to_string(), self.digest());
        let (answer, is_first) = self.db().write(operation, &self.who, move |tx| {
            if let Some(kept) = store::kept(tx.conn(), &principal, &key)? {
                return Ok((again(&kept, &digest)?, false));
            }
            let answer = match tx.attempt(operation, |tx| f(tx, &asked))? {
                Ok(answer) => Answer::json(status, &answer)?,
                Err(no) => Answer::problem(&no)?,
            };
            let row = KeyRow::of((&principal, &key), operation, &digest, &answer, tx.now())?;
            store::keep(tx.conn(), &row)?;
            Ok((answer, true))
        })?;
        match secret {
            Some(secret) if is_first && answer.status < 300 => answer.with_secret(&secret),
            _ => Ok(answer),
        }
    }
}

/// The document in a body.
pub(super) fn read_body<B: DeserializeOwned>(bytes: &[u8]) -> Result<B> {
    // No body says as much as an empty object.
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| Refusal::BadBody { why: e.to_string() }.into())
}

/// What stands for an operation with all that it is asked for.
pub(super) fn digest(operation: &str, path: &str, query: &[(String, String)], body: &[u8]) -> Hash {
    let mut text = Vec::with_capacity(operation.len() + path.len() + body.len() + 3);
    for part in [operation, "\0", path, "\0"] {
        text.extend_from_slice(part.as_bytes());
    }
    for (name, value) in query {
        text.extend_from_slice(format!("{name}={value}\0").as_bytes());
    }
    text.push(0);
    text.extend_from_slice(body);
    sha256(&text)
}

impl KeyRow {
    /// Of an answer that was given under a principal's key.
    pub(super) fn of(
        (principal, key): (&str, &str),
        operation: &str,
        digest: &Hash,
        answer: &Answer,
        now: Instant,
    ) -> Result<KeyRow> {
        Ok(KeyRow {
            principal: principal.to_owned(),
            key: key.to_owned(),
            operation: operation.to_owned(),
            digest: digest.to_vec(),
            status: i64::from(answer.status),
            answer: String::from_utf8(answer.body.clone()).map_err(|e| Error::Broken(e.to_string()))?,
            made_at: stored(now),
        })
    }
}

/// The answer that was given under this key.
pub(super) fn again(kept: &KeyRow, digest: &Hash) -> Result<Answer> {
    if kept.digest != digest.as_slice() {
        return Err(Error::Conflict(format!(
            "this Idempotency-Key was used for another request ({}, at {}); give a new request a key of its own",
            kept.operation,
            crate::time::rfc3339(crate::time::from_stored(kept.made_at))
        )));
    }
    let status = u16::try_from(kept.status).map_err(|_| Error::Broken("a kept answer is damaged".to_owned()))?;
    let answer = Answer { status, body: kept.answer.clone().into_bytes(), headers: Vec::new() };
    Ok(answer.with("Idempotency-Replayed", "true".to_owned()))
}

impl Answer {
    /// With the secret in its place.
    fn with_secret(self, secret: &Secret) -> Result<Answer> {
        let unreadable = |e: serde_json::Error| Error::Broken(format!("an answer cannot be written: {e}"));
        let mut document: serde_json::Value = serde_json::from_slice(&self.body).map_err(unreadable)?;
        document["secret"] = secret.reveal().into();
        Ok(Answer { body: serde_json::to_vec(&document).map_err(unreadable)?, ..self })
    }

    pub(super) fn problem(error: &Error) -> Result<Answer> {
        let problem = Problem::of(error);
        Answer::json(problem.status, &problem)
    }
}
