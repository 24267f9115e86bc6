//! The journal's SQL: what a batch touches is read with a handful of statements and written with a handful more.

mod dated;
mod proof;
mod reading;

pub use dated::{
    DayBasis, all_as_known, all_as_of, all_as_of_and_known, all_held_at, as_known, as_of, as_of_and_known, entry_at,
};
pub(super) use proof::{EventRow, SealRow, counts, day_totals, end, events_between, seals_after};
use reading::views;
pub use reading::{
    EntryView, HoldView, PostingView, entries, entries_on, entry, entry_by_cause, open_holds, postings_page, statement,
};

use super::engine::{Account, Balance, Decided, Hold, State};
use super::{AccountId, AccountKind, Cause, HoldKind, HoldMove, Item, NewAccount, NewEntry, NewPosting, Terms};
use crate::db::bulk::{self, Bulk, Cells, Day, Moment};
use crate::db::schema::{accounts, balances, books, entries, holds, postings};
use crate::db::seal::{Encoding, Hash, leaf};
use crate::db::{Conn, Tx, broken};
use crate::error::{Error, Result};
use crate::time::{Instant, day_of, from_stored, stored};
use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::max;
use diesel::prelude::{ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable};
use diesel::{QueryResult, RunQueryDsl, insert_into, update};
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, BTreeSet};

/// Keys per `IN` list: far below both databases' limits of bound values.
const KEYS: usize = 5_000;

/// An entry that a cause has made already.
pub(super) struct Known {
    pub(super) number: i64,
    pub(super) content: NewEntry,
}

/// A book.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = books, treat_none_as_default_value = false)]
pub struct BookRow {
    /// Its number.
    pub id: i64,
    /// Its name: the code of its master.
    pub code: String,
    /// `cash` or `memo`.
    pub kind: String,
    /// ISO 4217.
    pub currency: String,
}

/// An account to be written.
#[derive(Debug)]
pub(super) struct NewAccountRow {
    id: i64,
    book: i64,
    code: String,
    currency: &'static str,
    exponent: i64,
    kind: &'static str,
    terms: Terms,
    expires_at: Option<Moment>,
}

impl NewAccountRow {
    pub(super) fn new(id: i64, new: &NewAccount<'_>, terms: &Terms) -> NewAccountRow {
        NewAccountRow {
            id,
            book: new.book,
            code: new.code.to_owned(),
            currency: new.currency.code(),
            exponent: i64::from(new.currency.exponent()),
            kind: new.kind.as_str(),
            terms: *terms,
            expires_at: terms.expires_at.map(|at| Moment::from(stored(at))),
        }
    }
}

impl Bulk for NewAccountRow {
    type Table = accounts::table;
    const TABLE: &'static str = "accounts";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "book",
        "code",
        "currency",
        "exponent",
        "kind",
        "floor",
        "state",
        "ceiling",
        "movement_limit",
        "expires_at",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.id)?;
        c.int(&self.book)?;
        c.text(&self.code)?;
        c.text(self.currency)?;
        c.int(&self.exponent)?;
        c.text(self.kind)?;
        c.maybe_int(&self.terms.floor)?;
        c.text("open")?;
        c.maybe_int(&self.terms.ceiling)?;
        c.maybe_int(&self.terms.movement_limit)?;
        c.maybe_moment(self.expires_at.as_ref())
    }
}

/// An account with its balance.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct AccountRow {
    /// Its number.
    pub id: i64,
    /// Its book.
    pub book: i64,
    /// Its path.
    pub code: String,
    /// ISO 4217.
    pub currency: String,
    /// Decimals of the currency.
    pub exponent: i64,
    /// What it is.
    pub kind: String,
    /// Below which no decision takes it.
    pub floor: Option<i64>,
    /// `open`, `frozen`, `closed`.
    pub state: String,
    /// Above which no decision takes it.
    pub ceiling: Option<i64>,
    /// What one decision moves at most.
    pub movement_limit: Option<i64>,
    /// From when on no decision is taken.
    pub expires_at: Option<NaiveDateTime>,
    /// All debits ever.
    pub debits: i64,
    /// All credits ever.
    pub credits: i64,
    /// Held now.
    pub held: i64,
    /// Postings ever.
    pub postings: i64,
}

