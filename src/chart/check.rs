//! What must always hold of a chart, whoever wrote to the database.

use super::store::{self, MasterRow, SubAccountRow};
use super::{HOUSE, creation, numbers};
use crate::db::{Conn, Db};
use crate::error::Result;
use crate::ledger::check::Violation;
use crate::ledger::{self, AccountRow};
use std::collections::HashMap;

/// Proves that accounts, books, virtual account numbers and openings are what the chart says.
pub fn check(db: &Db) -> Result<Vec<Violation>> {
    db.read(|conn| {
        let mut violations = Vec::new();
        let accounts = ledger::accounts(conn)?;
        let books = store::book_currencies(conn)?;
        for account in &accounts {
            if books.get(&account.book) != Some(&account.currency) {
                let book = books.get(&account.book).map_or("no book", String::as_str);
                violations.push(Violation::new(
                    "I1",
                    format!("{} is in {}, its book in {book}", account.code, account.currency),
                ));
            }
        }
        let accounts: HashMap<i64, AccountRow> = accounts.into_iter().map(|a| (a.id, a)).collect();
        let masters: HashMap<String, MasterRow> =
            store::masters(conn)?.into_iter().map(|m| (m.id.clone(), m)).collect();
        let sub_accounts = store::sub_accounts(conn)?;
        let mut found: Vec<&MasterRow> = masters.values().collect();
        found.sort_by(|a, b| a.code.cmp(&b.code));
        for master in found {
            violations.extend(master_accounts(master, &accounts, &sub_accounts));
            violations.extend(opening(conn, master)?);
        }
        violations.extend(sub_accounts.iter().filter_map(|s| sub_account(s, &masters, &accounts)));
        Ok(violations)
    })
}

fn master_accounts(
    master: &MasterRow,
    accounts: &HashMap<i64, AccountRow>,
    sub_accounts: &[SubAccountRow],
) -> Vec<Violation> {
    let code = &master.code;
    let own = [
        (master.account, code.clone(), "master"),
        (master.suspense, format!("{code}/suspense"), "suspense"),
        (master.in_transit, format!("{code}/in-transit"), "in_transit"),
    ];
    let is_there = |(id, code, kind): &(i64, String, &str)| {
        let account = accounts.get(id);
        account.is_some_and(|a| {
            a.code == *code && a.kind == *kind && a.book == master.book && a.currency == master.currency
        })
    };
    let wrong = own.iter().filter(|a| !is_there(a)).map(|(_, code, _)| code.clone());
    let has_house = |leaf: &&str| sub_accounts.iter().any(|s| s.code == master.house(leaf) && s.kind == "house");
    let no_house = HOUSE.iter().filter(|leaf| !has_house(leaf)).map(|leaf| master.house(leaf));
    let what = |missing: String| Violation::new("I5", format!("master {code} does not have its account {missing}"));
    wrong.chain(no_house).map(what).collect()
}

/// I6: what a master began with is its opening entry, and nothing else.
fn opening(conn: &mut Conn, master: &MasterRow) -> Result<Option<Violation>> {
    let posted = ledger::entry_by_cause(conn, &creation::opening_cause(&master.id))?;
    let on_master = posted.iter().flat_map(|e| &e.postings).filter(|p| p.account == master.account);
    let sum: i128 = on_master.map(|p| i128::from(p.amount)).sum();
    let dated = posted.as_ref().is_none_or(|e| e.booked_on == master.cut_over_on);
    if sum == i128::from(master.opening) && dated {
        return Ok(None);
    }
    let what = format!(
        "master {} opens with {} on {}, but its opening entry says {sum}",
        master.code, master.opening, master.cut_over_on
    );
    Ok(Some(Violation::new("I6", what)))
}

fn sub_account(
    s: &SubAccountRow,
    masters: &HashMap<String, MasterRow>,
    accounts: &HashMap<i64, AccountRow>,
) -> Option<Violation> {
    let Some(master) = masters.get(&s.master) else {
        return Some(Violation::new("I5", format!("sub-account {} has no master", s.code)));
    };
    if let Some(id) = s.account {
        let fits = |a: &AccountRow| {
            a.code == s.code && a.kind == s.kind && a.book == master.book && a.currency == master.currency
        };
        if !accounts.get(&id).is_some_and(fits) {
            return Some(Violation::new(
                "I5",
                format!("sub-account {} has no account of the same code, kind and book", s.code),
            ));
        }
    }
    match &s.virtual_number {
        Some(number) if !numbers::verify(number) => Some(Violation::new(
            "I6",
            format!("the virtual account number {number} of {} has wrong check digits", s.code),
        )),
        None if s.kind == "leaf" => {
            Some(Violation::new("I6", format!("leaf {} has no virtual account number", s.code)))
        }
        _ => None,
    }
}
