//! `tributary chart`: shows the chart, applies a file to it, and moves leaves through their life cycle.

use super::table::table;
use super::{Context, print_json};
use crate::app::{self, AppliedFile, TreasuryFile};
use crate::chart::{self, Applied, BankRow, EntityRow, Leaf, MasterRow, Move, SubAccountRow};
use crate::error::{Error, Result};
use crate::time::{Clock, SystemClock, from_stored, last_day_before};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) mod leaf;
mod sheet;

/// What to do with the chart.
#[derive(Debug, clap::Subcommand)]
pub enum Chart {
    /// Show entities, banks, masters and virtual accounts with their numbers
    Show {
        /// Only this master
        #[arg(long, value_name = "CODE")]
        master: Option<String>,
    },
    /// Make what a file describes and the chart does not have yet; the same file again changes nothing
    Apply {
        /// TOML with tables [[entity]], [[bank]], [[product]], [[market]], [[master]], [[sub_account]], [[rule]]
        file: PathBuf,
    },
    /// Make and change many sub-accounts from a CSV, all or nothing; the same file again changes nothing
    Import(sheet::Import),
    /// Write the products' sub-accounts as CSV, with the columns that import reads
    Export(sheet::Export),
    /// Stop decisions on a leaf; what the bank has done is posted all the same
    Freeze(leaf::One),
    /// Let a frozen leaf be used again
    Unfreeze(leaf::One),
    /// Close a leaf that is at zero; what comes for it then waits in suspense
    Close(leaf::One),
    /// Let a closed leaf be used again
    Reopen(leaf::One),
    /// Change a leaf's floor, ceiling, limit per movement or last day; without any of them, show them
    Limit(leaf::Limit),
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Chart) -> Result<()> {
    match command {
        Chart::Show { master } => show(context, master.as_deref()),
        Chart::Apply { file } => apply(context, file),
        Chart::Import(args) => sheet::import(context, args),
        Chart::Export(args) => sheet::export(context, args),
        Chart::Freeze(one) => leaf::change_state(context, one, Move::Freeze),
        Chart::Unfreeze(one) => leaf::change_state(context, one, Move::Unfreeze),
        Chart::Close(one) => leaf::change_state(context, one, Move::Close),
        Chart::Reopen(one) => leaf::change_state(context, one, Move::Reopen),
        Chart::Limit(asked) => leaf::limit(context, asked),
    }
}

fn apply(context: &Context, path: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::NotFound(format!("cannot read {}: {e}", path.display())))?;
    let file = TreasuryFile::parse(&text).map_err(|e| e.within(path.display()))?;
    let db = context.open_to_write(&context.url()?)?;
    let applied = app::apply(&db, &context.who, file).map_err(|e| e.within(path.display()))?;
    if context.json {
        let mut shown = serde_json::to_value(&applied).map_err(|e| Error::Broken(e.to_string()))?;
        shown["nothing_new"] = json!(applied.nothing_new());
        return print_json(&shown);
    }
    print_applied(&applied);
    Ok(())
}

fn print_applied(applied: &AppliedFile) {
    if applied.nothing_new() {
        say!("nothing new: the chart has all of it already");
        return;
    }
    if applied.rules > 0 {
        say!("new versions of rules: {}", applied.rules);
    }
    if let Some(id) = &applied.waiting_for_approval {
        say!("the rules wait for approval: `tributary approvals show {id}`");
    }
    if !applied.calendars.is_empty() {
        say!("calendars: {}", applied.calendars.join(", "));
    }
    if !applied.settings.is_empty() {
        say!("settings: {}", applied.settings.join(", "));
    }
    print_chart(&applied.chart);
}

fn print_chart(applied: &Applied) {
    for (what, codes) in [
        ("entities", &applied.entities),
        ("banks", &applied.banks),
        ("products", &applied.products),
        ("markets", &applied.markets),
        ("masters", &applied.masters),
        ("updated", &applied.updated),
    ] {
        if !codes.is_empty() {
            say!("{what}: {}", codes.join(", "));
        }
    }
    if !applied.leaves.is_empty() {
        let mut lines = table(&["new leaf", "virtual account number"]);
        for leaf in &applied.leaves {
            lines.add_row([&leaf.code, &leaf.virtual_number]);
        }
        say!("{lines}");
    }
}

/// What `chart show` shows.
struct Shown {
    entities: Vec<EntityRow>,
    banks: Vec<BankRow>,
    masters: Vec<(MasterRow, Vec<Leaf>)>,
    sub_accounts: Vec<SubAccountRow>,
}

fn show(context: &Context, only: Option<&str>) -> Result<()> {
    let shown = context.open_to_read()?.read(|conn| {
        let masters = match only {
            Some(code) => vec![chart::master(conn, code)?],
            None => chart::masters(conn)?,
        };
        let with_leaves = |m: MasterRow| chart::leaves(conn, &m.id).map(|leaves| (m, leaves));
        let masters = masters.into_iter().map(with_leaves).collect::<Result<Vec<_>>>()?;
        Ok(Shown {
            masters,
            entities: chart::entities(conn)?,
            banks: chart::banks(conn)?,
            sub_accounts: chart::sub_accounts(conn)?,
        })
    })?;
    if context.json {
        return print_json(&shown.to_json());
    }
    if shown.entities.is_empty() {
        say!(
            "The chart is empty: `tributary demo` makes a treasury to look at, `tributary chart apply FILE.toml` makes yours."
        );
        return Ok(());
    }
    shown.print(only.is_some());
    Ok(())
}

