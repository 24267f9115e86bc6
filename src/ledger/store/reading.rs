//! Reading entries back: one, a range, a page of an account's statement.

use super::entry_leaf;
use crate::db::bulk::Day;
use crate::db::schema::{entries, holds, postings, seals};
use crate::db::seal::{Encoding, Hash};
use crate::db::{Conn, broken};
use crate::error::{Error, Result};
use crate::ledger::engine::Decided;
use crate::ledger::{AccountId, Basis, Cause, HoldKind, HoldMove, NewEntry, NewPosting};
use crate::time::{Instant, from_stored};
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use std::collections::{BTreeSet, HashMap};

/// A posting, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = postings)]
pub struct PostingView {
    /// The account's number.
    pub account: i64,
    /// The entry's number.
    pub entry: i64,
    /// Place within the entry.
    pub leg: i64,
    /// Debit positive.
    pub amount: i64,
    /// Debit positive.
    pub balance_after: i64,
}

/// A movement of a hold, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = holds)]
pub struct HoldView {
    /// The account's number.
    pub account: i64,
    /// The entry's number.
    pub entry: i64,
    /// Place within the entry's movements of holds.
    pub leg: i64,
    /// The hold.
    pub hold: String,
    /// How it moved.
    pub kind: String,
    /// Positive.
    pub amount: i64,
    /// Held on the account after it.
    pub held_after: i64,
}

/// An entry, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// Its number.
    pub number: i64,
    /// The seal that covers it.
    pub seal: i64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// What it is.
    pub kind: String,
    /// `fact` or `decision`.
    pub basis: String,
    /// For people.
    pub description: String,
    /// Accounting day.
    pub booked_on: NaiveDate,
    /// Value date.
    pub valued_on: NaiveDate,
    /// What made it.
    pub cause: Cause,
    /// What it takes back.
    pub reverses: Option<i64>,
    /// Who asked for it.
    pub actor: String,
    /// JSON.
    pub metadata: Option<String>,
    /// In order.
    pub postings: Vec<PostingView>,
    /// In order.
    pub holds: Vec<HoldView>,
}

impl EntryView {
    /// What was asked for, from what was stored.
    pub(in crate::ledger) fn into_content(self) -> NewEntry {
        let posting = |p: &PostingView| NewPosting { account: AccountId(p.account), amount: p.amount };
        let hold = |h: HoldView| HoldMove {
            account: AccountId(h.account),
            kind: [HoldKind::Placed, HoldKind::Consumed, HoldKind::Released, HoldKind::Expired]
                .into_iter()
                .find(|k| k.as_str() == h.kind)
                .unwrap_or(HoldKind::Placed),
            hold: h.hold,
            amount: h.amount,
        };
        NewEntry {
            kind: self.kind,
            basis: if self.basis == "fact" { Basis::Fact } else { Basis::Decision },
            description: self.description,
            booked_on: self.booked_on,
            valued_on: self.valued_on,
            cause: self.cause,
            postings: self.postings.iter().map(posting).collect(),
            holds: self.holds.into_iter().map(hold).collect(),
            reverses: self.reverses,
            metadata: self.metadata,
        }
    }

    /// The leaf that these stored columns give.
    pub(in crate::ledger) fn leaf(&self, e: &mut Encoding) -> Hash {
        let content = self.clone().into_content();
        let decided = Decided {
            number: self.number,
            actor: &self.actor,
            entry: &content,
            balances_after: self.postings.iter().map(|p| p.balance_after).collect(),
            held_after: self.holds.iter().map(|h| h.held_after).collect(),
        };
        entry_leaf(e, &decided, &Day::from(self.booked_on), &Day::from(self.valued_on))
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = entries)]
struct StoredEntry {
    number: i64,
    seal: i64,
    kind: String,
    basis: String,
    description: String,
    booked_on: NaiveDate,
    valued_on: NaiveDate,
    cause_type: String,
    cause_id: String,
    cause_seq: i64,
    reverses: Option<i64>,
    actor: String,
    metadata: Option<String>,
}

/// One entry with its postings and holds.
pub fn entry(conn: &mut Conn, number: i64) -> Result<EntryView> {
    let found = views(conn, &[number])?.pop();
    found.ok_or_else(|| Error::NotFound(format!("there is no entry {number}")))
}

/// The entry that a cause has made, if it has.
pub fn entry_by_cause(conn: &mut Conn, cause: &Cause) -> Result<Option<EntryView>> {
    let of_cause = entries::table.filter(entries::cause_type.eq(&cause.kind)).filter(entries::cause_id.eq(&cause.id));
    let number = of_cause
        .filter(entries::cause_seq.eq(cause.seq))
        .select(entries::number)
        .first(conn)
        .optional()
        .map_err(broken)?;
    number.map(|n| entry(conn, n)).transpose()
}

