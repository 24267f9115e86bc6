//! `tributary journal`: the journal as it is, for auditors and other systems.

use super::{Context, print_json};
use crate::error::Result;
use crate::ledger::{self, EntryView};
use crate::money::Minor;
use crate::time::rfc3339;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What is to be done with the journal.
#[derive(Debug, clap::Subcommand)]
pub enum Journal {
    /// Print all entries, one JSON document a line, in their order; amounts are signed, debit positive
    Export,
    /// Print one entry; amounts are signed, debit positive
    Show {
        /// Its number
        number: i64,
    },
}

/// Entries per page.
const PAGE: i64 = 2_000;

/// Account codes and decimals, by number.
type Accounts = HashMap<i64, (String, String, u8)>;

/// Runs a subcommand.
pub fn run(context: &Context, command: &Journal) -> Result<()> {
    let db = context.open_to_read()?;
    let accounts: Accounts = db
        .read(ledger::accounts)?
        .into_iter()
        .map(|a| (a.id, (a.code, a.currency, u8::try_from(a.exponent).unwrap_or(0))))
        .collect();
    if let Journal::Show { number } = command {
        let entry = db.read(|conn| ledger::entry(conn, *number))?;
        return print_json(&entry_json(&entry, &accounts));
    }
    let last = db.read(crate::db::head)?.entry;
    let mut first = 1;
    while first <= last {
        let upto = last.min(first + PAGE - 1);
        for entry in db.read(|conn| ledger::entries(conn, first, upto))? {
            say!("{}", entry_json(&entry, &accounts));
        }
        first = upto + 1;
    }
    Ok(())
}

fn entry_json(e: &EntryView, accounts: &Accounts) -> Value {
    let code = |id: i64| accounts.get(&id).map(|(code, ..)| code.clone());
    let text = |id: i64, minor: i64| accounts.get(&id).map(|(_, _, exponent)| Minor(minor).to_text_with(*exponent));
    let posting = |p: &ledger::PostingView| {
        json!({
            "account": code(p.account), "currency": accounts.get(&p.account).map(|(_, currency, _)| currency),
            "amount": text(p.account, p.amount), "balance_after": text(p.account, p.balance_after),
        })
    };
    let hold = |h: &ledger::HoldView| json!({ "account": code(h.account), "hold": h.hold, "kind": h.kind, "amount": text(h.account, h.amount), "held_after": text(h.account, h.held_after) });
    json!({
        "number": e.number, "seal": e.seal, "recorded_at": rfc3339(e.recorded_at), "kind": e.kind, "basis": e.basis,
        "description": e.description, "booked_on": e.booked_on, "valued_on": e.valued_on,
        "cause": { "type": e.cause.kind, "id": e.cause.id, "seq": e.cause.seq }, "reverses": e.reverses, "actor": e.actor,
        "metadata": e.metadata.as_deref().and_then(|m| serde_json::from_str::<Value>(m).ok()),
        "postings": e.postings.iter().map(posting).collect::<Vec<_>>(), "holds": e.holds.iter().map(hold).collect::<Vec<_>>(),
    })
}
