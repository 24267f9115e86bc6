//! Deciding on a proposal, and how it ends.

use super::policy::{Policy, Whom};
use super::store::{self, DecisionRow, ProposalRow};
use super::{Kind, Place, Ready, Refusal, State, may_decide, reaches, scope_as};
use crate::access::{self, Permission, Rights, Standing};
use crate::actor::{Actor, Principal};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::scope::{self, Guarded, Placed, Scope, Target};
use crate::time::{Instant, from_stored, stored};
use serde_json::json;

/// A proposal that was read and not looked at yet: it opens only where [`Asker::may_know`] says so.
struct Closed(ProposalRow);

impl Placed for Closed {
    fn target(&self) -> Target<'_> {
        Target::treasury()
    }
}

/// Who asks about proposals, as they are now.
pub(super) struct Asker {
    actor: Actor,
    /// A key counts as its owner.
    person: Option<String>,
    rights: Rights,
    standing: Option<Standing>,
}

impl Asker {
    pub(super) fn of(conn: &mut Conn, actor: &Actor, now: Instant) -> Result<Asker> {
        let standing = match actor.principal() {
            Principal::Person(id) => access::standing(conn, id)?,
            _ => None,
        };
        let (person, rights) = (access::person_of(conn, actor)?, access::rights_now(conn, actor, now)?);
        Ok(Asker { actor: actor.clone(), person, rights, standing })
    }

    /// Whether they may know of a proposal: an operator, its maker, who may propose such a change there, who could decide on it, and who
    /// may read policies there.
    pub(super) fn may_know(&self, row: &ProposalRow) -> Result<bool> {
        if matches!(self.actor.principal(), Principal::Operator(_) | Principal::System(_)) {
            return Ok(true);
        }
        // What its owner has proposed is no key's business: whoever has made the key holds it.
        let is_person = matches!(self.actor.principal(), Principal::Person(_));
        if row.maker == self.actor.as_str() || (is_person && self.person.is_some() && row.maker_person == self.person) {
            return Ok(true);
        }
        let (kind, places): (Kind, Vec<Place>) = (row.kind()?, row.places());
        let reached = |permission| reaches(&self.rights.scope(permission), &places);
        let decides = || self.standing.as_ref().is_some_and(|s| may_decide(s, &row.policy(), &places));
        Ok(reached(kind.proposes()) || reached(Permission::PoliciesRead) || decides())
    }
}

/// The proposal, for somebody who may know of it; for all others it is not there.
pub(super) fn found(conn: &mut Conn, actor: &Actor, id: &str, now: Instant) -> Result<ProposalRow> {
    let row = store::find_proposal(conn, id)?;
    let scope = match &row {
        Some(row) if Asker::of(conn, actor, now)?.may_know(row)? => Scope::everything(),
        _ => Scope::nothing(),
    };
    let absent = || format!("there is no proposal {id}; `tributary approvals list` lists those that are open");
    scope::found(row.map(|row| Guarded::new(Closed(row))), &scope, absent).map(|closed| closed.0)
}

/// Those who have approved a proposal, in order, each as they are now; who may decide no longer fills no place.
pub(super) struct Approvals {
    standings: Vec<(String, Option<Standing>)>,
    maker: Option<String>,
    places: Vec<Place>,
}

impl Approvals {
    pub(super) fn of(conn: &mut Conn, row: &ProposalRow, decisions: &[DecisionRow]) -> Result<Approvals> {
        let mut standings = Vec::new();
        // A decision on anything else than the present content is none.
        for d in decisions.iter().filter(|d| d.decision == "approve" && d.digest == row.digest) {
            standings.push((d.person.clone(), access::standing(conn, &d.person)?));
        }
        Ok(Approvals { standings, maker: row.maker_person.clone(), places: row.places() })
    }

    pub(super) fn count(&self) -> usize {
        self.standings.len()
    }

