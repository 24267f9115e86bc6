//! Access over HTTP: signing in and out, and who one is.

use super::{Holder, NewKey, NewPerson, Permission, SESSION_COOKIE, Secret, SignIn, people_seen};
use crate::actor::Principal;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done};
use crate::http::{Answer, Asked, Call, Made, Nothing, Operation, Page, Paging, Refusal, delete, get, post};
use crate::scope::{Part, Scope};
use crate::time::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of access.
pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        post("/v1/sign-in", "session.open", "Sign in: opens a session, and sets its cookie in a browser")
            .does::<SignInBody, Session>(open),
        post("/v1/sign-out", "session.close", "End the session that the request comes with")
            .signed_in()
            .does::<Nothing, Closed>(close),
        get("/v1/me", "me.show", "Who asks, and what they may do where").signed_in().reads(me),
        get("/v1/people", "people.list", "People whose rights lie within one's own, with their roles")
            .may(Permission::PeopleRead)
            .reads(people),
        post("/v1/people", "people.add", "Add somebody, who joins by the invitation that is answered once")
            .may(Permission::PeopleManage)
            .answers(201)
            .dry_runs()
            .makes(|_| Ok(Made { id: String::new(), secret: super::invitation()? }))
            .writes(add_person),
        post("/v1/people/{person}/disable", "people.disable", "End somebody's access, with all sessions")
            .may(Permission::PeopleManage)
            .dry_runs()
            .writes(disable_person),
        post("/v1/people/{person}/end-sessions", "people.end_sessions", "End all sessions of somebody")
            .may(Permission::PeopleManage)
            .dry_runs()
            .writes(end_all_sessions),
        get("/v1/me/sessions", "sessions.list", "One's own sessions that count").signed_in().reads(own_sessions),
        delete("/v1/me/sessions/{session}", "sessions.end", "End one of one's own sessions")
            .signed_in()
            .writes(end_own_session),
        post("/v1/people/{person}/grants", "grants.make", "Give somebody a role, and where it holds")
            .may(Permission::PeopleManage)
            .dry_runs()
            .writes(grant_person),
        post("/v1/people/{person}/grants/revoke", "grants.revoke", "Take a role away from somebody")
            .may(Permission::PeopleManage)
            .dry_runs()
            .writes(revoke_person),
        get("/v1/keys", "keys.list", "API keys whose rights lie within one's own")
            .may(Permission::PeopleRead)
            .reads(keys),
        post("/v1/keys", "keys.make", "Make an API key, which is answered once")
            .may(Permission::KeysManage)
            .answers(201)
            .dry_runs()
            .makes(new_secret)
            .writes(make_key),
        post(
            "/v1/keys/{key}/rotate",
            "keys.rotate",
            "Make the next key in the place of this one, which goes on until it is revoked",
        )
        .may(Permission::KeysManage)
        .answers(201)
        .dry_runs()
        .makes(new_secret)
        .writes(rotate_key),
        post("/v1/keys/{key}/revoke", "keys.revoke", "End a key from the next request on")
            .may(Permission::KeysManage)
            .dry_runs()
            .writes(revoke_key),
    ];
    all.extend(super::people::api::operations());
    all.extend(super::role::api::operations());
    all
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
    call.lets_in(&opened);
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

/// A role that somebody has, and where.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrantedRole {
    /// The role's code.
    role: String,
    /// `all`, or bounds that must all hold, such as `product:tiktok+entity:bd-de`.
    scope: String,
}

impl GrantedRole {
    fn part(&self) -> Result<Part> {
        self.scope.parse().map_err(|why: String| Refusal::BadBody { why }.into())
    }
}

/// A person.
#[derive(Serialize, JsonSchema)]
struct Person {
    /// For ever.
    id: String,
    /// By which they sign in.
    login: String,
    /// For people.
    name: String,
    /// `invited`, `active` or `disabled`.
    state: String,
    /// When they were added; RFC 3339.
    made_at: String,
    /// What they have.
    roles: Vec<GrantedRole>,
}

fn people(call: &Call, paging: &Paging) -> Result<Page<Person>> {
    let seen = call.read(|conn| people_seen(conn, call.scope()))?.into_iter();
    let all = seen.map(|(p, grants)| Person {
        roles: grants.into_iter().map(|g| GrantedRole { role: g.role, scope: g.scope }).collect(),
        id: p.id,
        login: p.login,
        name: p.name,
        state: p.state,
        made_at: rfc3339(p.made_at),
    });
    Ok(call.page_of(all.collect(), paging.limit, |p| p.login.clone()))
}

/// Who is to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PersonToAdd {
    /// By which they sign in: letters a to z, digits and `.-_@+`.
    login: String,
    /// For people.
    name: String,
}

