//! What a chart asks for against what is there: new things, new names, contradictions. Pure.

use super::file::{Bank, Chart, Entity, Label, Leaf, Market, Master, Product, ScheduleChange};
use super::reading::Problem;
use super::store::{MasterRow, Stored};
use crate::calendars;
use crate::ledger::{AccountKind, Terms};
use chrono::NaiveTime;
use std::collections::HashMap;

/// What is to be done, in the order of doing it.
#[derive(Debug, Default)]
pub struct Plan<'c> {
    /// To be made.
    pub entities: Vec<&'c Entity>,
    /// To be made.
    pub banks: Vec<&'c Bank>,
    /// To be made.
    pub products: Vec<&'c Product>,
    /// To be made.
    pub markets: Vec<&'c Market>,
    /// To be made.
    pub masters: Vec<&'c Master>,
    /// To be made.
    pub leaves: Vec<&'c Leaf>,
    /// To be named otherwise.
    pub relabels: Vec<Relabel>,
    /// Leaves that are there already, with the limits that they get.
    pub limits: Vec<(&'c str, Terms)>,
    /// Limits of leaves that are to be made, where they have some.
    pub new_limits: HashMap<&'c str, Terms>,
    /// Masters that are there already, with the schedule that they had and that they get.
    pub schedules: Vec<(&'c str, Schedule, Schedule)>,
    /// Masters that are there already; their opening shares, where the file has them, must be those that were posted.
    pub standing: Vec<&'c Master>,
}

/// The kinds of things that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// `entities`
    Entity,
    /// `banks`
    Bank,
    /// `products`
    Product,
    /// `markets`
    Market,
    /// `masters`
    Master,
    /// `sub_accounts`
    SubAccount,
}

impl Thing {
    /// As the file's tables and the events call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Thing::Entity => "entity",
            Thing::Bank => "bank",
            Thing::Product => "product",
            Thing::Market => "market",
            Thing::Master => "master",
            Thing::SubAccount => "sub_account",
        }
    }

    /// The kind of event that tells of its making and its changes.
    pub fn event(self) -> &'static str {
        match self {
            Thing::Entity => "chart.entity",
            Thing::Bank => "chart.bank",
            Thing::Product => "chart.product",
            Thing::Market => "chart.market",
            Thing::Master => "chart.master",
            Thing::SubAccount => "chart.sub_account",
        }
    }
}

/// Another name or other metadata for a thing that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabel {
    /// What it is.
    pub thing: Thing,
    /// Its code.
    pub code: String,
    /// As it is.
    pub before: Label,
    /// As it will be.
    pub after: Label,
}

/// Compares; or names every contradiction.
pub fn plan<'c>(chart: &'c Chart, stored: &Stored) -> Result<Plan<'c>, Vec<Problem>> {
    let mut plan = Plan::default();
    let mut conflicts = Conflicts(Vec::new());
    for entity in &chart.entities {
        let Some(row) = stored.entities.get(&entity.code) else {
            plan.entities.push(entity);
            continue;
        };
        conflicts.differ(Thing::Entity, &entity.code, "country", &row.country, &entity.country);
        plan.relabel(Thing::Entity, &entity.code, (&row.name, &row.metadata), &entity.label);
    }
    for bank in &chart.banks {
        let Some(row) = stored.banks.get(&bank.code) else {
            plan.banks.push(bank);
            continue;
        };
        conflicts.differ(Thing::Bank, &bank.code, "country", &row.country, &bank.country);
        if let Some(bic) = &bank.bic {
            conflicts.differ(Thing::Bank, &bank.code, "bic", row.bic.as_deref().unwrap_or("none"), bic);
        }
        plan.relabel(Thing::Bank, &bank.code, (&row.name, &row.metadata), &bank.label);
    }
    for product in &chart.products {
        let Some(row) = stored.products.get(&product.code) else {
            plan.products.push(product);
            continue;
        };
        plan.relabel(Thing::Product, &product.code, (&row.name, &row.metadata), &product.label);
    }
    for market in &chart.markets {
        let Some(row) = stored.markets.get(&market.code) else {
            plan.markets.push(market);
            continue;
        };
        plan.relabel(Thing::Market, &market.code, (&row.name, &None), &market.label);
    }
    for master in &chart.masters {
        let Some(row) = stored.masters.get(&master.code) else {
            plan.masters.push(master);
            continue;
        };
        conflicts.master(row, master, stored);
        plan.relabel(Thing::Master, &master.code, (&row.name, &row.metadata), &master.label);
        let (before, after) = (Schedule::of(row), Schedule::of(row).with(&master.schedule));
        if before != after {
            plan.schedules.push((&master.code, before, after));
        }
        plan.standing.push(master);
    }
    for leaf in &chart.leaves {
        let before = stored.terms.get(&leaf.code).copied();
        let standing = before.unwrap_or_else(|| Terms::of_kind(AccountKind::Leaf));
        match limits_of(leaf, standing, chart, stored) {
            Err(what) => conflicts.add(Thing::SubAccount, &leaf.code, "limits", what),
            Ok(terms) if terms == standing => {}
            Ok(terms) if before.is_some() => plan.limits.push((&leaf.code, terms)),
            Ok(terms) => drop(plan.new_limits.insert(&leaf.code, terms)),
        }
        let Some(row) = stored.sub_accounts.get(&leaf.code) else {
            plan.leaves.push(leaf);
            continue;
        };
        if let Some(owner) = &leaf.owner {
            conflicts.differ(Thing::SubAccount, &leaf.code, "owner", stored.entity_code(&row.owner), owner);
        }
        plan.relabel(Thing::SubAccount, &leaf.code, (&row.name, &row.metadata), &leaf.label);
    }
    if conflicts.0.is_empty() { Ok(plan) } else { Err(conflicts.0) }
}

