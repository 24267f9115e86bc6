//! The SQL of proving that lines, routes and entries belong together: for `check`.

use super::{IN_FORCE, InForce, KEYS, RouteRow, routes_of};
use crate::db::schema::{accounts, masters, postings, routes};
use crate::db::{Conn, broken};
use crate::error::Result;
use diesel::prelude::{ExpressionMethods, JoinOnDsl, QueryDsl, SelectableHelper};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    what: String,
}

/// Lines, routes and entries that do not belong together.
pub(in crate::allocation) fn unsound(conn: &mut Conn) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for (invariant, sql) in of_lines().into_iter().chain(of_entries()) {
        let rows: Vec<Finding> = sql_query(sql).load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(|f| (invariant, f.what)));
    }
    let mut after = String::new();
    while let Some(last) = unsound_shares(conn, &after, &mut found)? {
        after = last;
    }
    Ok(found)
}

/// Each pair of texts: the invariant, and a query that gives the lines that break it.
fn of_lines() -> Vec<(&'static str, String)> {
    vec![
        (
            "I8",
            "SELECT 'line ' || l.id || ' is posted, but has no route' AS what FROM lines l \
                LEFT JOIN routes r ON r.line = l.id AND r.seq = 0 WHERE l.posting = 'posted' AND r.line IS NULL LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'line ' || r.line || ' is not what entry ' || r.entry || ' posts on its master' AS what \
                FROM routes r LEFT JOIN lines l ON l.id = r.line LEFT JOIN masters m ON m.id = l.master \
                LEFT JOIN postings p ON p.account = m.account AND p.entry = r.entry LEFT JOIN entries e ON e.number = r.entry \
                WHERE r.seq = 0 AND (p.amount IS NULL OR e.number IS NULL OR p.amount <> l.amount OR l.posting NOT IN ('posted', 'withdrawn') \
                OR e.booked_on <> l.booked_on OR e.valued_on <> l.valued_on) LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'line ' || l.id || ' is ' || l.posting || ', and was taken back ' || COUNT(r.line) || ' times' AS what \
                FROM lines l LEFT JOIN routes r ON r.line = l.id AND r.evidence = 'withdrawn' \
                LEFT JOIN masters m ON m.id = l.master LEFT JOIN postings p ON p.account = m.account AND p.entry = r.entry \
                WHERE l.posting IN ('posted', 'withdrawn') GROUP BY l.id, l.posting, l.booked_on, m.cut_over_on, l.amount \
                HAVING COUNT(r.line) <> CASE WHEN l.posting = 'withdrawn' AND l.booked_on >= m.cut_over_on AND l.amount <> 0 \
                THEN 1 ELSE 0 END OR COALESCE(SUM(p.amount + l.amount), 0) <> 0 LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'route ' || r.seq || ' of line ' || r.line || ' is of a payment that the line does not have' AS what \
                FROM routes r JOIN lines l ON l.id = r.line WHERE r.detail IS NOT NULL \
                AND (r.detail < 0 OR r.detail >= l.detail_count OR l.detail_count < 2) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'line ' || l.id || ' stands in the place of ' || l.replaces || ', which was not taken back' AS what \
                FROM lines l LEFT JOIN lines o ON o.id = l.replaces WHERE l.replaces IS NOT NULL \
                AND (o.id IS NULL OR o.posting <> 'withdrawn' OR o.master <> l.master) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'line ' || l.id || ' is confirmed or not as its facets say otherwise' AS what FROM lines l \
                JOIN statements s ON s.id = l.statement WHERE (l.facet = 'booked') <> (s.role = 'statement' OR EXISTS ( \
                SELECT 1 FROM line_facets f WHERE f.line = l.id AND f.kind = 'booked')) \
                OR (l.unconfirmed AND (l.facet = 'booked' OR l.posting <> 'posted' OR l.amount < 0)) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            "SELECT 'the hold ' || h.hold || ' is of no unconfirmed line' AS what FROM (SELECT hold, \
                SUM(CASE kind WHEN 'placed' THEN amount ELSE -amount END) AS remaining FROM holds WHERE hold LIKE 'unconfirmed:%' \
                GROUP BY hold) h WHERE h.remaining <> 0 AND NOT EXISTS (SELECT 1 FROM lines l WHERE l.unconfirmed \
                AND l.id = substr(h.hold, 13, length(l.id)) AND substr(h.hold, 13 + length(l.id), 1) = ':') LIMIT 100"
                .to_owned(),
        ),
    ]
}