/// The entries from `first` to `last`, in order.
pub fn entries(conn: &mut Conn, first: i64, last: i64) -> Result<Vec<EntryView>> {
    let rows = entries::table.filter(entries::number.between(first, last)).order(entries::number);
    let rows: Vec<StoredEntry> = rows.select(StoredEntry::as_select()).load(conn).map_err(broken)?;
    let legs = postings::table.filter(postings::entry.between(first, last)).order((
        postings::entry,
        postings::leg,
        postings::account,
    ));
    let legs: Vec<PostingView> = legs.select(PostingView::as_select()).load(conn).map_err(broken)?;
    let moves =
        holds::table.filter(holds::entry.between(first, last)).order((holds::entry, holds::leg, holds::account));
    let moves: Vec<HoldView> = moves.select(HoldView::as_select()).load(conn).map_err(broken)?;
    assemble(conn, rows, legs, moves)
}

pub(super) fn views(conn: &mut Conn, numbers: &[i64]) -> Result<Vec<EntryView>> {
    let rows = entries::table.filter(entries::number.eq_any(numbers)).order(entries::number);
    let rows: Vec<StoredEntry> = rows.select(StoredEntry::as_select()).load(conn).map_err(broken)?;
    let legs = postings::table.filter(postings::entry.eq_any(numbers)).order((
        postings::entry,
        postings::leg,
        postings::account,
    ));
    let legs: Vec<PostingView> = legs.select(PostingView::as_select()).load(conn).map_err(broken)?;
    let moves = holds::table.filter(holds::entry.eq_any(numbers)).order((holds::entry, holds::leg, holds::account));
    let moves: Vec<HoldView> = moves.select(HoldView::as_select()).load(conn).map_err(broken)?;
    assemble(conn, rows, legs, moves)
}

/// Postings and holds without an entry stay behind; `check` counts them.
fn assemble(
    conn: &mut Conn,
    rows: Vec<StoredEntry>,
    legs: Vec<PostingView>,
    moves: Vec<HoldView>,
) -> Result<Vec<EntryView>> {
    let numbers: BTreeSet<i64> = rows.iter().map(|r| r.seal).collect();
    let (first, last) = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
    let times: HashMap<i64, NaiveDateTime> = seals::table
        .filter(seals::number.between(first, last))
        .select((seals::number, seals::recorded_at))
        .load::<(i64, NaiveDateTime)>(conn)
        .map_err(broken)?
        .into_iter()
        .collect();
    let mut legs = legs.into_iter().peekable();
    let mut moves = moves.into_iter().peekable();
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        while legs.next_if(|l| l.entry < row.number).is_some() {}
        while moves.next_if(|h| h.entry < row.number).is_some() {}
        views.push(EntryView {
            postings: std::iter::from_fn(|| legs.next_if(|l| l.entry == row.number)).collect(),
            holds: std::iter::from_fn(|| moves.next_if(|h| h.entry == row.number)).collect(),
            recorded_at: from_stored(times.get(&row.seal).copied().unwrap_or_default()),
            number: row.number,
            seal: row.seal,
            kind: row.kind,
            basis: row.basis,
            description: row.description,
            booked_on: row.booked_on,
            valued_on: row.valued_on,
            cause: Cause { kind: row.cause_type, id: row.cause_id, seq: row.cause_seq },
            reverses: row.reverses,
            actor: row.actor,
            metadata: row.metadata,
        });
    }
    Ok(views)
}

/// A page of an account's postings, newest first, before an entry number.
pub fn statement(
    conn: &mut Conn,
    account: i64,
    before_entry: i64,
    limit: i64,
) -> Result<Vec<(PostingView, EntryView)>> {
    let page = postings::table.filter(postings::account.eq(account)).filter(postings::entry.lt(before_entry));
    let page = page.order((postings::entry.desc(), postings::leg.desc())).limit(limit);
    let page: Vec<PostingView> = page.select(PostingView::as_select()).load(conn).map_err(broken)?;
    let numbers: Vec<i64> = page.iter().map(|p| p.entry).collect();
    let views: HashMap<i64, EntryView> = views(conn, &numbers)?.into_iter().map(|v| (v.number, v)).collect();
    Ok(page.into_iter().filter_map(|p| views.get(&p.entry).cloned().map(|v| (p, v))).collect())
}

