//! The SQL of the feed. It reads any table and writes none: events are written by the commit that they tell of.

use super::place::{Names, Place, entries, names};
use super::{Event, Filter};
use crate::db::schema::{
    accounts, entities, events, expectations, holds, lines, masters, pending_lines, postings, products, proposals,
    seals, settlements, statements, sub_accounts,
};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{from_stored, stored};
use chrono::NaiveDateTime;
use diesel::RunQueryDsl;
use diesel::prelude::{ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Numbers that one query looks through: a filter that finds little is asked again and again, not once for long.
const WINDOW: i64 = 10_000;
/// Up to so many entries their accounts are looked up; beyond, the entries of the accounts that are seen.
const FEW_ENTRIES: i64 = 4_000;
/// Values in one list of a query; SQLite takes 32,766.
const LIST: usize = 10_000;

/// The newest event; 0 before the first.
pub(super) fn head(conn: &mut Conn) -> Result<i64> {
    let newest: Option<i64> =
        seals::table.select(seals::last_event).order(seals::number.desc()).first(conn).optional().map_err(broken)?;
    Ok(newest.unwrap_or(0))
}

/// The first and the last number that can meet a filter's bounds in time and number.
pub(super) fn bounds(conn: &mut Conn, filter: &Filter, head: i64) -> Result<(i64, i64)> {
    let mut first = 1;
    if let Some(from) = filter.from {
        let seal = seals::table.filter(seals::recorded_at.ge(stored(from))).order(seals::recorded_at);
        let found: Option<i64> = seal.select(seals::first_event).first(conn).optional().map_err(broken)?;
        first = found.unwrap_or(head + 1);
    }
    let mut last = head.min(filter.last.unwrap_or(head));
    if let Some(until) = filter.until {
        let seal = seals::table.filter(seals::recorded_at.lt(stored(until))).order(seals::recorded_at.desc());
        let found: Option<i64> = seal.select(seals::last_event).first(conn).optional().map_err(broken)?;
        last = last.min(found.unwrap_or(0));
    }
    Ok((first, last))
}

type Columns = (i64, i64, NaiveDateTime, String, String, String, Option<String>, Option<String>);

fn event((number, seal, recorded_at, actor, kind, subject, before, after): Columns) -> Event {
    Event { number, seal, recorded_at: from_stored(recorded_at), actor, kind, subject, before, after }
}

/// Where a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The oldest first.
    Onwards,
    /// The newest first.
    Back,
}

/// Events from `first` to `last` that meet the filter, `limit` at most, and the number up to which was looked (or down to which).
pub(super) fn rows(
    conn: &mut Conn,
    filter: &Filter,
    (first, last): (i64, i64),
    limit: usize,
    way: Way,
) -> Result<(Vec<Event>, i64)> {
    // A subject has an index; what has none is looked for in windows.
    let window = if filter.subject.is_some() { i64::MAX / 2 } else { WINDOW };
    let (first, last) = match way {
        Way::Onwards => (first, last.min(first.saturating_add(window - 1))),
        Way::Back => (first.max(last.saturating_sub(window - 1)), last),
    };
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = events::table
        .inner_join(seals::table.on(seals::number.eq(events::seal)))
        .select((
            events::number,
            events::seal,
            seals::recorded_at,
            events::actor,
            events::kind,
            events::subject,
            events::before,
            events::after,
        ))
        .limit(most)
        .into_boxed();
    for kind in &filter.kinds {
        // As text compares by bytes on both databases, these are the kinds that begin so.
        query = query.or_filter(events::kind.between(kind.clone(), format!("{kind}\u{10ffff}")));
    }
    query = query.filter(events::number.between(first, last));
    if let Some(subject) = &filter.subject {
        query = query.filter(events::subject.eq(subject));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(events::actor.eq(actor));
    }
    query = match way {
        Way::Onwards => query.order(events::number.asc()),
        Way::Back => query.order(events::number.desc()),
    };
    let rows: Vec<Columns> = query.load(conn).map_err(broken)?;
    let all = if way == Way::Onwards { last } else { first };
    let looked = rows.last().filter(|_| rows.len() == limit).map_or(all, |r| r.0);
    Ok((rows.into_iter().map(event).collect(), looked))
}

/// Where the subjects of some events stand; one that is not there is of the treasury as a whole.
pub(super) fn places(conn: &mut Conn, events: &[Event]) -> Result<HashMap<(Names, String), Place>> {
    let mut asked: BTreeMap<Names, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        asked.entry(names(&event.kind)).or_default().insert(&event.subject);
    }
    let mut found = HashMap::new();
    if asked.keys().all(|names| is_told_otherwise(*names)) {
        return Ok(own_places(asked));
    }
    let masters = masters_by_id(conn)?;
    for (names, subjects) in &asked {
        let subjects: Vec<&str> = subjects.iter().copied().collect();
        for some in subjects.chunks(LIST) {
            for (subject, place) in places_of(conn, *names, some, &masters)? {
                found.insert((*names, subject), place);
            }
        }
    }
    found.extend(own_places(asked));
    Ok(found)
}

