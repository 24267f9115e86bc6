//! Accounts as somebody sees them: those that their scope covers, and for all others the answer that they are not there.
//!
//! The journal knows books and accounts and nothing of products and entities; where an account stands in the treasury, the chart
//! knows.

use super::store::{self, PlacedLeaf};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::ledger::{self, AccountRow};
use crate::scope::{self, Guarded, Placed, Scope, Target};
use foldhash::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where an account stands; an account outside of all masters stands nowhere, and only the whole treasury covers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The code of the product whose it is.
    pub product: Option<String>,
    /// The code of the entity that owns it.
    pub entity: Option<String>,
    /// The code of the master that it lies in.
    pub master: Option<String>,
}

/// Where an account stands.
pub fn place_of(conn: &mut Conn, account: i64) -> Result<Place> {
    Ok(store::places(conn, Some(account))?.remove(&account).unwrap_or_default())
}

struct PlacedAccount {
    account: AccountRow,
    place: Place,
}

impl Placed for PlacedAccount {
    fn target(&self) -> Target<'_> {
        Target {
            product: self.place.product.as_deref(),
            entity: self.place.entity.as_deref(),
            master: self.place.master.as_deref(),
            path: Some(&self.account.code),
        }
    }
}

/// The accounts that the scope covers, by code.
pub fn accounts_seen(conn: &mut Conn, scope: &Scope) -> Result<Vec<AccountRow>> {
    let mut places = store::places(conn, None)?;
    let placed = ledger::accounts(conn)?.into_iter().map(|account| {
        let place = places.remove(&account.id).unwrap_or_default();
        Guarded::new(PlacedAccount { account, place })
    });
    Ok(scope::seen(placed, scope).into_iter().map(|p| p.account).collect())
}

/// The account with this code, if the scope covers it.
pub fn account_seen(conn: &mut Conn, scope: &Scope, code: &str) -> Result<AccountRow> {
    let row = match ledger::account(conn, code) {
        Ok(account) => {
            let place = place_of(conn, account.id)?;
            Some(Guarded::new(PlacedAccount { account, place }))
        }
        Err(Error::NotFound(_)) => None,
        Err(fault) => return Err(fault),
    };
    let absent = || format!("there is no account {code}; `tributary accounts` lists them");
    scope::found(row, scope, absent).map(|placed| placed.account)
}

impl Placed for PlacedLeaf {
    fn target(&self) -> Target<'_> {
        Target {
            product: self.place.product.as_deref(),
            entity: self.place.entity.as_deref(),
            master: self.place.master.as_deref(),
            path: Some(&self.code),
        }
    }
}

/// Those of these accounts that are there and lie in a master, by code, for several who ask at once.
pub fn placed<'c>(
    conn: &mut Conn,
    codes: impl Iterator<Item = &'c str>,
) -> Result<HashMap<String, Guarded<Arc<PlacedLeaf>>>> {
    // No code has a NUL, and PostgreSQL takes no text with one.
    let codes: BTreeSet<&str> = codes.filter(|code| !code.contains('\0')).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let found = store::placed(conn, &codes)?;
    Ok(found.into_iter().map(|leaf| (leaf.code.clone(), Guarded::new(Arc::new(leaf)))).collect())
}

/// The one of this code, if the scope covers it.
pub fn placed_seen(
    found: &HashMap<String, Guarded<Arc<PlacedLeaf>>>,
    scope: &Scope,
    code: &str,
) -> Result<Arc<PlacedLeaf>> {
    let absent = || format!("there is no account {code}; `tributary accounts` lists them");
    scope::found(found.get(code).cloned(), scope, absent)
}

/// Refuses to go on where one of these accounts is not there, or not the scope's to know of.
pub fn refuse_unseen<'c>(conn: &mut Conn, scope: &Scope, codes: impl Iterator<Item = &'c str>) -> Result<()> {
    if scope.is_everything() {
        return Ok(());
    }
    let mut known = std::collections::HashSet::new();
    for code in codes.filter(|c| known.insert(*c)) {
        account_seen(conn, scope, code)?;
    }
    Ok(())
}