impl AccountRow {
    /// Debits minus credits.
    pub fn booked(&self) -> i64 {
        self.debits - self.credits
    }

    /// What the account is; unknown kinds cannot be stored.
    pub fn kind(&self) -> AccountKind {
        AccountKind::parse(&self.kind).unwrap_or(AccountKind::Memo)
    }

    /// The balance on the account's normal side.
    pub fn natural(&self) -> i64 {
        self.kind().natural(self.booked())
    }

    /// Whether its time is over, at an instant.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| from_stored(at) <= now)
    }
}

type AccountColumns = (
    accounts::id,
    accounts::book,
    accounts::code,
    accounts::currency,
    accounts::exponent,
    accounts::kind,
    accounts::floor,
    accounts::state,
    accounts::ceiling,
    accounts::movement_limit,
    accounts::expires_at,
    balances::debits,
    balances::credits,
    balances::held,
    balances::postings,
);

const ACCOUNT_COLUMNS: AccountColumns = (
    accounts::id,
    accounts::book,
    accounts::code,
    accounts::currency,
    accounts::exponent,
    accounts::kind,
    accounts::floor,
    accounts::state,
    accounts::ceiling,
    accounts::movement_limit,
    accounts::expires_at,
    balances::debits,
    balances::credits,
    balances::held,
    balances::postings,
);

/// The account with this code.
pub fn account(conn: &mut Conn, code: &str) -> Result<AccountRow> {
    let found = accounts::table.inner_join(balances::table.on(balances::account.eq(accounts::id)));
    let found = found.filter(accounts::code.eq(code)).select(ACCOUNT_COLUMNS).first(conn).optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no account {code}; `tributary accounts` lists them")))
}

/// All accounts, by code.
pub fn accounts(conn: &mut Conn) -> Result<Vec<AccountRow>> {
    let all = accounts::table.inner_join(balances::table.on(balances::account.eq(accounts::id)));
    all.select(ACCOUNT_COLUMNS).order(accounts::code).load(conn).map_err(broken)
}

/// Those of these accounts that are there, by code.
pub fn accounts_by_code(conn: &mut Conn, codes: &[String]) -> Result<HashMap<String, AccountRow>> {
    let mut found = HashMap::with_capacity(codes.len());
    for codes in codes.chunks(KEYS) {
        let some = accounts::table.inner_join(balances::table.on(balances::account.eq(accounts::id)));
        let rows: Vec<AccountRow> =
            some.filter(accounts::code.eq_any(codes)).select(ACCOUNT_COLUMNS).load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|r| (r.code.clone(), r)));
    }
    Ok(found)
}

pub(super) fn insert_book(tx: &mut Tx<'_>, code: &str, kind: &str, currency: &str) -> Result<i64> {
    let newest: Option<i64> = books::table.select(max(books::id)).first(tx.conn()).map_err(broken)?;
    let id = newest.unwrap_or(0) + 1;
    let row = BookRow { id, code: code.to_owned(), kind: kind.to_owned(), currency: currency.to_owned() };
    insert_into(books::table).values(&row).execute(tx.conn()).map_err(broken)?;
    Ok(id)
}

/// The greatest number of an account; 0 before the first.
pub(super) fn newest_account(conn: &mut Conn) -> Result<i64> {
    let newest: Option<i64> = accounts::table.select(max(accounts::id)).first(conn).map_err(broken)?;
    Ok(newest.unwrap_or(0))
}

pub(super) fn insert_accounts(tx: &mut Tx<'_>, rows: &[NewAccountRow]) -> Result<()> {
    bulk::insert(tx.conn(), rows)?;
    let zero = |row: &NewAccountRow| BalanceRow { account: row.id, debits: 0, credits: 0, held: 0, postings: 0 };
    let zeros: Vec<BalanceRow> = rows.iter().map(zero).collect();
    bulk::insert(tx.conn(), &zeros)
}

