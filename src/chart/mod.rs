//! The chart: whose money can be where. Entities, banks, products, markets; masters, and the virtual accounts in them.
//!
//! A file of TOML describes it; [`apply`] makes what is missing, all or nothing, as often as one likes. Names and metadata may
//! change; what money rests on (account numbers, currencies, cut-over dates, openings) may not, and a file that says otherwise
//! is a conflict. Each master has its cash book: the master's account, suspense, in-transit, the house leaves and the leaves of
//! products. A leaf's life cycle is the state of its account: open, frozen, closed at zero.
//!
//! | File | What |
//! | --- | --- |
//! | `file.rs`, `reading.rs` | the file as written, as meant, and every problem on the way (pure) |
//! | `plan.rs` | what is new, what is renamed, what contradicts (pure) |
//! | `creation.rs` | carries a plan out |
//! | `bulk.rs`, `sheet.rs` | many sub-accounts at once, as CSV in and out (the sheet is pure) |
//! | `lifecycle.rs` | a leaf's states, limits and expiry |
//! | `numbers.rs` | virtual account numbers, and which master a statement means (pure) |
//! | `check.rs` | what must always hold of a chart |

use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use std::fmt;

pub mod accounts;
pub mod api;
mod bulk;
mod check;
mod creation;
pub mod file;
mod lifecycle;
pub mod numbers;
mod plan;
pub mod reading;
mod seen;
mod sheet;
mod store;
mod view;

pub use bulk::{Planned, export, import, plan_import};
pub use check::check;
pub use file::ChartFile;
pub use lifecycle::{LimitChange, Move, State, change_limits, change_state};
pub use seen::{Place, account_seen, accounts_seen, place_of, placed, placed_seen, refuse_unseen};
pub use sheet::{LineProblem, Sheet, read as read_sheet};
pub use store::{
    BankRow, EntityRow, Leaf, MarketRow, MasterRow, PlacedLeaf, ProductRow, SubAccountRow, banks, entities, leaves,
    markets, master, masters, products, sub_account, sub_accounts,
};

pub use view::{SeenChart, chart_seen, master_seen, masters_seen};

/// The leaves of the treasury itself that each master has.
pub const HOUSE: [&str; 5] = ["pool", "fees", "interest", "rounding", "fx"];

/// Why a chart is not changed, in the order of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// The file has problems; all of them are named.
    Problems(Vec<reading::Problem>),
    /// A sheet of sub-accounts has problems; all of them are named with their line.
    Sheet(Vec<LineProblem>),
    /// A master's range has no number left.
    NumbersUsedUp { master: String, problem: numbers::Problem },
    /// Only leaves can be frozen and closed.
    NotALeaf { code: String, kind: String },
    /// A change of a leaf's life or limits says why.
    NoReason,
    /// The state of the leaf does not allow that move.
    WrongState { code: String, state: State, asked: Move },
    /// A limit that is not an amount of the leaf's currency, or a day that is none.
    BadLimit { code: String, what: String },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Problems(_) => "chart_problems",
            Refusal::Sheet(_) => "bad_sheet",
            Refusal::NumbersUsedUp { .. } => "numbers_used_up",
            Refusal::NotALeaf { .. } => "not_a_leaf",
            Refusal::NoReason => "no_reason",
            Refusal::WrongState { .. } => "wrong_state",
            Refusal::BadLimit { .. } => "bad_limit",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Problems(problems) => {
                let count = problems.len();
                write!(
                    f,
                    "the file has {count} problem{}, and nothing was changed:",
                    if count == 1 { "" } else { "s" }
                )?;
                problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
            Refusal::Sheet(problems) => {
                let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
                write!(f, "the file has {count} problem{s}, and nothing was changed:")?;
                problems.iter().take(100).try_for_each(|p| write!(f, "\n  {p}"))?;
                if count > 100 { write!(f, "\n  and {} more", count - 100) } else { Ok(()) }
            }
            Refusal::NumbersUsedUp { master, problem } => {
                write!(
                    f,
                    "master {master} has no virtual account number left: {problem}; ask the bank for another range"
                )
            }
            Refusal::NotALeaf { code, kind } => {
                write!(f, "{code} is not a leaf but {kind}; `tributary chart show` lists the leaves")
            }
            Refusal::NoReason => f.write_str("say why with --reason: it is kept with the event"),
            Refusal::WrongState { code, state, asked } => {
                let (state, asked, instead) = (state.as_str(), asked.as_str(), state.ways_on());
                write!(f, "{code} is {state}, so it cannot {asked}; it can {instead}")
            }
            Refusal::BadLimit { code, what } => write!(f, "{code}: {what}"),
        }
    }
}

/// What applying a file has done. All empty: there was nothing new.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// Codes of new entities.
    pub entities: Vec<String>,
    /// Codes of new banks.
    pub banks: Vec<String>,
    /// Codes of new products.
    pub products: Vec<String>,
    /// Codes of new markets.
    pub markets: Vec<String>,
    /// Codes of new masters.
    pub masters: Vec<String>,
    /// New leaves of products.
    pub leaves: Vec<NewLeaf>,
    /// What has another name or other metadata now: `product tiktok`.
    pub updated: Vec<String>,
    /// Leaves that were there and have other limits now; `updated` names them too.
    #[serde(skip)]
    pub limited: Vec<String>,
}

/// A leaf that was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NewLeaf {
    /// Its path.
    pub code: String,
    /// What payers write.
    pub virtual_number: String,
}

impl Applied {
    /// Whether everything was there already.
    pub fn nothing_new(&self) -> bool {
        *self == Applied::default()
    }
}

/// Makes what a file describes and the chart does not have yet; all or nothing. The same file again changes nothing.
pub fn apply(tx: &mut Tx<'_>, file: &ChartFile) -> Result<Applied> {
    let stored = store::stored(tx.conn())?;
    let chart = file.read(&stored.known()).map_err(Refusal::Problems)?;
    let plan = plan::plan(&chart, &stored).map_err(|conflicts| {
        let list: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        let list = list.join("\n  ");
        Error::Conflict(format!("the file contradicts the chart, and nothing was changed:\n  {list}"))
    })?;
    for master in &plan.standing {
        creation::refuse_other_shares(tx.conn(), master, &stored)?;
    }
    creation::carry_out(tx, &plan, &stored)
}

/// All masters, to find the one that a statement means by its account number.
#[derive(Debug)]
pub struct Masters {
    rows: Vec<MasterRow>,
    bics: std::collections::HashMap<String, String>,
}

impl Masters {
    /// As they are now.
    pub fn load(conn: &mut Conn) -> Result<Masters> {
        Ok(Masters { rows: store::masters(conn)?, bics: store::bics(conn)? })
    }

    /// The one with this number, in whichever way the bank writes it; see [`numbers::recognise`].
    pub fn by_account(&self, account_number: &str, currency: Option<&str>) -> Option<&MasterRow> {
        let known = self.rows.iter().map(|m| {
            let bic = self.bics.get(&m.bank).map(String::as_str);
            numbers::KnownAccount { number: &m.account_number, currency: &m.currency, bic }
        });
        let known: Vec<numbers::KnownAccount<'_>> = known.collect();
        numbers::recognise(&known, account_number, currency).and_then(|index| self.rows.get(index))
    }
}
