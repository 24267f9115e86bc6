//! Access over HTTP: signing in and out, and who one is.

use super::{Permission, SESSION_COOKIE, Secret, SignIn};
use crate::actor::Principal;
use crate::error::{Error, Result};
use crate::http::{Answer, Call, Nothing, Operation, get, post};
use crate::time::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of access.
pub fn operations() -> Vec<Operation> {
    vec![
        post("/v1/sign-in", "session.open", "Sign in: opens a session, and sets its cookie in a browser")
            .does::<SignInBody, Session>(open),
        post("/v1/sign-out", "session.close", "End the session that the request comes with")
            .signed_in()
            .does::<Nothing, Closed>(close),
        get("/v1/me", "me.show", "Who asks, and what they may do where").signed_in().reads(me),
    ]
}

/// What somebody signs in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignInBody {
    /// By which they are known.
    login: String,
    /// The password.
    password: String,
    /// What the app shows now, or a recovery code.
    code: String,
}

/// A session that was opened.
#[derive(Serialize, JsonSchema)]
struct Session {
    /// For the header `Authorization: Bearer`; shown once.
    token: String,
    /// By which it can be ended.
    session: String,
    /// Whose it is.
    person: String,
    /// It ends then at the latest; RFC 3339.
    expires_at: String,
    /// Recovery codes that are left, where one was used.
    recovery_codes_left: Option<i64>,
}

fn open(call: &Call, body: &SignInBody) -> Result<Answer> {
    let asked = SignIn {
        login: body.login.clone(),
        password: Secret::given(&body.password),
        code: Secret::given(&body.code),
        place: call.place().to_owned(),
        device: call.device().to_owned(),
    };
    let opened = super::sign_in(call.db(), call.access_settings(), &asked)?;
    let session = Session {
        token: opened.secret.reveal().to_owned(),
        session: opened.session,
        person: opened.person,
        expires_at: rfc3339(opened.expires_at),
        recovery_codes_left: opened.recovery_codes_left,
    };
    let lasts = (opened.expires_at - call.now()).num_seconds().max(0);
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; Max-Age={lasts}; Secure; HttpOnly; SameSite=Strict",
        opened.secret.reveal()
    );
    Ok(Answer::json(200, &session)?.with("Set-Cookie", cookie))
}

/// What came of signing out.
#[derive(Serialize, JsonSchema)]
struct Closed {
    /// Whether it was open until now.
    ended: bool,
}

fn close(call: &Call, _: &Nothing) -> Result<Answer> {
    let admitted = call.admitted().ok_or_else(|| Error::Broken("nobody was let in".to_owned()))?;
    if let Principal::Key(_) = admitted.actor.principal() {
        return Err(Error::Forbidden("a key has no session to end; an administrator revokes it".to_owned()));
    }
    let session = admitted.through.clone();
    let ended = call.db().write("session.end", call.who(), move |tx| super::end_session(tx, &session))?;
    let forget = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    Ok(Answer::json(200, &Closed { ended })?.with("Set-Cookie", forget))
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct Me {
    /// As events record it: `person:ID` or `key:ID`.
    actor: String,
    /// For people; null for a key.
    name: Option<String>,
    /// What may be done, and where.
    permissions: Vec<Held>,
}

/// A permission, and where it holds.
#[derive(Serialize, JsonSchema)]
struct Held {
    /// Its code.
    permission: String,
    /// `all`, or bounds such as `product:tiktok+entity:bd-de`; one of these must hold.
    scopes: Vec<String>,
}

fn me(call: &Call, _: &Nothing) -> Result<Me> {
    let admitted = call.admitted().ok_or_else(|| Error::Broken("nobody was let in".to_owned()))?;
    let name = match admitted.actor.principal() {
        Principal::Person(id) => call.read(|conn| super::store::person(conn, id))?.map(|p| p.name),
        _ => None,
    };
    let held = |permission: Permission| Held {
        permission: permission.code().to_owned(),
        scopes: admitted.rights.scope(permission).parts().map(ToString::to_string).collect(),
    };
    let permissions = admitted.rights.permissions().iter().map(held).collect();
    Ok(Me { actor: admitted.actor.to_string(), name, permissions })
}