/// Whether nothing of the chart has to be read to know where these stand.
fn is_told_otherwise(names: Names) -> bool {
    matches!(names, Names::Treasury | Names::Entries | Names::Proposal | Names::Product | Names::Entity)
}

/// Of the proposals that these events are about, those that act nowhere but where is `seen`: who sees a part of what it would do is not
/// told of the rest.
pub(super) fn proposals_seen(
    conn: &mut Conn,
    events: &[Event],
    seen: impl Fn(&Place) -> bool,
) -> Result<BTreeSet<String>> {
    let asked: BTreeSet<&str> =
        events.iter().filter(|e| names(&e.kind) == Names::Proposal).map(|e| e.subject.as_str()).collect();
    let asked: Vec<&str> = asked.into_iter().collect();
    let mut found = BTreeSet::new();
    for some in asked.chunks(LIST) {
        let some = proposals::table.filter(proposals::id.eq_any(some)).select((proposals::id, proposals::targets));
        for (id, targets) in some.load::<(String, String)>(conn).map_err(broken)? {
            // What cannot be read is of the treasury as a whole.
            let places: Vec<Place> = serde_json::from_str(&targets).unwrap_or_default();
            if !places.is_empty() && places.iter().all(&seen) {
                found.insert(id);
            }
        }
    }
    Ok(found)
}

/// What stands where its own code says.
fn own_places(asked: BTreeMap<Names, BTreeSet<&str>>) -> HashMap<(Names, String), Place> {
    let mut found = HashMap::new();
    for (names, subjects) in asked {
        for code in subjects.into_iter().map(ToOwned::to_owned) {
            let place = match names {
                Names::Product => Place { product: Some(code.clone()), ..Place::default() },
                Names::Entity => Place { entity: Some(code.clone()), ..Place::default() },
                _ => continue,
            };
            found.insert((names, code), place);
        }
    }
    found
}

/// Masters as a whole, by id.
type Masters = HashMap<String, Place>;

fn masters_by_id(conn: &mut Conn) -> Result<Masters> {
    let all = masters::table.inner_join(entities::table.on(entities::id.eq(masters::entity)));
    let rows: Vec<(String, String, String)> =
        all.select((masters::id, masters::code, entities::code)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(|(id, code, entity)| (id, Place::master(code, Some(entity)))).collect())
}

fn places_of(conn: &mut Conn, names: Names, subjects: &[&str], masters: &Masters) -> Result<Vec<(String, Place)>> {
    let of_masters: Vec<(String, Option<String>)> = match names {
        Names::Account => return account_places(conn, subjects),
        Names::Expectation => return expectation_places(conn, subjects),
        Names::Master => {
            let codes = masters.values().filter(|place| subjects.iter().any(|s| place.master.as_deref() == Some(s)));
            return Ok(codes.filter_map(|place| Some((place.master.clone()?, place.clone()))).collect());
        }
        Names::Settlement => {
            let some = settlements::table.filter(settlements::id.eq_any(subjects));
            some.select((settlements::id, settlements::master.nullable())).load(conn).map_err(broken)?
        }
        Names::PendingLine => {
            let some = pending_lines::table.filter(pending_lines::id.eq_any(subjects));
            some.select((pending_lines::id, pending_lines::master.nullable())).load(conn).map_err(broken)?
        }
        Names::Line => {
            let some = lines::table.filter(lines::id.eq_any(subjects));
            some.select((lines::id, lines::master.nullable())).load(conn).map_err(broken)?
        }
        Names::Statement => {
            let some = statements::table.filter(statements::id.eq_any(subjects));
            some.select((statements::id, statements::master)).load(conn).map_err(broken)?
        }
        Names::Entries | Names::Proposal | Names::Product | Names::Entity | Names::Treasury => Vec::new(),
    };
    let place = |(id, master): (String, Option<String>)| Some((id, masters.get(&master?)?.clone()));
    Ok(of_masters.into_iter().filter_map(place).collect())
}

/// Code, master, the ids of its holder and of the leaf's owner, product.
type AccountColumns = (String, String, String, Option<String>, Option<String>);

