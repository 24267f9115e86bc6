//! Sign-in by a provider over HTTP, and links of people to its identities.

use super::{Answered, Came, Provider, Refusal, SIGN_IN_COOKIE, begin, finish, with_code};
use crate::access::{Opened, Permission, SESSION_COOKIE, Secret, api::person_seen};
use crate::db::Tx;
use crate::error::Result;
use crate::four_eyes::{self, Change, Done};
use crate::http::{Answer, Asked, Call, Nothing, Operation, Page, Paging, delete, get, post};
use crate::time::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of sign-in by a provider.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/sign-in/oidc", "oidc.begin", "Sign in by the provider: sends a browser there, with a cookie")
            .answers(303)
            .leads::<Wanted, Nothing>(to_provider),
        get("/v1/sign-in/oidc/callback", "oidc.finish", "Where the provider sends a browser back to: opens a session")
            .leads::<FromProvider, CameOf>(from_provider),
        post(
            "/v1/sign-in/oidc/code",
            "oidc.code",
            "Bring the app's code, where the provider has seen no second factor",
        )
        .does::<CodeBody, ProvidedSession>(code),
        get(
            "/v1/people/{person}/identities",
            "identities.list",
            "Identities of the provider that somebody signs in by",
        )
        .may(Permission::PeopleRead)
        .reads(list),
        post("/v1/people/{person}/identities", "identities.link", "Link somebody to an identity of the provider")
            .may(Permission::PeopleManage)
            .answers(201)
            .dry_runs()
            .writes(link),
        delete("/v1/people/{person}/identities/{identity}", "identities.unlink", "End a link to an identity")
            .may(Permission::PeopleManage)
            .writes(unlink),
    ]
}

fn provider(call: &Call) -> Result<&Provider> {
    call.provider().ok_or_else(|| Refusal::Off.into())
}

/// What a browser carries to the next step; nothing: it forgets.
fn carrying(ticket: &str) -> String {
    let lasts = if ticket.is_empty() { 0 } else { super::ticket::LASTS.num_seconds() };
    format!("{SIGN_IN_COOKIE}={ticket}; Path=/; Max-Age={lasts}; Secure; HttpOnly; SameSite=Lax")
}

/// How somebody begins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// A path of this server, where the browser goes afterwards; without it the callback answers the session as a document.
    return_to: Option<String>,
    /// An invitation: who has one joins by the provider, and has no password.
    invitation: Option<String>,
}

fn to_provider(call: &Call, wanted: &Wanted) -> Result<Answer> {
    let (return_to, invitation) = (wanted.return_to.as_deref(), wanted.invitation.as_deref());
    let begun = begin(provider(call)?, call.shared_secret(), call.now(), return_to, invitation)?;
    Ok(Answer::elsewhere(begun.location).with("Set-Cookie", carrying(&begun.ticket)))
}

/// What the provider sends along. It may send more, which says nothing here.
#[derive(Deserialize, JsonSchema)]
struct FromProvider {
    /// For the ID token.
    code: Option<String>,
    /// What the sign-in began with.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The provider, as it names itself.
    iss: Option<String>,
}

/// A session that was opened, or what is missing.
#[derive(Serialize, JsonSchema)]
struct CameOf {
    /// The session; null while a code is missing.
    session: Option<ProvidedSession>,
    /// Whether the app's code is missing: `POST /v1/sign-in/oidc/code` takes it from the same browser.
    needs_code: bool,
    /// The code is waited for until then; RFC 3339.
    until: Option<String>,
}

/// A session that was opened by a provider.
#[derive(Serialize, JsonSchema)]
struct ProvidedSession {
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
    /// Where the browser wanted to go.
    return_to: Option<String>,
}

impl ProvidedSession {
    fn of(opened: &Opened, return_to: Option<String>) -> ProvidedSession {
        ProvidedSession {
            token: opened.secret.reveal().to_owned(),
            session: opened.session.clone(),
            person: opened.person.clone(),
            expires_at: rfc3339(opened.expires_at),
            recovery_codes_left: opened.recovery_codes_left,
            return_to,
        }
    }
}

