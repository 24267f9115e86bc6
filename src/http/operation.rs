//! A row of the table of operations: all that routes, document, page and tests need to know of one.
//!
//! ```text
//! get("/v1/positions", "positions.show", "What each product has").may(Permission::PositionsRead).reads(show)
//! ```

use super::call::{Answer, Asked, Call, Made};
use crate::access::Permission;
use crate::db::{Tx, Who};
use crate::error::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "as HTTP calls them")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// As a request says it.
    pub fn text(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// What a caller must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may ask.
    Nobody,
    /// A session or key that counts, whatever it may do.
    SignedIn,
    /// This permission, somewhere; the answer is of where it holds.
    Permission(Permission),
}

/// What comes in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Json,
    /// A small file, whole.
    File,
    /// A file of any size, as it comes.
    Stream,
}

/// Whether and how a request is one that takes effect once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It changes nothing.
    Reads,
    /// One commit, with the key of the request in it.
    Commits,
    /// It has an identity of its own, such as the bytes of a file.
    Itself,
}

type Shape = fn(&mut SchemaGenerator) -> Schema;
type Make = fn(&Call) -> Result<Made>;
type Run = Box<dyn Fn(&Call) -> Result<Answer> + Send + Sync>;

/// One of several requests that are answered together.
pub struct Item<'a, B> {
    /// Who asks, with the scope of the operation's permission.
    pub who: &'a Arc<Who>,
    /// What for.
    pub body: &'a B,
}

/// Answers several requests in one commit, each by itself and in their order. It writes nothing for one that it refuses.
type Together<B, A> = fn(&mut Tx<'_>, &[Item<'_, B>]) -> Result<Vec<Result<A>>>;

/// A body that was read.
pub(super) type Read = Box<dyn Any + Send + Sync>;

/// Requests of one operation, answered together.
type AnswerAll = Box<dyn Fn(&mut Tx<'_>, &[(&Arc<Who>, &Read)]) -> Result<Vec<Result<Answer>>> + Send + Sync>;

/// How an operation answers many requests in one commit (`hot.rs`).
pub(super) struct Hot {
    /// Reads a body.
    pub(super) read: fn(&[u8]) -> Result<Read>,
    /// Answers those that were read so.
    pub(super) answer: AnswerAll,
}

/// The shapes of an operation.
pub(super) struct Shapes {
    pub(super) query: Shape,
    pub(super) body: Option<Shape>,
    pub(super) answer: Shape,
}

/// One thing that can be asked for over HTTP.
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, with `{names}`.
    pub path: &'static str,
    /// Its stable id: the thing and what is done with it.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What a caller must bring.
    pub need: Need,
    pub(super) effect: Effect,
    pub(super) body: Body,
    pub(super) status: u16,
    pub(super) dry_run: bool,
    pub(super) is_configuration: bool,
    /// Whether its answer may be another address, for a browser.
    pub(super) leads: bool,
    /// What its answer is.
    pub(super) media: &'static str,
    pub(super) shapes: Shapes,
    pub(super) run: Run,
    /// Where many ask at once.
    pub(super) hot: Option<Hot>,
}

impl Operation {
    /// The names in its path.
    pub fn path_names(&self) -> Vec<&'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }

    /// Whether the request must carry an `Idempotency-Key`.
    pub fn takes_key(&self) -> bool {
        self.method == Method::Post && self.effect == Effect::Commits
    }

    /// Whether its body is a file, and no document.
    pub fn takes_file(&self) -> bool {
        matches!(self.body, Body::File | Body::Stream)
    }
}

/// A row without its function yet.
pub struct Row {
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    need: Need,
    status: u16,
    dry_run: bool,
    is_configuration: bool,
    make: Option<Make>,
}

/// A row for reading.
pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Row {
    row(Method::Get, path, id, summary)
}

/// A row that makes or does something.
pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Row {
    row(Method::Post, path, id, summary)
}

/// A row that puts something in the place of what is there.
pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Row {
    row(Method::Put, path, id, summary)
}

/// A row that ends something.
pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Row {
    row(Method::Delete, path, id, summary)
}

