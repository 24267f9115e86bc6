//! The verbs of four eyes: proposing, deciding, and what became of it.

use super::script::{Outcome, Step};
use super::world::{World, answer, day};
use super::{access, announced};
use std::sync::Arc;
use tributary::access::Holder;
use tributary::actor::Actor;
use tributary::allocation::backtest::Bounds;
use tributary::allocation::changes::RulesFile;
use tributary::approvals::{self, PoliciesFile, Shown};
use tributary::db::Who;
use tributary::db::seal::hex;
use tributary::expectations;
use tributary::four_eyes::{self, Approved, Came, Change, Done, Grant, Limits};
use tributary::ledger::Terms;
use tributary::scope::{Part, Scope};
use tributary::time::Clock;

/// `by=alice`: that person, or the bearer of that key; else an operator.
fn who(world: &World, step: &Step) -> Arc<Who> {
    let by = step.words.get("by");
    let of = |actor: Actor| Arc::new(Who { actor, scope: Scope::nothing() });
    match by.and_then(|name| world.id(name).map(|id| (name, id))) {
        Some((name, id)) if world.people.contains_key(name) => of(Actor::person(&id)),
        Some((name, id)) if world.secrets.contains_key(name) => of(Actor::key(&id)),
        // A person whose login is their id's name in the story.
        _ => match by.and_then(|name| world.people.get(name)) {
            Some(person) => of(Actor::person(access::id(person))),
            None => World::who(&step.words),
        },
    }
}

/// `propose P1 what=limits leaf=tiktok ceiling=800.00 by=rick`: asks for a change that takes four eyes.
pub fn propose(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let change = change(world, step)?;
    let is_rules = matches!(change, Change::Rules(_) | Change::BackTest { .. });
    let came = four_eyes::submit(&world.db, &who(world, step), change);
    if let Ok(Came::Waits(id)) = &came {
        world.call(id, &name);
        let shown = read(world, id)?;
        world.proposals.insert(name, (id.clone(), shown.digest));
    }
    if came.is_ok() && is_rules {
        world.drafts.0 = RulesFile::default();
    }
    answer(came, |came| match came {
        Came::Done(done) => match said(world, &done) {
            nothing if nothing.is_empty() => Outcome::said("done: nothing new"),
            said => Outcome::Done(said),
        },
        Came::Waits(id) => Outcome::Done(vec![waits(world, &id)]),
    })
}

fn change(world: &mut World, step: &Step) -> Result<Change, String> {
    let words = &step.words;
    let text = |key: &str| words.get(key).map(str::to_owned);
    let reason = || text("reason").unwrap_or_else(|| "as asked".to_owned());
    let mut rules = world.drafts.0.clone();
    rules.retire.extend(words.get("retire").into_iter().flat_map(|codes| codes.split(',')).map(str::to_owned));
    Ok(match words.need("what")? {
        "rules" => Change::Rules(rules),
        "back-test" => {
            let bounds = Bounds { from: day(words, "from")?, to: day(words, "until")?, decided_by_people: false };
            Change::BackTest { file: rules, bounds, digest: world.drafts.1.clone() }
        }
        "grant" => {
            let (is_person, id) = access::holder(world, words.need("to")?)?;
            let part: Part = words.get("scope").unwrap_or("all").parse()?;
            let holder = if is_person { Holder::Person(&id) } else { Holder::Key(&id) };
            Change::Grant(Grant::to(holder, words.need("role")?, &part))
        }
        "roles" => Change::Roles { file: access::role_file(words.need("role")?, words.get("allows")) },
        "reset" => {
            let name = words.need("person")?;
            let invitation = hex(&access::invited_anew(world, name)?);
            Change::Reset { person: access::holder(world, name)?.1, invitation }
        }
        "identity" => Change::Identity {
            person: access::holder(world, words.need("person")?)?.1,
            issuer: "https://login.example.com".to_owned(),
            subject: words.need("subject")?.to_owned(),
        },
        "limits" => Change::Limits(Limits {
            leaf: world.code(words.need("leaf")?),
            floor: text("floor"),
            ceiling: text("ceiling"),
            movement_limit: text("movement"),
            expires_on: text("expires"),
            reason: reason(),
        }),
        "settlement" => {
            let code = words.need("settlement")?;
            let line = words.get("line").map(|l| world.line(l)).transpose()?;
            Change::Settlement { name: format!("{code}.csv"), sheet: announced::sheet(world, step, code)?, line }
        }
        "settlement-line" => {
            let line = world.line(words.need("line")?)?;
            Change::SettlementLine { settlement: words.need("settlement")?.to_owned(), line }
        }
        "receipt" => {
            let receipt = announced::announcement(world, words, words.need("receipt")?)?;
            Change::Expectations { receipts: vec![receipt] }
        }
        "meeting" => {
            let line = world.line(words.need("line")?)?;
            let receipt = world.db.read(|conn| expectations::find(conn, words.need("receipt").unwrap_or_default()));
            Change::Meeting { expectation: receipt.map_err(|e| e.to_string())?.id, line, reason: reason() }
        }
        "reroute" => {
            let (line, leaf) = (world.line(words.need("line")?)?, world.code(words.need("to")?));
            Change::Reroute { line, leaf, reason: reason() }
        }
        "policy" => {
            let days = words.get("days").map_or_else(String::new, |d| format!("expires_days = {d}\n"));
            let text =
                format!("[[policy]]\nkind = {:?}\nneeds = {}\n{days}", words.need("kind")?, words.need("needs")?);
            match PoliciesFile::parse(&text) {
                Ok(file) => Change::Policies(file),
                Err(e) => return Err(e.to_string()),
            }
        }
        other => return Err(format!("nothing is proposed as what={other}")),
    })
}