/// As [`of_lines`], of entries and routes.
fn of_entries() -> Vec<(&'static str, String)> {
    vec![
        (
            "I10",
            "SELECT 'route ' || r.seq || ' of line ' || r.line || ' was not decided as entry ' || r.entry || ' says' AS what \
                FROM routes r LEFT JOIN entries e ON e.number = r.entry LEFT JOIN seals s ON s.number = e.seal \
                WHERE s.number IS NULL OR e.actor <> r.decided_by OR s.recorded_at <> r.decided_at OR (r.seq > 0 \
                AND NOT EXISTS (SELECT 1 FROM routes b WHERE b.line = r.line AND b.seq = r.seq - 1)) LIMIT 100"
                .to_owned(),
        ),
        (
            "I6",
            "SELECT 'entry ' || e.number || ' posts on a master without a line' AS what \
                FROM masters m JOIN postings p ON p.account = m.account JOIN entries e ON e.number = p.entry \
                LEFT JOIN routes r ON r.line = e.cause_id AND r.entry = e.number AND ((e.cause_type = 'line' AND r.seq = 0) \
                OR (e.cause_type = 'withdrawal' AND r.evidence = 'withdrawn')) \
                WHERE r.line IS NULL AND NOT (e.cause_type = 'opening' AND e.cause_id = m.id) LIMIT 100"
                .to_owned(),
        ),
        (
            "I8",
            format!(
                "SELECT 'the suspense of ' || m.code || ' is ' || (b.debits - b.credits) || ', but what waits in it sums to ' \
                || x.waiting AS what FROM masters m JOIN balances b ON b.account = m.suspense JOIN (SELECT o.id AS master, \
                COALESCE((SELECT CAST(SUM(-r.amount) AS BIGINT) FROM routes r JOIN lines l ON l.id = r.line \
                WHERE l.master = o.id AND r.suspense AND {IN_FORCE}), 0) \
                + COALESCE((SELECT CAST(SUM(p.amount) AS BIGINT) FROM entries e JOIN postings p ON p.entry = e.number \
                AND p.account = o.suspense WHERE e.cause_type = 'opening' AND e.cause_id = o.id), 0) AS waiting FROM masters o) x \
                ON x.master = m.id WHERE b.debits - b.credits <> x.waiting LIMIT 100"
            ),
        ),
        (
            "I6",
            "SELECT 'the side of a transfer in line ' || a.line || ' and its match do not name each other' AS what \
                FROM own_transfers a LEFT JOIN own_transfers b ON b.line = a.matched_line AND b.detail = a.matched_detail \
                WHERE a.matched_line IS NOT NULL AND (b.matched_line IS NULL OR b.matched_line <> a.line \
                OR b.matched_detail <> a.detail OR b.amount <> -a.amount OR b.master <> a.other) LIMIT 100"
                .to_owned(),
        ),
    ]
}

/// Routes whose shares are not those that their entries post, page by page of lines; gives the last line of the page.
fn unsound_shares(conn: &mut Conn, after: &str, found: &mut Vec<(&'static str, String)>) -> Result<Option<String>> {
    let page = routes::table.filter(routes::line.gt(after)).order((routes::line, routes::seq)).limit(KEYS);
    let mut page: Vec<RouteRow> = page.select(RouteRow::as_select()).load(conn).map_err(broken)?;
    let Some(last) = page.last().map(|r| r.line.clone()) else { return Ok(None) };
    // The routes of the last line may go on beyond the page.
    page.retain(|r| r.line != last);
    page.extend(routes_of(conn, &last)?);
    let numbers: HashSet<i64> = page.iter().map(|r| r.entry).collect();
    let legs = postings::table.inner_join(accounts::table.on(accounts::id.eq(postings::account)));
    // The master itself is proved apart.
    let legs = legs.filter(postings::entry.eq_any(numbers)).filter(accounts::kind.ne("master"));
    let legs: Vec<(i64, i64, i64)> =
        legs.select((postings::entry, postings::account, postings::amount)).load(conn).map_err(broken)?;
    let mut posted: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for (entry, account, amount) in legs {
        *posted.entry((entry, account)).or_default() += amount;
    }
    let suspenses: Vec<i64> = masters::table.select(masters::suspense).load(conn).map_err(broken)?;
    for of_line in page.chunk_by(|a, b| a.line == b.line) {
        let line = of_line.first().map_or("", |r| r.line.as_str());
        let mut decided: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut force = InForce::default();
        for (at, route) in of_line.iter().enumerate() {
            let shares = route.shares().unwrap_or_default();
            let given: i128 = shares.iter().map(|(_, amount)| i128::from(*amount)).sum();
            let waits = shares.iter().any(|(account, _)| suspenses.contains(&account.0));
            if given != -i128::from(route.amount) || waits != route.suspense {
                found.push(("I8", format!("route {} of line {line} does not say what its shares are", route.seq)));
            }
            let replaced = force.take(route);
            let back = replaced
                .iter()
                .flat_map(|r| r.shares().unwrap_or_default())
                .map(|(account, amount)| (account, -amount));
            for (account, amount) in route.shares().unwrap_or_default().into_iter().chain(back) {
                *decided.entry((route.entry, account.0)).or_default() += amount;
            }
            // Whenever an entry is done, all of the line is placed: as a whole, or each of its several payments.
            if of_line.get(at + 1).is_some_and(|next| next.entry == route.entry) {
                continue;
            }
            let places: Vec<Option<i64>> = force.0.keys().copied().collect();
            let each = places.len() > 1 && places.iter().zip(0i64..).all(|(place, n)| *place == Some(n));
            if places != [None] && !each {
                found.push(("I8", format!("line {line} is placed for some of its payments only")));
            }
        }
        let entries: BTreeSet<i64> = of_line.iter().map(|r| r.entry).collect();
        for entry in entries {
            let of_entry = |all: &BTreeMap<(i64, i64), i64>| -> Vec<((i64, i64), i64)> {
                let range = all.range((entry, i64::MIN)..=(entry, i64::MAX));
                range.map(|(key, amount)| (*key, *amount)).filter(|(_, amount)| *amount != 0).collect()
            };
            if of_entry(&decided) != of_entry(&posted) {
                found.push(("I8", format!("the routes of line {line} have shares that entry {entry} does not post")));
            }
        }
    }
    Ok(Some(last))
}