pub(super) fn update_state(tx: &mut Tx<'_>, account: &AccountRow, state: &str, reason: &str) -> Result<()> {
    update(accounts::table.find(account.id)).set(accounts::state.eq(state)).execute(tx.conn()).map_err(broken)?;
    let before = serde_json::json!({ "state": account.state }).to_string();
    let after = serde_json::json!({ "state": state, "reason": reason }).to_string();
    tx.event("account.state", &account.code, Some(before), Some(after));
    Ok(())
}

pub(super) fn update_terms(tx: &mut Tx<'_>, account: i64, terms: &Terms) -> Result<()> {
    let row = (
        accounts::floor.eq(terms.floor),
        accounts::ceiling.eq(terms.ceiling),
        accounts::movement_limit.eq(terms.movement_limit),
        accounts::expires_at.eq(terms.expires_at.map(stored)),
    );
    update(accounts::table.find(account)).set(row).execute(tx.conn()).map(drop).map_err(broken)
}

/// Which causes of these items have made entries already.
///
/// Causes are mostly ids in order of time, so one seek per kind of cause tells that all are new; only those that are not
/// beyond the newest one are looked up. One id may have caused many entries; only those that are asked for are read whole.
pub(super) fn known_causes(conn: &mut Conn, items: &[Item<'_>]) -> Result<HashMap<Cause, Known>> {
    let mut by_kind: BTreeMap<&str, BTreeSet<(&str, i64)>> = BTreeMap::new();
    for Cause { kind, id, seq } in items.iter().map(|item| &item.entry.cause) {
        by_kind.entry(kind).or_default().insert((id, *seq));
    }
    let mut known = HashMap::new();
    for (kind, causes) in by_kind {
        let of_kind = entries::table.filter(entries::cause_type.eq(kind));
        let newest: Option<String> = of_kind.select(max(entries::cause_id)).first(conn).map_err(broken)?;
        let Some(newest) = newest else { continue };
        let causes: Vec<(&str, i64)> = causes.into_iter().filter(|(id, _)| *id <= newest.as_str()).collect();
        for some in causes.chunks(KEYS) {
            let made = made_by(conn, kind, some)?;
            let asked = made.into_iter().filter(|(_, id, seq)| some.binary_search(&(id.as_str(), *seq)).is_ok());
            let numbers: Vec<i64> = asked.map(|(number, ..)| number).collect();
            if numbers.is_empty() {
                continue;
            }
            for view in views(conn, &numbers)? {
                let (number, content) = (view.number, view.into_content());
                known.insert(content.cause.clone(), Known { number, content });
            }
        }
    }
    Ok(known)
}

/// The entries of these causes, given in order, and perhaps of others with the same ids: number, id and place.
///
/// Ids times places would be looked up pair by pair, so the shorter of the two lists is gone through.
fn made_by(conn: &mut Conn, kind: &str, causes: &[(&str, i64)]) -> Result<Vec<(i64, String, i64)>> {
    let ids: BTreeSet<&str> = causes.iter().map(|(id, _)| *id).collect();
    let seqs: BTreeSet<i64> = causes.iter().map(|(_, seq)| *seq).collect();
    let of_kind = entries::table.filter(entries::cause_type.eq(kind));
    let columns = (entries::number, entries::cause_id, entries::cause_seq);
    let mut made = Vec::new();
    if seqs.len() <= ids.len() {
        for seq in seqs {
            let some = of_kind.filter(entries::cause_id.eq_any(&ids)).filter(entries::cause_seq.eq(seq));
            made.extend(some.select(columns).load::<(i64, String, i64)>(conn).map_err(broken)?);
        }
    } else {
        for id in ids {
            let some = of_kind.filter(entries::cause_id.eq(id)).filter(entries::cause_seq.eq_any(&seqs));
            made.extend(some.select(columns).load::<(i64, String, i64)>(conn).map_err(broken)?);
        }
    }
    Ok(made)
}

/// The part of the journal that these items touch.
pub(super) fn load(conn: &mut Conn, items: &[Item<'_>], known: &HashMap<Cause, Known>, now: Instant) -> Result<State> {
    let fresh = || items.iter().map(|i| i.entry).filter(|e| known.is_empty() || !known.contains_key(&e.cause));
    let mut ids: Vec<i64> = Vec::with_capacity(items.len() * 2);
    ids.extend(fresh().flat_map(|e| e.postings.iter().map(|p| p.account.0).chain(e.holds.iter().map(|h| h.account.0))));
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(KEYS) {
        let rows = accounts::table.inner_join(balances::table.on(balances::account.eq(accounts::id)));
        let rows: Vec<AccountRow> =
            rows.filter(accounts::id.eq_any(ids)).select(ACCOUNT_COLUMNS).load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|row| account_at(row, now)));
    }
    let hold_ids: BTreeSet<&str> = fresh().flat_map(|e| e.holds.iter().map(|h| h.hold.as_str())).collect();
    let mut left = HashMap::new();
    for ids in hold_ids.into_iter().collect::<Vec<_>>().chunks(KEYS) {
        let moves = holds::table.filter(holds::hold.eq_any(ids));
        let rows: Vec<(String, i64, String, i64)> =
            moves.select((holds::hold, holds::account, holds::kind, holds::amount)).load(conn).map_err(broken)?;
        for (hold, account, kind, amount) in rows {
            let change = if kind == HoldKind::Placed.as_str() { amount } else { -amount };
            left.entry(hold).or_insert(Hold { account, left: 0 }).left += change;
        }
    }
    let targets: BTreeSet<i64> = fresh().filter_map(|e| e.reverses).collect();
    let targets: Vec<i64> = targets.into_iter().collect();
    let mut reversible = HashMap::new();
    if !targets.is_empty() {
        let done = entries::table.filter(entries::reverses.eq_any(&targets)).select(entries::reverses);
        let done: Vec<Option<i64>> = done.load(conn).map_err(broken)?;
        for view in views(conn, &targets)? {
            let postings = view.postings.iter().map(|p| (p.account, p.amount)).collect();
            reversible.insert(view.number, (postings, done.contains(&Some(view.number))));
        }
    }
    Ok(State::new(found, left, reversible))
}

