//! What banks announce and have not booked (pending): shown, never posted, met by the line that brings it, or expired.
//!
//! | state | event | next | function |
//! |---|---|---|---|
//! | - | a message tells of it | open | `announce` |
//! | open | a booked line is found to be it | met | [`meeting`] |
//! | open | a statement closes days after its day, and nothing met it | expired | `store::expire_pending` |
//!
//! Between the two a bank may change day, reference, and amount (a fee), so a line is found by the best evidence there is, and
//! by amount and day alone only when nothing speaks against it. It never posts, so a wrong guess costs nobody money.

use super::identity::{Identity, Keys, NEAR};
use super::store::PendingRow;
use chrono::NaiveDate;
use std::collections::HashSet;

/// What is asked of a pending line: a booked one, or a pending one of a later message.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    /// Its day.
    pub day: NaiveDate,
    /// Signed.
    pub amount: i64,
    /// What it says.
    pub identity: Identity,
    /// See [`Keys`].
    pub keys: Keys,
}

/// For each sought line the open one that it meets, if any; each open one is met once.
pub fn meeting<'a>(sought: &[Sought], open: &'a [PendingRow]) -> Vec<Option<&'a PendingRow>> {
    let keys: Vec<Keys> = open.iter().map(PendingRow::keys).collect();
    let near = |s: &Sought, p: &PendingRow| (s.day - p.expected_on).abs() <= NEAR;
    let same = |a: Option<u64>, b: Option<u64>| a.is_some() && a == b;
    let other = |a: &Keys, b: &Keys| matches!((a.end_to_end, b.end_to_end), (Some(a), Some(b)) if a != b);
    type Fits<'f> = &'f dyn Fn(&Sought, &PendingRow, &Keys) -> bool;
    let stages: [Fits<'_>; 5] = [
        &|s, p, _| s.identity.as_slice() == p.identity.as_slice(),
        &|s, p, k| same(s.keys.end_to_end, k.end_to_end) && s.amount == p.amount,
        &|s, p, k| same(s.keys.bank_ref, k.bank_ref) && s.amount == p.amount && !other(&s.keys, k),
        &|s, p, k| same(s.keys.end_to_end, k.end_to_end) && s.amount.signum() == p.amount.signum() && near(s, p),
        &|s, p, k| s.amount == p.amount && near(s, p) && !other(&s.keys, k),
    ];
    let mut found: Vec<Option<&PendingRow>> = vec![None; sought.len()];
    let mut taken: HashSet<&str> = HashSet::new();
    for fits in stages {
        for (line, met) in sought.iter().zip(&mut found).filter(|(_, met)| met.is_none()) {
            let fit = open.iter().zip(&keys).find(|(p, k)| !taken.contains(p.id.as_str()) && fits(line, p, k));
            if let Some((pending, _)) = fit {
                taken.insert(&pending.id);
                *met = Some(pending);
            }
        }
    }
    found
}
