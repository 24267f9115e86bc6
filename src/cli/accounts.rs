//! `tributary accounts`: the ledger's accounts, and the newest postings of one.

use super::table::{grouped, table};
use super::{Context, print_json};
use crate::chart;
use crate::error::{Error, Result};
use crate::ledger::{self, AccountRow, DayBasis, EntryView, PostingView};
use crate::money::Minor;
use crate::time::{Clock, Instant, SystemClock};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// What to show of the ledger's accounts.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Accounts {
    /// Only those of this master
    #[arg(long, value_name = "CODE")]
    master: Option<String>,
    #[command(subcommand)]
    one: Option<One>,
}

#[derive(Debug, clap::Subcommand)]
enum One {
    /// The newest postings of one account, or its balance as of a day or as known at an instant
    Show {
        /// The account, such as de-eur/tiktok/de/operating
        code: String,
        /// Postings at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        #[command(flatten)]
        then: Then,
    },
}

/// The moment of a balance.
#[derive(Debug, clap::Args)]
struct Then {
    /// The balance as of the end of this day, such as 2026-07-31
    #[arg(long, value_name = "DATE")]
    as_of: Option<NaiveDate>,
    /// The balance as it was known at this instant, such as 2026-07-31T18:00:00Z
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<Instant>,
    /// Which day of an entry counts for --as-of
    #[arg(long, value_enum, default_value_t = DayOf::Booking, requires = "as_of")]
    basis: DayOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DayOf {
    /// The booking day
    Booking,
    /// The value date
    Value,
}

/// Shows accounts or one of them.
pub fn run(context: &Context, args: &Accounts) -> Result<()> {
    match &args.one {
        Some(One::Show { code, then, .. }) if then.as_of.is_some() || then.known_at.is_some() => {
            balance(context, code, then)
        }
        Some(One::Show { code, limit, .. }) => show(context, code, *limit),
        None => list(context, args.master.as_deref()),
    }
}

fn list(context: &Context, master: Option<&str>) -> Result<()> {
    let accounts = context.open_to_read()?.read(|conn| {
        let book = master.map(|code| chart::master(conn, code)).transpose()?.map(|m| m.book);
        let accounts = chart::accounts_seen(conn, &context.who.scope)?.into_iter();
        Ok(accounts.filter(|a| book.is_none_or(|b| b == a.book)).collect::<Vec<_>>())
    })?;
    if context.json {
        return print_json(&accounts.iter().map(account_json).collect::<Vec<_>>());
    }
    if accounts.is_empty() {
        say!(
            "There are no accounts yet: `tributary demo` makes a treasury to look at, `tributary chart apply FILE.toml` makes yours."
        );
        return Ok(());
    }
    let mut lines = table(&["account", "kind", "state", "currency", ">booked", ">held", ">available"]);
    for a in &accounts {
        let [booked, held, available] = balances(a).map(grouped);
        lines.add_row([&a.code, &a.kind, &state(a), &a.currency, &booked, &held, &available]);
    }
    say!("{lines}");
    Ok(())
}

fn show(context: &Context, code: &str, limit: i64) -> Result<()> {
    let (account, page) = context.open_to_read()?.read(|conn| {
        let account = chart::account_seen(conn, &context.who.scope, code)?;
        let page = ledger::statement(conn, account.id, i64::MAX, limit)?;
        Ok((account, page))
    })?;
    if context.json {
        let postings: Vec<Value> = page.iter().map(|(posting, entry)| posting_json(&account, posting, entry)).collect();
        let mut shown = account_json(&account);
        shown["postings"] = json!(postings);
        return print_json(&shown);
    }
    let [booked, held, available] = balances(&account).map(grouped);
    say!(
        "{}: {booked} {} booked, {held} held, {available} available; {}",
        account.code,
        account.currency,
        state(&account)
    );
    let limits =
        [("floor", account.floor), ("ceiling", account.ceiling), ("limit per movement", account.movement_limit)];
    let limits =
        limits.iter().filter_map(|(what, minor)| Some(format!("{what} {}", grouped(text(&account, (*minor)?)))));
    let limits: Vec<String> = limits.collect();
    if !limits.is_empty() {
        say!("{}", limits.join(", "));
    }
    let mut lines = table(&[">entry", "booked", "valued", "what", ">amount", ">balance after"]);
    for (posting, entry) in &page {
        let natural = |amount| grouped(text(&account, account.kind().natural(amount)));
        lines.add_row([
            entry.number.to_string(),
            entry.booked_on.to_string(),
            entry.valued_on.to_string(),
            entry.description.clone(),
            natural(posting.amount),
            natural(posting.balance_after),
        ]);
    }
    say!("{lines}");
    let shown = i64::try_from(page.len()).map_err(|_| Error::Broken("too many postings".to_owned()))?;
    if shown < account.postings {
        say!("the newest {shown} of {} postings; --limit shows more", account.postings);
    }
    Ok(())
}

/// What an account had at a moment; holds are not dated so, and are left out.
fn balance(context: &Context, code: &str, then: &Then) -> Result<()> {
    let basis = match then.basis {
        DayOf::Booking => DayBasis::Booking,
        DayOf::Value => DayBasis::Value,
    };
    let (account, debit_positive) = context.open_to_read()?.read(|conn| {
        let account = chart::account_seen(conn, &context.who.scope, code)?;
        let amount = match (then.as_of, then.known_at) {
            (Some(day), Some(instant)) => ledger::as_of_and_known(conn, account.id, basis, day, instant)?,
            (Some(day), None) => ledger::as_of(conn, account.id, basis, day)?,
            (None, Some(instant)) => ledger::as_known(conn, account.id, instant)?,
            (None, None) => account.debits - account.credits,
        };
        Ok((account, amount))
    })?;
    let booked = text(&account, account.kind().natural(debit_positive));
    let basis = then.as_of.map(|_| match then.basis {
        DayOf::Booking => "booking",
        DayOf::Value => "value",
    });
    let known_at = then.known_at.map(crate::time::rfc3339);
    if context.json {
        return print_json(&json!({
            "account": account.code, "kind": account.kind, "currency": account.currency, "as_of": then.as_of,
            "basis": basis, "known_at": known_at, "booked": booked,
        }));
    }
    let as_of = then.as_of.zip(basis).map(|(day, basis)| format!(" as of the end of {day} by {basis} day"));
    let known = known_at.map(|instant| format!(" as known at {instant}"));
    let (as_of, known) = (as_of.unwrap_or_default(), known.unwrap_or_default());
    say!("{}: {} {} booked{as_of}{known}", account.code, grouped(booked), account.currency);
    Ok(())
}

/// `open`, `frozen, expired`.
fn state(a: &AccountRow) -> String {
    if a.is_expired(SystemClock.now()) { format!("{}, expired", a.state) } else { a.state.clone() }
}

/// Booked, held and available on the account's normal side, as plain decimals.
fn balances(a: &AccountRow) -> [String; 3] {
    [a.natural(), a.held, a.natural().saturating_sub(a.held)].map(|minor| text(a, minor))
}

fn text(a: &AccountRow, minor: i64) -> String {
    Minor(minor).to_text_with(u8::try_from(a.exponent).unwrap_or(0))
}

fn account_json(a: &AccountRow) -> Value {
    let [booked, held, available] = balances(a);
    json!({
        "account": a.code, "kind": a.kind, "state": a.state, "currency": a.currency,
        "booked": booked, "held": held, "available": available, "postings_count": a.postings,
        "floor": a.floor.map(|m| text(a, m)), "ceiling": a.ceiling.map(|m| text(a, m)),
        "movement_limit": a.movement_limit.map(|m| text(a, m)),
        "expires_at": a.expires_at.map(|at| crate::time::rfc3339(crate::time::from_stored(at))),
    })
}

fn posting_json(account: &AccountRow, posting: &PostingView, entry: &EntryView) -> Value {
    let natural = |amount| text(account, account.kind().natural(amount));
    json!({
        "entry": entry.number, "kind": entry.kind, "basis": entry.basis, "booked_on": entry.booked_on, "valued_on": entry.valued_on,
        "recorded_at": crate::time::rfc3339(entry.recorded_at), "description": entry.description,
        "cause": format!("{}:{}:{}", entry.cause.kind, entry.cause.id, entry.cause.seq), "reverses": entry.reverses,
        "actor": entry.actor, "amount": natural(posting.amount), "balance_after": natural(posting.balance_after),
    })
}