/// The terms that a leaf's limits make of those that stand.
fn limits_of(leaf: &Leaf, standing: Terms, chart: &Chart, stored: &Stored) -> Result<Terms, String> {
    if leaf.limits.is_empty() {
        return Ok(standing);
    }
    let new = chart.masters.iter().find(|m| m.code == leaf.master).map(|m| (m.currency, m.time_zone.as_str()));
    let there = stored.masters.get(&leaf.master).and_then(|m| Some((m.money().ok()?, m.time_zone.as_str())));
    let Some((currency, time_zone)) = there.or(new) else {
        return Err("master: it is not there".to_owned());
    };
    let terms = leaf.limits.applied_to(standing, currency, time_zone)?;
    terms.problem(currency).map_or(Ok(terms), Err)
}

/// A master's business days, and until when its messages are to be here, as stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Schedule {
    /// Code of the calendar.
    pub calendar: String,
    /// `09:00`
    pub statement_by: Option<String>,
    /// `18:00`
    pub report_by: Option<String>,
}

impl Schedule {
    /// That of a master.
    pub fn of(row: &MasterRow) -> Schedule {
        let (calendar, statement_by) = (row.calendar.clone(), row.statement_by.clone());
        Schedule { calendar, statement_by, report_by: row.report_by.clone() }
    }

    /// That of a new master.
    pub fn new() -> Schedule {
        Schedule { calendar: calendars::WEEKDAYS.to_owned(), statement_by: None, report_by: None }
    }

    /// What a file makes of it.
    pub fn with(self, change: &ScheduleChange) -> Schedule {
        let time = |asked: Option<Option<NaiveTime>>, stays: Option<String>| match asked {
            None => stays,
            Some(time) => time.map(|t| t.format("%H:%M").to_string()),
        };
        Schedule {
            calendar: change.calendar.clone().unwrap_or(self.calendar),
            statement_by: time(change.statement_by, self.statement_by),
            report_by: time(change.report_by, self.report_by),
        }
    }
}

impl Plan<'_> {
    fn relabel(&mut self, thing: Thing, code: &str, before: (&String, &Option<String>), asked: &Label) {
        let before = Label { name: Some(before.0.clone()), metadata: before.1.clone() };
        // What the file does not say stays.
        let name = asked.name.clone().or_else(|| before.name.clone());
        let after = Label { name, metadata: asked.metadata.clone().or_else(|| before.metadata.clone()) };
        if after != before {
            self.relabels.push(Relabel { thing, code: code.to_owned(), before, after });
        }
    }
}

struct Conflicts(Vec<Problem>);

impl Conflicts {
    fn add(&mut self, thing: Thing, code: &str, field: &'static str, problem: String) {
        self.0.push(Problem { table: thing.as_str(), item: format!("\"{code}\""), field, problem });
    }

    fn differ(&mut self, thing: Thing, code: &str, field: &'static str, stored: &str, asked: &str) {
        if stored != asked {
            self.add(thing, code, field, format!("it is {stored} and cannot change; the file says {asked}"));
        }
    }

    fn master(&mut self, row: &MasterRow, asked: &Master, stored: &Stored) {
        // In another currency the amount means something else; that the currency differs is said once.
        let same_money = row.currency == asked.currency.code();
        let opening = if same_money { crate::money::Minor(row.opening) } else { asked.opening };
        for (field, is, says) in [
            ("bank", stored.bank_code(&row.bank).to_owned(), asked.bank.clone()),
            ("entity", stored.entity_code(&row.entity).to_owned(), asked.entity.clone()),
            ("currency", row.currency.clone(), asked.currency.code().to_owned()),
            ("account", row.account_number.clone(), asked.account.clone()),
            ("time_zone", row.time_zone.clone(), asked.time_zone.clone()),
            ("cut_over_on", row.cut_over_on.to_string(), asked.cut_over_on.to_string()),
            ("opening", opening.to_text(asked.currency), asked.opening.to_text(asked.currency)),
            ("numbers.scheme", row.number_scheme.clone(), asked.scheme.as_str().to_owned()),
            ("numbers.prefix", row.number_prefix.clone(), asked.prefix.clone()),
        ] {
            self.differ(Thing::Master, &asked.code, field, &is, &says);
        }
    }
}
