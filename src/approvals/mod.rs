//! Approvals: four eyes, as one mechanism for anything.
//!
//! Somebody *proposes* a change; its content, what it would change and where it acts are kept as they were shown and named by one
//! digest. Others *decide* on exactly that digest. When the policy is met, the change is carried out in the commit of the last
//! approval. What is carried out lies in features above this one: [`crate::four_eyes`] knows what each kind means, this module
//! who has decided what.
//!
//! | state | event | next | function |
//! |---|---|---|---|
//! | - | somebody proposes | open | [`propose`] |
//! | open | an approval that does not suffice yet | open | [`approve`] |
//! | open | the approval that suffices, and it is carried out | approved | [`approve`], [`carried_out`] |
//! | open | the same, but what it rests on has changed | void | [`approve`], [`make_void`] |
//! | open | a rejection | rejected | [`reject`] |
//! | open | its maker takes it back | withdrawn | [`withdraw`] |
//! | open | its maker proposes other content for the same subject | void | [`propose`] |
//! | open | its time is over | expired | [`expire`] |
//!
//! I7: nobody decides on what they proposed, a key counting as its owner; nobody decides twice; keys and operators never decide;
//! each decision names the digest of what is proposed. Whether somebody may decide is asked anew whenever it matters: an approver
//! whose rights are gone by the time of the last approval does not count.

use crate::access::{self, Standing, covers_all};
use crate::actor::Principal;
use crate::db::seal::{Encoding, hex, sha256};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::scope::{Scope, Target};
use crate::time::{Instant, from_stored, rfc3339, stored};
use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

pub mod check;
pub mod content;
mod deciding;
mod kind;
pub mod policies;
pub mod policy;
mod shown;
mod store;

use deciding::end;
pub use deciding::{approve, carried_out, expire, make_void, reject, withdraw};
pub use kind::Kind;
pub use policies::{InForce, PoliciesFile, PolicyChange, apply_policies, plan_policies, policies, policy_of};
use policy::{Policy, Whom};
pub use shown::{Decided, Filter, Shown, content_of, list, show, waiting};
use store::ProposalRow;

/// Why a proposal is not made or decided on, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A file of policies has problems.
    BadPolicies(Vec<String>),
    /// Only a person who has signed in decides.
    PeopleDecide,
    /// It is not open any more.
    NotOpen { id: String, state: State, why: Option<String> },
    /// Its time is over.
    Expired { id: String, at: Instant },
    /// Nobody decides on what they have proposed.
    OwnProposal { id: String },
    /// Only its maker takes it back.
    NotTheMaker { id: String },
    /// This person has decided already.
    DecidedBefore { id: String },
    /// What was looked at is not what is proposed.
    OtherContent { id: String },
    /// The policy does not name them, or not there.
    NotAnApprover { id: String, policy: String },
    /// The policy needs somebody else first, or nobody like them any more.
    NotYourTurn { id: String, missing: String },
    /// A person who rejects says why.
    NoReason,
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadPolicies(_) => "bad_policies",
            Refusal::PeopleDecide => "people_decide",
            Refusal::NotOpen { .. } => "proposal_not_open",
            Refusal::Expired { .. } => "proposal_expired",
            Refusal::OwnProposal { .. } => "own_proposal",
            Refusal::NotTheMaker { .. } => "not_the_maker",
            Refusal::DecidedBefore { .. } => "decided_before",
            Refusal::OtherContent { .. } => "other_content",
            Refusal::NotAnApprover { .. } => "not_an_approver",
            Refusal::NotYourTurn { .. } => "not_your_turn",
            Refusal::NoReason => "no_reason",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadPolicies(problems) => write!(f, "no policy was changed: {}", problems.join("; ")),
            Refusal::PeopleDecide => f.write_str(
                "only a person who has signed in decides: not a key, and not the operator of the machine; `tributary approvals approve` asks for login, password and code",
            ),
            Refusal::NotOpen { id, state, why } => {
                let why = why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                write!(f, "proposal {id} is {state}{why}; propose it again where it is still wanted")
            }
            Refusal::Expired { id, at } => {
                write!(f, "proposal {id} has expired on {}; propose it again where it is still wanted", rfc3339(*at))
            }
            Refusal::OwnProposal { id } => {
                write!(f, "proposal {id} is your own, or of a key of yours; somebody else decides on it")
            }
            Refusal::NotTheMaker { id } => {
                write!(f, "only who made proposal {id} takes it back; an approver rejects it")
            }
            Refusal::DecidedBefore { id } => write!(f, "you have decided on proposal {id} before; each person does once"),
            Refusal::OtherContent { id } => write!(
                f,
                "the digest is not that of proposal {id}: look at what it would change (`tributary approvals show {id}`) and decide on that"
            ),
            Refusal::NotAnApprover { id, policy } => write!(
                f,
                "proposal {id} is approved by {policy}, everywhere where it acts; none of your roles is that"
            ),
            Refusal::NotYourTurn { id, missing } => {
                write!(f, "your approval would not bring proposal {id} nearer now: it needs {missing}")
            }
            Refusal::NoReason => f.write_str("say why with a reason of a few words; it is kept with the decision"),
        }
    }
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for approvals.
    Open,
    /// Approved, and carried out in the same commit.
    Approved,
    /// One approver has said no.
    Rejected,
    /// Its maker has taken it back.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// What it rests on has changed, or its maker has proposed other content.
    Void,
}