/// With the session's cookie. It is `Lax` where the provider has sent the browser: a `Strict` one would not go along to the page
/// behind. What changes anything is refused from other sites whatever the cookie says.
fn with_cookies(answer: Answer, opened: &Opened, call: &Call, same_site: &str) -> Answer {
    call.lets_in(opened);
    let lasts = (opened.expires_at - call.now()).num_seconds().max(0);
    let secret = opened.secret.reveal();
    let cookie = format!("{SESSION_COOKIE}={secret}; Path=/; Max-Age={lasts}; Secure; HttpOnly; SameSite={same_site}");
    answer.with("Set-Cookie", cookie).with("Set-Cookie", carrying(""))
}

fn from_provider(call: &Call, from: &FromProvider) -> Result<Answer> {
    let answered = Answered {
        code: from.code.as_deref(),
        state: from.state.as_deref(),
        error: from.error.as_deref(),
        issuer: from.iss.as_deref(),
        ticket: call.cookie(SIGN_IN_COOKIE),
        device: call.device(),
    };
    let provider = provider(call)?;
    match finish(call.db(), call.access_settings(), provider, call.shared_secret(), &answered)? {
        Came::NeedsCode { ticket, expires_at } => {
            let missing = CameOf { session: None, needs_code: true, until: Some(rfc3339(expires_at)) };
            Ok(Answer::json(200, &missing)?.with("Set-Cookie", carrying(&ticket)))
        }
        Came::Opened(opened, Some(path)) => Ok(with_cookies(Answer::elsewhere(path), &opened, call, "Lax")),
        Came::Opened(opened, None) => {
            let session = Some(ProvidedSession::of(&opened, None));
            let came = CameOf { session, needs_code: false, until: None };
            Ok(with_cookies(Answer::json(200, &came)?, &opened, call, "Lax"))
        }
    }
}

/// What the app shows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    /// What the app shows now, or a recovery code.
    code: String,
}

fn code(call: &Call, body: &CodeBody) -> Result<Answer> {
    provider(call)?;
    let (ticket, given) = (call.cookie(SIGN_IN_COOKIE), Secret::given(&body.code));
    let from = (call.place(), call.device());
    let (opened, return_to) = with_code(call.db(), call.access_settings(), call.shared_secret(), ticket, &given, from)?;
    let answer = Answer::json(200, &ProvidedSession::of(&opened, return_to))?;
    Ok(with_cookies(answer, &opened, call, "Strict"))
}

/// A link to an identity of a provider.
#[derive(Serialize, JsonSchema)]
struct LinkedIdentity {
    /// By which it can be ended.
    id: String,
    /// The provider, as it names itself.
    issuer: String,
    /// The person, as it names them.
    subject: String,
    /// When it was made; RFC 3339.
    made_at: String,
}

fn list(call: &Call, paging: &Paging) -> Result<Page<LinkedIdentity>> {
    let person = call.path("person");
    let found = call.read(|conn| {
        person_seen(conn, call.scope(), person)?;
        super::identities(conn, person)
    })?;
    let all = found.into_iter().map(|i| LinkedIdentity {
        id: i.id,
        issuer: i.issuer,
        subject: i.subject,
        made_at: rfc3339(i.made_at),
    });
    Ok(call.page_of(all.collect(), paging.limit, |i| i.id.clone()))
}

/// Which identity is somebody's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IdentityToLink {
    /// The provider, as it names itself: `[oidc] issuer` of the configuration.
    issuer: String,
    /// The person, as it names them.
    subject: String,
}

/// What was linked.
#[derive(Serialize, JsonSchema)]
struct Linked {
    /// By which it can be ended; null while it waits for approval.
    id: Option<String>,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

fn link(tx: &mut Tx<'_>, asked: &Asked<Nothing, IdentityToLink>) -> Result<Linked> {
    let (person, scope) = (asked.path("person"), tx.scope().clone());
    person_seen(tx.conn(), &scope, person)?;
    let (issuer, subject) = (asked.body.issuer.clone(), asked.body.subject.clone());
    let change = Change::Identity { person: person.to_owned(), issuer, subject };
    let (done, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let id = if let Some(Done::Identity(id)) = done { Some(id) } else { None };
    Ok(Linked { id, proposal })
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct Unlinked {
    /// Whether it was linked until now.
    changed: bool,
}

fn unlink(tx: &mut Tx<'_>, asked: &Asked<Nothing, Nothing>) -> Result<Unlinked> {
    let (person, scope) = (asked.path("person"), tx.scope().clone());
    person_seen(tx.conn(), &scope, person)?;
    super::unlink(tx, person, asked.path("identity"))?;
    Ok(Unlinked { changed: true })
}
