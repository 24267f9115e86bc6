//! The verbs of people, keys and roles: who is let in, and what they may see and do.

use super::script::{Outcome, Step};
use super::world::{World, answer};
use std::sync::Arc;
use tributary::access::{
    self, Cost, Holder, Joining, NewKey, NewPerson, Permission, Secret, Settings, SignIn, totp::code_at,
};
use tributary::actor::Actor;
use tributary::chart;
use tributary::db::{Tx, Who};
use tributary::error::Result;
use tributary::events::{self, Filter};
use tributary::four_eyes;
use tributary::positions::{Moment, positions};
use tributary::scope::{Part, Scope};
use tributary::time::Clock;

/// What a person of the story knows and has.
#[derive(Debug, Clone)]
pub struct Known {
    id: String,
    invitation: Secret,
    totp: [u8; 20],
    recovery_codes: Vec<Secret>,
}

/// A person's id.
pub fn id(person: &Known) -> &str {
    &person.id
}

const PASSWORD: &str = "the heron eats at dawn";

fn settings() -> Settings {
    let minutes = chrono::TimeDelta::minutes;
    Settings { cost: Cost::for_tests(), shortest_password: 12, idle: minutes(15), longest: minutes(480) }
}

fn known<'w>(world: &'w World, name: &str) -> Result<&'w Known, String> {
    world.people.get(name).ok_or_else(|| format!("there is no person {name}; the verb `person` adds one"))
}

/// `by=alice`: that person, where the story has one; else an operator.
fn who(world: &World, step: &Step) -> Arc<Who> {
    match step.words.get("by").and_then(|name| world.people.get(name)) {
        Some(person) => Arc::new(Who { actor: Actor::person(&person.id), scope: Scope::nothing() }),
        None => World::who(&step.words),
    }
}

/// Runs a command as whoever the step names.
fn write<A: Send + 'static>(
    world: &World,
    step: &Step,
    name: &'static str,
    command: impl Fn(&mut Tx<'_>) -> Result<A> + Send + 'static,
) -> Result<A> {
    world.db.write(name, &who(world, step), command)
}

/// `treasurer@product:tiktok,auditor`
fn roles(step: &Step) -> Result<Vec<(String, Part)>, String> {
    let listed = step.words.get("roles").unwrap_or_default().split(',').filter(|r| !r.is_empty());
    let role = |text: &str| {
        let (role, scope) = text.split_once('@').unwrap_or((text, "all"));
        Ok((role.to_owned(), scope.parse()?))
    };
    listed.map(role).collect()
}

/// `person alice roles="treasurer@master:de-eur"`: adds her; she joins at once, unless she stays `invited`.
pub fn person(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (login, roles) = (step.need_name()?.to_owned(), roles(step)?);
    let invitation = access::invitation().map_err(|e| e.to_string())?;
    let new = NewPerson { login: login.clone(), name: format!("{login} of the story") };
    let added = write(world, step, "person.add", {
        let invitation = invitation.clone();
        move |tx| {
            let (id, _) = access::add(tx, &new, &invitation)?;
            for (role, scope) in &roles {
                access::grant(tx, Holder::Person(&id), role, scope)?;
            }
            Ok(id)
        }
    });
    let id = match added {
        Ok(id) => id,
        Err(no) => return answer(Err::<(), _>(no), |()| Outcome::said("")),
    };
    world.call(&id, &login);
    let known = Known { id, invitation, totp: [7; 20], recovery_codes: Vec::new() };
    world.people.insert(login, known);
    if step.words.has("invited") { Ok(Outcome::said("invited")) } else { join(world, step) }
}

/// `join alice password="..."`: by the newest invitation.
pub fn join(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let person = known(world, &name)?;
    let joining = Joining {
        invitation: person.invitation.clone(),
        person: None,
        password: Secret::given(step.words.get("password").unwrap_or(PASSWORD)),
        totp: person.totp,
        code: code_at(&person.totp, world.clock.now()),
    };
    let joined = access::join(&world.db, &settings(), &joining);
    if let (Ok(joined), Some(person)) = (&joined, world.people.get_mut(&name)) {
        person.recovery_codes.clone_from(&joined.recovery_codes);
    }
    answer(joined, |_| Outcome::said("joined"))
}

/// `reset alice`: a new invitation.
pub fn reset(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let id = known(world, &name)?.id.clone();
    let invitation = access::invitation().map_err(|e| e.to_string())?;
    let digest = invitation.digest();
    let done = write(world, step, "person.reset", move |tx| access::reset(tx, &id, &digest));
    if let (true, Some(person)) = (done.is_ok(), world.people.get_mut(&name)) {
        person.invitation = invitation;
    }
    answer(done, |_| Outcome::said("invited again"))
}

