//! Accounts, their postings and the journal's entries over HTTP.

use super::Seen;
use crate::access::Permission;
use crate::chart::account_seen;
use crate::db::seal::hex;
use crate::error::{Error, Result};
use crate::http::{Call, Day, Limit, Moment, Money, Nothing, Operation, Page, Paging, Refusal, get};
use crate::ledger::{self, AccountRow, DayBasis, EntryView, PostingView};
use crate::time::{Instant, from_stored, rfc3339};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of accounts and entries.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/accounts", "accounts.list", "Ledger accounts with what is on them, by code")
            .may(Permission::AccountsRead)
            .reads(list),
        get("/v1/accounts/{account}", "accounts.show", "One account; the slashes of its code are written %2F")
            .may(Permission::AccountsRead)
            .reads(show),
        get(
            "/v1/accounts/{account}/balance",
            "accounts.balance",
            "Its balance as of a day, as known at an instant, or both",
        )
        .may(Permission::AccountsRead)
        .reads(balance),
        get("/v1/accounts/{account}/postings", "accounts.postings", "Its postings, the newest first")
            .may(Permission::AccountsRead)
            .reads(postings),
        get(
            "/v1/accounts/{account}/statement",
            "accounts.statement",
            "Its statement of some days: opening, postings, closing",
        )
        .may(Permission::AccountsRead)
        .reads(statement),
        get("/v1/accounts/{account}/holds", "accounts.holds", "What is held on it, hold by hold")
            .may(Permission::AccountsRead)
            .reads(holds),
        get("/v1/entries", "entries.list", "Entries of the journal, the newest first")
            .may(Permission::JournalRead)
            .reads(entries),
        get("/v1/entries/{number}", "entries.show", "One entry").may(Permission::JournalRead).reads(entry),
        get("/v1/entries/{number}/proof", "entries.prove", "Proof that an entry is in its seal")
            .may(Permission::JournalRead)
            .reads(prove),
    ]
}

/// Which of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this master.
    master: Option<String>,
    /// Only of this kind, such as `leaf`, `house` or `suspense`.
    kind: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// An account with what is on it, on its normal side.
#[derive(Serialize, JsonSchema)]
struct Account {
    /// Its path.
    account: String,
    /// `master`, `leaf`, `house`, `suspense`, `in_transit` or `memo`.
    kind: String,
    /// `open`, `frozen` or `closed`.
    state: String,
    /// What is posted.
    booked: Money,
    /// What is reserved.
    held: Money,
    /// What is left.
    available: Money,
    /// Below which no decision takes it.
    floor: Option<Money>,
    /// Above which no decision takes it.
    ceiling: Option<Money>,
    /// What one decision moves at most.
    movement_limit: Option<Money>,
    /// From when on no decision is taken; RFC 3339.
    expires_at: Option<String>,
    /// Postings ever.
    postings: i64,
}

fn money(a: &AccountRow, minor: i64) -> Money {
    Money::of(minor, u8::try_from(a.exponent).unwrap_or(0), &a.currency)
}

fn account(a: &AccountRow) -> Account {
    let of = |minor: i64| money(a, minor);
    Account {
        account: a.code.clone(),
        kind: a.kind.clone(),
        state: a.state.clone(),
        booked: of(a.natural()),
        held: of(a.held),
        available: of(a.natural().saturating_sub(a.held)),
        floor: a.floor.map(of),
        ceiling: a.ceiling.map(of),
        movement_limit: a.movement_limit.map(of),
        expires_at: a.expires_at.map(|at| rfc3339(from_stored(at))),
        postings: a.postings,
    }
}

fn list(call: &Call, which: &Which) -> Result<Page<Account>> {
    let all = call.read(|conn| super::accounts_seen(conn, call.scope()))?.into_iter();
    let below = which.master.as_ref().map(|m| format!("{m}/"));
    let of_master = |a: &AccountRow| match (&which.master, &below) {
        (Some(master), Some(below)) => a.code == *master || a.code.starts_with(below.as_str()),
        _ => true,
    };
    let kept = all.filter(|a| of_master(a) && which.kind.as_ref().is_none_or(|k| *k == a.kind));
    Ok(call.page_of(kept.map(|a| account(&a)).collect(), which.limit, |a| a.account.clone()))
}

