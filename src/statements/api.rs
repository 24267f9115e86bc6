//! What the bank's messages leave open, over HTTP: breaks, gaps, statements that should be here, and how a bank reports. Statements and
//! lines themselves stand with what becomes of them (`allocation::api`).

use super::due::{DueList, due_of};
use super::{Contradictions, Notified, Profile, Reports};
use crate::access::Permission;
use crate::chart::{self, MasterRow};
use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::http::{Asked, Call, Day, Limit, Moment, Money, Nothing, Operation, Page, Refusal, get, put};
use crate::scope::Scope;
use crate::time::rfc3339;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The rows of what is open.
pub fn operations() -> Vec<Operation> {
    let read = Permission::StatementsRead;
    vec![
        get("/v1/breaks", "breaks.list", "What the bank's messages leave open, each by its name")
            .may(read)
            .reads(breaks),
        get("/v1/gaps", "gaps.list", "Days of which statements have not come, by balances and numbers")
            .may(read)
            .reads(gaps),
        get(
            "/v1/missing-statements",
            "missing_statements.list",
            "Statements and reports that were due and are not here",
        )
        .may(read)
        .reads(missing),
        get("/v1/late-statements", "late_statements.list", "Those that were missing, and what became of them")
            .may(read)
            .reads(late),
        get(
            "/v1/masters/{master}/statement-profile",
            "statement_profiles.show",
            "How a bank reports on a master, with the ETag that changing it needs",
        )
        .may(read)
        .configuration()
        .reads(profile),
        put(
            "/v1/masters/{master}/statement-profile",
            "statement_profiles.change",
            "Say how a bank reports on a master; what was posted before stays as it is",
        )
        .may(Permission::ProfilesChange)
        .configuration()
        .dry_runs()
        .writes(set_profile),
    ]
}

/// The masters that a scope covers, or the one of them that is asked for.
fn masters(conn: &mut Conn, scope: &Scope, only: Option<&str>) -> Result<Vec<MasterRow>> {
    let mut seen = chart::masters_seen(conn, scope)?;
    seen.retain(|m| only.is_none_or(|code| m.code == code));
    Ok(seen)
}

/// Which breaks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichBreaks {
    /// Only of this master.
    master: Option<String>,
    /// Only of this kind, such as `missing_days`.
    kind: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// Something that the bank's messages leave open.
#[derive(Serialize, JsonSchema)]
struct Break {
    /// `quarantined`, `restated`, `contradiction`, `missing_days`, `not_here`, `not_in_statement`, `never_came` or `receipt_expired`.
    kind: String,
    /// Code of the master.
    master: String,
    /// What it is about: a statement, a line, an announced line, an expected receipt, or days.
    subject: String,
    /// The day that it is of: a booking or closing day, or the last one on which something was waited for.
    day: Option<NaiveDate>,
    /// What it is and what to do, for people.
    what: String,
}

/// Behind which item of a list a page begins: parts that may have any sign, in one text that grows with them.
fn place(parts: &[&str]) -> String {
    parts.join("\0")
}

fn breaks(call: &Call, which: &WhichBreaks) -> Result<Page<Break>> {
    let all = call.read(|conn| {
        let seen = masters(conn, call.scope(), which.master.as_deref())?;
        let codes: HashSet<&str> = seen.iter().map(|m| m.code.as_str()).collect();
        let mut all = super::breaks(conn)?;
        // What is expected has a permission of its own, and a leaf in a master may be another entity's.
        let may = call.admitted().map_or_else(Scope::nothing, |a| a.rights.scope(Permission::ExpectationsRead));
        let expired = crate::expectations::expired_seen(conn, &may)?;
        all.retain(|b| b.kind != "receipt_expired" || expired.contains(&b.subject));
        all.retain(|b| codes.contains(b.master.as_str()) && which.kind.as_ref().is_none_or(|kind| b.kind == kind));
        Ok(all)
    })?;
    let one = |b: super::Break| Break {
        kind: b.kind.to_owned(),
        master: b.master,
        subject: b.subject,
        day: b.day,
        what: b.what,
    };
    let mut all: Vec<Break> = all.into_iter().map(one).collect();
    let of = |b: &Break| place(&[&b.master, &b.kind, &b.subject, &b.what]);
    all.sort_by_cached_key(of);
    Ok(call.page_of(all, which.limit, of))
}

/// Of which master.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichGaps {
    /// Only of this master.
    master: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// Days of which statements have not come. It closes by itself when they do.
#[derive(Serialize, JsonSchema)]
struct Gap {
    /// Code of the master.
    master: String,
    /// The statement before it closed on this day; before the first one: the cut-over.
    closed_on: NaiveDate,
    /// The one after it closed on that.
    next_closed_on: NaiveDate,
    /// What the missing ones have moved; zero where only numbers tell of them.
    missing: Money,
    /// The first number that has not come, where numbers tell.
    first_number: Option<i64>,
    /// The last one.
    last_number: Option<i64>,
    /// The same for people.
    what: String,
}

fn gaps(call: &Call, which: &WhichGaps) -> Result<Page<Gap>> {
    let all = call.read(|conn| {
        let seen = masters(conn, call.scope(), which.master.as_deref())?;
        super::gaps_of(conn, &seen)
    })?;
    let one = |g: super::ShownGap| Gap {
        what: g.to_string(),
        first_number: g.numbers.map(|(first, _)| first),
        last_number: g.numbers.map(|(_, last)| last),
        missing: Money { amount: g.missing, currency: g.currency },
        master: g.master,
        closed_on: g.closed_on,
        next_closed_on: g.next_closed_on,
    };
    let mut all: Vec<Gap> = all.into_iter().map(one).collect();
    let of = |g: &Gap| place(&[&g.master, &g.next_closed_on.to_string(), &g.closed_on.to_string(), &g.what]);
    all.sort_by_cached_key(of);
    Ok(call.page_of(all, which.limit, of))
}

