//! The SQL of approvals.

use crate::db::schema::{approval_policies, decisions, events, proposals};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{Instant, stored};
use chrono::NaiveDateTime;
use diesel::prelude::{
    ExpressionMethods, Insertable, IntoSql, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::sql_types::Text;
use diesel::{RunQueryDsl, insert_into, update};

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = proposals, treat_none_as_default_value = false)]
pub(super) struct ProposalRow {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) content: String,
    pub(super) effect: String,
    pub(super) digest: String,
    pub(super) targets: String,
    pub(super) policy: String,
    pub(super) maker: String,
    pub(super) maker_person: Option<String>,
    pub(super) made_at: NaiveDateTime,
    pub(super) expires_at: NaiveDateTime,
    pub(super) state: String,
    pub(super) ended_at: Option<NaiveDateTime>,
    pub(super) why: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = decisions, treat_none_as_default_value = false)]
pub(super) struct DecisionRow {
    pub(super) proposal: String,
    pub(super) place: i64,
    pub(super) person: String,
    pub(super) digest: String,
    pub(super) decision: String,
    pub(super) reason: Option<String>,
    pub(super) decided_at: NaiveDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_policies)]
pub(super) struct PolicyRow {
    pub(super) kind: String,
    pub(super) version: i64,
    pub(super) needs: String,
    pub(super) expires_days: i64,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
}

pub(super) fn insert_proposal(conn: &mut Conn, row: &ProposalRow) -> Result<()> {
    insert_into(proposals::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn find_proposal(conn: &mut Conn, id: &str) -> Result<Option<ProposalRow>> {
    proposals::table.find(id).select(ProposalRow::as_select()).first(conn).optional().map_err(broken)
}

/// Those open about one subject, oldest first.
pub(super) fn open_about(conn: &mut Conn, kind: &str, subject: &str) -> Result<Vec<ProposalRow>> {
    let open = proposals::table.filter(proposals::state.eq("open")).filter(proposals::kind.eq(kind));
    let open = open.filter(proposals::subject.eq(subject)).order(proposals::id);
    open.select(ProposalRow::as_select()).load(conn).map_err(broken)
}

/// Those open whose time was over at an instant.
pub(super) fn over(conn: &mut Conn, now: Instant) -> Result<Vec<String>> {
    let open = proposals::table.filter(proposals::state.eq("open")).filter(proposals::expires_at.le(stored(now)));
    open.order(proposals::id).select(proposals::id).load(conn).map_err(broken)
}

/// How many are open whose time is not over at an instant.
pub(super) fn count_open(conn: &mut Conn, now: Instant) -> Result<i64> {
    let open = proposals::table.filter(proposals::state.eq("open")).filter(proposals::expires_at.gt(stored(now)));
    open.count().get_result(conn).map_err(broken)
}

/// A page of all, newest first, from before an id on.
pub(super) fn page(conn: &mut Conn, before: Option<&str>, limit: i64) -> Result<Vec<ProposalRow>> {
    let mut all = proposals::table.into_boxed();
    if let Some(id) = before {
        all = all.filter(proposals::id.lt(id.to_owned()));
    }
    all.order(proposals::id.desc()).limit(limit).select(ProposalRow::as_select()).load(conn).map_err(broken)
}

/// As [`page`], of those open or of all, without their contents and effects, which may be large.
pub(super) fn heads(conn: &mut Conn, open: bool, before: Option<&str>, limit: i64) -> Result<Vec<ProposalRow>> {
    let mut all = proposals::table.into_boxed();
    if open {
        all = all.filter(proposals::state.eq("open"));
    }
    if let Some(id) = before {
        all = all.filter(proposals::id.lt(id.to_owned()));
    }
    let nothing = || "".into_sql::<Text>();
    let columns = (
        proposals::id,
        proposals::kind,
        proposals::subject,
        nothing(),
        nothing(),
        proposals::digest,
        proposals::targets,
        proposals::policy,
        proposals::maker,
        proposals::maker_person,
        proposals::made_at,
        proposals::expires_at,
        proposals::state,
        proposals::ended_at,
        proposals::why,
    );
    all.order(proposals::id.desc()).limit(limit).select(columns).load(conn).map_err(broken)
}

pub(super) fn end(conn: &mut Conn, id: &str, state: &str, why: Option<&str>, now: Instant) -> Result<()> {
    let ended = (proposals::state.eq(state), proposals::ended_at.eq(Some(stored(now))), proposals::why.eq(why));
    update(proposals::table.find(id)).set(ended).execute(conn).map(drop).map_err(broken)
}

pub(super) fn insert_decision(conn: &mut Conn, row: &DecisionRow) -> Result<()> {
    insert_into(decisions::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// In the order in which they were made.
pub(super) fn decisions_on(conn: &mut Conn, proposal: &str) -> Result<Vec<DecisionRow>> {
    let all = decisions::table.filter(decisions::proposal.eq(proposal));
    all.order(decisions::place).select(DecisionRow::as_select()).load(conn).map_err(broken)
}

pub(super) fn newest_policy(conn: &mut Conn, kind: &str) -> Result<Option<PolicyRow>> {
    let newest = approval_policies::table.filter(approval_policies::kind.eq(kind));
    let newest = newest.order(approval_policies::version.desc()).select(PolicyRow::as_select());
    newest.first(conn).optional().map_err(broken)
}

/// Every version, by kind.
pub(super) fn policies(conn: &mut Conn) -> Result<Vec<PolicyRow>> {
    let all = approval_policies::table.order((approval_policies::kind, approval_policies::version));
    all.select(PolicyRow::as_select()).load(conn).map_err(broken)
}

pub(super) fn insert_policy(conn: &mut Conn, row: &PolicyRow) -> Result<()> {
    insert_into(approval_policies::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// Kind, subject and content of the events of some kinds, in their order.
pub(super) fn told(conn: &mut Conn, kinds: &[&str]) -> Result<Vec<(String, String, Option<String>)>> {
    let all = events::table.filter(events::kind.eq_any(kinds)).order(events::number);
    all.select((events::kind, events::subject, events::after)).load(conn).map_err(broken)
}
