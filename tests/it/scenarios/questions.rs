//! The verbs that ask: positions, the bank's side, balances, what waits, entries, gaps, the proof.

use super::journal::entry_number;
use super::script::{Outcome, Step};
use super::world::{World, answer, day, instant, natural, text};
use std::collections::HashMap;
use tributary::ledger::{self, AccountRow};
use tributary::ledger::{self as balances, DayBasis};
use tributary::scope::Scope;
use tributary::{allocation, app, chart, positions, statements};

/// `position product=tiktok booked=250.00 held=0.00 available=250.00`
pub fn position(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let as_of = day(&step.words, "as-of")?;
    let report =
        world.db.read(|conn| positions::positions(conn, &Scope::everything(), as_of)).map_err(|e| e.to_string())?;
    let currency = step.words.get("currency");
    let values = match (step.words.get("leaf"), step.words.get("product")) {
        (Some(leaf), _) => {
            let code = world.code(leaf);
            let found = report.positions.iter().find(|p| p.sub_account == code);
            found.map(|p| (p.booked, p.held, p.available, p.expected))
        }
        (None, Some(product)) => {
            let totals = report.totals().map_err(|e| e.to_string())?;
            let found = totals.iter().filter(|t| t.product == product && currency.is_none_or(|c| c == t.currency));
            let found: Vec<_> = found.collect();
            if found.len() > 1 {
                return Err(format!("{product} has money in {} currencies: say which with currency=", found.len()));
            }
            found.first().map(|t| (t.booked, t.held, t.available, t.expected))
        }
        (None, None) => return Err("position needs product= or leaf=".to_owned()),
    };
    let (booked, held, available, expected) = values.ok_or("there is no such position")?;
    let mut values =
        vec![("booked", booked.to_string()), ("held", held.to_string()), ("available", available.to_string())];
    // Only where something is expected, or a story says that nothing is.
    if let Some(expected) = expected.filter(|e| !e.minor.is_zero() || step.words.get("expected").is_some()) {
        values.push(("expected", expected.to_string()));
    }
    Ok(Outcome::Values(values))
}

/// `bank master=de-eur -> book=350.00 bank=350.00 difference=0.00`; what is zero besides is left out.
pub fn bank(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (code, as_of) = (step.words.need("master")?, day(&step.words, "as-of")?);
    let report =
        world.db.read(|conn| positions::positions(conn, &Scope::everything(), as_of)).map_err(|e| e.to_string())?;
    let master =
        report.masters.iter().find(|m| m.master == code).ok_or_else(|| format!("there is no master {code}"))?;
    let known = |amount: Option<positions::Amount>| amount.map_or_else(|| "unknown".to_owned(), |a| a.to_string());
    let mut said =
        format!("book={} bank={} difference={}", master.book, known(master.bank_closing), known(master.difference));
    for (word, amount) in [("suspense", master.suspense), ("in_transit", master.in_transit), ("house", master.house)] {
        if !amount.minor.is_zero() {
            said.push_str(&format!(" {word}={amount}"));
        }
    }
    Ok(Outcome::said(said))
}

/// `balance account=tiktok as-of=2026-03-02 basis=value known-at=2026-03-05T09:00Z`
pub fn balance(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let account = world.account(step.words.need("account")?)?;
    let basis = match step.words.get("basis").unwrap_or("booking") {
        "booking" => DayBasis::Booking,
        "value" => DayBasis::Value,
        other => return Err(format!("basis={other} is neither booking nor value")),
    };
    let (as_of, known_at) = (day(&step.words, "as-of")?, step.words.get("known-at").map(instant).transpose()?);
    let id = account.id;
    let balance = world.db.read(|conn| match (as_of, known_at) {
        (None, None) => Ok(account.booked()),
        (None, Some(at)) => balances::as_known(conn, id, at),
        (Some(day), None) => balances::as_of(conn, id, basis, day),
        (Some(day), Some(at)) => balances::as_of_and_known(conn, id, basis, day, at),
    });
    answer(balance, |minor| Outcome::said(format!("{} {}", natural(minor, &account), account.currency)))
}