/// Who was added.
#[derive(Serialize, JsonSchema)]
struct AddedPerson {
    /// For ever.
    id: String,
    /// The invitation waits until then; RFC 3339.
    invited_until: String,
    /// The invitation: in the first answer only, and kept nowhere.
    secret: Option<String>,
}

fn add_person(tx: &mut Tx<'_>, asked: &Asked<Nothing, PersonToAdd>) -> Result<AddedPerson> {
    let new = NewPerson { login: asked.body.login.clone(), name: asked.body.name.clone() };
    let (id, until) = super::add(tx, &new, &asked.made()?.secret)?;
    Ok(AddedPerson { id, invited_until: rfc3339(until), secret: None })
}

/// A person whose rights lie within one's own; others are as if they were not there.
pub(super) fn person_seen(conn: &mut Conn, scope: &Scope, id: &str) -> Result<()> {
    let seen = people_seen(conn, scope)?;
    let absent = || Error::NotFound(format!("there is no person {id}"));
    seen.iter().any(|(p, _)| p.id == id).then_some(()).ok_or_else(absent)
}

/// As [`person_seen`], in the scope of a command.
fn seen(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let scope = tx.scope().clone();
    person_seen(tx.conn(), &scope, id)
}

/// What came of a change.
#[derive(Serialize, JsonSchema)]
struct Changed {
    /// Whether it was otherwise before.
    changed: bool,
}

