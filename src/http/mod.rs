//! HTTP plumbing: how a request becomes a command and its answer a response. It knows who asks, and no feature.
//!
//! One table of [`Operation`]s is the only source: from it come the routes, the OpenAPI document, the page of documentation and
//! the walk of the tests over everybody's rights. A feature's `api.rs` adds its rows; `app` puts them together.
//!
//! | File | What |
//! | --- | --- |
//! | `operation.rs` | a row of the table: method, path, permission, shapes and function |
//! | `call.rs` | one request, as an operation sees it; idempotency keys, dry runs, pages |
//! | `hot.rs` | requests that many send at once: answered together in one commit, and no thread waits |
//! | `problem.rs` | refusals as `application/problem+json`; every status in one place |
//! | `json.rs` | shapes that several features give: money, pages |
//! | `cursor.rs` | signed places in lists |
//! | `headers.rs` | credentials, request ids, what protects browsers |
//! | `limits.rs`, `patience.rs` | how much anybody may ask; how slowly |
//! | `health.rs` | whether this server lives and can work |
//! | `live.rs` | the feed of events, in pages and as a stream |
//! | `openapi.rs`, `docs.rs` | the table as a document and as a page |
//! | `routes.rs`, `server.rs` | the way of a request; starting and stopping |
//! | `store.rs` | keys of requests, and what cursors are signed with |
//!
//! Below here all is synchronous: an operation runs on a pool of threads and waits for the database. What many ask for at once
//! goes to the writer without a thread of its own (`hot.rs`).

mod call;
mod cursor;
mod docs;
mod headers;
mod health;
mod hot;
mod json;
mod limits;
mod live;
mod openapi;
mod operation;
mod patience;
mod problem;
mod routes;
mod server;
mod store;

pub use call::{Answer, Asked, Call, Made};
pub use health::operations;
pub use json::{Day, Limit, Moment, Money, Nothing, Page, Paging, Why};
pub use openapi::document;
pub use operation::{Item, Method, Need, Operation, delete, get, post, put};
pub use problem::{Problem, Refusal};
pub use server::{Running, Settings, start, start_with};