fn show(call: &Call, _: &Nothing) -> Result<Account> {
    call.read(|conn| account_seen(conn, call.scope(), call.path("account"))).map(|a| account(&a))
}

/// The moment of a balance.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Then {
    /// As of the end of this day.
    as_of: Option<Day>,
    /// As it was known at this instant; RFC 3339.
    known_at: Option<Moment>,
    /// Which day of an entry counts for `as_of`: `booking` or `value`.
    basis: Option<String>,
}

/// A balance at a moment.
#[derive(Serialize, JsonSchema)]
struct Balance {
    /// The account's path.
    account: String,
    /// On the account's normal side.
    booked: Money,
    /// The day that was asked for.
    as_of: Option<NaiveDate>,
    /// The instant that was asked for; RFC 3339.
    known_at: Option<String>,
}

fn basis(text: Option<&str>) -> Result<DayBasis> {
    match text {
        None | Some("booking") => Ok(DayBasis::Booking),
        Some("value") => Ok(DayBasis::Value),
        Some(_) => Err(Refusal::BadQuery { why: "basis is booking or value".to_owned() }.into()),
    }
}

fn balance(call: &Call, then: &Then) -> Result<Balance> {
    let basis = basis(then.basis.as_deref())?;
    let (as_of, known_at) = (then.as_of.map(|d| d.0), then.known_at.map(|at| at.0));
    call.read(|conn| {
        let a = account_seen(conn, call.scope(), call.path("account"))?;
        let debit_positive = match (as_of, known_at) {
            (None, None) => a.booked(),
            (Some(day), None) => ledger::as_of(conn, a.id, basis, day)?,
            (None, Some(at)) => ledger::as_known(conn, a.id, at)?,
            (Some(day), Some(at)) => ledger::as_of_and_known(conn, a.id, basis, day, at)?,
        };
        let booked = money(&a, a.kind().natural(debit_positive));
        Ok(Balance { account: a.code, booked, as_of, known_at: known_at.map(rfc3339) })
    })
}

/// A posting of an account.
#[derive(Serialize, JsonSchema)]
struct Posting {
    /// The entry's number.
    entry: i64,
    /// Place within the entry.
    leg: i64,
    /// What the entry is.
    kind: String,
    /// For people; null where it would tell of others.
    description: Option<String>,
    /// Accounting day.
    booked_on: NaiveDate,
    /// Value date.
    valued_on: NaiveDate,
    /// When it was recorded; RFC 3339.
    recorded_at: String,
    /// On the account's normal side: what came is positive.
    amount: Money,
    /// The account's balance after it.
    balance_after: Money,
}

fn posting(a: &AccountRow, seen: &Seen, (p, e): (PostingView, EntryView)) -> Option<Posting> {
    let natural = |minor: i64| money(a, a.kind().natural(minor));
    let e = seen.part(e)?;
    Some(Posting {
        entry: p.entry,
        leg: p.leg,
        kind: e.kind,
        description: Some(e.description).filter(|d| !d.is_empty()),
        booked_on: e.booked_on,
        valued_on: e.valued_on,
        recorded_at: rfc3339(e.recorded_at),
        amount: natural(p.amount),
        balance_after: natural(p.balance_after),
    })
}

/// `17.2`: entry and leg.
fn place(call: &Call) -> Result<Option<(i64, i64)>> {
    let read = |text: &str| {
        let (entry, leg) = text.split_once('.')?;
        Some((entry.parse().ok()?, leg.parse().ok()?))
    };
    let Some(text) = call.position() else { return Ok(None) };
    let place = read(text).ok_or(Refusal::BadCursor { why: "it is of an earlier version" });
    Ok(Some(place?))
}

/// A page of an account's postings, with the place behind it.
fn page_of_postings(
    call: &Call,
    days: Option<(NaiveDate, NaiveDate)>,
    known_at: Option<Instant>,
    limit: Option<Limit>,
) -> Result<(AccountRow, Vec<Posting>, Option<String>)> {
    let (from, limit) = (place(call)?, Limit::of(limit));
    call.read(|conn| {
        let a = account_seen(conn, call.scope(), call.path("account"))?;
        let seen = Seen::of(conn, call.scope())?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let last = known_at.map_or(Ok(i64::MAX), |at| ledger::entry_at(conn, at))?;
        let mut found = ledger::postings_page(conn, a.id, days, (from, last), most)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(p, _)| format!("{}.{}", p.entry, p.leg));
        let all = found.into_iter().filter_map(|pair| posting(&a, &seen, pair)).collect();
        Ok((a, all, next))
    })
}