fn disable_person(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<Changed> {
    seen(tx, asked.path("person"))?;
    super::disable(tx, asked.path("person")).map(|changed| Changed { changed })
}

fn end_all_sessions(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<Changed> {
    seen(tx, asked.path("person"))?;
    super::end_sessions(tx, asked.path("person")).map(|ended| Changed { changed: ended > 0 })
}

/// A role that is to be given.
#[derive(Serialize, JsonSchema)]
struct Granted {
    /// Whether they have it only now.
    changed: bool,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

fn grant_person(tx: &mut Tx<'_>, asked: &Asked<Nothing, GrantedRole>) -> Result<Granted> {
    seen(tx, asked.path("person"))?;
    let part = asked.body.part()?;
    let grant = four_eyes::Grant::to(Holder::Person(asked.path("person")), &asked.body.role, &part);
    let (done, proposal) = four_eyes::submit_in(tx, &Change::Grant(grant))?.parts();
    Ok(Granted { changed: matches!(done, Some(Done::Grant(true))), proposal })
}

fn revoke_person(tx: &mut Tx<'_>, asked: &Asked<Nothing, GrantedRole>) -> Result<Changed> {
    seen(tx, asked.path("person"))?;
    let part = asked.body.part()?;
    let revoked = super::revoke(tx, Holder::Person(asked.path("person")), &asked.body.role, Some(&part))?;
    Ok(Changed { changed: revoked > 0 })
}

/// A session that counts.
#[derive(Serialize, JsonSchema)]
struct OwnSession {
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
    /// Whether the request comes with it.
    this: bool,
}

fn own_sessions(call: &Call, paging: &Paging) -> Result<Page<OwnSession>> {
    let admitted = call.admitted().ok_or_else(|| Error::Broken("nobody was let in".to_owned()))?;
    let found = match admitted.actor.principal() {
        Principal::Person(id) => call.read(|conn| super::sessions(conn, id, call.now()))?,
        _ => Vec::new(),
    };
    let all = found.into_iter().map(|s| OwnSession {
        this: s.id == admitted.through,
        id: s.id,
        device: s.device,
        made_at: rfc3339(s.made_at),
        last_used_at: rfc3339(s.last_used_at),
        expires_at: rfc3339(s.expires_at),
    });
    Ok(call.page_of(all.collect(), paging.limit, |s| s.id.clone()))
}

fn end_own_session(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<Changed> {
    let id = asked.path("session");
    let absent = || Error::NotFound(format!("there is no session {id}"));
    let own = match super::store::session(tx.conn(), id)? {
        Some(session) => tx.actor().principal() == Principal::Person(&session.person),
        None => false,
    };
    if !own {
        return Err(absent());
    }
    super::end_session(tx, id).map(|changed| Changed { changed })
}

/// An API key.
#[derive(Serialize, JsonSchema)]
struct ApiKey {
    /// As it stands in the key itself.
    id: String,
    /// The machine that holds it.
    name: String,
    /// The id of the person whose asking its asking is.
    owner: String,
    /// `live`, `expired`, `unused` or `revoked`.
    state: String,
    /// When it was made; RFC 3339.
    made_at: String,
    /// Its end; RFC 3339.
    expires_at: String,
    /// To the minute; RFC 3339.
    last_used_at: Option<String>,
    /// What it has.
    roles: Vec<GrantedRole>,
}

/// A key's grants lie within a scope, or it has none and the scope is the whole treasury.
fn is_within(grants: &[super::GrantRow], scope: &Scope) -> bool {
    let within = |g: &super::GrantRow| g.scope.parse::<Part>().is_ok_and(|part| Scope::from(part).is_within(scope));
    scope.is_everything() || (!grants.is_empty() && grants.iter().all(within))
}

fn keys(call: &Call, paging: &Paging) -> Result<Page<ApiKey>> {
    let now = call.now();
    let (found, grants) = call.read(|conn| Ok((super::keys(conn, now)?, super::grants_of(conn)?)))?;
    let mut all = Vec::with_capacity(found.len());
    for k in found {
        let own: Vec<super::GrantRow> = grants.iter().filter(|g| g.api_key.as_ref() == Some(&k.id)).cloned().collect();
        if is_within(&own, call.scope()) {
            all.push(ApiKey {
                roles: own.into_iter().map(|g| GrantedRole { role: g.role, scope: g.scope }).collect(),
                id: k.id,
                name: k.name,
                owner: k.owner,
                state: k.state.to_owned(),
                made_at: rfc3339(k.made_at),
                expires_at: rfc3339(k.expires_at),
                last_used_at: k.last_used_at.map(rfc3339),
            });
        }
    }
    all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(call.page_of(all, paging.limit, |k| k.id.clone()))
}

fn new_secret(call: &Call) -> Result<Made> {
    NewKey::secret(call.db()).map(|(id, secret)| Made { id, secret })
}

/// A key that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyToMake {
    /// The machine that will hold it, such as `tiktok-erp`.
    name: String,
    /// The id of the person whose asking its asking is.
    owner: String,
    /// Days that it lasts.
    #[schemars(range(min = 1, max = 366))]
    days: i64,
    /// What it may do.
    #[schemars(length(min = 1))]
    roles: Vec<GrantedRole>,
}

/// A key that was made.
#[derive(Serialize, JsonSchema)]
struct MadeKey {
    /// As it stands in the key itself.
    id: String,
    /// Its end; RFC 3339.
    expires_at: String,
    /// The key: in the first answer only, and kept nowhere.
    secret: Option<String>,
    /// Proposals of roles that wait for approval: it has none of them until then.
    proposals: Vec<String>,
}

fn make_key(tx: &mut Tx<'_>, asked: &Asked<Nothing, KeyToMake>) -> Result<MadeKey> {
    let (body, made) = (&asked.body, asked.made()?);
    seen(tx, &body.owner)?;
    let roles: Result<Vec<(String, Part)>> = body.roles.iter().map(|r| Ok((r.role.clone(), r.part()?))).collect();
    let new = NewKey {
        name: body.name.clone(),
        owner: body.owner.clone(),
        days: body.days,
        roles: roles?,
        id: made.id.clone(),
    };
    let added = four_eyes::create_key(tx, &new, &made.secret)?;
    Ok(MadeKey { id: added.id, expires_at: rfc3339(added.until), secret: None, proposals: added.waiting })
}

/// A key whose rights lie within one's own: its name.
fn key_seen(tx: &mut Tx<'_>, id: &str) -> Result<String> {
    let (scope, now) = (tx.scope().clone(), tx.now());
    let absent = || Error::NotFound(format!("there is no key {id}"));
    let key = super::keys(tx.conn(), now)?.into_iter().find(|k| k.id == id).ok_or_else(absent)?;
    let grants = super::grants_of(tx.conn())?;
    let own: Vec<super::GrantRow> = grants.into_iter().filter(|g| g.api_key.as_deref() == Some(id)).collect();
    if is_within(&own, &scope) { Ok(key.name) } else { Err(absent()) }
}

/// How long the next key lasts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotating {
    /// Days that it lasts.
    #[schemars(range(min = 1, max = 366))]
    days: i64,
}

fn rotate_key(tx: &mut Tx<'_>, asked: &Asked<Nothing, Rotating>) -> Result<MadeKey> {
    let name = key_seen(tx, asked.path("key"))?;
    let made = asked.made()?;
    let added = four_eyes::rotate_key(tx, &name, asked.body.days, &made.id, &made.secret)?;
    Ok(MadeKey { id: added.id, expires_at: rfc3339(added.until), secret: None, proposals: added.waiting })
}

fn revoke_key(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<Changed> {
    key_seen(tx, asked.path("key"))?;
    super::revoke_key(tx, asked.path("key")).map(|changed| Changed { changed })
}
