//! Proposals as they are shown.

use super::deciding::{Approvals, Asker, found, is_digest};
use super::store::{self, DecisionRow, ProposalRow};
use super::{Kind, Refusal, State, may_decide};
use crate::access::{self, Standing};
use crate::actor::Actor;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::time::{Instant, from_stored, rfc3339};
use serde::Serialize;
use serde_json::Value;

/// One person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The person's id.
    pub person: String,
    /// `approve` or `reject`.
    pub decision: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: String,
    /// Of an open proposal: whether it still counts, by what the person may do now.
    pub counts: Option<bool>,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its id.
    pub proposal: String,
    /// Its kind's code.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What became of it.
    pub state: State,
    /// Why it ended.
    pub why: Option<String>,
    /// Who made it, as events record it.
    pub maker: String,
    /// When.
    pub made_at: String,
    /// It waits until then.
    pub expires_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// What a decision names.
    pub digest: String,
    /// Who has to approve it.
    pub policy: String,
    /// Who is still needed, while it is open.
    pub needs: Option<String>,
    /// How many could decide on it now, while it is open; left out in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deciders: Option<usize>,
    /// Who has decided what.
    pub decisions: Vec<Decided>,
    /// What it would change, before and after.
    pub effect: Value,
    /// What it is carried out with.
    pub content: Value,
}

fn shown(conn: &mut Conn, row: ProposalRow, now: Instant) -> Result<Shown> {
    let decisions = store::decisions_on(conn, &row.id)?;
    let approvals = Approvals::of(conn, &row, &decisions)?;
    let state = row.state_at(now);
    let policy = row.policy();
    let open = state == State::Open;
    let json = |text: &str| -> Result<Value> {
        serde_json::from_str(text).map_err(|e| Error::Broken(format!("proposal {}: {e}", row.id)))
    };
    let mut approval = 0;
    let mut decided = |d: DecisionRow| {
        let counts =
            (open && d.decision == "approve").then(|| policy.names().iter().any(|w| approvals.may(approval, w)));
        approval += usize::from(d.decision == "approve");
        Decided {
            person: d.person,
            decision: d.decision,
            reason: d.reason,
            at: rfc3339(from_stored(d.decided_at)),
            counts,
        }
    };
    Ok(Shown {
        decisions: decisions.into_iter().map(&mut decided).collect(),
        needs: open.then(|| approvals.missing(&policy)),
        deciders: None,
        policy: policy.to_string(),
        effect: json(&row.effect)?,
        content: json(&row.content)?,
        state,
        made_at: rfc3339(from_stored(row.made_at)),
        expires_at: rfc3339(from_stored(row.expires_at)),
        ended_at: row.ended_at.map(|at| rfc3339(from_stored(at))),
        proposal: row.id,
        kind: row.kind,
        subject: row.subject,
        why: row.why,
        maker: row.maker,
        digest: row.digest,
    })
}

/// One proposal, for who may know of it.
pub fn show(conn: &mut Conn, actor: &Actor, id: &str, now: Instant) -> Result<Shown> {
    let row = found(conn, actor, id, now)?;
    let (policy, places, maker) = (row.policy(), row.places(), row.maker_person.clone());
    let mut shown = shown(conn, row, now)?;
    if shown.state == State::Open {
        let decided = |person: &str| shown.decisions.iter().any(|d| d.person == person);
        let may = |s: &Standing| maker.as_ref() != Some(&s.person) && !decided(&s.person);
        let all = access::standings(conn)?;
        shown.deciders = Some(all.iter().filter(|s| may(s) && may_decide(s, &policy, &places)).count());
    }
    Ok(shown)
}

impl Shown {
    /// Refuses who decides on something else than this: before they sign in, which uses a code up. Deciding asks again.
    pub fn refuse_other(&self, digest: &str) -> Result<()> {
        if is_digest(digest, &self.digest) {
            return Ok(());
        }
        Err(Refusal::OtherContent { id: self.proposal.clone() }.into())
    }
}

/// Kind and content of a proposal, for who may know of it.
pub fn content_of(conn: &mut Conn, actor: &Actor, id: &str, now: Instant) -> Result<(Kind, Value)> {
    let row = found(conn, actor, id, now)?;
    let content = serde_json::from_str(&row.content);
    Ok((row.kind()?, content.map_err(|e| Error::Broken(format!("proposal {}: {e}", row.id)))?))
}

/// Which proposals are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those that have ended too.
    pub all: bool,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those that were made before the one with this id.
    pub before: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// How many wait at an instant.
pub fn waiting(conn: &mut Conn, now: Instant) -> Result<i64> {
    store::count_open(conn, now)
}

/// Proposals that the actor may know of, newest first.
pub fn list(conn: &mut Conn, actor: &Actor, filter: &Filter, now: Instant) -> Result<Vec<Shown>> {
    const PAGE: i64 = 200;
    let asker = Asker::of(conn, actor, now)?;
    let (mut all, mut before) = (Vec::new(), filter.before.clone());
    loop {
        let page = store::heads(conn, !filter.all, before.as_deref(), PAGE)?;
        before = page.last().map(|row| row.id.clone());
        let read = page.len();
        for row in page {
            let asked = filter.kind.is_none_or(|kind| kind.code() == row.kind);
            let asked = asked && (filter.all || row.state_at(now) == State::Open);
            if asked && asker.may_know(&row)? {
                // Only now all of it: what others have proposed may be large.
                let whole = store::find_proposal(conn, &row.id)?;
                let whole = whole.ok_or_else(|| Error::Broken(format!("proposal {} is gone", row.id)))?;
                all.push(shown(conn, whole, now)?);
            }
            if all.len() == filter.limit {
                return Ok(all);
            }
        }
        if i64::try_from(read).unwrap_or(0) < PAGE {
            return Ok(all);
        }
    }
}