/// The digest of an invitation that somebody comes back by, once it is approved.
pub fn invited_anew(world: &mut World, name: &str) -> Result<[u8; 32], String> {
    let invitation = access::invitation().map_err(|e| e.to_string())?;
    let digest = invitation.digest();
    let person = world.people.get_mut(name).ok_or_else(|| format!("there is no person {name}"))?;
    person.invitation = invitation;
    Ok(digest)
}

/// `disable alice`
pub fn disable(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let id = known(world, step.need_name()?)?.id.clone();
    let done = write(world, step, "person.disable", move |tx| access::disable(tx, &id));
    answer(done, |changed| Outcome::said(if changed { "disabled" } else { "disabled before" }))
}

/// A person's or a key's id.
pub fn holder(world: &World, name: &str) -> Result<(bool, String), String> {
    match world.people.get(name) {
        Some(person) => Ok((true, person.id.clone())),
        None => world.id(name).map(|id| (false, id)).ok_or_else(|| format!("there is no person or key {name}")),
    }
}

fn part(step: &Step) -> Result<Option<Part>, String> {
    step.words.get("scope").map(str::parse).transpose()
}

/// `grant alice role=approver scope=product:tiktok`, to a person or key.
pub fn grant(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (is_person, id) = holder(world, step.need_name()?)?;
    let (role, part) = (step.words.need("role")?.to_owned(), part(step)?.unwrap_or_default());
    let done = write(world, step, "role.grant", move |tx| {
        let holder = if is_person { Holder::Person(&id) } else { Holder::Key(&id) };
        access::grant(tx, holder, &role, &part)
    });
    answer(done, |changed| Outcome::said(if changed { "granted" } else { "granted before" }))
}

/// `revoke alice role=approver`
pub fn revoke(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (is_person, id) = holder(world, step.need_name()?)?;
    let (role, part) = (step.words.need("role")?.to_owned(), part(step)?);
    let done = write(world, step, "role.revoke", move |tx| {
        let holder = if is_person { Holder::Person(&id) } else { Holder::Key(&id) };
        access::revoke(tx, holder, &role, part.as_ref())
    });
    answer(done, |count| Outcome::said(format!("revoked {count}")))
}

/// `sign-in S1 person=alice place=desk`: with the right password and code, unless the step says others; `recovery` with a code
/// from paper.
pub fn sign_in(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let session = step.need_name()?.to_owned();
    let login = step.words.need("person")?;
    let person = world.people.get(login);
    let now = world.clock.now();
    let code = match (step.words.get("code"), step.words.has("recovery"), person) {
        (Some(code), ..) => Secret::given(code),
        (None, true, Some(p)) => p.recovery_codes.first().cloned().ok_or("there are no recovery codes")?,
        (None, _, p) => Secret::given(&code_at(&p.map_or([0; 20], |p| p.totp), now)),
    };
    let asked = SignIn {
        login: login.to_owned(),
        password: Secret::given(step.words.get("password").unwrap_or(PASSWORD)),
        code,
        place: step.words.get("place").unwrap_or("desk").to_owned(),
        device: "story".to_owned(),
    };
    let opened = access::sign_in(&world.db, &settings(), &asked);
    if let Ok(opened) = &opened {
        world.call(&opened.session, &session);
        world.secrets.insert(session, opened.secret.clone());
    }
    answer(opened, |o| {
        let left = o.recovery_codes_left.map(|n| format!("; {n} recovery codes left")).unwrap_or_default();
        Outcome::said(format!("signed in{left}"))
    })
}

/// `end S1`, or all of `end alice`.
pub fn end(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?;
    let id = world.id(name).ok_or_else(|| format!("there is no session or person {name}"))?;
    let is_person = world.people.contains_key(name);
    let done = write(world, step, "session.end", move |tx| {
        if is_person { access::end_sessions(tx, &id) } else { access::end_session(tx, &id).map(usize::from) }
    });
    answer(done, |count| Outcome::said(format!("ended {count}")))
}

/// `may S1 do=positions.read -> in product:tiktok`: what the bearer of a session or key may do at this moment. Keeps that it was used.
pub fn may(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let secret = secret(world, step.need_name()?)?;
    let permission: Permission = step.words.need("do")?.parse()?;
    let now = world.clock.now();
    let admitted = world.db.read(|conn| access::admit(conn, &secret, now));
    if let Ok(admitted) = &admitted {
        access::touch(&world.db, admitted).map_err(|e| e.to_string())?;
    }
    answer(admitted.and_then(|a| a.who(permission)), |who| Outcome::said(format!("in {}", who.scope)))
}

fn secret(world: &World, name: &str) -> Result<Secret, String> {
    world.secrets.get(name).cloned().ok_or_else(|| format!("there is no session or key {name}"))
}

