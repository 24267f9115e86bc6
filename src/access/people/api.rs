//! Joining over HTTP, and what an administrator does about somebody's access: reset, sessions. Listing, adding and disabling people stands
//! in `access::api`.

use super::{Joining, NewPerson, invited, new_totp_secret, people_seen};
use crate::access::{self, Permission, Secret, totp};
use crate::db::Tx;
use crate::db::seal::hex;
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done};
use crate::http::{Answer, Asked, Call, Made, Nothing, Operation, Page, Paging, Refusal, delete, get, post};
use crate::time::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of joining, and of what is done about people.
pub fn operations() -> Vec<Operation> {
    vec![
        post("/v1/join/begin", "joining.begin", "Whose an invitation is, and a second factor for their app")
            .does::<Invitation, Beginning>(begin),
        post("/v1/join", "joining.end", "Join by an invitation: a password, and a code of the second factor")
            .does::<JoinBody, JoinedPerson>(join),
        post(
            "/v1/people/{person}/reset",
            "people.reset",
            "Take password, second factor and sessions away; they come back by the invitation that is answered once",
        )
        .may(Permission::PeopleManage)
        .answers(201)
        .dry_runs()
        .makes(|_| Ok(Made { id: String::new(), secret: access::invitation()? }))
        .writes(reset_person),
        get("/v1/people/{person}/sessions", "person_sessions.list", "Somebody's sessions that count")
            .may(Permission::PeopleRead)
            .reads(sessions),
        delete("/v1/people/{person}/sessions/{session}", "person_sessions.end", "End one of somebody's sessions")
            .may(Permission::PeopleManage)
            .writes(end_session),
    ]
}

/// What an administrator has given to somebody.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invitation {
    /// The invitation.
    invitation: String,
}

/// What joining needs.
#[derive(Serialize, JsonSchema)]
struct Beginning {
    /// Whose it is; null: the first administrator, who chooses login and name.
    login: Option<String>,
    /// For people.
    name: Option<String>,
    /// A new second factor, kept nowhere until it is given back with a code: for typing into an authenticator app.
    totp: String,
    /// The same as a link that apps read.
    link: String,
}

fn begin(call: &Call, body: &Invitation) -> Result<Answer> {
    let secret = Secret::given(&body.invitation);
    let person = call.read(|conn| invited(conn, &secret, call.now()))?.person;
    let login = person.as_ref().map_or("administrator", |p| p.login.as_str());
    let (totp, link) = totp::for_apps(&new_totp_secret()?, login);
    let (login, name) = person.map(|p| (p.login, p.name)).unzip();
    Answer::json(200, &Beginning { login, name, totp, link })
}

/// What somebody joins with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinBody {
    /// The invitation.
    invitation: String,
    /// The first administrator's choice; nobody else gives it.
    login: Option<String>,
    /// The same.
    name: Option<String>,
    /// The new password.
    password: String,
    /// The second factor, as `/v1/join/begin` has given it.
    totp: String,
    /// What the app shows for it now.
    code: String,
}

/// Who has joined.
#[derive(Serialize, JsonSchema)]
struct JoinedPerson {
    /// For ever.
    person: String,
    /// For paper: each counts once, in place of a code. Shown once.
    recovery_codes: Vec<String>,
}

fn join(call: &Call, body: &JoinBody) -> Result<Answer> {
    let person = match (&body.login, &body.name) {
        (Some(login), Some(name)) => Some(NewPerson { login: login.clone(), name: name.clone() }),
        (None, None) => None,
        _ => return Err(Refusal::BadBody { why: "login and name: both, or neither".to_owned() }.into()),
    };
    let bad = || Refusal::BadBody { why: "totp: give it back as /v1/join/begin has given it".to_owned() };
    let joining = Joining {
        invitation: Secret::given(&body.invitation),
        person,
        password: Secret::given(&body.password),
        totp: totp::from_app(&body.totp).ok_or_else(bad)?,
        code: body.code.clone(),
    };
    let joined = access::join(call.db(), call.access_settings(), &joining)?;
    let recovery_codes = joined.recovery_codes.iter().map(|code| code.reveal().to_owned()).collect();
    Answer::json(200, &JoinedPerson { person: joined.person, recovery_codes })
}

/// A person whose rights lie within one's own; others are as if they were not there.
fn seen(conn: &mut crate::db::Conn, scope: &crate::scope::Scope, id: &str) -> Result<()> {
    let absent = || Error::NotFound(format!("there is no person {id}"));
    people_seen(conn, scope)?.iter().any(|(p, _)| p.id == id).then_some(()).ok_or_else(absent)
}

/// Who was reset.
#[derive(Serialize, JsonSchema)]
struct ResetPerson {
    /// The invitation waits until then; RFC 3339. Null while it waits for approval: nothing has changed yet.
    invited_until: Option<String>,
    /// The invitation: in the first answer only, and kept nowhere. It counts once the person is reset.
    secret: Option<String>,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

fn reset_person(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<ResetPerson> {
    let scope = tx.scope().clone();
    seen(tx.conn(), &scope, asked.path("person"))?;
    let invitation = hex(&asked.made()?.secret.digest());
    let change = Change::Reset { person: asked.path("person").to_owned(), invitation };
    let (done, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let invited_until = if let Some(Done::Reset(until)) = done { Some(rfc3339(until)) } else { None };
    Ok(ResetPerson { invited_until, secret: None, proposal })
}

/// A session of somebody's.
#[derive(Serialize, JsonSchema)]
struct PersonSession {
    /// By which it can be ended.
    id: String,
    /// As the surface called it.
    device: String,
    /// When it was opened; RFC 3339.
    made_at: String,
    /// To the minute; RFC 3339.
    last_used_at: String,
    /// It ends then at the latest; RFC 3339.
    expires_at: String,
}

fn sessions(call: &Call, paging: &Paging) -> Result<Page<PersonSession>> {
    let id = call.path("person");
    let found = call.read(|conn| {
        seen(conn, call.scope(), id)?;
        access::sessions(conn, id, call.now())
    })?;
    let one = |s: access::SessionView| PersonSession {
        id: s.id,
        device: s.device,
        made_at: rfc3339(s.made_at),
        last_used_at: rfc3339(s.last_used_at),
        expires_at: rfc3339(s.expires_at),
    };
    let mut all: Vec<PersonSession> = found.into_iter().map(one).collect();
    all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(call.page_of(all, paging.limit, |s| s.id.clone()))
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct EndedSession {
    /// Whether it was open until now.
    ended: bool,
}

fn end_session(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<EndedSession> {
    let (scope, now, person, id) = (tx.scope().clone(), tx.now(), asked.path("person"), asked.path("session"));
    seen(tx.conn(), &scope, person)?;
    if !access::sessions(tx.conn(), person, now)?.iter().any(|s| s.id == id) {
        return Err(Error::NotFound(format!("there is no session {id}")));
    }
    access::end_session(tx, id).map(|ended| EndedSession { ended })
}