/// `waiting`: the lines whose owner is not known yet, and why.
pub fn waiting(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (lines, accounts) = world
        .db
        .read(|conn| Ok((allocation::waiting(conn, step.words.get("master"))?, by_code(ledger::accounts(conn)?))))
        .map_err(|e| e.to_string())?;
    let mut said = Vec::with_capacity(lines.len());
    for line in &lines {
        let account = accounts.get(&line.master).ok_or("a line without a master")?;
        said.push(world.named(&format!("{} {} {}", line.line, text(line.minor, account), line.why)));
    }
    Ok(if said.is_empty() { Outcome::said("nothing") } else { Outcome::Done(said) })
}

/// `entry L1`, `entry T1`, `entry 3`: what it is, its days, and its debits and credits.
pub fn entry(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let number = entry_number(world, step.need_name()?)?;
    let (entry, accounts) =
        world.db.read(|conn| Ok((ledger::entry(conn, number)?, ledger::accounts(conn)?))).map_err(|e| e.to_string())?;
    let accounts: HashMap<i64, AccountRow> = accounts.into_iter().map(|a| (a.id, a)).collect();
    let account = |id: i64| accounts.get(&id).ok_or_else(|| format!("entry {number} has no account {id}"));
    let mut said =
        vec![format!("{} ({}) booked {} valued {}", entry.kind, entry.basis, entry.booked_on, entry.valued_on)];
    let width =
        entry.postings.iter().filter_map(|p| accounts.get(&p.account)).map(|a| world.named(&a.code).len()).max();
    for posting in &entry.postings {
        let on = account(posting.account)?;
        let side = if posting.amount > 0 { "Dr" } else { "Cr" };
        let (name, amount) = (world.named(&on.code), text(posting.amount.abs(), on));
        said.push(format!("{side} {name:<width$} {amount:>10}", width = width.unwrap_or(0)));
    }
    for hold in &entry.holds {
        let on = account(hold.account)?;
        said.push(format!("hold {} {} on {} {}", hold.hold, hold.kind, world.named(&on.code), text(hold.amount, on)));
    }
    Ok(Outcome::Done(said))
}

/// `gaps master=de-eur`: stretches of days of which no statement has come.
pub fn gaps(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = step.words.need("master")?;
    let account = world.account(code)?;
    let gaps = world
        .db
        .read(|conn| {
            let master = chart::master(conn, code)?;
            statements::gaps(conn, &master)
        })
        .map_err(|e| e.to_string())?;
    let said: Vec<String> = gaps
        .iter()
        .map(|g| {
            let numbers = g.numbers.map(|(first, last)| format!(" numbers {first} to {last}")).unwrap_or_default();
            let missing = text(g.missing, &account);
            format!("between {} and {} missing {missing}{numbers}", g.closed_on, g.next_closed_on)
        })
        .collect();
    Ok(if said.is_empty() { Outcome::said("none") } else { Outcome::Done(said) })
}

/// `check`: proves everything that can be proved.
pub fn check(world: &mut World, _: &Step) -> Result<Outcome, String> {
    let found = violations(world)?;
    Ok(if found.is_empty() { Outcome::said("clean") } else { Outcome::Done(found) })
}

/// What `app::check` finds, with the story's names.
pub fn violations(world: &World) -> Result<Vec<String>, String> {
    let found = app::check(&world.db, |_, _| {}).map_err(|e| e.to_string())?;
    Ok(found.iter().map(|v| world.named(&format!("{} {}", v.invariant, v.what))).collect())
}

fn by_code(accounts: Vec<AccountRow>) -> HashMap<String, AccountRow> {
    accounts.into_iter().map(|a| (a.code.clone(), a)).collect()
}