impl State {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Withdrawn => "withdrawn",
            State::Expired => "expired",
            State::Void => "void",
        }
    }

    fn parse(text: &str) -> State {
        let all = [State::Open, State::Approved, State::Rejected, State::Withdrawn, State::Expired];
        // What is not known is not open.
        all.into_iter().find(|s| s.as_str() == text).unwrap_or(State::Void)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Approved => "approved and carried out",
            other => other.as_str(),
        })
    }
}

/// Where a change acts; nothing said: the treasury as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// See [`Target::product`].
    pub product: Option<String>,
    /// See [`Target::entity`].
    pub entity: Option<String>,
    /// See [`Target::master`].
    pub master: Option<String>,
    /// See [`Target::path`].
    pub path: Option<String>,
}

impl Place {
    /// The treasury as a whole.
    pub fn treasury() -> Place {
        Place::default()
    }

    /// As scopes know it.
    pub fn target(&self) -> Target<'_> {
        Target {
            product: self.product.as_deref(),
            entity: self.entity.as_deref(),
            master: self.master.as_deref(),
            path: self.path.as_deref(),
        }
    }
}

/// A change that is to be proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What it is.
    pub kind: Kind,
    /// What it is about, in a few words of codes and ids: it stands in events.
    pub subject: String,
    /// What it would be carried out with.
    pub content: Value,
    /// What it would change, before and after, as it is shown to who decides.
    pub effect: Value,
    /// Where it acts: who decides must reach all of it.
    pub places: Vec<Place>,
}

/// An open proposal whose policy is met: to be carried out now, or to become void.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What it is carried out with.
    pub content: Value,
    /// What was approved.
    pub digest: String,
    /// In whose name it is carried out.
    pub maker: crate::actor::Actor,
    /// Ids of those who have approved it.
    pub approvers: Vec<String>,
}

impl ProposalRow {
    fn kind(&self) -> Result<Kind> {
        self.kind.parse().map_err(|e: String| Error::Broken(format!("proposal {}: {e}", self.id)))
    }

    fn state_at(&self, now: Instant) -> State {
        match State::parse(&self.state) {
            State::Open if now >= from_stored(self.expires_at) => State::Expired,
            state => state,
        }
    }

    /// Places that cannot be read are the treasury as a whole: fewer people reach that.
    fn places(&self) -> Vec<Place> {
        let read: Vec<Place> = serde_json::from_str(&self.targets).unwrap_or_default();
        if read.is_empty() { vec![Place::treasury()] } else { read }
    }

    fn policy(&self) -> Policy {
        Policy::from_json(&self.policy)
    }

    /// What the event says that it was made: what is decided on, and by whose leave, both as digests.
    fn told(&self) -> String {
        let micros = |at: NaiveDateTime| from_stored(at).timestamp_micros();
        let mut e = Encoding::new("tributary.proposal.terms.1");
        e.text(&self.targets).text(&self.policy).text(&self.maker).optional(self.maker_person.as_deref());
        e.int(micros(self.made_at)).int(micros(self.expires_at));
        let terms = hex(&sha256(e.as_bytes()));
        json!({ "kind": self.kind, "subject": self.subject, "digest": self.digest, "terms": terms }).to_string()
    }
}