    /// Whether one of them may take such a place.
    pub(super) fn may(&self, approval: usize, whom: &Whom) -> bool {
        let Some((person, Some(standing))) = self.standings.get(approval) else { return false };
        self.maker.as_ref() != Some(person) && reaches(&scope_as(standing, whom), &self.places)
    }

    pub(super) fn meet(&self, policy: &Policy) -> bool {
        policy.is_met(self.count(), &|approval, whom| self.may(approval, whom))
    }

    pub(super) fn missing(&self, policy: &Policy) -> String {
        policy.missing(self.count(), &|approval, whom| self.may(approval, whom))
    }
}

/// The person who decides.
fn decider(tx: &Tx<'_>) -> Result<String> {
    match tx.actor().principal() {
        Principal::Person(id) => Ok(id.to_owned()),
        _ => Err(Refusal::PeopleDecide.into()),
    }
}

/// Whoever looked at another digest has looked at something else; a beginning of it, as people copy it, is enough.
pub(super) fn is_digest(given: &str, digest: &str) -> bool {
    let given = given.trim();
    given.len() >= 12 && digest.starts_with(given)
}

/// A decision that may be made.
struct Judged {
    row: ProposalRow,
    person: String,
    before: Vec<DecisionRow>,
}

/// What must hold for any decision.
fn judge(tx: &mut Tx<'_>, id: &str, digest: &str) -> Result<Judged> {
    let person = decider(tx)?;
    let (actor, now) = (tx.actor().clone(), tx.now());
    let row = found(tx.conn(), &actor, id, now)?;
    let id = || row.id.clone();
    match row.state_at(now) {
        State::Open => {}
        State::Expired if row.state == State::Open.as_str() => {
            return Err(Refusal::Expired { id: id(), at: from_stored(row.expires_at) }.into());
        }
        state => return Err(Refusal::NotOpen { id: id(), state, why: row.why.clone() }.into()),
    }
    if row.maker_person.as_ref() == Some(&person) {
        return Err(Refusal::OwnProposal { id: id() }.into());
    }
    let before = store::decisions_on(tx.conn(), &row.id)?;
    if before.iter().any(|d| d.person == person) {
        return Err(Refusal::DecidedBefore { id: id() }.into());
    }
    if !is_digest(digest, &row.digest) {
        return Err(Refusal::OtherContent { id: id() }.into());
    }
    let standing = access::standing(tx.conn(), &person)?;
    let policy = row.policy();
    if !standing.is_some_and(|s| may_decide(&s, &policy, &row.places())) {
        return Err(Refusal::NotAnApprover { id: id(), policy: policy.to_string() }.into());
    }
    Ok(Judged { row, person, before })
}

fn decide(tx: &mut Tx<'_>, judged: &Judged, decision: &str, reason: &str) -> Result<DecisionRow> {
    let Judged { row, person, before } = judged;
    let reason = reason.trim();
    let decided = DecisionRow {
        proposal: row.id.clone(),
        place: i64::try_from(before.len()).unwrap_or(i64::MAX).saturating_add(1),
        person: person.clone(),
        digest: row.digest.clone(),
        decision: decision.to_owned(),
        reason: (!reason.is_empty()).then(|| reason.chars().take(500).collect()),
        decided_at: stored(tx.now()),
    };
    store::insert_decision(tx.conn(), &decided)?;
    Ok(decided)
}

/// What the event of a decision says; the reason, in which people write names, stays out of it.
pub(super) fn told(person: &str, digest: &str) -> String {
    json!({ "person": person, "digest": digest }).to_string()
}

