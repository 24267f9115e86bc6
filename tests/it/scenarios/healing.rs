//! The verbs of what banks tell early, take back or contradict: decisions on statements, breaks, announced lines, profiles.

use super::script::{Outcome, Step};
use super::world::{World, answer, text};
use tributary::allocation::{self, intake};
use tributary::statements::{self, Contradictions, Notified, Profile, Reports};

fn statement(world: &World, name: &str) -> Result<String, String> {
    world.id(name).ok_or_else(|| format!("there is no statement {name}"))
}

/// `accept S2 reason="the bank corrected it" by=alice`: a person accepts a statement that waits.
pub fn accept(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let id = statement(world, step.need_name()?)?;
    let reason = step.words.get("reason").unwrap_or_default();
    let who = World::who(&step.words);
    let before = world.db.read(|conn| statements::lines_of(conn, &id)).map_err(|e| e.to_string())?;
    let row = intake::accept_waiting(&world.db, &who, &id, reason, &mut |_, _| {});
    match row {
        Err(no) => answer(Err::<(), _>(no), |()| Outcome::Done(Vec::new())),
        Ok(row) => {
            super::bank::label_all(world, step.need_name()?, &row)?;
            let after = world.db.read(|conn| statements::lines_of(conn, &id)).map_err(|e| e.to_string())?;
            Ok(Outcome::said(format!("{} new={}", row.state, after.len() - before.len())))
        }
    }
}

/// `reject S2 reason="sent by mistake" by=alice`.
pub fn reject(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let id = statement(world, step.need_name()?)?;
    let reason = step.words.get("reason").unwrap_or_default().to_owned();
    let who = World::who(&step.words);
    let done = world.db.write("statement.decide", &who, move |tx| statements::reject_waiting(tx, &id, &reason));
    answer(done, |()| Outcome::said("rejected"))
}

/// `withdraw N1.1 reason="the bank says so" by=alice`: a notified line that no statement has.
pub fn withdraw(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let line = world.line(step.need_name()?)?;
    let reason = step.words.get("reason").unwrap_or_default().to_owned();
    let who = World::who(&step.words);
    let done = world.db.write("allocation.withdraw", &who, move |tx| allocation::withdraw_notified(tx, &line, &reason));
    answer(done, |()| Outcome::said("withdrawn"))
}

/// `line N1.1`: its facet and what became of it.
pub fn line(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let id = world.line(step.need_name()?)?;
    let line = world.db.read(|conn| statements::line(conn, &id)).map_err(|e| e.to_string())?;
    let held = if line.unconfirmed { " unconfirmed" } else { "" };
    Ok(Outcome::said(format!("{} {}{held} details={}", line.facet, line.posting, line.detail_count)))
}

/// `pending master=de-eur`: what is announced and has not come.
pub fn pending(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = step.words.need("master")?;
    let account = world.account(code)?;
    let rows = world
        .db
        .read(|conn| {
            let master = tributary::chart::master(conn, code)?;
            statements::open_pending(conn, &master.id)
        })
        .map_err(|e| e.to_string())?;
    let said = rows.iter().map(|p| {
        let who = p.counterparty_name.as_deref().unwrap_or("nobody named");
        format!("{} {} {who}", p.expected_on, text(p.amount, &account))
    });
    let said: Vec<String> = said.collect();
    Ok(if said.is_empty() { Outcome::said("nothing") } else { Outcome::Done(said) })
}

/// `breaks`: what the bank's messages leave open.
pub fn breaks(world: &mut World, _: &Step) -> Result<Outcome, String> {
    let all = world.db.read(statements::breaks).map_err(|e| e.to_string())?;
    let said: Vec<String> = all.iter().map(|b| world.named(&format!("{}: {}", b.kind, b.what))).collect();
    Ok(if said.is_empty() { Outcome::said("nothing") } else { Outcome::Done(said) })
}

/// `profile de-eur notified=final reports=delta contradictions=accept`.
pub fn profile(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (master, who) = (step.need_name()?.to_owned(), World::who(&step.words));
    let present = world.db.read(|conn| statements::profile(conn, &master)).map_err(|e| e.to_string())?;
    let unknown = |key: &str| format!("{key}= has an unknown value");
    let new = Profile {
        notified: match step.words.get("notified") {
            None => present.notified,
            Some(text) => Notified::parse(text).ok_or_else(|| unknown("notified"))?,
        },
        reports: match step.words.get("reports") {
            None => present.reports,
            Some(text) => Reports::parse(text).ok_or_else(|| unknown("reports"))?,
        },
        contradictions: match step.words.get("contradictions") {
            None => present.contradictions,
            Some(text) => Contradictions::parse(text).ok_or_else(|| unknown("contradictions"))?,
        },
    };
    let set = world.db.write("statement.profile", &who, move |tx| statements::set_profile(tx, &master, new));
    answer(set, |changed| Outcome::said(if changed { "set" } else { "as before" }))
}