fn read(world: &World, id: &str) -> Result<Shown, String> {
    let (operator, now) = (Actor::operator("desk"), world.clock.now());
    world.db.read(|conn| approvals::show(conn, &operator, id, now)).map_err(|e| e.to_string())
}

fn waits(world: &World, id: &str) -> String {
    match read(world, id) {
        Ok(Shown { needs: Some(needs), .. }) => format!("waits for {needs}"),
        Ok(shown) => shown.state.as_str().to_owned(),
        Err(e) => e,
    }
}

/// What was done, in a few words.
fn said(world: &World, done: &Done) -> Vec<String> {
    let text = match done {
        Done::Rules(versions) => {
            let all = versions.iter().map(|v| format!("{} version {} {}", v.code, v.version, v.state));
            return all.collect();
        }
        Done::BackTest(applied) => format!("moved {}", applied.moved),
        Done::Reset(_) => "invited again".to_owned(),
        Done::Identity(_) => "linked".to_owned(),
        Done::Grant(changed) => if *changed { "granted" } else { "granted before" }.to_owned(),
        Done::Roles(applied) => format!("roles {}", applied.changed.iter().chain(&applied.retired).count()),
        Done::Limits(Terms { .. }, changed) => if *changed { "limited" } else { "limited as before" }.to_owned(),
        Done::Settlement(all) => {
            let one = |s: &tributary::allocation::settlement::Imported| format!("{} {}", s.settlement, s.state);
            all.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        Done::SettlementLine(_) => "shared out".to_owned(),
        Done::Expectations(announced) => format!("expected {}", announced.new),
        Done::Meeting => "met".to_owned(),
        Done::Reroute(_) => "moved".to_owned(),
        Done::Policies(all) => {
            return all.iter().map(|c| format!("{}: {} for {} days", c.kind, c.after, c.days_after)).collect();
        }
    };
    vec![format!("done: {}", world.named(&text))]
}

fn proposal(world: &World, step: &Step) -> Result<(String, String), String> {
    let name = step.need_name()?;
    let (id, digest) = world.proposals.get(name).cloned().ok_or_else(|| format!("there is no proposal {name}"))?;
    // `of=P2`: with what somebody saw of another one.
    let of = step.words.get("of").and_then(|other| world.proposals.get(other));
    Ok((id, of.map_or(digest, |(_, digest)| digest.clone())))
}

/// `approve P1 by=ann`
pub fn approve(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (id, digest) = proposal(world, step)?;
    let reason = step.words.get("reason").unwrap_or_default();
    let came = four_eyes::approve(&world.db, &who(world, step), &id, &digest, reason);
    answer(came, |came| match came {
        Approved::Waits => Outcome::Done(vec![waits(world, &id)]),
        Approved::CarriedOut(done) => Outcome::Done(said(world, &done)),
        Approved::Void { code, .. } => Outcome::said(format!("void {code}")),
    })
}

/// `reject P1 reason="not this quarter" by=ann`; of a statement, see `healing`.
pub fn reject(world: &mut World, step: &Step) -> Result<Outcome, String> {
    if !step.name().is_some_and(|name| world.proposals.contains_key(name)) {
        return super::healing::reject(world, step);
    }
    let (id, digest) = proposal(world, step)?;
    let reason = step.words.get("reason").unwrap_or_default();
    let done = four_eyes::reject(&world.db, &who(world, step), &id, &digest, reason);
    answer(done, |()| Outcome::said("rejected"))
}

/// `withdraw P1 by=rick`; of a line, see `healing`.
pub fn withdraw(world: &mut World, step: &Step) -> Result<Outcome, String> {
    if !step.name().is_some_and(|name| world.proposals.contains_key(name)) {
        return super::healing::withdraw(world, step);
    }
    let (id, _) = proposal(world, step)?;
    let reason = step.words.get("reason").unwrap_or_default();
    let done = four_eyes::withdraw(&world.db, &who(world, step), &id, reason);
    answer(done, |()| Outcome::said("withdrawn"))
}

/// `proposal P1 by=ann`: what became of it, as she sees it; `effect`: and what it would change.
pub fn proposal_shown(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (id, _) = proposal(world, step)?;
    let (who, now) = (who(world, step), world.clock.now());
    let shown = world.db.read(|conn| approvals::show(conn, &who.actor, &id, now));
    answer(shown, |shown| {
        let rest = shown.needs.map(|n| format!(" needs {n}")).or(shown.why.map(|w| format!(": {w}")));
        let mut lines = vec![format!("{}{}", shown.state.as_str(), rest.unwrap_or_default())];
        if step.words.has("effect") {
            lines.push(shown.effect.to_string());
        }
        Outcome::Done(lines.iter().map(|l| world.named(l)).collect())
    })
}

/// `proposals by=ann`: those that are open and that she may know of.
pub fn proposals(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (who, now) = (who(world, step), world.clock.now());
    let filter = approvals::Filter { limit: 100, ..approvals::Filter::default() };
    let all = world.db.read(|conn| approvals::list(conn, &who.actor, &filter, now));
    answer(all, |all| {
        let lines: Vec<String> =
            all.iter().map(|s| world.named(&format!("{} {} {}", s.proposal, s.kind, s.subject))).collect();
        if lines.is_empty() { Outcome::said("nothing") } else { Outcome::Done(lines) }
    })
}

/// `expire-proposals`
pub fn expire(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let ended = world.db.write("proposal.expire", &World::who(&step.words), approvals::expire);
    answer(ended, |ids| {
        let named: Vec<String> = ids.iter().map(|id| world.named(id)).collect();
        Outcome::said(if named.is_empty() { "nothing".to_owned() } else { named.join(" ") })
    })
}