/// An account as deciding sees it now.
fn account_at(row: AccountRow, now: Instant) -> Account {
    Account {
        kind: row.kind(),
        exponent: u8::try_from(row.exponent).unwrap_or(0),
        frozen: row.state == "frozen",
        closed: row.state == "closed",
        expired: row.is_expired(now),
        balance: Balance { debits: row.debits, credits: row.credits, held: row.held, postings: row.postings },
        id: row.id,
        code: row.code,
        book: row.book,
        floor: row.floor,
        ceiling: row.ceiling,
        movement_limit: row.movement_limit,
        touched: false,
    }
}

struct EntryRow<'a> {
    number: i64,
    seal: i64,
    actor: &'a str,
    entry: &'a NewEntry,
    booked_on: &'a Day,
    valued_on: &'a Day,
}

impl Bulk for EntryRow<'_> {
    type Table = entries::table;
    const TABLE: &'static str = "entries";
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "seal",
        "kind",
        "basis",
        "description",
        "booked_on",
        "valued_on",
        "cause_type",
        "cause_id",
        "cause_seq",
        "reverses",
        "actor",
        "metadata",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.number)?;
        c.int(&self.seal)?;
        c.text(&self.entry.kind)?;
        c.text(self.entry.basis.as_str())?;
        c.text(&self.entry.description)?;
        c.day(self.booked_on)?;
        c.day(self.valued_on)?;
        c.text(&self.entry.cause.kind)?;
        c.text(&self.entry.cause.id)?;
        c.int(&self.entry.cause.seq)?;
        c.maybe_int(&self.entry.reverses)?;
        c.text(self.actor)?;
        c.maybe_text(self.entry.metadata.as_deref())
    }
}

struct PostingRow {
    account: i64,
    entry: i64,
    leg: i64,
    amount: i64,
    balance_after: i64,
    /// Booking and value day of its entry: for the totals, not stored again.
    days: (NaiveDate, NaiveDate),
}

impl Bulk for PostingRow {
    type Table = postings::table;
    const TABLE: &'static str = "postings";
    const COLUMNS: &'static [&'static str] = &["account", "entry", "leg", "amount", "balance_after"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.account)?;
        c.int(&self.entry)?;
        c.int(&self.leg)?;
        c.int(&self.amount)?;
        c.int(&self.balance_after)
    }
}

