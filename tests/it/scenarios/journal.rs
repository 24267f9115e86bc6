//! The verbs of the journal: what a treasurer decides.

use super::script::{Outcome, Step};
use super::world::{World, answer, day, minor};
use std::sync::Arc;
use tributary::ledger::{self, AccountId, AccountRow, Basis, Cause, HoldKind, HoldMove, NewEntry, NewPosting, Posted};

/// `transfer from=tiktok to=douyin amount=100.00`: Dr leaf, Cr leaf.
pub fn transfer(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (from, to) = (world.account(step.words.need("from")?)?, world.account(step.words.need("to")?)?);
    let amount = minor(step.words.need("amount")?, &from)?;
    let mut entry = decision(world, step, "transfer")?;
    entry.postings = moved(&from, &to, amount);
    post(world, step, entry, "transferred")
}

/// `hold H1 leaf=tiktok amount=400.00`: reserved, not yet moved.
pub fn hold(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let account = world.account(step.words.need("leaf")?)?;
    let mut entry = decision(world, step, "hold")?;
    entry.holds = vec![HoldMove {
        account: AccountId(account.id),
        hold: step.need_name()?.to_owned(),
        kind: HoldKind::Placed,
        amount: minor(step.words.need("amount")?, &account)?,
    }];
    post(world, step, entry, "held")
}

/// `release H1`: given back, all of it or an amount.
pub fn release(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (_, held) = held(world, step, HoldKind::Released)?;
    let mut entry = decision(world, step, "release")?;
    entry.holds = vec![held];
    post(world, step, entry, "released")
}

/// `consume H1`: what was held is paid: consume the hold, Dr leaf, Cr in-transit.
pub fn consume(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (account, held) = held(world, step, HoldKind::Consumed)?;
    let master = account.code.split('/').next().unwrap_or_default().to_owned();
    let in_transit = world.account(&format!("{master}/in-transit"))?;
    let mut entry = decision(world, step, "payout")?;
    entry.postings = moved(&account, &in_transit, held.amount);
    entry.holds = vec![held];
    post(world, step, entry, "in transit")
}

/// `reverse T1 reason="wrong leaf"`: the same postings with the other sign, linked, at most once.
pub fn reverse(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let number = entry_number(world, step.words.get("entry").or(step.name()).ok_or("reverse needs an entry")?)?;
    let (today, reason) = (world.today(), step.words.get("reason").unwrap_or("as asked").to_owned());
    let who = World::who(&step.words);
    let posted = world.db.write("ledger.reverse", &who, move |tx| ledger::reverse(tx, number, today, &reason));
    answer(posted, |posted| done(posted, "reversed"))
}

/// The entry of a number, `last`, of the name of a decision, or of the newest route of a line.
pub fn entry_number(world: &World, name: &str) -> Result<i64, String> {
    if name == "last" {
        return world.db.read(tributary::db::head).map(|head| head.entry).map_err(|e| e.to_string());
    }
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    if let Some(number) = world.entries.get(name) {
        return Ok(*number);
    }
    let line = world.line(name).map_err(|_| format!("there is no entry {name}"))?;
    let routes = world.db.read(|conn| tributary::allocation::routes_of(conn, &line)).map_err(|e| e.to_string())?;
    routes.last().map(|route| route.entry).ok_or_else(|| format!("{name} has posted nothing"))
}

/// An entry that nothing is in yet.
fn decision(world: &mut World, step: &Step, kind: &str) -> Result<NewEntry, String> {
    let today = world.today();
    let id = match step.name() {
        Some(name) => name.to_owned(),
        None => format!("{kind}-{}", world.next()),
    };
    // What becomes of a hold has the hold's name; each part of it is another fact.
    let seq = if matches!(kind, "release" | "payout") { world.next() } else { 0 };
    Ok(NewEntry {
        kind: kind.to_owned(),
        basis: Basis::Decision,
        description: format!("{kind} {id}"),
        booked_on: today,
        valued_on: day(&step.words, "value")?.unwrap_or(today),
        cause: Cause { kind: kind.to_owned(), id, seq: i64::try_from(seq).unwrap_or(0) },
        postings: Vec::new(),
        holds: Vec::new(),
        reverses: None,
        metadata: None,
    })
}

fn moved(from: &AccountRow, to: &AccountRow, amount: i64) -> Vec<NewPosting> {
    vec![NewPosting { account: AccountId(from.id), amount }, NewPosting { account: AccountId(to.id), amount: -amount }]
}

/// The movement of a hold that was placed before, and the account that it is on.
fn held(world: &World, step: &Step, kind: HoldKind) -> Result<(AccountRow, HoldMove), String> {
    let name = step.need_name()?;
    let number = world.entries.get(name).ok_or_else(|| format!("there is no hold {name}"))?;
    let (placed, accounts) = world
        .db
        .read(|conn| Ok((ledger::entry(conn, *number)?, ledger::accounts(conn)?)))
        .map_err(|e| e.to_string())?;
    let placed = placed.holds.into_iter().next().ok_or_else(|| format!("{name} is not a hold"))?;
    let account = accounts.into_iter().find(|a| a.id == placed.account).ok_or("the hold's account is gone")?;
    let amount = step.words.get("amount").map_or(Ok(placed.amount), |text| minor(text, &account))?;
    Ok((account, HoldMove { account: AccountId(placed.account), hold: name.to_owned(), kind, amount }))
}

fn post(world: &mut World, step: &Step, entry: NewEntry, word: &str) -> Result<Outcome, String> {
    let who = World::who(&step.words);
    let makes_name = !matches!(entry.kind.as_str(), "release" | "payout");
    let posted = ledger::post(&world.db, &Arc::clone(&who), vec![entry]).map_err(|e| e.to_string())?;
    let posted = posted.into_iter().next().ok_or("no answer")?;
    if let (Ok(posted), Some(name), true) = (&posted, step.name(), makes_name) {
        world.entries.insert(name.to_owned(), posted.number);
    }
    answer(posted, |posted| done(posted, word))
}

fn done(posted: Posted, word: &str) -> Outcome {
    Outcome::said(format!("{}{word}", if posted.replayed { "already " } else { "" }))
}
