//! Transfers between own masters over HTTP: those of which only one side has come.

use super::Side;
use crate::access::Permission;
use crate::chart;
use crate::error::{Error, Result};
use crate::http::{Call, Limit, Money, Operation, Page, get};
use crate::money::Currency;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The row of own transfers.
pub fn operations() -> Vec<Operation> {
    let says = "Transfers between own masters of which only one side has come, by master and value date";
    vec![get("/v1/own-transfers", "own_transfers.list", says).may(Permission::StatementsRead).reads(list)]
}

/// Which of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only those whose side has come on this master.
    master: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

/// The side of a transfer that has come.
#[derive(Serialize, JsonSchema)]
struct OwnTransfer {
    /// The line, `LINE/3` for the third payment of one.
    line: String,
    /// The master on which it has come.
    master: String,
    /// The master on which it has not; null where that one is not yours to see.
    other: Option<String>,
    /// Its value date.
    valued_on: NaiveDate,
    /// What has come; negative: it has left and not arrived.
    amount: Money,
    /// The id that both sides have, where the bank carries it.
    end_to_end_id: Option<String>,
}

fn list(call: &Call, which: &Which) -> Result<Page<OwnTransfer>> {
    let (open, masters) = call.read(|conn| Ok((super::under_way(conn)?, chart::masters_seen(conn, call.scope())?)))?;
    let masters: HashMap<&str, &chart::MasterRow> = masters.iter().map(|m| (m.id.as_str(), m)).collect();
    let shown = |side: Side| -> Option<Result<OwnTransfer>> {
        let master = masters.get(side.master.as_str())?;
        if which.master.as_ref().is_some_and(|code| *code != master.code) {
            return None;
        }
        let currency = master.currency.parse::<Currency>().map_err(|e| Error::Broken(format!("{}: {e}", master.code)));
        Some(currency.map(|currency| OwnTransfer {
            line: if side.detail < 0 { side.line } else { format!("{}/{}", side.line, side.detail + 1) },
            master: master.code.clone(),
            other: masters.get(side.other.as_str()).map(|m| m.code.clone()),
            valued_on: side.valued_on,
            amount: Money::of(side.amount, currency.exponent(), currency.code()),
            end_to_end_id: side.end_to_end_id,
        }))
    };
    let mut all: Vec<OwnTransfer> = open.into_iter().filter_map(shown).collect::<Result<_>>()?;
    let place = |t: &OwnTransfer| format!("{}\0{}\0{}", t.master, t.valued_on, t.line);
    all.sort_by_cached_key(place);
    Ok(call.page_of(all, which.limit, place))
}