struct HoldRow<'a> {
    account: i64,
    entry: i64,
    leg: i64,
    movement: &'a HoldMove,
    held_after: i64,
}

impl Bulk for HoldRow<'_> {
    type Table = holds::table;
    const TABLE: &'static str = "holds";
    const COLUMNS: &'static [&'static str] = &["account", "entry", "leg", "hold", "kind", "amount", "held_after"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.account)?;
        c.int(&self.entry)?;
        c.int(&self.leg)?;
        c.text(&self.movement.hold)?;
        c.text(self.movement.kind.as_str())?;
        c.int(&self.movement.amount)?;
        c.int(&self.held_after)
    }
}

struct BalanceRow {
    account: i64,
    debits: i64,
    credits: i64,
    held: i64,
    postings: i64,
}

impl Bulk for BalanceRow {
    type Table = balances::table;
    const TABLE: &'static str = "balances";
    const COLUMNS: &'static [&'static str] = &["account", "debits", "credits", "held", "postings"];
    const CONFLICT: &'static str = " ON CONFLICT (account) DO UPDATE SET debits = excluded.debits, \
        credits = excluded.credits, held = excluded.held, postings = excluded.postings";

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.account)?;
        c.int(&self.debits)?;
        c.int(&self.credits)?;
        c.int(&self.held)?;
        c.int(&self.postings)
    }
}

/// Sums of one account on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DaySums {
    pub(super) booked_debits: i64,
    pub(super) booked_credits: i64,
    pub(super) valued_debits: i64,
    pub(super) valued_credits: i64,
}

impl DaySums {
    /// Adds a posting that was booked and/or valued on this day. The account's lifetime sums bound these, so nothing overflows.
    pub(super) fn add(&mut self, amount: i64, booked: bool, valued: bool) {
        let (debit, credit) = if amount >= 0 { (amount, 0) } else { (0, amount.saturating_neg()) };
        if booked {
            self.booked_debits = self.booked_debits.saturating_add(debit);
            self.booked_credits = self.booked_credits.saturating_add(credit);
        }
        if valued {
            self.valued_debits = self.valued_debits.saturating_add(debit);
            self.valued_credits = self.valued_credits.saturating_add(credit);
        }
    }
}

struct DayTotalRow<'a> {
    account: i64,
    day: &'a Day,
    recorded_on: &'a Day,
    sums: DaySums,
}

impl Bulk for DayTotalRow<'_> {
    type Table = crate::db::schema::day_totals::table;
    const TABLE: &'static str = "day_totals";
    const COLUMNS: &'static [&'static str] =
        &["account", "day", "recorded_on", "booked_debits", "booked_credits", "valued_debits", "valued_credits"];
    const CONFLICT: &'static str = " ON CONFLICT (account, day, recorded_on) DO UPDATE SET \
        booked_debits = day_totals.booked_debits + excluded.booked_debits, \
        booked_credits = day_totals.booked_credits + excluded.booked_credits, \
        valued_debits = day_totals.valued_debits + excluded.valued_debits, \
        valued_credits = day_totals.valued_credits + excluded.valued_credits";

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> QueryResult<()> {
        c.int(&self.account)?;
        c.day(self.day)?;
        c.day(self.recorded_on)?;
        c.int(&self.sums.booked_debits)?;
        c.int(&self.sums.booked_credits)?;
        c.int(&self.sums.valued_debits)?;
        c.int(&self.sums.valued_credits)
    }
}