/// Accounts, and the nodes above them, by code.
fn account_places(conn: &mut Conn, codes: &[&str]) -> Result<Vec<(String, Place)>> {
    let of: Vec<(String, String)> =
        entities::table.select((entities::id, entities::code)).load(conn).map_err(broken)?;
    let of: HashMap<String, String> = of.into_iter().collect();
    let all = accounts::table
        .inner_join(masters::table.on(masters::book.eq(accounts::book)))
        .left_join(sub_accounts::table.on(sub_accounts::account.eq(accounts::id.nullable())))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())))
        .filter(accounts::code.eq_any(codes));
    let columns =
        (accounts::code, masters::code, masters::entity, sub_accounts::owner.nullable(), products::code.nullable());
    let rows: Vec<AccountColumns> = all.select(columns).load(conn).map_err(broken)?;
    let nodes = sub_accounts::table
        .inner_join(masters::table.on(masters::id.eq(sub_accounts::master)))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())))
        .filter(sub_accounts::code.eq_any(codes))
        .filter(sub_accounts::account.is_null());
    let columns =
        (sub_accounts::code, masters::code, masters::entity, sub_accounts::owner.nullable(), products::code.nullable());
    let summaries: Vec<AccountColumns> = nodes.select(columns).load(conn).map_err(broken)?;
    let place = |(code, master, holder, owner, product): AccountColumns| {
        let entity = of.get(owner.as_ref().unwrap_or(&holder)).cloned();
        (code.clone(), Place { product, entity, master: Some(master), path: Some(code) })
    };
    Ok(rows.into_iter().chain(summaries).map(place).collect())
}

fn expectation_places(conn: &mut Conn, ids: &[&str]) -> Result<Vec<(String, Place)>> {
    let some = expectations::table.inner_join(accounts::table.on(accounts::id.eq(expectations::account)));
    let rows: Vec<(String, String)> = some
        .filter(expectations::id.eq_any(ids))
        .select((expectations::id, accounts::code))
        .load(conn)
        .map_err(broken)?;
    let codes: BTreeSet<&str> = rows.iter().map(|(_, code)| code.as_str()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let places: HashMap<String, Place> = account_places(conn, &codes)?.into_iter().collect();
    Ok(rows.into_iter().filter_map(|(id, code)| Some((id, places.get(&code)?.clone()))).collect())
}

/// Of the entries that these events have posted, those that touch an account that is `seen`, in order.
pub(super) fn entries_seen(conn: &mut Conn, events: &[Event], seen: impl Fn(&Place) -> bool) -> Result<BTreeSet<i64>> {
    let ranges: Vec<(i64, i64)> =
        events.iter().filter(|e| names(&e.kind) == Names::Entries).filter_map(|e| entries(&e.subject)).collect();
    let (Some(first), Some(last)) = (ranges.iter().map(|r| r.0).min(), ranges.iter().map(|r| r.1).max()) else {
        return Ok(BTreeSet::new());
    };
    if last - first < FEW_ENTRIES {
        let postings = postings::table.filter(postings::entry.between(first, last));
        let mut touched: Vec<(i64, i64)> =
            postings.select((postings::entry, postings::account)).distinct().load(conn).map_err(broken)?;
        let holds = holds::table.filter(holds::entry.between(first, last));
        let held: Vec<(i64, i64)> =
            holds.select((holds::entry, holds::account)).distinct().load(conn).map_err(broken)?;
        touched.extend(held);
        let accounts: BTreeSet<i64> = touched.iter().map(|(_, account)| *account).collect();
        let accounts: Vec<i64> = accounts.into_iter().collect();
        let accounts = accounts_seen(conn, Some(&accounts), seen)?;
        return Ok(touched.into_iter().filter(|(_, a)| accounts.contains(a)).map(|(entry, _)| entry).collect());
    }
    let accounts: Vec<i64> = accounts_seen(conn, None, seen)?.into_iter().collect();
    let mut found = BTreeSet::new();
    for some in accounts.chunks(LIST) {
        let touched = postings::table.filter(postings::account.eq_any(some));
        let touched = touched.filter(postings::entry.between(first, last)).select(postings::entry).distinct();
        found.extend(touched.load::<i64>(conn).map_err(broken)?);
        let held = holds::table.filter(holds::account.eq_any(some)).filter(holds::entry.between(first, last));
        found.extend(held.select(holds::entry).distinct().load::<i64>(conn).map_err(broken)?);
    }
    Ok(found)
}

/// Of these accounts, or of all, those that are seen.
fn accounts_seen(conn: &mut Conn, ids: Option<&[i64]>, seen: impl Fn(&Place) -> bool) -> Result<BTreeSet<i64>> {
    let mut rows: Vec<(i64, String)> = Vec::new();
    match ids {
        None => rows = accounts::table.select((accounts::id, accounts::code)).load(conn).map_err(broken)?,
        Some(ids) => {
            for some in ids.chunks(LIST) {
                let some = accounts::table.filter(accounts::id.eq_any(some)).select((accounts::id, accounts::code));
                rows.extend(some.load::<(i64, String)>(conn).map_err(broken)?);
            }
        }
    }
    let mut found = BTreeSet::new();
    for some in rows.chunks(LIST) {
        let codes: Vec<&str> = some.iter().map(|(_, code)| code.as_str()).collect();
        let places: HashMap<String, Place> = account_places(conn, &codes)?.into_iter().collect();
        found.extend(some.iter().filter(|(_, code)| places.get(code).is_some_and(&seen)).map(|(id, _)| *id));
    }
    Ok(found)
}
