//! `tributary people`: who may sign in and what they may do, for the operator of the machine.

use super::remote::Place;
use super::table::table;
use super::{Context, approvals, people_link, print_json, prompt};
use crate::access::{self, GrantRow, Holder, Joining, NewPerson, PersonView, Settings, SignIn};
use crate::config;
use crate::db::seal::hex;
use crate::error::{Error, Result};
use crate::four_eyes::{self, Came, Change, Done, Grant};
use crate::scope::Part;
use crate::time::{Clock, SystemClock, rfc3339};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What is to be done with people.
#[derive(Debug, clap::Subcommand)]
pub enum People {
    /// Print the invitation of the first administrator, once, for an hour; only while there is nobody
    First,
    /// Join by an invitation: choose a password, add Tributary to an authenticator app
    Join {
        /// Join at a server, such as https://treasury.example.com, and not in a database here
        #[arg(long)]
        server: Option<String>,
        /// Whom to trust there in place of the system's authorities: a file of certificates, PEM
        #[arg(long, value_name = "FILE", requires = "server")]
        ca: Option<PathBuf>,
        /// Send the password over plain HTTP to another machine too: everybody on the way can read it
        #[arg(long, requires = "server")]
        allow_plain_http: bool,
    },
    /// Add somebody and print their invitation, once
    Add {
        /// By which they sign in, such as alice or alice@example.com
        login: String,
        /// Their name
        #[arg(long)]
        name: String,
        /// A role, and where it holds: treasurer, or requester@product:tiktok
        #[arg(long = "role", value_name = "ROLE[@SCOPE]")]
        roles: Vec<RoleIn>,
    },
    /// List people with their roles
    List,
    /// Shut somebody out from now on, with the keys that they own
    Disable {
        /// Their login
        login: String,
    },
    /// Take password, second factor and sessions away, and print a new invitation, once
    Reset {
        /// Their login
        login: String,
    },
    /// Give somebody a role
    Grant {
        /// Their login
        login: String,
        /// The role's code
        role: String,
        /// Where: all, product:CODE, entity:CODE, master:CODE, subtree:PATH; joined by + where all must hold
        #[arg(long, default_value = "all")]
        scope: Part,
    },
    /// Take a role away
    Revoke {
        /// Their login
        login: String,
        /// The role's code
        role: String,
        /// Only in this scope [default: wherever they have it]
        #[arg(long)]
        scope: Option<Part>,
    },
    /// Somebody's sessions, or their end
    Sessions {
        /// Their login
        login: String,
        /// End the session with this id
        #[arg(long, value_name = "ID", conflicts_with = "end_all")]
        end: Option<String>,
        /// End all of them
        #[arg(long)]
        end_all: bool,
    },
    /// Sign in and print the session's secret, once
    SignIn {
        /// Your login
        login: String,
    },
    /// Let somebody sign in by the provider that the configuration names; all their sessions end
    Link {
        /// Their login
        login: String,
        /// As the provider names them for ever: the claim `sub`, which an attempt to sign in says
        subject: String,
    },
    /// Let somebody sign in by the provider no more
    Unlink {
        /// Their login
        login: String,
    },
    /// Say whose a session's secret or a key is, and what it may do now
    Whoami,
}

/// `treasurer`, `requester@product:tiktok`.
#[derive(Debug, Clone)]
pub struct RoleIn {
    /// The role's code.
    pub role: String,
    /// Where it holds.
    pub scope: Part,
}

impl std::str::FromStr for RoleIn {
    type Err = String;

    fn from_str(text: &str) -> Result<RoleIn, String> {
        let (role, scope) = text.split_once('@').unwrap_or((text, "all"));
        Ok(RoleIn { role: role.to_owned(), scope: scope.parse()? })
    }
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &People) -> Result<()> {
    match command {
        People::First => first(context),
        People::Join { server: Some(server), ca, allow_plain_http } => {
            join_at(context, &Place::of(server, ca.as_deref(), *allow_plain_http)?)
        }
        People::Join { server: None, .. } => join(context),
        People::Add { login, name, roles } => {
            add(context, NewPerson { login: login.clone(), name: name.clone() }, roles)
        }
        People::List => list(context),
        People::Disable { login } => disable(context, login),
        People::Reset { login } => reset(context, login),
        People::Grant { login, role, scope } => grant(context, login, role, scope),
        People::Revoke { login, role, scope } => revoke(context, login, role, scope.as_ref()),
        People::Sessions { login, end, end_all } => sessions(context, login, end.as_deref(), *end_all),
        People::SignIn { login } => sign_in(context, login),
        People::Link { login, subject } => people_link::link(context, login, subject),
        People::Unlink { login } => people_link::unlink(context, login),
        People::Whoami => whoami(context),
    }
}

