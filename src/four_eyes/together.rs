//! Commands of which only a part takes four eyes: the rest is done, and that part waits where it has to.

use super::change::{Change, Done, Grant};
use super::{Came, Refusal, submit_in};
use crate::access::{self, Holder, NewKey, NewPerson, Secret};
use crate::allocation::changes::RulesFile;
use crate::allocation::rules::RuleFile;
use crate::approvals::{self, Kind, Place};
use crate::chart::{self, Applied};
use crate::db::Tx;
use crate::error::Result;
use crate::ledger;
use crate::scope::Part;
use crate::time::Instant;

/// Somebody or something that was added, and the proposals of roles that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The person's or key's id.
    pub id: String,
    /// The invitation waits until then, or the key ends.
    pub until: Instant,
    /// Ids of proposals, one for each role that waits.
    pub waiting: Vec<String>,
}

/// Adds a person; roles that take four eyes wait for them.
pub fn add_person(tx: &mut Tx<'_>, new: &NewPerson, roles: &[(String, Part)], secret: &Secret) -> Result<Added> {
    let (id, until) = access::add(tx, new, secret)?;
    let waiting = give(tx, Holder::Person(&id), roles)?;
    Ok(Added { id, until, waiting })
}

/// Makes a key; roles that take four eyes wait for them, so that it may do nothing until then.
pub fn create_key(tx: &mut Tx<'_>, new: &NewKey, secret: &Secret) -> Result<Added> {
    let bare = NewKey { roles: Vec::new(), ..new.clone() };
    let until = access::create_key(tx, &bare, secret)?;
    let waiting = give(tx, Holder::Key(&new.id), &new.roles)?;
    Ok(Added { id: new.id.clone(), until, waiting })
}

/// Makes the next key of a name. Whoever makes it holds a secret that asks in its owner's name, so its roles, those of the one before, are
/// given as those of a new key are.
pub fn rotate_key(tx: &mut Tx<'_>, name: &str, days: i64, id: &str, secret: &Secret) -> Result<Added> {
    let new = access::next_key(tx, name, days, id)?;
    create_key(tx, &new, secret)
}

fn give(tx: &mut Tx<'_>, holder: Holder<'_>, roles: &[(String, Part)]) -> Result<Vec<String>> {
    let mut waiting = Vec::new();
    for (role, part) in roles {
        if let Came::Waits(id) = submit_in(tx, &Change::Grant(Grant::to(holder, role, part)))? {
            waiting.push(id);
        }
    }
    Ok(waiting)
}

/// Rules that stand in a treasury file: how many versions they have made, or the proposal that waits.
pub fn apply_rules(tx: &mut Tx<'_>, rules: Vec<RuleFile>) -> Result<(usize, Option<String>)> {
    let change = Change::Rules(RulesFile { rule: rules, retire: Vec::new() });
    Ok(match submit_in(tx, &change)? {
        Came::Waits(id) => (0, Some(id)),
        Came::Done(Done::Rules(versions)) => (versions.len(), None),
        Came::Done(other) => {
            return Err(crate::error::Error::Broken(format!("another kind of change was carried out: {other:?}")));
        }
    })
}

/// Takes a sheet of sub-accounts in; limits of leaves that are there have to be proposed.
pub fn import_sheet(tx: &mut Tx<'_>, sheet: &chart::Sheet) -> Result<Applied> {
    let applied = chart::import(tx, sheet)?;
    refuse_limits(tx, &applied)?;
    Ok(applied)
}

/// Refuses what has changed the limits of leaves that were there, where that has to be proposed.
pub fn refuse_limits(tx: &mut Tx<'_>, applied: &Applied) -> Result<()> {
    for leaf in &applied.limited {
        let account = ledger::account(tx.conn(), leaf)?;
        let at = chart::place_of(tx.conn(), account.id)?;
        let place = Place { product: at.product, entity: at.entity, master: at.master, path: Some(account.code) };
        if approvals::is_due(tx, Kind::Limits, &[place])? {
            let what = format!("the limits of {leaf}");
            return Err(Refusal::ProposeInstead { what, command: "tributary chart limit" }.into());
        }
    }
    Ok(())
}