fn postings(call: &Call, paging: &Paging) -> Result<Page<Posting>> {
    let (_, all, next) = page_of_postings(call, None, None, paging.limit)?;
    Ok(call.page(all, next))
}

/// The days of a statement.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Days {
    /// The first booking day.
    from: Day,
    /// The last booking day.
    to: Day,
    /// As it was known at this instant; RFC 3339.
    known_at: Option<Moment>,
    /// How many postings a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// A sub-account's statement of some days.
#[derive(Serialize, JsonSchema)]
struct AccountStatement {
    /// The account's path.
    account: String,
    /// The first booking day.
    from: NaiveDate,
    /// The last booking day.
    to: NaiveDate,
    /// The instant that was asked for; RFC 3339. Null: now.
    known_at: Option<String>,
    /// Booked at the end of the day before.
    opening: Money,
    /// Booked at the end of the last day.
    closing: Money,
    /// In the order in which they were recorded.
    postings: Page<Posting>,
}

fn statement(call: &Call, days: &Days) -> Result<AccountStatement> {
    if days.from > days.to {
        return Err(Refusal::BadQuery { why: "from is not after to".to_owned() }.into());
    }
    let (first, last) = (days.from.0, days.to.0);
    let before = first.pred_opt().unwrap_or(first);
    let known_at = days.known_at.map(|at| at.0);
    let (a, all, next) = page_of_postings(call, Some((first, last)), known_at, days.limit)?;
    let (opening, closing) = call.read(|conn| {
        let mut of = |day| match known_at {
            None => ledger::as_of(conn, a.id, DayBasis::Booking, day),
            Some(at) => ledger::as_of_and_known(conn, a.id, DayBasis::Booking, day, at),
        };
        Ok((of(before)?, of(last)?))
    })?;
    Ok(AccountStatement {
        from: first,
        to: last,
        known_at: known_at.map(rfc3339),
        opening: money(&a, a.kind().natural(opening)),
        closing: money(&a, a.kind().natural(closing)),
        postings: call.page(all, next),
        account: a.code,
    })
}

/// What is held on an account under one name.
#[derive(Serialize, JsonSchema)]
struct Hold {
    /// Its name.
    hold: String,
    /// What is held.
    held: Money,
}

fn holds(call: &Call, paging: &Paging) -> Result<Page<Hold>> {
    let all = call.read(|conn| {
        let a = account_seen(conn, call.scope(), call.path("account"))?;
        let open = ledger::open_holds(conn, a.id)?;
        Ok(open.into_iter().map(|(hold, minor)| Hold { hold, held: money(&a, minor) }).collect::<Vec<_>>())
    })?;
    Ok(call.page_of(all, paging.limit, |h| h.hold.clone()))
}

/// An entry of the journal: what of it lies on accounts that the caller sees.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// Its number.
    number: i64,
    /// The seal that covers it.
    seal: i64,
    /// When it was recorded; RFC 3339.
    recorded_at: String,
    /// What it is.
    kind: String,
    /// `fact` or `decision`.
    basis: String,
    /// For people; null where it would tell of others.
    description: Option<String>,
    /// Accounting day.
    booked_on: NaiveDate,
    /// Value date.
    valued_on: NaiveDate,
    /// What made it.
    cause: CauseOf,
    /// The entry that it takes back.
    reverses: Option<i64>,
    /// Who asked for it.
    actor: String,
    /// For other systems.
    metadata: Option<serde_json::Value>,
    /// Debit positive.
    postings: Vec<EntryPosting>,
    /// Movements of holds.
    holds: Vec<EntryHold>,
}

/// What made an entry.
#[derive(Serialize, JsonSchema)]
struct CauseOf {
    /// Such as `line`.
    kind: String,
    /// Its id.
    id: String,
    /// The first entry of it is 0.
    seq: i64,
}

/// A posting of an entry.
#[derive(Serialize, JsonSchema)]
struct EntryPosting {
    /// The account's path.
    account: String,
    /// Debit positive.
    amount: Money,
    /// The account's balance after it, debit positive.
    balance_after: Money,
}