pub(super) fn settings(context: &Context) -> Result<Settings> {
    Settings::of(&config::load(context.config.as_deref())?.access)
}

fn first(context: &Context) -> Result<()> {
    let secret = access::invitation()?;
    let db = context.open_to_write(&context.url()?)?;
    let until = db.write("person.first", &context.who, {
        let secret = secret.clone();
        move |tx| access::first(tx, &secret)
    })?;
    print_invitation(context, None, &secret, Some(until), &[])
}

fn print_invitation(
    context: &Context,
    person: Option<(&str, &str)>,
    secret: &access::Secret,
    until: Option<crate::time::Instant>,
    waiting: &[String],
) -> Result<()> {
    if context.json {
        let mut shown = json!({
            "person": person.map(|(id, _)| id), "login": person.map(|(_, login)| login),
            "invitation": secret.reveal(), "expires_at": until.map(rfc3339),
        });
        if !waiting.is_empty() {
            shown["waiting_for_approval"] = json!(waiting);
        }
        return print_json(&shown);
    }
    match person {
        Some((_, login)) => say!("The invitation of {login}, which is shown only now and counts once:"),
        None => say!("The invitation of the first administrator, which is shown only now and counts once:"),
    }
    say!("\n    {}\n", secret.reveal());
    let Some(until) = until else {
        for id in waiting {
            say!("It counts once this is approved, and nothing has changed yet: `tributary approvals show {id}`");
        }
        return Ok(());
    };
    say!("Join with `tributary people join` until {}.", rfc3339(until));
    say_waiting(waiting);
    Ok(())
}

/// Roles that are given only when others have approved it.
pub(super) fn say_waiting(waiting: &[String]) {
    for id in waiting {
        say!("A role waits for approval: `tributary approvals show {id}`");
    }
}

fn join(context: &Context) -> Result<()> {
    let settings = settings(context)?;
    let db = context.open_treasury()?;
    let invitation = prompt::secret("invitation")?;
    let invited = db.read(|conn| access::invited(conn, &invitation, SystemClock.now()))?;
    let person = match &invited.person {
        Some(known) => {
            eprintln!("Welcome, {}; your login is {}.", known.name, known.login);
            None
        }
        None => Some(NewPerson { login: prompt::line("login")?, name: prompt::line("name")? }),
    };
    let password = prompt::new_secret("password")?;
    let totp = access::new_totp_secret()?;
    let login = invited.person.as_ref().or(person.as_ref()).map_or("", |p| p.login.as_str());
    let (text, link) = access::totp::for_apps(&totp, login);
    let code = code_of(&text, &link)?;
    let joined = access::join(&db, &settings, &Joining { invitation, person, password, totp, code })?;
    let codes: Vec<&str> = joined.recovery_codes.iter().map(access::Secret::reveal).collect();
    say_joined(context, &joined.person, &codes)
}

