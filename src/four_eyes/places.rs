//! Where a change acts, and whether it takes four eyes at all.

use super::change::Change;
use crate::access;
use crate::actor::Actor;
use crate::allocation::{self, RouteRow, settlement, settlement_file};
use crate::approvals::Place;
use crate::chart;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::expectations;
use crate::ledger::{self, AccountRow};
use crate::scope::Part;
use crate::statements;
use std::collections::BTreeSet;

/// Where a change acts.
pub(super) struct Acts {
    /// Everything that it touches.
    pub(super) places: Vec<Place>,
    /// One person is enough: money that waits in suspense is placed, or stays with its owner; who has never come in and may do nothing is invited again.
    pub(super) alone: bool,
}

/// Where it acts, and whether it takes four eyes.
pub(super) fn acts(conn: &mut Conn, change: &Change) -> Result<Acts> {
    let all: BTreeSet<Place> = match change {
        Change::Rules(_) | Change::BackTest { .. } | Change::Roles { .. } | Change::Policies(_) => {
            BTreeSet::from([Place::treasury()])
        }
        Change::Grant(grant) => BTreeSet::from([of_part(grant.part()?)]),
        Change::Reset { person, .. } => return of_person(conn, person, true),
        Change::Identity { person, .. } => return of_person(conn, person, false),
        Change::Limits(limits) => {
            let account = ledger::account(conn, &limits.leaf)?;
            BTreeSet::from([place(conn, &account)?])
        }
        Change::Settlement { name, sheet, .. } => {
            let read = settlement_file::read(name, sheet.as_bytes())?;
            let masters: BTreeSet<&str> = read.iter().map(|s| s.master.as_str()).collect();
            masters.into_iter().map(|code| of_master(conn, code)).collect::<Result<_>>()?
        }
        Change::SettlementLine { settlement, .. } => {
            let shown = settlement::show(conn, settlement)?;
            BTreeSet::from([of_master(conn, &shown.master)?])
        }
        Change::Expectations { receipts } => {
            let leaves: BTreeSet<&str> = receipts.iter().map(|r| r.leaf.as_str()).collect();
            let mut all = BTreeSet::new();
            for leaf in leaves {
                let account = ledger::account(conn, leaf)?;
                all.insert(place(conn, &account)?);
            }
            all
        }
        Change::Meeting { expectation, line, .. } => {
            let expected = expectations::find(conn, expectation)?;
            return of_move(conn, line, &|a| a.id == expected.account);
        }
        Change::Reroute { line, leaf, .. } => return of_move(conn, line, &|a| a.code == *leaf),
    };
    Ok(Acts { places: all.into_iter().collect(), alone: false })
}

/// Those whose own rights a change would be about: they decide on it as little as its maker. A key's are its owner's.
pub(super) fn concerned(conn: &mut Conn, change: &Change) -> Result<Vec<String>> {
    let holders: Vec<(Option<String>, Option<String>)> = match change {
        Change::Grant(grant) => vec![(grant.person.clone(), grant.key.clone())],
        Change::Roles { file } => {
            let (roles, _) = access::role::read(file).unwrap_or_default();
            let grants = access::grants_of(conn)?.into_iter();
            grants.filter(|g| roles.iter().any(|r| r.code == g.role)).map(|g| (g.person, g.api_key)).collect()
        }
        Change::Reset { person, .. } | Change::Identity { person, .. } => vec![(Some(person.clone()), None)],
        _ => Vec::new(),
    };
    let mut people = Vec::new();
    for (person, key) in holders {
        people.extend(person);
        if let Some(key) = key {
            people.extend(access::person_of(conn, &Actor::key(&key))?);
        }
    }
    Ok(people)
}

/// Wherever a person may do something; who may do nothing is the whole treasury's. Only who has never come in and may do nothing is
/// `invited` again by one person, as they were the first time: whoever has a way in as somebody has the roles that they come to have.
fn of_person(conn: &mut Conn, person: &str, invites: bool) -> Result<Acts> {
    let own = access::grants_of(conn)?.into_iter().filter(|g| g.person.as_deref() == Some(person));
    let parts = own.map(|g| g.scope.parse().map_err(|e: String| Error::Broken(format!("grant {}: {e}", g.id))));
    let mut places: BTreeSet<Place> = parts.map(|part| part.map(of_part)).collect::<Result<_>>()?;
    let may_nothing = places.is_empty();
    if may_nothing {
        places.insert(Place::treasury());
    }
    let alone = invites && may_nothing && access::never_joined(conn, person)?;
    Ok(Acts { alone, places: places.into_iter().collect() })
}

fn of_part(part: Part) -> Place {
    let of_subtree = part.subtree.as_ref().map(|s| s.split('/').next().unwrap_or(s).to_owned());
    let master = part.master.or(of_subtree);
    Place { product: part.product, entity: part.entity, path: part.subtree.or(master.clone()), master }
}

fn of_master(conn: &mut Conn, code: &str) -> Result<Place> {
    let master = chart::master(conn, code)?;
    let at = chart::place_of(conn, master.account)?;
    Ok(Place { product: None, entity: at.entity, master: Some(master.code.clone()), path: Some(master.code) })
}

fn place(conn: &mut Conn, account: &AccountRow) -> Result<Place> {
    let at = chart::place_of(conn, account.id)?;
    Ok(Place { product: at.product, entity: at.entity, master: at.master, path: Some(account.code.clone()) })
}

/// The routes that hold a line's money now, or that of one payment of it.
pub(super) fn routes(conn: &mut Conn, line: &str) -> Result<Vec<RouteRow>> {
    let (id, detail) = allocation::line_and_payment(line)?;
    statements::line(conn, id)?;
    let routes = allocation::routes_of(conn, id)?;
    let mut now: Vec<RouteRow> = allocation::in_force(&routes).into_iter().cloned().collect();
    if detail.is_some() {
        now.retain(|r| r.detail == detail);
    }
    Ok(now)
}

/// Both sides of a move. From one product or entity to another it takes four eyes; what waits in suspense is nobody's yet.
fn of_move(conn: &mut Conn, line: &str, is_to: &dyn Fn(&AccountRow) -> bool) -> Result<Acts> {
    let accounts = ledger::accounts(conn)?;
    let mut places = BTreeSet::new();
    let mut alone = true;
    let to = match accounts.iter().find(|a| is_to(a)) {
        Some(to) => Some(place(conn, to)?),
        None => None,
    };
    if let Some(master) = line.strip_prefix("opening:") {
        places.insert(of_master(conn, master)?);
    } else {
        let (id, _) = allocation::line_and_payment(line)?;
        let master = statements::line(conn, id)?.master;
        for route in routes(conn, line)? {
            for (account, _) in route.shares()? {
                let Some(from) = accounts.iter().find(|a| a.id == account.0) else { continue };
                let from = place(conn, from)?;
                let owner = |place: &Place| (place.product.clone(), place.entity.clone());
                alone &= route.suspense || to.as_ref().is_none_or(|to| owner(to) == owner(&from));
                places.insert(from);
            }
        }
        if places.is_empty() {
            // It posted nothing: it is only the master's.
            let code = chart::masters(conn)?.into_iter().find(|m| m.id == master).map(|m| m.code);
            places.insert(of_master(conn, &code.unwrap_or_default())?);
        }
    }
    places.extend(to);
    Ok(Acts { places: places.into_iter().collect(), alone })
}