impl Shown {
    fn print(&self, one: bool) {
        if !one {
            let mut lines = table(&["entity", "~name", "country"]);
            for e in &self.entities {
                lines.add_row([&e.code, &e.name, &e.country]);
            }
            say!("{lines}\n");
            let mut lines = table(&["bank", "~name", "BIC", "country"]);
            for b in &self.banks {
                lines.add_row([&b.code, &b.name, b.bic.as_deref().unwrap_or("-"), &b.country]);
            }
            say!("{lines}");
        }
        let (entities, banks) = self.codes();
        for (m, leaves) in &self.masters {
            let code = |codes: &HashMap<&str, &str>, id: &str| codes.get(id).copied().unwrap_or("?").to_owned();
            let (bank, entity) = (code(&banks, &m.bank), code(&entities, &m.entity));
            say!(
                "\n{} \"{}\": {} account {} of {entity} at {bank}, since {}",
                m.code,
                m.name,
                m.currency,
                m.account_number,
                m.cut_over_on
            );
            let leaves: HashMap<&str, &Leaf> = leaves.iter().map(|l| (l.id.as_str(), l)).collect();
            let mut lines = table(&["virtual account", "~name", "number", "owner", "state"]);
            for s in self.sub_accounts.iter().filter(|s| s.master == m.id) {
                // The path without its master, each level further in.
                let path = s.code.strip_prefix(&m.code).unwrap_or(&s.code).trim_start_matches('/');
                let (depth, last) = (path.matches('/').count(), path.rsplit('/').next().unwrap_or(path));
                let leaf = leaves.get(s.id.as_str());
                lines.add_row([
                    format!("{}{last}", "  ".repeat(depth)),
                    s.name.clone(),
                    s.virtual_number.clone().unwrap_or_default(),
                    leaf.map_or_else(String::new, |l| l.owner.clone()),
                    leaf.map_or_else(String::new, |l| state_of(l, &m.time_zone)),
                ]);
            }
            say!("{lines}");
        }
    }

    /// Codes of entities and banks by id.
    fn codes(&self) -> (HashMap<&str, &str>, HashMap<&str, &str>) {
        let entities = self.entities.iter().map(|e| (e.id.as_str(), e.code.as_str())).collect();
        (entities, self.banks.iter().map(|b| (b.id.as_str(), b.code.as_str())).collect())
    }

    fn to_json(&self) -> Value {
        let (entities, banks) = self.codes();
        let metadata = |m: &Option<String>| m.as_deref().and_then(|m| serde_json::from_str::<Value>(m).ok());
        let entity = |e: &EntityRow| json!({ "code": e.code, "name": e.name, "country": e.country, "metadata": metadata(&e.metadata) });
        let bank = |b: &BankRow| json!({ "code": b.code, "name": b.name, "bic": b.bic, "country": b.country, "metadata": metadata(&b.metadata) });
        let leaf = |l: &Leaf, zone: &str| {
            let end = l.expires_at.map(from_stored);
            json!({
                "code": l.code, "name": l.name, "kind": l.kind, "product": l.product, "market": l.market, "owner": l.owner,
                "virtual_number": l.virtual_number, "state": l.state, "expires_on": end.map(|end| last_day_before(end, zone)),
                "expired": end.is_some_and(|end| end <= SystemClock.now()),
            })
        };
        let master = |(m, leaves): &(MasterRow, Vec<Leaf>)| {
            let opening = m.money().map(|c| crate::money::Minor(m.opening).to_text(c)).ok();
            json!({
                "code": m.code, "name": m.name, "bank": banks.get(m.bank.as_str()), "entity": entities.get(m.entity.as_str()),
                "currency": m.currency, "account": m.account_number, "time_zone": m.time_zone, "cut_over_on": m.cut_over_on,
                "calendar": m.calendar, "statement_by": m.statement_by, "report_by": m.report_by,
                "opening": opening, "numbers": { "scheme": m.number_scheme, "prefix": m.number_prefix, "given": m.numbers_given },
                "metadata": metadata(&m.metadata), "sub_accounts": leaves.iter().map(|l| leaf(l, &m.time_zone)).collect::<Vec<_>>(),
            })
        };
        json!({
            "entities": self.entities.iter().map(entity).collect::<Vec<_>>(),
            "banks": self.banks.iter().map(bank).collect::<Vec<_>>(),
            "masters": self.masters.iter().map(master).collect::<Vec<_>>(),
        })
    }
}

/// `open`, `frozen, expired on 2026-03-31`.
fn state_of(leaf: &Leaf, time_zone: &str) -> String {
    let Some(end) = leaf.expires_at.map(from_stored) else { return leaf.state.clone() };
    let word = if end <= SystemClock.now() { "expired on" } else { "until" };
    format!("{}, {word} {}", leaf.state, last_day_before(end, time_zone))
}