/// `sees S1`: the positions and masters that the bearer sees; `account=` one account.
pub fn sees(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let secret = secret(world, step.need_name()?)?;
    let now = world.clock.now();
    let account = step.words.get("account").map(|name| world.code(name));
    let seen = world.db.read(|conn| {
        let admitted = access::admit(conn, &secret, now)?;
        if let Some(code) = &account {
            let who = admitted.who(Permission::AccountsRead)?;
            let found = chart::account_seen(conn, &who.scope, code)?;
            return Ok(vec![found.code]);
        }
        let who = admitted.who(Permission::PositionsRead)?;
        let report = positions(conn, &who.scope, Moment::default())?;
        let leaves = report.positions.iter().map(|p| format!("{} {}", p.sub_account, p.booked));
        let masters = report.masters.iter().map(|m| format!("master {} {}", m.master, m.book));
        Ok(leaves.chain(masters).collect())
    });
    answer(seen, |seen| if seen.is_empty() { Outcome::said("nothing") } else { Outcome::Done(seen) })
}

/// `key K1 owner=alice roles="product-client@product:tiktok" days=90`; with `rotates=erp` the next key of that one's name.
pub fn key(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let days = step.words.get("days").unwrap_or("90").parse().map_err(|e| format!("days: {e}"))?;
    let (id, secret) = NewKey::secret(&world.db).map_err(|e| e.to_string())?;
    let made = match step.words.get("rotates") {
        Some(machine) => {
            let (machine, id, secret) = (machine.to_owned(), id.clone(), secret.clone());
            write(world, step, "key.rotate", move |tx| {
                four_eyes::rotate_key(tx, &machine, days, &id, &secret).map(|_| ())
            })
        }
        None => {
            let owner = known(world, step.words.need("owner")?)?.id.clone();
            let machine = step.words.get("machine").unwrap_or("erp").to_owned();
            let new = NewKey { name: machine, owner, days, roles: roles(step)?, id: id.clone() };
            let secret = secret.clone();
            write(world, step, "key.create", move |tx| access::create_key(tx, &new, &secret).map(|_| ()))
        }
    };
    if made.is_ok() {
        world.call(&id, &name);
        world.secrets.insert(name, secret);
    }
    answer(made, |_| Outcome::said("made"))
}

/// `revoke-key K1`
pub fn revoke_key(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?;
    let id = world.id(name).ok_or_else(|| format!("there is no key {name}"))?;
    let done = write(world, step, "key.revoke", move |tx| access::revoke_key(tx, &id));
    answer(done, |changed| Outcome::said(if changed { "revoked" } else { "revoked before" }))
}

/// The file of a role that allows this, or that retires it.
pub fn role_file(code: &str, allows: Option<&str>) -> String {
    match allows {
        Some(allows) => {
            let permissions: Vec<String> = allows.split_whitespace().map(|p| format!("{p:?}")).collect();
            format!("[[role]]\ncode = {code:?}\nname = \"Of the story\"\npermissions = [{}]\n", permissions.join(", "))
        }
        None => format!("retire = [{code:?}]\n"),
    }
}

/// `role desk allows="positions.read lines.route"`; without `allows` it is retired.
pub fn role(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let text = role_file(step.need_name()?, step.words.get("allows"));
    let done = write(world, step, "roles.apply", move |tx| access::apply_roles(tx, &text));
    answer(done, |a| {
        let how = if !a.changed.is_empty() {
            "in force"
        } else if !a.retired.is_empty() {
            "retired"
        } else {
            "as before"
        };
        Outcome::said(how)
    })
}

/// `events S1 kind=account`: what the bearer reads in the feed, from the beginning; without a name, all of it.
pub fn events(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let now = world.clock.now();
    let secret = step.name().map(|name| secret(world, name)).transpose()?;
    let kinds = step.words.get("kind").map(|k| k.split(',').map(ToOwned::to_owned).collect()).unwrap_or_default();
    let subject = step.words.get("subject").map(|name| world.code(name));
    let filter = Filter { kinds, subject, actor: step.words.get("actor").map(ToOwned::to_owned), ..Filter::default() };
    let read = world.db.read(|conn| {
        let scope = match &secret {
            Some(secret) => access::admit(conn, secret, now)?.who(Permission::EventsRead)?.scope.clone(),
            None => Scope::everything(),
        };
        events::page(conn, &scope, &filter, 0, 1_000)
    });
    let read = read.map(|page| page.events.into_iter().map(|e| world.named(&format!("{} {}", e.kind, e.subject))));
    answer(
        read.map(Vec::from_iter),
        |seen| if seen.is_empty() { Outcome::said("nothing") } else { Outcome::Done(seen) },
    )
}