/// Where somebody may take a place of a policy.
fn scope_as(standing: &Standing, whom: &Whom) -> Scope {
    match whom {
        Whom::Role(code) => standing.role(code),
        Whom::Permission(permission) => standing.permission(*permission),
    }
}

fn reaches(scope: &Scope, places: &[Place]) -> bool {
    // Nowhere is nothing that anybody reaches but who reaches everything.
    scope.is_everything() || (!places.is_empty() && covers_all(scope, places.iter().map(Place::target)))
}

fn may_decide(standing: &Standing, policy: &Policy, places: &[Place]) -> bool {
    policy.names().into_iter().any(|whom| reaches(&scope_as(standing, whom), places))
}

/// How many active people could decide on such a change, by the policy in force.
pub fn deciders(conn: &mut Conn, kind: Kind, places: &[Place]) -> Result<usize> {
    let policy = policy_of(conn, kind)?.policy;
    Ok(access::standings(conn)?.iter().filter(|s| may_decide(s, &policy, places)).count())
}

/// Whether this actor's change has to be proposed. What a person or key asks for always has; an operator's command takes
/// effect at once while fewer than two active people could decide on it: a treasury that is being set up.
pub fn is_due(tx: &mut Tx<'_>, kind: Kind, places: &[Place]) -> Result<bool> {
    match tx.actor().principal() {
        Principal::Person(_) | Principal::Key(_) => Ok(true),
        Principal::Operator(_) | Principal::System(_) => Ok(deciders(tx.conn(), kind, places)? >= 2),
    }
}

/// Refuses an actor who may not propose such a change there, at this moment; `absent` says that what it is about is not there.
pub fn refuse_maker(tx: &mut Tx<'_>, kind: Kind, absent: &str, places: &[Place]) -> Result<()> {
    let (actor, now) = (tx.actor().clone(), tx.now());
    let scope = access::scope_of(tx.conn(), &actor, kind.proposes(), now)?;
    if reaches(&scope, places) {
        return Ok(());
    }
    let permission = kind.proposes();
    if scope == Scope::nothing() {
        return Err(Error::Forbidden(format!(
            "this needs the permission {permission}, which none of your roles has; ask an administrator"
        )));
    }
    if places.contains(&Place::treasury()) {
        return Err(Error::Forbidden(format!(
            "this acts on the whole treasury, and you have {permission} in {scope} only"
        )));
    }
    Err(Error::NotFound(absent.to_owned()))
}

/// Proposes a change. The same change that is open already is answered as it is; another one of the same maker about the same
/// subject becomes void, with the approvals that it had. Gives its id.
pub fn propose(tx: &mut Tx<'_>, new: &Proposal) -> Result<String> {
    expire(tx)?;
    let (actor, now) = (tx.actor().clone(), tx.now());
    let digest = content::digest(new.kind, &new.subject, &new.content, &new.effect);
    let open = store::open_about(tx.conn(), new.kind.code(), &new.subject)?;
    if let Some(same) = open.iter().find(|row| row.digest == digest) {
        return Ok(same.id.clone());
    }
    let InForce { policy, expires_days, .. } = policy_of(tx.conn(), new.kind)?;
    let row = ProposalRow {
        id: tx.id("pr"),
        kind: new.kind.code().to_owned(),
        subject: new.subject.clone(),
        content: content::canonical(&new.content),
        effect: content::canonical(&new.effect),
        digest,
        targets: to_text(&new.places)?,
        policy: to_text(&policy.needs())?,
        maker: actor.to_string(),
        maker_person: access::person_of(tx.conn(), &actor)?,
        made_at: stored(now),
        expires_at: stored(now + TimeDelta::days(expires_days)),
        state: State::Open.as_str().to_owned(),
        ended_at: None,
        why: None,
    };
    store::insert_proposal(tx.conn(), &row)?;
    tx.event("proposal.made", &row.id, None, Some(row.told()));
    for before in open.into_iter().filter(|b| b.maker == row.maker) {
        let why = format!("its maker has proposed {} instead", row.id);
        end(tx, &before.id, State::Void, Some(&why))?;
    }
    Ok(row.id)
}

fn to_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Broken(e.to_string()))
}
