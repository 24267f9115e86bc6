//! Proposals over HTTP: what waits for others to decide, what it would change, and deciding on it. What makes proposals stands with
//! the features; who may know of one and decide on it is asked of the person, whatever the request came with.

use super::Approved;
use crate::approvals::{self, Filter, Kind, Shown};
use crate::db::Tx;
use crate::error::Result;
use crate::http::{Asked, Call, Limit, Nothing, Operation, Page, Refusal, get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rows of proposals.
pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        get("/v1/proposals", "proposals.list", "What waits for approval, the newest first").signed_in().reads(list),
        get(
            "/v1/proposals/{proposal}",
            "proposals.show",
            "One proposal: what it would change, and who has decided what",
        )
        .signed_in()
        .reads(show),
        post("/v1/proposals/{proposal}/approve", "proposals.approve", "Approve it; what suffices carries it out")
            .signed_in()
            .writes(approve),
        post("/v1/proposals/{proposal}/reject", "proposals.reject", "Reject it, for a reason: it ends")
            .signed_in()
            .writes(reject),
        post("/v1/proposals/{proposal}/withdraw", "proposals.withdraw", "Take one's own back")
            .signed_in()
            .writes(withdraw),
    ];
    all.extend(approvals::policies::api::operations());
    all
}

/// Which proposals.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Those that have ended too.
    ended: Option<bool>,
    /// Only of one kind, such as `rules` or `limits`.
    kind: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// One person's decision.
#[derive(Serialize, JsonSchema)]
struct ProposalDecision {
    /// The person's id.
    person: String,
    /// `approve` or `reject`.
    decision: String,
    /// Why.
    reason: Option<String>,
    /// When; RFC 3339.
    at: String,
    /// Of an open proposal: whether it still counts, by what the person may do now.
    counts: Option<bool>,
}

/// Something that others have to decide on.
#[derive(Serialize, JsonSchema)]
struct ProposalShown {
    /// Its id.
    proposal: String,
    /// What it changes: `rules`, `limits`, `grant`, ...
    kind: String,
    /// What it is about.
    subject: String,
    /// `open`, `approved`, `rejected`, `withdrawn`, `expired` or `void`.
    state: String,
    /// Why it ended.
    why: Option<String>,
    /// Who made it.
    maker: String,
    /// When; RFC 3339.
    made_at: String,
    /// It waits until then; RFC 3339.
    expires_at: String,
    /// When it ended; RFC 3339.
    ended_at: Option<String>,
    /// What a decision names: of the kind, the content and what it would change.
    digest: String,
    /// Who has to approve it.
    policy: String,
    /// Who is still needed, while it is open.
    needs: Option<String>,
    /// How many could decide on it now, while it is open; null in a list.
    deciders: Option<usize>,
    /// Who has decided what.
    decisions: Vec<ProposalDecision>,
    /// What it would change, before and after.
    effect: Value,
    /// What it is carried out with.
    content: Value,
}

fn shown(s: Shown) -> ProposalShown {
    let decision = |d: approvals::Decided| ProposalDecision {
        person: d.person,
        decision: d.decision,
        reason: d.reason,
        at: d.at,
        counts: d.counts,
    };
    ProposalShown {
        proposal: s.proposal,
        kind: s.kind,
        subject: s.subject,
        state: s.state.as_str().to_owned(),
        why: s.why,
        maker: s.maker,
        made_at: s.made_at,
        expires_at: s.expires_at,
        ended_at: s.ended_at,
        digest: s.digest,
        policy: s.policy,
        needs: s.needs,
        deciders: s.deciders,
        decisions: s.decisions.into_iter().map(decision).collect(),
        effect: s.effect,
        content: s.content,
    }
}

fn list(call: &Call, which: &Which) -> Result<Page<ProposalShown>> {
    let kind = which.kind.as_deref().map(|kind| {
        kind.parse::<Kind>().map_err(|_| Refusal::BadQuery { why: format!("there is no kind of proposals {kind:?}") })
    });
    // The newest first: ids are in the order of time, and a page goes on behind its last one.
    let (limit, before) = (Limit::of(which.limit), call.position().map(ToOwned::to_owned));
    let filter = Filter { all: which.ended == Some(true), kind: kind.transpose()?, before, limit: limit + 1 };
    let now = call.db().clock().now();
    let mut all = call.read(|conn| approvals::list(conn, &call.who().actor, &filter, now))?;
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|s| s.proposal.clone());
    Ok(call.page(all.into_iter().map(shown).collect(), next))
}

fn show(call: &Call, _: &Nothing) -> Result<ProposalShown> {
    let now = call.db().clock().now();
    call.read(|conn| approvals::show(conn, &call.who().actor, call.path("proposal"), now)).map(shown)
}

/// A decision on exactly what was shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// What the proposal was shown with: its first 12 digits are enough.
    #[schemars(length(min = 12, max = 64))]
    digest: String,
    /// Why, in a few words; who rejects has to say it.
    #[serde(default)]
    reason: String,
}

/// What came of a decision.
#[derive(Serialize, JsonSchema)]
struct DecidedOn {
    /// The proposal, as it is now.
    proposal: ProposalShown,
    /// Whether it was carried out with this.
    carried_out: bool,
    /// Why it could not be carried out: the code of the refusal.
    code: Option<String>,
    /// The same for people.
    detail: Option<String>,
}

fn now_shown(tx: &mut Tx<'_>, id: &str) -> Result<ProposalShown> {
    let (actor, now) = (tx.actor().clone(), tx.now());
    approvals::show(tx.conn(), &actor, id, now).map(shown)
}

fn approve(tx: &mut Tx<'_>, asked: &Asked<Nothing, Decision>) -> Result<DecidedOn> {
    let (id, Decision { digest, reason }) = (asked.path("proposal"), &asked.body);
    let (carried_out, code, detail) = match super::approve_in(tx, id, digest, reason)? {
        Approved::Waits => (false, None, None),
        Approved::CarriedOut(_) => (true, None, None),
        Approved::Void { code, why } => (false, Some(code.to_owned()), Some(why)),
    };
    Ok(DecidedOn { proposal: now_shown(tx, id)?, carried_out, code, detail })
}

fn reject(tx: &mut Tx<'_>, asked: &Asked<Nothing, Decision>) -> Result<ProposalShown> {
    let id = asked.path("proposal");
    approvals::reject(tx, id, &asked.body.digest, &asked.body.reason)?;
    now_shown(tx, id)
}

/// Why it is taken back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TakingBack {
    /// In a few words.
    #[serde(default)]
    reason: String,
}

fn withdraw(tx: &mut Tx<'_>, asked: &Asked<Nothing, TakingBack>) -> Result<ProposalShown> {
    let id = asked.path("proposal");
    approvals::withdraw(tx, id, &asked.body.reason)?;
    now_shown(tx, id)
}
