//! `tributary chart freeze | unfreeze | close | reopen | limit`: the life and the limits of one leaf.

use crate::chart::{self, Move};
use crate::cli::{Context, approvals, print_json};
use crate::error::Result;
use crate::four_eyes::{Change, Done, Limits};
use crate::ledger::{self, AccountRow, Terms};
use crate::money::Minor;
use crate::time::last_day_before;
use chrono::NaiveDate;
use serde_json::{Value, json};

/// A leaf, and why something is done to it.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Its path, such as de-eur/tiktok/de/operating
    leaf: String,
    /// Why, in a few words; kept with the event
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Other limits for a leaf.
#[derive(Debug, clap::Args)]
pub struct Limit {
    #[command(flatten)]
    one: One,
    /// Below which no decision takes what is available, such as 1000.00; none: no floor
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    floor: Option<String>,
    /// Above which no decision takes what is booked; none: no ceiling
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    ceiling: Option<String>,
    /// What one decision moves or reserves at most; none: no limit
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    movement: Option<String>,
    /// Its last day, such as 2026-12-31, in its master's time zone; none: it does not expire
    #[arg(long, value_name = "DATE", value_parser = day_or_none)]
    expires: Option<Day>,
}

/// `Some(None)` of a limit is the word `none`; clap would take an `Option<Option<..>>` for its own.
#[derive(Debug, Clone, Copy)]
struct Day(Option<NaiveDate>);

fn day_or_none(text: &str) -> std::result::Result<Day, String> {
    match text {
        "none" => Ok(Day(None)),
        _ => text.parse().map(|day| Day(Some(day))).map_err(|_| "write a day such as 2026-12-31, or none".to_owned()),
    }
}

/// Moves a leaf through its life.
pub fn change_state(context: &Context, one: &One, asked: Move) -> Result<()> {
    let db = context.open_treasury()?;
    let (code, reason) = (one.leaf.clone(), one.reason.clone());
    let (state, changed) =
        db.write("chart.change_state", &context.who, move |tx| chart::change_state(tx, &code, asked, &reason))?;
    if context.json {
        return print_json(&json!({ "leaf": one.leaf, "state": state.as_str(), "changed": changed }));
    }
    let already = if changed { "" } else { " already" };
    say!("{} is {}{already}", one.leaf, state.as_str());
    Ok(())
}

/// Changes limits, or shows them when none is given.
pub fn limit(context: &Context, asked: &Limit) -> Result<()> {
    let given = [&asked.floor, &asked.ceiling, &asked.movement].iter().any(|text| text.is_some());
    let changed = if !given && asked.expires.is_none() {
        None
    } else {
        let db = context.open_treasury()?;
        let limits = Limits {
            leaf: asked.one.leaf.clone(),
            floor: asked.floor.clone(),
            ceiling: asked.ceiling.clone(),
            movement_limit: asked.movement.clone(),
            expires_on: asked.expires.map(|day| day.0.map_or_else(|| "none".to_owned(), |d| d.to_string())),
            reason: asked.one.reason.clone(),
        };
        let Some(done) = approvals::submit(context, &db, Change::Limits(limits))? else { return Ok(()) };
        let Done::Limits(_, changed) = done else { return Err(approvals::other(&done)) };
        Some(changed)
    };
    let (account, time_zone) = context.open_to_read()?.read(|conn| {
        let account = ledger::account(conn, &asked.one.leaf)?;
        let master = chart::masters(conn)?.into_iter().find(|m| m.book == account.book);
        Ok((account, master.map(|m| m.time_zone).unwrap_or_default()))
    })?;
    let mut shown = limits_json(&account, &time_zone);
    if context.json {
        shown["leaf"] = json!(account.code);
        shown["changed"] = json!(changed.unwrap_or(false));
        return print_json(&shown);
    }
    let text = |key: &str| shown[key].as_str().unwrap_or("none").to_owned();
    let already = if changed == Some(false) { ", as before" } else { "" };
    say!(
        "{} ({}): floor {}, ceiling {}, at most {} per movement, last day {}{already}",
        account.code,
        account.currency,
        text("floor"),
        text("ceiling"),
        text("movement_limit"),
        text("expires_on")
    );
    Ok(())
}

/// The limits of an account as exact decimals, and its last day.
pub fn limits_json(account: &AccountRow, time_zone: &str) -> Value {
    let terms = Terms::of(account);
    let exponent = u8::try_from(account.exponent).unwrap_or(0);
    let text = |minor: Option<i64>| minor.map(|m| Minor(m).to_text_with(exponent));
    json!({
        "floor": text(terms.floor), "ceiling": text(terms.ceiling), "movement_limit": text(terms.movement_limit),
        "expires_on": terms.expires_at.map(|end| last_day_before(end, time_zone).to_string()),
    })
}
