//! Four eyes: what takes them, and what happens when they have looked.
//!
//! [`crate::approvals`] knows who has decided what, and nothing of what is decided on. Here each kind is what it does:
//!
//! 1. [`submit`] is what every surface calls for a change of these kinds. In a treasury that is being set up, an operator's takes
//!    effect at once; every other becomes a proposal, with what it would change, before and after.
//! 2. [`approve`] records an approval and, when the policy is met, carries the change out in the same commit, in the name of its
//!    maker, who must still be allowed to do it.
//! 3. What would be changed is found anew before it is carried out. When it is not exactly what was approved, or the change is
//!    refused, nothing of it is done and the proposal becomes void with the reason.
//!
//! | File | What |
//! | --- | --- |
//! | `change.rs` | the kinds with their contents, and carrying each out |
//! | `places.rs` | where a change acts, and whether it takes four eyes at all |
//! | `effect.rs` | what it would change |
//! | `api.rs` | proposals over HTTP |
//! | `together.rs` | commands of which only a part takes four eyes |

use crate::access;
use crate::actor::Principal;
use crate::approvals::{self, Proposal, Ready};
use crate::db::{Db, Tx, Who};
use crate::error::Result;
use std::fmt;
use std::sync::Arc;

pub mod api;
mod change;
mod effect;
mod places;
mod together;

pub use change::{Change, Done, Grant, Limits, carry_out};
use effect::{Effect, effect};
use places::{Acts, acts, concerned};
pub use together::{Added, add_person, apply_rules, create_key, import_sheet, refuse_limits, rotate_key};

/// Why an approved change is not carried out, or a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// It would change something else than what was approved.
    ChangedMeanwhile,
    /// A file of the chart changes what has to be proposed.
    ProposeInstead { what: String, command: &'static str },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::ChangedMeanwhile => "changed_meanwhile",
            Refusal::ProposeInstead { .. } => "propose_instead",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::ChangedMeanwhile => f.write_str(
                "what it rests on has changed since it was proposed, so it would do something else than what was approved; propose it again",
            ),
            Refusal::ProposeInstead { what, command } => write!(
                f,
                "this would change {what}, which takes four eyes in this treasury: leave it out of the file, and propose it with `{command}`"
            ),
        }
    }
}

/// What came of asking for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// It is done.
    Done(Done),
    /// It waits for approval: the proposal's id.
    Waits(String),
}

impl Came {
    /// What was done, or the proposal that waits.
    pub fn parts(self) -> (Option<Done>, Option<String>) {
        match self {
            Came::Done(done) => (Some(done), None),
            Came::Waits(proposal) => (None, Some(proposal)),
        }
    }
}

/// Asks for a change: does it, or proposes it.
pub fn submit(db: &Db, who: &Arc<Who>, change: Change) -> Result<Came> {
    db.write(change.command(), who, move |tx| submit_in(tx, &change))
}

/// As [`submit`], as a part of a command.
pub fn submit_in(tx: &mut Tx<'_>, change: &Change) -> Result<Came> {
    let kind = change.kind();
    let Acts { places, alone } = match acts(tx.conn(), change) {
        Ok(acts) => acts,
        Err(no) if no.is_answer() => {
            // The command itself says best what is wrong.
            tx.rehearse(|tx| carry_out(tx, change))?.0?;
            return Err(no);
        }
        Err(fault) => return Err(fault),
    };
    approvals::refuse_maker(tx, kind, &change.absent(), &places)?;
    if alone || !approvals::is_due(tx, kind, &places)? {
        return carry_out(tx, change).map(Came::Done);
    }
    let effect = match effect(tx, change)? {
        Effect::Changes(effect) => effect,
        Effect::Nothing(done) => return Ok(Came::Done(done)),
    };
    let proposal = Proposal { kind, subject: change.subject(), content: change.content()?, effect, places };
    approvals::propose(tx, &proposal).map(Came::Waits)
}

/// What came of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approved {
    /// It needs others still.
    Waits,
    /// The change is done.
    CarriedOut(Done),
    /// The change could not be carried out: the code, and why.
    Void {
        /// The refusal's code.
        code: &'static str,
        /// For people.
        why: String,
    },
}

