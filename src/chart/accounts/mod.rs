//! Accounts and the entries on them, as somebody sees them. An entry is seen by whoever sees one of its accounts, and of it what
//! lies on those; where it touches a product's leaf that they do not see, what it says in words is not theirs to read either.

use super::seen::accounts_seen;
use super::store;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::ledger::{self, AccountRow, EntryView};
use crate::scope::Scope;
use std::collections::{HashMap, HashSet};

pub mod api;

/// What somebody sees of the journal.
pub struct Seen {
    /// Their accounts, by number.
    pub accounts: HashMap<i64, AccountRow>,
    everything: bool,
    /// Leaves of products that are not theirs.
    foreign: HashSet<i64>,
}

impl Seen {
    /// Of a scope.
    pub fn of(conn: &mut Conn, scope: &Scope) -> Result<Seen> {
        let accounts: HashMap<i64, AccountRow> = accounts_seen(conn, scope)?.into_iter().map(|a| (a.id, a)).collect();
        let everything = scope.is_everything();
        let foreign = match everything {
            true => HashSet::new(),
            false => {
                let placed = store::places(conn, None)?.into_iter();
                placed.filter(|(id, p)| p.product.is_some() && !accounts.contains_key(id)).map(|(id, _)| id).collect()
            }
        };
        Ok(Seen { accounts, everything, foreign })
    }

    /// What they see of an entry; `None` where they see none of its accounts.
    pub fn part(&self, mut entry: EntryView) -> Option<EntryView> {
        if self.everything {
            return Some(entry);
        }
        let all = entry.postings.iter().map(|p| p.account).chain(entry.holds.iter().map(|h| h.account));
        if all.into_iter().any(|account| self.foreign.contains(&account)) {
            (entry.description, entry.metadata) = (String::new(), None);
        }
        entry.postings.retain(|p| self.accounts.contains_key(&p.account));
        entry.holds.retain(|h| self.accounts.contains_key(&h.account));
        (!entry.postings.is_empty() || !entry.holds.is_empty()).then_some(entry)
    }

    /// The entries before a number, newest first.
    pub fn entries(&self, conn: &mut Conn, before: i64, limit: usize) -> Result<Vec<EntryView>> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = if self.everything {
            let last = before.saturating_sub(1).min(crate::db::head(conn)?.entry);
            let mut found = ledger::entries(conn, last.saturating_sub(most).saturating_add(1).max(1), last)?;
            found.reverse();
            found
        } else {
            let own: Vec<i64> = self.accounts.keys().copied().collect();
            ledger::entries_on(conn, &own, before, most)?
        };
        Ok(found.into_iter().filter_map(|e| self.part(e)).collect())
    }

    /// One entry.
    pub fn entry(&self, conn: &mut Conn, number: i64) -> Result<EntryView> {
        let absent = || Error::NotFound(format!("there is no entry {number}"));
        let found = match ledger::entry(conn, number) {
            Err(Error::NotFound(_)) => None,
            other => Some(other?),
        };
        found.and_then(|e| self.part(e)).ok_or_else(absent)
    }
}
