//! What no single feature can say: the file that describes a whole treasury, and the proof over all of them.

pub mod api;
mod metrics;
mod proof;

use crate::access;
use crate::allocation::{self, rules::RuleFile};
use crate::approvals;
use crate::calendars::{self, CalendarTable};
use crate::chart::file::{BankTable, EntityTable, MarketTable, MasterTable, ProductTable, SubAccountTable};
use crate::chart::{self, Applied, ChartFile};
use crate::db::{Db, Tx, Who};
use crate::error::{Error, Result};
use crate::expectations;
use crate::four_eyes;
use crate::http::{self, Operation};
use crate::ledger::{self, check::Violation};
use crate::positions;
use crate::rates::{self, RatesTable};
use crate::statements;
use crate::transfers;
use crate::webhooks;
use serde::Deserialize;
use std::sync::Arc;

/// The TOML that describes a treasury: its chart and its allocation rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TreasuryFile {
    /// `[[entity]]`
    pub entity: Vec<EntityTable>,
    /// `[[bank]]`
    pub bank: Vec<BankTable>,
    /// `[[product]]`
    pub product: Vec<ProductTable>,
    /// `[[market]]`
    pub market: Vec<MarketTable>,
    /// `[[master]]`
    pub master: Vec<MasterTable>,
    /// `[[sub_account]]`
    pub sub_account: Vec<SubAccountTable>,
    /// `[[rule]]`
    pub rule: Vec<RuleFile>,
    /// `[[calendar]]`
    pub calendar: Vec<CalendarTable>,
    /// The currency of reports; ISO 4217.
    pub reporting_currency: Option<String>,
    /// `[rates]`
    pub rates: Option<RatesTable>,
}

impl TreasuryFile {
    /// Reads the file's form; what it says is judged when it is applied.
    pub fn parse(text: &str) -> Result<TreasuryFile> {
        let unreadable = |e: toml::de::Error| Error::Refused {
            code: "treasury_file",
            message: format!("the file is not a treasury in TOML: {}", e.to_string().trim_end()),
        };
        toml::from_str(text).map_err(unreadable)
    }

    /// Its chart.
    pub fn into_chart(self) -> ChartFile {
        ChartFile {
            entity: self.entity,
            bank: self.bank,
            product: self.product,
            market: self.market,
            master: self.master,
            sub_account: self.sub_account,
        }
    }
}

/// What applying a treasury file changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AppliedFile {
    /// In the chart.
    #[serde(flatten)]
    pub chart: Applied,
    /// New versions of rules.
    pub rules: usize,
    /// Codes of calendars that are new or have other days.
    pub calendars: Vec<String>,
    /// Names of settings that have another value.
    pub settings: Vec<String>,
    /// The proposal of the rules, where they take four eyes: they are not in force yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for_approval: Option<String>,
}

impl AppliedFile {
    /// Whether everything was there already.
    pub fn nothing_new(&self) -> bool {
        let waits = self.waiting_for_approval.is_some();
        self.chart.nothing_new() && self.rules == 0 && self.calendars.is_empty() && self.settings.is_empty() && !waits
    }
}

/// Makes what the file describes and the treasury does not have yet, all or nothing.
pub fn apply(db: &Db, who: &Arc<Who>, file: TreasuryFile) -> Result<AppliedFile> {
    db.write("chart.apply", who, move |tx| apply_in(tx, file.clone()))
}

/// As [`apply`], inside a command.
pub fn apply_in(tx: &mut Tx<'_>, file: TreasuryFile) -> Result<AppliedFile> {
    // Masters name calendars.
    let calendars = calendars::apply(tx, &file.calendar)?;
    let settings = rates::apply_settings(tx, file.reporting_currency.as_deref(), file.rates.as_ref())?;
    let rules = file.rule.clone();
    let chart = chart::apply(tx, &file.into_chart())?;
    four_eyes::refuse_limits(tx, &chart)?;
    let (rules, waiting_for_approval) = four_eyes::apply_rules(tx, rules)?;
    Ok(AppliedFile { chart, rules, calendars, settings, waiting_for_approval })
}

/// The table of operations: all that can be asked for over HTTP.
pub fn operations() -> Vec<Operation> {
    let mut all = http::operations();
    all.extend(api::operations());
    all.extend(proof::operations());
    all.extend(metrics::operations());
    all.extend(access::api::operations());
    all.extend(access::oidc::api::operations());
    all.extend(positions::api::operations());
    all.extend(chart::api::operations());
    all.extend(rates::api::operations());
    all.extend(expectations::api::operations());
    all.extend(statements::api::operations());
    all.extend(allocation::api::operations());
    all.extend(four_eyes::api::operations());
    all.extend(transfers::api::operations());
    all.extend(webhooks::api::operations());
    all
}

/// Proves everything that can be proved. `progress` is told how many entries of the journal are done, of how many.
pub fn check(db: &Db, progress: impl FnMut(i64, i64)) -> Result<Vec<Violation>> {
    let mut violations = ledger::check::check(db, progress)?;
    let access = access::check::check(db)?.into_iter();
    violations.extend(access.map(|(invariant, what)| Violation::new(invariant, what)));
    let approvals = approvals::check::check(db)?.into_iter();
    violations.extend(approvals.map(|(invariant, what)| Violation::new(invariant, what)));
    let webhooks = webhooks::check(db)?.into_iter();
    violations.extend(webhooks.map(|(invariant, what)| Violation::new(invariant, what)));
    violations.extend(chart::check(db)?);
    violations.extend(statements::check::check(db)?);
    violations.extend(allocation::check::check(db)?);
    violations.extend(expectations::check::check(db)?);
    violations.extend(positions::check(db)?);
    Ok(violations)
}