/// Approves a proposal, as the person who has signed in, and carries it out when that suffices.
pub fn approve(db: &Db, who: &Arc<Who>, id: &str, digest: &str, reason: &str) -> Result<Approved> {
    let (id, digest, reason) = (id.to_owned(), digest.to_owned(), reason.to_owned());
    db.write("proposal.approve", who, move |tx| approve_in(tx, &id, &digest, &reason))
}

/// As [`approve`], as a command of its own.
pub fn approve_in(tx: &mut Tx<'_>, id: &str, digest: &str, reason: &str) -> Result<Approved> {
    refuse_concerned(tx, id)?;
    let Some(ready) = approvals::approve(tx, id, digest, reason)? else { return Ok(Approved::Waits) };
    let approver = Arc::clone(tx.who());
    let tried = tx.part(|tx| as_its_maker(tx, &ready));
    tx.act_as(&approver);
    match tried? {
        Ok(done) => {
            approvals::carried_out(tx, &ready)?;
            Ok(Approved::CarriedOut(done))
        }
        Err(no) => {
            approvals::make_void(tx, &ready, &no.to_string())?;
            Ok(Approved::Void { code: no.code(), why: no.to_string() })
        }
    }
}

/// Nobody decides on their own rights, whoever has proposed it.
fn refuse_concerned(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let (actor, now) = (tx.actor().clone(), tx.now());
    // Who is no person is refused by what comes next.
    let Principal::Person(own) = actor.principal() else { return Ok(()) };
    let (kind, content) = approvals::content_of(tx.conn(), &actor, id, now)?;
    let concerned = concerned(tx.conn(), &Change::of(kind, &content)?)?;
    if concerned.iter().any(|person| person == own) { Err(access::Refusal::OwnRights.into()) } else { Ok(()) }
}

/// Rejects a proposal, as the person who has signed in: it ends.
pub fn reject(db: &Db, who: &Arc<Who>, id: &str, digest: &str, reason: &str) -> Result<()> {
    let (id, digest, reason) = (id.to_owned(), digest.to_owned(), reason.to_owned());
    db.write("proposal.reject", who, move |tx| approvals::reject(tx, &id, &digest, &reason))
}

/// Takes one's own proposal back.
pub fn withdraw(db: &Db, who: &Arc<Who>, id: &str, reason: &str) -> Result<()> {
    let (id, reason) = (id.to_owned(), reason.to_owned());
    db.write("proposal.withdraw", who, move |tx| approvals::withdraw(tx, &id, &reason))
}

/// Carries out what was approved, in its maker's name and by what they may do now.
fn as_its_maker(tx: &mut Tx<'_>, ready: &Ready) -> Result<Done> {
    let (maker, now) = (ready.maker.clone(), tx.now());
    let scope = access::scope_of(tx.conn(), &maker, ready.kind.proposes(), now)?;
    tx.act_as(&Arc::new(Who { actor: maker, scope }));
    let change = Change::of(ready.kind, &ready.content)?;
    // What needs one person only by now was something else when it was approved.
    let acts = acts(tx.conn(), &change)?;
    if acts.alone {
        return Err(Refusal::ChangedMeanwhile.into());
    }
    approvals::refuse_maker(tx, ready.kind, &change.absent(), &acts.places)?;
    // Who has come to hold what it is about since they approved it.
    let concerned = concerned(tx.conn(), &change)?;
    if ready.approvers.iter().any(|person| concerned.contains(person)) {
        return Err(Refusal::ChangedMeanwhile.into());
    }
    match effect(tx, &change)? {
        Effect::Changes(effect) => {
            let digest = approvals::content::digest(ready.kind, &change.subject(), &ready.content, &effect);
            if digest != ready.digest {
                return Err(Refusal::ChangedMeanwhile.into());
            }
        }
        Effect::Nothing(_) => return Err(Refusal::ChangedMeanwhile.into()),
    }
    carry_out(tx, &change)
}