/// A movement of a hold.
#[derive(Serialize, JsonSchema)]
struct EntryHold {
    /// The account's path.
    account: String,
    /// The hold's name.
    hold: String,
    /// `placed`, `consumed`, `released` or `expired`.
    kind: String,
    /// Positive.
    amount: Money,
    /// Held on the account after it.
    held_after: Money,
}

fn entry_of(seen: &Seen, e: EntryView) -> Entry {
    let on = |id: i64| seen.accounts.get(&id);
    let postings = e.postings.iter().filter_map(|p| {
        let a = on(p.account)?;
        Some(EntryPosting {
            account: a.code.clone(),
            amount: money(a, p.amount),
            balance_after: money(a, p.balance_after),
        })
    });
    let holds = e.holds.iter().filter_map(|h| {
        let a = on(h.account)?;
        let (hold, kind) = (h.hold.clone(), h.kind.clone());
        Some(EntryHold {
            account: a.code.clone(),
            hold,
            kind,
            amount: money(a, h.amount),
            held_after: money(a, h.held_after),
        })
    });
    Entry {
        number: e.number,
        seal: e.seal,
        recorded_at: rfc3339(e.recorded_at),
        kind: e.kind,
        basis: e.basis,
        description: Some(e.description).filter(|d| !d.is_empty()),
        booked_on: e.booked_on,
        valued_on: e.valued_on,
        cause: CauseOf { kind: e.cause.kind, id: e.cause.id, seq: e.cause.seq },
        reverses: e.reverses,
        actor: e.actor,
        metadata: e.metadata.as_deref().and_then(|m| serde_json::from_str(m).ok()),
        postings: postings.collect(),
        holds: holds.collect(),
    }
}

fn entries(call: &Call, paging: &Paging) -> Result<Page<Entry>> {
    let (before, limit) = (call.position_number()?.unwrap_or(i64::MAX), Limit::of(paging.limit));
    let all = call.read(|conn| {
        let seen = Seen::of(conn, call.scope())?;
        let found = seen.entries(conn, before, limit + 1)?;
        Ok(found.into_iter().map(|e| entry_of(&seen, e)).collect::<Vec<_>>())
    })?;
    let more = all.len() > limit;
    let all: Vec<Entry> = all.into_iter().take(limit).collect();
    let next = all.last().filter(|_| more).map(|e| e.number.to_string());
    Ok(call.page(all, next))
}

fn entry(call: &Call, _: &Nothing) -> Result<Entry> {
    let text = call.path("number");
    let number: i64 = text.parse().map_err(|_| Error::NotFound(format!("there is no entry {text}")))?;
    call.read(|conn| {
        let seen = Seen::of(conn, call.scope())?;
        seen.entry(conn, number).map(|e| entry_of(&seen, e))
    })
}

/// Proof that an entry is in its seal: leaf and path lead to the seal's root (RFC 6962).
#[derive(Serialize, JsonSchema)]
struct InclusionProof {
    /// The entry.
    entry: i64,
    /// The seal that covers it.
    seal: i64,
    /// The leaf that the entry's stored columns give; hexadecimal.
    leaf: String,
    /// Its place among the leaves of the seal, from 0.
    place: usize,
    /// How many leaves the seal has.
    leaves: usize,
    /// The hashes beside the way up, from the leaf on; hexadecimal.
    path: Vec<String>,
    /// The seal's root, as it is stored; hexadecimal.
    root: String,
    /// Whether leaf and path lead to it.
    holds: bool,
}

fn prove(call: &Call, _: &Nothing) -> Result<InclusionProof> {
    let text = call.path("number");
    let number: i64 = text.parse().map_err(|_| Error::NotFound(format!("there is no entry {text}")))?;
    call.read(|conn| {
        Seen::of(conn, call.scope())?.entry(conn, number)?;
        let proof = ledger::inclusion(conn, number)?;
        Ok(InclusionProof {
            entry: proof.entry,
            seal: proof.seal,
            leaf: hex(&proof.leaf),
            place: proof.place,
            leaves: proof.leaves,
            path: proof.path.iter().map(|h| hex(h)).collect(),
            root: hex(&proof.root),
            holds: proof.holds,
        })
    })
}