fn row(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Row {
    let (need, status) = (Need::Nobody, 200);
    Row { method, path, id, summary, need, status, dry_run: false, is_configuration: false, make: None }
}

impl Row {
    /// It needs this permission.
    pub fn may(self, permission: Permission) -> Row {
        Row { need: Need::Permission(permission), ..self }
    }

    /// It needs somebody who has signed in.
    pub fn signed_in(self) -> Row {
        Row { need: Need::SignedIn, ..self }
    }

    /// It answers with this status.
    pub fn answers(self, status: u16) -> Row {
        Row { status, ..self }
    }

    /// It takes `dry_run=true`: the same answer, and nothing written.
    pub fn dry_runs(self) -> Row {
        Row { dry_run: true, ..self }
    }

    /// It is about a thing that people change: it has an `ETag`, and changing it needs `If-Match`.
    pub fn configuration(self) -> Row {
        Row { is_configuration: true, ..self }
    }

    /// It makes a secret, which stands as `secret` in its first answer, and is null in those that are given again.
    pub fn makes(self, make: fn(&Call) -> Result<Made>) -> Row {
        Row { make: Some(make), ..self }
    }

    /// By a function that changes nothing.
    pub fn reads<Q, A>(self, f: fn(&Call, &Q) -> Result<A>) -> Operation
    where
        Q: DeserializeOwned + JsonSchema + 'static,
        A: Serialize + JsonSchema + 'static,
    {
        let (status, etag) = (self.status, self.is_configuration);
        let run = move |call: &Call| {
            let answer = Answer::json(status, &f(call, &call.query()?)?)?;
            Ok(if etag { answer.with_etag() } else { answer })
        };
        self.with(Effect::Reads, Body::None, shapes::<Q, A>(None), Box::new(run))
    }

    /// By a function that answers text of this kind, for those who read no JSON.
    pub fn tells(self, media: &'static str, f: fn(&Call) -> Result<String>) -> Operation {
        let status = self.status;
        let run = move |call: &Call| {
            call.query::<super::Nothing>()?;
            Ok(Answer::text(status, media, f(call)?))
        };
        let shapes = shapes::<super::Nothing, String>(None);
        Operation { media, ..self.with(Effect::Reads, Body::None, shapes, Box::new(run)) }
    }

    /// By a function that says itself what it answers, such as one that sets a cookie. It has an identity of its own.
    pub fn does<B, A>(self, f: fn(&Call, &B) -> Result<Answer>) -> Operation
    where
        B: DeserializeOwned + JsonSchema + 'static,
        A: JsonSchema + 'static,
    {
        let run = move |call: &Call| f(call, &call.body()?);
        let shapes = shapes::<super::Nothing, A>(Some(|g| g.subschema_for::<B>()));
        self.with(Effect::Itself, Body::Json, shapes, Box::new(run))
    }

    /// By a function that a browser asks and that may lead it elsewhere. It has an identity of its own.
    pub fn leads<Q, A>(self, f: fn(&Call, &Q) -> Result<Answer>) -> Operation
    where
        Q: DeserializeOwned + JsonSchema + 'static,
        A: JsonSchema + 'static,
    {
        let run = move |call: &Call| f(call, &call.query()?);
        Operation { leads: true, ..self.with(Effect::Itself, Body::None, shapes::<Q, A>(None), Box::new(run)) }
    }

    /// By a command of one commit, in which the key of the request is kept as well.
    pub fn writes<Q, B, A>(self, f: fn(&mut Tx<'_>, &Asked<Q, B>) -> Result<A>) -> Operation
    where
        Q: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        B: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        A: Serialize + JsonSchema + 'static,
    {
        let (status, make) = (self.status, self.make);
        let run = move |call: &Call| call.commit(status, make.map(|make| make(call)).transpose()?, call.body()?, f);
        self.with(Effect::Commits, Body::Json, shapes::<Q, A>(Some(|g| g.subschema_for::<B>())), Box::new(run))
    }

    /// By a command for which many ask at once: their requests are answered together in one commit, and no thread waits for it.
    pub fn posts<B, A>(self, f: Together<B, A>) -> Operation
    where
        B: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        A: Serialize + JsonSchema + 'static,
    {
        let status = self.status;
        let alone = move |tx: &mut Tx<'_>, asked: &Asked<super::Nothing, B>| {
            let who = Arc::clone(tx.who());
            let mut answers = f(tx, &[Item { who: &who, body: &asked.body }])?;
            answers.pop().unwrap_or_else(|| Err(Error::Broken("a request has no answer".to_owned())))
        };
        let run = move |call: &Call| call.commit(status, None, call.body()?, alone);
        let answer = move |tx: &mut Tx<'_>, asked: &[(&Arc<Who>, &Read)]| {
            let read = asked.iter().filter_map(|(who, read)| Some(Item { who, body: read.downcast_ref()? }));
            let items: Vec<Item<'_, B>> = read.collect();
            assert!(items.len() == asked.len(), "a body was read by the operation that it is for");
            let answers = f(tx, &items)?.into_iter();
            Ok(answers.map(|answer| Answer::json(status, &answer?)).collect())
        };
        let hot = Hot { read: |bytes| Ok(Box::new(super::call::read_body::<B>(bytes)?)), answer: Box::new(answer) };
        let shapes = shapes::<super::Nothing, A>(Some(|g| g.subschema_for::<B>()));
        Operation { hot: Some(hot), ..self.with(Effect::Commits, Body::Json, shapes, Box::new(run)) }
    }

    /// By a command of one commit that takes the bytes of a file, which are the body.
    pub fn takes<Q, A>(self, f: fn(&mut Tx<'_>, &Asked<Q, Vec<u8>>) -> Result<A>) -> Operation
    where
        Q: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        A: Serialize + JsonSchema + 'static,
    {
        let status = self.status;
        let run = move |call: &Call| call.commit(status, None, call.file()?, f);
        self.with(Effect::Commits, Body::File, shapes::<Q, A>(None), Box::new(run))
    }

    /// By a function that takes a file as it comes.
    pub fn streams<Q, A>(self, f: fn(&Call, &Q, &mut dyn std::io::Read) -> Result<A>) -> Operation
    where
        Q: DeserializeOwned + JsonSchema + 'static,
        A: Serialize + JsonSchema + 'static,
    {
        let status = self.status;
        let run = move |call: &Call| {
            let query = call.query()?;
            Answer::json(status, &f(call, &query, &mut call.stream())?)
        };
        self.with(Effect::Itself, Body::Stream, shapes::<Q, A>(None), Box::new(run))
    }

    fn with(self, effect: Effect, body: Body, shapes: Shapes, run: Run) -> Operation {
        let Row { method, path, id, summary, need, status, dry_run, is_configuration, .. } = self;
        let media = "application/json";
        Operation {
            method,
            path,
            id,
            summary,
            need,
            effect,
            body,
            status,
            dry_run,
            is_configuration,
            leads: false,
            media,
            shapes,
            run,
            hot: None,
        }
    }
}

fn shapes<Q: JsonSchema + 'static, A: JsonSchema + 'static>(body: Option<Shape>) -> Shapes {
    Shapes { query: |g| g.subschema_for::<Q>(), body, answer: |g| g.subschema_for::<A>() }
}