/// Approves exactly this digest. `Some` when the policy is met: the caller carries it out in the same commit, and says
/// [`carried_out`] or [`make_void`].
pub fn approve(tx: &mut Tx<'_>, id: &str, digest: &str, reason: &str) -> Result<Option<Ready>> {
    let judged = judge(tx, id, digest)?;
    let decided = decide(tx, &judged, "approve", reason)?;
    let Judged { row, person, before: mut decisions } = judged;
    let policy = row.policy();
    let before = Approvals::of(tx.conn(), &row, &decisions)?;
    decisions.push(decided);
    let approvals = Approvals::of(tx.conn(), &row, &decisions)?;
    if !policy.is_helped(approvals.count(), &|approval, whom| approvals.may(approval, whom)) {
        let missing = before.missing(&policy);
        return Err(Refusal::NotYourTurn { id: row.id, missing }.into());
    }
    tx.event("proposal.approved", &row.id, None, Some(told(&person, &row.digest)));
    if !approvals.meet(&policy) {
        return Ok(None);
    }
    let content = serde_json::from_str(&row.content)
        .map_err(|e| Error::Broken(format!("the content of proposal {}: {e}", row.id)))?;
    let maker = Actor::from_stored(&row.maker);
    let approvers = decisions.into_iter().map(|d| d.person).collect();
    Ok(Some(Ready { kind: row.kind()?, content, digest: row.digest, maker, approvers, id: row.id }))
}

/// Rejects exactly this digest, for a reason: the proposal ends.
pub fn reject(tx: &mut Tx<'_>, id: &str, digest: &str, reason: &str) -> Result<()> {
    let judged = judge(tx, id, digest)?;
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    decide(tx, &judged, "reject", reason)?;
    let Judged { row, person, .. } = judged;
    let now = tx.now();
    store::end(tx.conn(), &row.id, State::Rejected.as_str(), Some(reason.trim()), now)?;
    tx.event("proposal.rejected", &row.id, None, Some(told(&person, &row.digest)));
    Ok(())
}

/// Its maker takes it back; of what an operator has proposed, an operator.
pub fn withdraw(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<()> {
    let (actor, now) = (tx.actor().clone(), tx.now());
    let row = found(tx.conn(), &actor, id, now)?;
    let person = access::person_of(tx.conn(), &actor)?;
    let is_operator = |actor: &Actor| matches!(actor.principal(), Principal::Operator(_) | Principal::System(_));
    let own = match &person {
        Some(_) if matches!(actor.principal(), Principal::Key(_)) => row.maker == actor.as_str(),
        Some(person) => row.maker_person.as_ref() == Some(person),
        None => is_operator(&actor) && is_operator(&Actor::from_stored(&row.maker)),
    };
    match row.state_at(now) {
        State::Open => {}
        state => return Err(Refusal::NotOpen { id: row.id, state, why: row.why }.into()),
    }
    if !own {
        return Err(Refusal::NotTheMaker { id: row.id }.into());
    }
    end(tx, &row.id, State::Withdrawn, Some(reason.trim()).filter(|r| !r.is_empty()))
}

/// The approved change was carried out, in this commit.
pub fn carried_out(tx: &mut Tx<'_>, ready: &Ready) -> Result<()> {
    let now = tx.now();
    store::end(tx.conn(), &ready.id, State::Approved.as_str(), None, now)?;
    tx.event("proposal.carried_out", &ready.id, None, Some(json!({ "digest": ready.digest }).to_string()));
    Ok(())
}

/// The approved change could not be carried out: it is to be proposed again.
pub fn make_void(tx: &mut Tx<'_>, ready: &Ready, why: &str) -> Result<()> {
    end(tx, &ready.id, State::Void, Some(why))
}

/// Ends those whose time is over; gives their ids.
pub fn expire(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let now = tx.now();
    let ids = store::over(tx.conn(), now)?;
    for id in &ids {
        end(tx, id, State::Expired, None)?;
    }
    Ok(ids)
}

pub(super) fn end(tx: &mut Tx<'_>, id: &str, state: State, why: Option<&str>) -> Result<()> {
    let now = tx.now();
    store::end(tx.conn(), id, state.as_str(), why, now)?;
    let kind = match state {
        State::Withdrawn => "proposal.withdrawn",
        State::Expired => "proposal.expired",
        _ => "proposal.void",
    };
    tx.event(kind, id, None, None);
    Ok(())
}
