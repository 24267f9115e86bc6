//! Refusals as RFC 9457 problems. Which status an error has is said here and nowhere else.

use crate::error::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request is not even asked of a feature, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// No operation has this path.
    NoSuchPath,
    /// The path has no operation of this method.
    MethodNotAllowed { allowed: String },
    /// No secret came with the request.
    NoCredentials,
    /// A browser sends this for another site.
    CrossSite,
    /// Too many requests of one principal.
    TooManyRequests,
    /// More is asked for at once than the server takes on.
    ServerFull,
    /// One principal has too many streams, or the server has.
    TooManyStreams { most: usize },
    /// A part of the path that cannot be.
    BadPath { why: String },
    /// Parameters that cannot be.
    BadQuery { why: String },
    /// A cursor that was not given out for this.
    BadCursor { why: &'static str },
    /// A header that cannot be.
    BadHeader { name: &'static str, why: &'static str },
    /// A request that changes something has no key.
    KeyMissing,
    /// What is to be changed was not said to be known.
    IfMatchMissing,
    /// It has changed since it was read.
    ChangedMeanwhile { now: String },
    /// A body of another kind.
    UnsupportedBody { wanted: &'static str },
    /// A body that was packed on the way.
    EncodedBody,
    /// A body that is too large.
    BodyTooLarge { most: u64 },
    /// A body that does not come to its end in time.
    BodyTooSlow,
    /// A body that breaks off.
    BodyBroken,
    /// A body that is not what the operation takes.
    BadBody { why: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::NoSuchPath => "no_such_path",
            Refusal::MethodNotAllowed { .. } => "method_not_allowed",
            Refusal::NoCredentials => "no_credentials",
            Refusal::CrossSite => "cross_site",
            Refusal::TooManyRequests => "too_many_requests",
            Refusal::ServerFull => "server_full",
            Refusal::TooManyStreams { .. } => "too_many_streams",
            Refusal::BadPath { .. } => "bad_path",
            Refusal::BadQuery { .. } => "bad_query",
            Refusal::BadCursor { .. } => "bad_cursor",
            Refusal::BadHeader { .. } => "bad_header",
            Refusal::KeyMissing => "idempotency_key_missing",
            Refusal::IfMatchMissing => "if_match_missing",
            Refusal::ChangedMeanwhile { .. } => "precondition_failed",
            Refusal::UnsupportedBody { .. } => "unsupported_body",
            Refusal::EncodedBody => "encoded_body",
            Refusal::BodyTooLarge { .. } => "body_too_large",
            Refusal::BodyTooSlow => "body_too_slow",
            Refusal::BodyBroken => "body_broken",
            Refusal::BadBody { .. } => "bad_body",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchPath => f.write_str("there is nothing at this path; /docs lists what there is"),
            Refusal::MethodNotAllowed { allowed } => write!(f, "this path takes only {allowed}"),
            Refusal::NoCredentials => f.write_str(
                "this needs to know who asks: send the header Authorization: Bearer with an API key or the token of a session (POST /v1/sign-in)",
            ),
            Refusal::CrossSite => f.write_str(
                "a session's cookie changes something only from a page of this server itself; programs send the header Authorization: Bearer instead",
            ),
            Refusal::TooManyRequests => {
                f.write_str("these are more requests than one principal may send, or more wrong keys than one address may bring; wait for as long as Retry-After says")
            }
            Refusal::TooManyStreams { most } => write!(f, "{most} streams of one principal are open, or as many as this server takes on; end one first"),
            Refusal::ServerFull => f.write_str("more requests are under way than this server takes on; try again in a moment"),
            Refusal::BadPath { why } | Refusal::BadQuery { why } => f.write_str(why),
            Refusal::BadCursor { why } => write!(f, "this cursor cannot be used: {why}; begin the list again without it"),
            Refusal::BadHeader { name, why } => write!(f, "the header {name} {why}"),
            Refusal::KeyMissing => f.write_str(
                "a request that changes something needs the header Idempotency-Key, such as a UUID: sent again with the same key it takes effect once",
            ),
            Refusal::IfMatchMissing => f.write_str(
                "what is changed here must have been read: send its ETag in the header If-Match, so that nobody's change is lost",
            ),
            Refusal::ChangedMeanwhile { now } => {
                write!(f, "it has changed since it was read; its ETag is {now} now: read it again, and decide on that")
            }
            Refusal::UnsupportedBody { wanted } => write!(f, "the body must be {wanted}, and the header Content-Type say so"),
            Refusal::EncodedBody => f.write_str("the body must come as it is: leave the header Content-Encoding out; a bank file may be packed itself, as .gz or .zip"),
            Refusal::BodyTooLarge { most } => write!(f, "the body is larger than {most} bytes, the most that this operation takes"),
            Refusal::BodyTooSlow => f.write_str("the body did not come to its end in time; nothing was done"),
            Refusal::BodyBroken => f.write_str("the body broke off; nothing was done"),
            Refusal::BadBody { why } => write!(f, "the body cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// The body should be the bytes of a file, and is empty.
    pub fn no_file() -> Refusal {
        Refusal::BadBody { why: "it is empty; send the bytes of the file".to_owned() }
    }

    /// Why a body could not be read to its end.
    pub fn of_read(e: &std::io::Error) -> Refusal {
        let ours = e.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
        ours.cloned().unwrap_or_else(|| Refusal::BadBody { why: e.to_string() })
    }
}

/// What a refused request is answered with: RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:tributary:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was refused, why, and how to mend it.
    pub detail: String,
    /// By which a program tells problems apart; stable.
    pub code: String,
    /// By which the server's log finds the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// Of an error. What a fault of the machine says is for the log: it may name what is nobody's business.
    pub fn of(error: &Error) -> Problem {
        let status = status(error);
        let detail = match error {
            Error::Broken(_) => "a fault on our side, and nothing was changed unless it is found by asking; the log has it under this request_id".to_owned(),
            said => said.to_string(),
        };
        Problem {
            kind: format!("urn:tributary:problem:{}", error.code()),
            title: title(status).to_owned(),
            status,
            detail,
            code: error.code().to_owned(),
            request_id: None,
        }
    }
}

/// The one table of statuses. A business "no" is 422 unless its code says more.
pub(super) fn status(error: &Error) -> u16 {
    match error {
        Error::NotFound(_) => 404,
        Error::Forbidden(_) => 403,
        Error::Conflict(_) => 409,
        Error::Busy(_) => 503,
        Error::Broken(_) => 500,
        Error::Refused { code, .. } => match *code {
            "bad_path"
            | "bad_query"
            | "bad_cursor"
            | "bad_header"
            | "bad_body"
            | "body_broken"
            | "idempotency_key_missing"
            | "bad_return_to" => 400,
            "no_credentials"
            | "not_signed_in"
            | "sign_in_refused"
            | "sign_in_not_begun"
            | "provider_refused"
            | "provider_code_refused"
            | "id_token_refused" => 401,
            "cross_site" | "email_refused" | "unknown_identity" | "person_not_active" | "second_factor_missing" => 403,
            "no_such_path" | "oidc_off" => 404,
            "method_not_allowed" => 405,
            "body_too_slow" => 408,
            "precondition_failed" => 412,
            "body_too_large" => 413,
            "unsupported_body" | "encoded_body" => 415,
            "if_match_missing" => 428,
            "too_many_requests" | "too_many_streams" | "sign_in_waits" => 429,
            "server_full" | "provider_unreachable" | "provider_busy" => 503,
            _ => 422,
        },
    }
}

pub(super) fn title(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        202 => "Accepted",
        303 => "Elsewhere",
        304 => "Not modified",
        400 => "Bad request",
        401 => "Who are you?",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        408 => "Too slow",
        409 => "Conflict",
        412 => "Changed meanwhile",
        413 => "Too large",
        415 => "Unsupported body",
        422 => "Refused",
        428 => "If-Match needed",
        429 => "Too many requests",
        503 => "Busy",
        _ => "A fault",
    }
}