/// Which messages that were due.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhichDue {
    /// Only of this master.
    master: Option<String>,
    /// Only of this day and later.
    since: Option<Day>,
    /// Due by this instant; now where nothing is said. RFC 3339.
    at: Option<Moment>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

impl WhichDue {
    fn list(&self, call: &Call) -> Result<DueList> {
        let until = self.at.map_or_else(|| call.now(), |at| at.0);
        call.read(|conn| {
            let seen = masters(conn, call.scope(), self.master.as_deref())?;
            due_of(conn, seen, self.since.map(|day| day.0), until)
        })
    }
}

/// What was due by an instant.
#[derive(Serialize, JsonSchema)]
struct WhatIsDue {
    /// The instant; RFC 3339.
    at: String,
    /// How many messages were due by then.
    expected: usize,
    /// Masters that say nothing of when their messages are expected.
    without_expectation: Vec<String>,
    /// Those that are not here, by master, day and role.
    missing: Page<MissingStatement>,
}

/// A message that was due and is not here.
#[derive(Serialize, JsonSchema)]
struct MissingStatement {
    /// Code of the master.
    master: String,
    /// `statement` or `report`.
    role: String,
    /// The day that it tells of.
    day: NaiveDate,
    /// Until when it was to be here; RFC 3339.
    due_at: String,
    /// The calendar that made it a business day.
    calendar: String,
    /// When its absence was recorded; RFC 3339.
    recorded_at: Option<String>,
}

fn missing(call: &Call, which: &WhichDue) -> Result<WhatIsDue> {
    let list = which.list(call)?;
    let one = |m: super::due::Missing| MissingStatement {
        master: m.master,
        role: m.role.to_owned(),
        day: m.due.day,
        due_at: rfc3339(m.due.due_at),
        calendar: m.calendar,
        recorded_at: m.told_at.map(rfc3339),
    };
    let mut all: Vec<MissingStatement> = list.missing.into_iter().map(one).collect();
    let of = |m: &MissingStatement| place(&[&m.master, &m.day.to_string(), &m.role]);
    all.sort_by_cached_key(of);
    Ok(WhatIsDue {
        at: rfc3339(which.at.map_or_else(|| call.now(), |at| at.0)),
        expected: list.expected,
        without_expectation: list.without_expectation,
        missing: call.page_of(all, which.limit, of),
    })
}

/// A message that was missing when it was due, and is not any more.
#[derive(Serialize, JsonSchema)]
struct LateStatement {
    /// Code of the master.
    master: String,
    /// `statement` or `report`.
    role: String,
    /// The day that it tells of.
    day: NaiveDate,
    /// Until when it was to be here; RFC 3339.
    due_at: String,
    /// `came`, `nothing_booked` or `not_expected`.
    ended: String,
    /// When that was seen; RFC 3339.
    ended_at: String,
}

fn late(call: &Call, which: &WhichDue) -> Result<Page<LateStatement>> {
    let one = |l: super::due::Late| LateStatement {
        master: l.master,
        role: l.role,
        day: l.due.day,
        due_at: rfc3339(l.due.due_at),
        ended: l.ended,
        ended_at: rfc3339(l.ended_at),
    };
    let mut all: Vec<LateStatement> = which.list(call)?.late.into_iter().map(one).collect();
    let of = |l: &LateStatement| place(&[&l.master, &l.day.to_string(), &l.role]);
    all.sort_by_cached_key(of);
    Ok(call.page_of(all, which.limit, of))
}

/// How a bank reports on a master.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatementProfile {
    /// What a credit is worth that a report or notification calls booked: `unconfirmed` (held until a statement has it) or `final`.
    notified: String,
    /// Whether each report tells of the whole day so far, `cumulative`, or of what is new, `delta`.
    reports: String,
    /// What becomes of a statement that contradicts itself: `wait` (for a person) or `accept`.
    contradictions: String,
}

impl StatementProfile {
    fn of(p: Profile) -> StatementProfile {
        StatementProfile {
            notified: p.notified.as_str().to_owned(),
            reports: p.reports.as_str().to_owned(),
            contradictions: p.contradictions.as_str().to_owned(),
        }
    }

    fn read(&self) -> Result<Profile> {
        let bad = |field: &str, values: &str| Refusal::BadBody { why: format!("{field} is {values}") };
        Ok(Profile {
            notified: Notified::parse(&self.notified).ok_or_else(|| bad("notified", "unconfirmed or final"))?,
            reports: Reports::parse(&self.reports).ok_or_else(|| bad("reports", "cumulative or delta"))?,
            contradictions: Contradictions::parse(&self.contradictions)
                .ok_or_else(|| bad("contradictions", "wait or accept"))?,
        })
    }
}

fn profile(call: &Call, _: &Nothing) -> Result<StatementProfile> {
    call.read(|conn| {
        let master = chart::master_seen(conn, call.scope(), call.path("master"))?;
        super::profile_of(conn, &master.id).map(StatementProfile::of)
    })
}

fn set_profile(tx: &mut Tx<'_>, asked: &Asked<Nothing, StatementProfile>) -> Result<StatementProfile> {
    let scope = tx.scope().clone();
    let master = chart::master_seen(tx.conn(), &scope, asked.path("master"))?;
    asked.expect_unchanged(&StatementProfile::of(super::profile_of(tx.conn(), &master.id)?))?;
    let new = asked.body.read()?;
    super::set_profile(tx, &master.code, new)?;
    Ok(StatementProfile::of(new))
}