/// A page of an account's postings: the newest first, before a place (entry and leg); or those of some booking days, in the
/// order of recording, behind a place. Up to an entry, that of what is known.
pub fn postings_page(
    conn: &mut Conn,
    account: i64,
    days: Option<(NaiveDate, NaiveDate)>,
    (place, last): (Option<(i64, i64)>, i64),
    limit: i64,
) -> Result<Vec<(PostingView, EntryView)>> {
    let of = postings::table
        .inner_join(entries::table.on(entries::number.eq(postings::entry)))
        .filter(postings::account.eq(account))
        .filter(postings::entry.le(last))
        .select(PostingView::as_select())
        .limit(limit);
    let found: Vec<PostingView> = match days {
        None => {
            let (entry, leg) = place.unwrap_or((i64::MAX, i64::MAX));
            // The first bound is the index's; the second only tells the legs of one entry apart.
            let before = postings::entry.lt(entry).or(postings::leg.lt(leg));
            let page = of.filter(postings::entry.le(entry)).filter(before);
            page.order((postings::entry.desc(), postings::leg.desc())).load(conn).map_err(broken)?
        }
        Some((first, last)) => {
            let (entry, leg) = place.unwrap_or((0, 0));
            let behind = postings::entry.gt(entry).or(postings::leg.gt(leg));
            let page =
                of.filter(postings::entry.ge(entry)).filter(behind).filter(entries::booked_on.between(first, last));
            page.order((postings::entry, postings::leg)).load(conn).map_err(broken)?
        }
    };
    let mut numbers: Vec<i64> = found.iter().map(|p| p.entry).collect();
    numbers.dedup();
    let views: HashMap<i64, EntryView> = views(conn, &numbers)?.into_iter().map(|v| (v.number, v)).collect();
    Ok(found.into_iter().filter_map(|p| views.get(&p.entry).cloned().map(|v| (p, v))).collect())
}

/// The entries that post or hold on one of these accounts, the newest first, before a number.
///
/// A page costs a seek for each account and what stands on the page, however much has been posted: first the newest entry of each
/// account, then, the newest account first, its entries back to where the page would end without them.
pub fn entries_on(conn: &mut Conn, accounts: &[i64], before: i64, limit: i64) -> Result<Vec<EntryView>> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut numbers: BTreeSet<i64> = BTreeSet::new();
    for movements in ["postings", "holds"] {
        let mut newest = newest_on(conn, movements, accounts, before)?;
        newest.sort_unstable_by_key(|row| std::cmp::Reverse(row.entry));
        for NewestRow { account, entry } in newest {
            // The last one that is on the page by now: what is older cannot get onto it.
            let oldest =
                if numbers.len() < wanted { 0 } else { numbers.iter().rev().nth(wanted - 1).copied().unwrap_or(0) };
            if entry <= oldest {
                break;
            }
            let sql = format!(
                "SELECT DISTINCT account, entry FROM {movements} WHERE account = $1 AND entry > $2 AND entry < $3 \
                 ORDER BY entry DESC LIMIT $4"
            );
            let of = sql_query(sql).bind::<BigInt, _>(account).bind::<BigInt, _>(oldest).bind::<BigInt, _>(before);
            let of: Vec<NewestRow> = of.bind::<BigInt, _>(limit).load(conn).map_err(broken)?;
            numbers.extend(of.into_iter().map(|row| row.entry));
        }
    }
    let newest: Vec<i64> = numbers.into_iter().rev().take(wanted).collect();
    let mut found = views(conn, &newest)?;
    found.sort_unstable_by_key(|e| std::cmp::Reverse(e.number));
    Ok(found)
}

#[derive(QueryableByName)]
struct NewestRow {
    #[diesel(sql_type = BigInt)]
    account: i64,
    #[diesel(sql_type = BigInt)]
    entry: i64,
}

/// The newest entry before a number of each of these accounts that has one.
fn newest_on(conn: &mut Conn, movements: &str, accounts: &[i64], before: i64) -> Result<Vec<NewestRow>> {
    let mut found = Vec::new();
    for some in accounts.chunks(5_000) {
        // Numbers of ours, so they may stand in the text: lists of them are bound otherwise on each database.
        let list: Vec<String> = some.iter().map(i64::to_string).collect();
        let sql = format!(
            "SELECT account, entry FROM (SELECT a.id AS account, COALESCE((SELECT m.entry FROM {movements} m WHERE m.account = a.id \
             AND m.entry < $1 ORDER BY m.entry DESC, m.leg DESC LIMIT 1), 0) AS entry FROM accounts a WHERE a.id IN ({})) AS newest \
             WHERE entry > 0",
            list.join(", ")
        );
        found.extend(sql_query(sql).bind::<BigInt, _>(before).load::<NewestRow>(conn).map_err(broken)?);
    }
    Ok(found)
}

/// What is held on an account, by the names of the holds: those of which something is left.
pub fn open_holds(conn: &mut Conn, account: i64) -> Result<Vec<(String, i64)>> {
    let all = holds::table.filter(holds::account.eq(account)).order((holds::entry, holds::leg));
    let moves: Vec<(String, String, i64)> =
        all.select((holds::hold, holds::kind, holds::amount)).load(conn).map_err(broken)?;
    let mut open: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
    for (hold, kind, amount) in moves {
        let left = open.entry(hold).or_default();
        let adds = kind == HoldKind::Placed.as_str();
        *left = if adds { left.saturating_add(amount) } else { left.saturating_sub(amount) };
    }
    Ok(open.into_iter().filter(|(_, left)| *left != 0).collect())
}