/// Writes decided entries, the balances and day totals that follow from them, and their leaves.
pub(super) fn write(tx: &mut Tx<'_>, decided: &[Decided<'_>], state: &State) -> Result<()> {
    if decided.is_empty() {
        return Ok(());
    }
    tx.entry_numbers(decided.len())?;
    let (seal, today) = (tx.seal(), day_of(tx.now()));
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for date in decided.iter().flat_map(|d| [d.entry.booked_on, d.entry.valued_on]).chain([today]) {
        days.entry(date).or_insert_with(|| Day::from(date));
    }
    let day = |date: NaiveDate| days.get(&date).ok_or_else(|| Error::Broken("a day went missing".to_owned()));
    let mut entry_rows = Vec::with_capacity(decided.len());
    let mut posting_rows = Vec::with_capacity(decided.len() * 2);
    let mut hold_rows = Vec::new();
    let mut encoding = Encoding::default();
    for d in decided {
        let (booked_on, valued_on) = (day(d.entry.booked_on)?, day(d.entry.valued_on)?);
        tx.entry_leaf(entry_leaf(&mut encoding, d, booked_on, valued_on));
        entry_rows.push(EntryRow { number: d.number, seal, actor: d.actor, entry: d.entry, booked_on, valued_on });
        for ((posting, balance_after), leg) in d.entry.postings.iter().zip(&d.balances_after).zip(0..) {
            let NewPosting { account: AccountId(account), amount } = *posting;
            let days = (d.entry.booked_on, d.entry.valued_on);
            posting_rows.push(PostingRow {
                account,
                entry: d.number,
                leg,
                amount,
                balance_after: *balance_after,
                days,
            });
        }
        for ((movement, held_after), leg) in d.entry.holds.iter().zip(&d.held_after).zip(0..) {
            hold_rows.push(HoldRow {
                account: movement.account.0,
                entry: d.number,
                leg,
                movement,
                held_after: *held_after,
            });
        }
    }
    // In the order of the key, so that each page of a leaf's history is visited once.
    posting_rows.sort_unstable_by_key(|p| (p.account, p.entry, p.leg));
    bulk::insert(tx.conn(), &entry_rows)?;
    bulk::insert(tx.conn(), &posting_rows)?;
    bulk::insert(tx.conn(), &hold_rows)?;
    let mut balance_rows: Vec<BalanceRow> = state.touched().map(BalanceRow::from).collect();
    balance_rows.sort_unstable_by_key(|b| b.account);
    bulk::upsert(tx.conn(), &balance_rows)?;
    let recorded_on = day(today)?;
    let mut total_rows = Vec::with_capacity(balance_rows.len());
    for of_account in posting_rows.chunk_by(|a, b| a.account == b.account) {
        let mut totals: BTreeMap<NaiveDate, DaySums> = BTreeMap::new();
        for PostingRow { amount, days: (booked_on, valued_on), .. } in of_account {
            let same_day = booked_on == valued_on;
            totals.entry(*booked_on).or_default().add(*amount, true, same_day);
            if !same_day {
                totals.entry(*valued_on).or_default().add(*amount, false, true);
            }
        }
        let account = of_account.first().map_or(0, |p| p.account);
        for (date, sums) in totals {
            total_rows.push(DayTotalRow { account, day: day(date)?, recorded_on, sums });
        }
    }
    bulk::upsert(tx.conn(), &total_rows)
}

impl From<&Account> for BalanceRow {
    fn from(a: &Account) -> Self {
        let Balance { debits, credits, held, postings } = a.balance;
        BalanceRow { account: a.id, debits, credits, held, postings }
    }
}

fn entry_leaf(e: &mut Encoding, d: &Decided<'_>, booked_on: &Day, valued_on: &Day) -> Hash {
    let entry = d.entry;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    e.restart("tributary.entry.1").int(d.number).text(&entry.kind).text(entry.basis.as_str()).text(&entry.description);
    e.text(booked_on.text()).text(valued_on.text());
    e.text(&entry.cause.kind).text(&entry.cause.id).int(entry.cause.seq);
    let reverses = entry.reverses.map(|number| number.to_string());
    e.optional(reverses.as_deref());
    e.text(d.actor).optional(entry.metadata.as_deref());
    e.int(count(entry.postings.len()));
    for (posting, after) in entry.postings.iter().zip(&d.balances_after) {
        e.int(posting.account.0).int(posting.amount).int(*after);
    }
    e.int(count(entry.holds.len()));
    for (movement, after) in entry.holds.iter().zip(&d.held_after) {
        e.int(movement.account.0).text(&movement.hold).text(movement.kind.as_str()).int(movement.amount).int(*after);
    }
    leaf(e.as_bytes())
}