/// The same at a server.
fn join_at(context: &Context, place: &Place) -> Result<()> {
    let invitation = prompt::secret("invitation")?;
    let begun = place.post("/v1/join/begin", &json!({ "invitation": invitation.reveal() }))?;
    let text = |name: &str| begun[name].as_str().unwrap_or_default();
    let mut body = json!({ "invitation": invitation.reveal(), "totp": text("totp") });
    if begun["login"].is_null() {
        body["login"] = json!(prompt::line("login")?);
        body["name"] = json!(prompt::line("name")?);
    } else {
        eprintln!("Welcome, {}; your login is {}.", text("name"), text("login"));
    }
    body["password"] = json!(prompt::new_secret("password")?.reveal());
    body["code"] = json!(code_of(text("totp"), text("link"))?);
    let joined = place.post("/v1/join", &body)?;
    let codes = joined["recovery_codes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    say_joined(context, joined["person"].as_str().unwrap_or_default(), &codes.collect::<Vec<_>>())
}

/// What the app shows once it knows the second factor.
fn code_of(text: &str, link: &str) -> Result<String> {
    // To standard error: with --json, standard output is one document.
    eprintln!("Add this to your authenticator app, then give the code that it shows:\n\n    {text}\n    {link}\n");
    prompt::line("code")
}

fn say_joined(context: &Context, person: &str, codes: &[&str]) -> Result<()> {
    if context.json {
        return print_json(&json!({ "person": person, "recovery_codes": codes }));
    }
    say!("Joined as {person}. Keep these recovery codes on paper: each counts once, in place of a code.\n");
    codes.iter().for_each(|code| say!("    {code}"));
    Ok(())
}

fn add(context: &Context, new: NewPerson, roles: &[RoleIn]) -> Result<()> {
    let db = context.open_treasury()?;
    let secret = access::invitation()?;
    let login = new.login.clone();
    let roles: Vec<(String, Part)> = roles.iter().map(|r| (r.role.clone(), r.scope.clone())).collect();
    let added = db.write("person.add", &context.who, {
        let secret = secret.clone();
        move |tx| four_eyes::add_person(tx, &new, &roles, &secret)
    })?;
    print_invitation(context, Some((&added.id, &login)), &secret, Some(added.until), &added.waiting)
}

fn list(context: &Context) -> Result<()> {
    let (people, grants) =
        context.open_to_read()?.read(|conn| Ok((access::people(conn)?, access::grants_of(conn)?)))?;
    let of = |p: &PersonView| -> Vec<GrantRow> {
        grants.iter().filter(|g| g.person.as_deref() == Some(&p.id)).cloned().collect()
    };
    if context.json {
        let shown = people.iter().map(|p| {
            json!({
                "id": p.id, "login": p.login, "name": p.name, "state": p.state, "made_at": rfc3339(p.made_at),
                "recovery_codes": p.recovery_codes, "roles": of(p).iter().map(role_json).collect::<Vec<_>>(),
            })
        });
        return print_json(&shown.collect::<Vec<_>>());
    }
    if people.is_empty() {
        say!("There is nobody yet: `tributary people first` invites the first administrator.");
        return Ok(());
    }
    let mut lines = table(&["login", "name", "state", "~roles", "id"]);
    for p in &people {
        let roles: Vec<String> = of(p).iter().map(|g| format!("{}@{}", g.role, g.scope)).collect();
        lines.add_row([&p.login, &p.name, &p.state, &roles.join(", "), &p.id]);
    }
    say!("{lines}");
    Ok(())
}

pub(super) fn role_json(g: &GrantRow) -> Value {
    json!({ "role": g.role, "scope": g.scope })
}

/// Prints what was done, to people or as a document.
pub(super) fn done(context: &Context, what: Value, sentence: &str) -> Result<()> {
    if context.json {
        return print_json(&what);
    }
    say!("{sentence}");
    Ok(())
}

fn disable(context: &Context, login: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let id = person.id.clone();
    let changed = db.write("person.disable", &context.who, move |tx| access::disable(tx, &id))?;
    let keys = db.read(|conn| access::keys(conn, SystemClock.now()))?;
    let keys = keys.iter().filter(|k| k.owner == person.id && k.state == "live").count();
    let sentence = match (changed, keys) {
        (false, _) => format!("{login} was disabled already."),
        (true, 0) => format!("{login} is shut out; all sessions have ended."),
        (true, keys) => {
            format!("{login} is shut out; all sessions have ended, and {keys} keys that they own count no longer.")
        }
    };
    done(context, json!({ "person": person.id, "changed": changed, "keys_stopped": keys }), &sentence)
}

fn reset(context: &Context, login: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let secret = access::invitation()?;
    let change = Change::Reset { person: person.id.clone(), invitation: hex(&secret.digest()) };
    let whom = Some((person.id.as_str(), person.login.as_str()));
    match four_eyes::submit(&db, &context.who, change)? {
        Came::Done(Done::Reset(until)) => print_invitation(context, whom, &secret, Some(until), &[]),
        Came::Done(other) => Err(approvals::other(&other)),
        Came::Waits(id) => print_invitation(context, whom, &secret, None, &[id]),
    }
}

fn grant(context: &Context, login: &str, role: &str, scope: &Part) -> Result<()> {
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let change = Change::Grant(Grant::to(Holder::Person(&person.id), role, scope));
    let Some(did) = approvals::submit(context, &db, change)? else { return Ok(()) };
    let Done::Grant(changed) = did else { return Err(approvals::other(&did)) };
    let how = if changed { "has now" } else { "had already" };
    let what = json!({ "person": person.id, "role": role, "scope": scope.to_string(), "changed": changed });
    done(context, what, &format!("{login} {how} the role {role} in {scope}."))
}

fn revoke(context: &Context, login: &str, role: &str, scope: Option<&Part>) -> Result<()> {
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let revoked = db.write("role.revoke", &context.who, {
        let (id, role, scope) = (person.id.clone(), role.to_owned(), scope.cloned());
        move |tx| access::revoke(tx, Holder::Person(&id), &role, scope.as_ref())
    })?;
    let what = json!({ "person": person.id, "role": role, "revoked": revoked });
    done(context, what, &format!("{login} no longer has the role {role} there."))
}

fn sessions(context: &Context, login: &str, end: Option<&str>, end_all: bool) -> Result<()> {
    if let Some(id) = end {
        let db = context.open_treasury()?;
        let person = db.read(|conn| access::person_by_login(conn, login))?;
        let open = db.read(|conn| access::sessions(conn, &person.id, SystemClock.now()))?;
        if !open.iter().any(|s| s.id == id) {
            return Err(Error::NotFound(format!("{login} has no session {id}; without --end they are listed")));
        }
        let id = id.to_owned();
        let changed = db.write("session.end", &context.who, move |tx| access::end_session(tx, &id))?;
        return done(context, json!({ "ended": i32::from(changed) }), "The session has ended.");
    }
    if end_all {
        let db = context.open_treasury()?;
        let person = db.read(|conn| access::person_by_login(conn, login))?;
        let ended = db.write("session.end", &context.who, move |tx| access::end_sessions(tx, &person.id))?;
        return done(context, json!({ "ended": ended }), &format!("{ended} sessions of {login} have ended."));
    }
    let open = context.open_to_read()?.read(|conn| {
        let person = access::person_by_login(conn, login)?;
        access::sessions(conn, &person.id, SystemClock.now())
    })?;
    if context.json {
        let shown = open.iter().map(|s| {
            json!({
                "id": s.id, "device": s.device, "made_at": rfc3339(s.made_at),
                "last_used_at": rfc3339(s.last_used_at), "expires_at": rfc3339(s.expires_at),
            })
        });
        return print_json(&shown.collect::<Vec<_>>());
    }
    if open.is_empty() {
        say!("{login} is not signed in anywhere.");
        return Ok(());
    }
    let mut lines = table(&["session", "device", "opened", "last used", "ends"]);
    for s in &open {
        let [made, used, ends] = [s.made_at, s.last_used_at, s.expires_at].map(rfc3339);
        lines.add_row([&s.id, &s.device, &made, &used, &ends]);
    }
    say!("{lines}");
    Ok(())
}

fn sign_in(context: &Context, login: &str) -> Result<()> {
    let settings = settings(context)?;
    let db = context.open_treasury()?;
    let asked = SignIn {
        login: login.to_owned(),
        password: prompt::secret("password")?,
        code: prompt::secret("code")?,
        place: "command line".to_owned(),
        device: "command line".to_owned(),
    };
    let opened = access::sign_in(&db, &settings, &asked)?;
    if let Some(left) = opened.recovery_codes_left {
        eprintln!("That was a recovery code, which counts no longer; {left} are left.");
    }
    if context.json {
        return print_json(&json!({
            "person": opened.person, "session": opened.session, "secret": opened.secret.reveal(),
            "expires_at": rfc3339(opened.expires_at),
        }));
    }
    say!("Signed in until {} at the latest. The session's secret, shown only now:\n", rfc3339(opened.expires_at));
    say!("    {}", opened.secret.reveal());
    Ok(())
}

fn whoami(context: &Context) -> Result<()> {
    let secret = prompt::secret("secret of a session, or key")?;
    let admitted = context.open_to_read()?.read(|conn| access::admit(conn, &secret, SystemClock.now()))?;
    // Beside a server, which holds the writer's lock, only the time of its last use is not kept.
    if let Ok(db) = context.open_treasury() {
        access::touch(&db, &admitted)?;
    }
    let allowed: Vec<Value> = admitted
        .rights
        .permissions()
        .iter()
        .map(|p| json!({ "permission": p.code(), "scope": admitted.rights.scope(p).to_string() }))
        .collect();
    if context.json {
        return print_json(&json!({ "actor": admitted.actor.as_str(), "through": admitted.through, "may": allowed }));
    }
    say!("{}, by {}", admitted.actor, admitted.through);
    let mut lines = table(&["may", "~where", "~which is"]);
    for p in admitted.rights.permissions().iter() {
        lines.add_row([p.code(), &admitted.rights.scope(p).to_string(), p.says()]);
    }
    say!("{lines}");
    Ok(())
}
