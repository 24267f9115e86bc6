//! Expected receipts from a CSV file, pure: rows to announcements, or every problem with its line.
//!
//! | Column | Says |
//! |---|---|
//! | `key` | what the receipt is known by, for ever |
//! | `leaf` | the sub-account that waits |
//! | `amount` | `250.00`, or bounds: `240.00..260.00` |
//! | `from`, `until` | first and last booking day |
//! | `currency` | may be left out; when it is there, it must be the master's |
//! | `reference` | end-to-end id, creditor reference or the whole of the remittance text |
//! | `account` | the counterparty's account |
//! | `note`, `metadata` | for people; JSON for other systems |

use super::{Announcement, Refusal};
use crate::error::Result;
use crate::sheet::{self, Row};

const NEEDED: [&str; 5] = ["key", "leaf", "amount", "from", "until"];
const OTHERS: [&str; 5] = ["currency", "reference", "account", "note", "metadata"];

/// Reads a file; what it says is judged when it is taken.
pub fn read(bytes: &[u8]) -> Result<Vec<Announcement>> {
    let refused = |problems: Vec<sheet::Problem>| Refusal::Problems {
        problems: problems.iter().map(ToString::to_string).collect(),
    };
    let rows = sheet::read(bytes, &NEEDED, &OTHERS).map_err(refused)?;
    let mut problems = Vec::new();
    let announcements: Vec<Announcement> = rows.iter().filter_map(|row| announcement(row, &mut problems)).collect();
    if problems.is_empty() { Ok(announcements) } else { Err(refused(problems).into()) }
}

fn announcement(row: &Row, problems: &mut Vec<sheet::Problem>) -> Option<Announcement> {
    let before = problems.len();
    let [key, leaf, amount, from, until] = NEEDED.map(|column| row.need(column, problems));
    let days = (from.and_then(|_| row.day("from", problems)), until.and_then(|_| row.day("until", problems)));
    if problems.len() > before {
        return None;
    }
    let text = |column: &str| row.get(column).map(str::to_owned);
    Some(Announcement {
        at: format!("line {}: ", row.line),
        key: key?.to_owned(),
        leaf: leaf?.to_owned(),
        amount: amount?.to_owned(),
        currency: text("currency"),
        days: (days.0?, days.1?),
        reference: text("reference"),
        account: text("account"),
        note: text("note"),
        metadata: text("metadata"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_file_is_told() {
        let text =
            "key,leaf,amount,from,until\nA,x,1,2026-03-01,2026-03-02\n,x,1,2026-3-1,2026-02-30\nB,,1,,2026-03-02\n";
        let no = read(text.as_bytes()).unwrap_err();
        assert_eq!(
            no.to_string(),
            "nothing was taken: line 3: key is empty; line 3: from \"2026-3-1\" is not a day such as 2026-03-02; \
             line 3: until \"2026-02-30\" is not a day such as 2026-03-02; line 4: leaf is empty; line 4: from is empty"
        );
        assert_eq!(no.code(), "expectation_problems");
    }
}
