//! Carries a plan out: rows, books, accounts, virtual account numbers, and the opening entries last, since they name leaves.

use super::file::{Label, Leaf, Master};
use super::numbers::{self, Scheme};
use super::plan::{Plan, Schedule, Thing};
use super::store::{self, BankRow, EntityRow, MarketRow, MasterRow, ProductRow, Stored, SubAccountRow};
use super::{Applied, HOUSE, NewLeaf, Refusal};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, AccountKind, Basis, Cause, NewAccount, NewEntry, NewPosting, Openings, Terms};
use crate::money::{Currency, Minor};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The cause of a master's opening entry.
pub(super) fn opening_cause(master_id: &str) -> Cause {
    Cause::new("opening", master_id)
}

/// Makes and renames what the plan says, each with its event.
pub(super) fn carry_out(tx: &mut Tx<'_>, plan: &Plan<'_>, stored: &Stored) -> Result<Applied> {
    let mut creation = Creation::new(tx, stored)?;
    creation.things(plan)?;
    for master in &plan.masters {
        creation.master(master)?;
    }
    for leaf in &plan.leaves {
        creation.leaf(leaf, plan.new_limits.get(leaf.code.as_str()).copied())?;
    }
    creation.write_sub_accounts()?;
    creation.openings(&plan.masters)?;
    for relabel in &plan.relabels {
        store::update_label(creation.tx.conn(), relabel.thing, &relabel.code, &relabel.after)?;
        let (before, after) = (label_json(&relabel.before), label_json(&relabel.after));
        creation.tx.event(relabel.thing.event(), &relabel.code, Some(before), Some(after));
        creation.applied.updated.push(format!("{} {}", relabel.thing.as_str(), relabel.code));
    }
    for (code, before, after) in &plan.schedules {
        store::update_schedule(creation.tx.conn(), code, after)?;
        let json = |schedule| Some(json!(schedule).to_string());
        creation.tx.event("chart.schedule", code, json(before), json(after));
        creation.applied.updated.push(format!("schedule of master {code}"));
    }
    for (code, terms) in &plan.limits {
        ledger::set_terms(creation.tx, code, terms, "declared in a file")?;
        creation.applied.updated.push(format!("limits of {code}"));
        creation.applied.limited.push((*code).to_owned());
    }
    Ok(creation.applied)
}

/// A master is there: the opening shares that the file names must be those that were posted.
pub(super) fn refuse_other_shares(conn: &mut Conn, master: &Master, stored: &Stored) -> Result<()> {
    let (Some(shares), Some(row)) = (&master.shares, stored.masters.get(&master.code)) else {
        return Ok(());
    };
    let posted = ledger::entry_by_cause(conn, &opening_cause(&row.id))?;
    let posted: BTreeMap<i64, i64> = posted.iter().flat_map(|e| &e.postings).map(|p| (p.account, p.amount)).collect();
    let codes: Vec<String> = shares.iter().map(|(leaf, _)| leaf.clone()).collect();
    let accounts = ledger::accounts_by_code(conn, &codes)?;
    let asked = shares.iter().map(|(leaf, amount)| Some((accounts.get(leaf)?.id, amount.0.checked_neg()?)));
    let asked: Option<BTreeMap<i64, i64>> = asked.collect();
    let shared = posted.into_iter().filter(|(account, _)| ![row.account, row.suspense].contains(account)).collect();
    if asked == Some(shared) {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the file contradicts the chart, and nothing was changed:\n  [[master]] \"{}\", opening_shares: the opening is posted with \
         other shares; take them out of the file and place the money from suspense instead",
        master.code
    )))
}

/// A master in which leaves are made.
struct Home {
    id: String,
    entity: String,
    currency: Currency,
    book: i64,
    scheme: Scheme,
    prefix: String,
    given: i64,
}

struct Creation<'t, 'c> {
    tx: &'t mut Tx<'c>,
    applied: Applied,
    /// Ids by code, of what is there and of what is made.
    entities: HashMap<String, String>,
    banks: HashMap<String, String>,
    /// Id and name.
    products: HashMap<String, (String, String)>,
    /// Names.
    markets: HashMap<String, String>,
    homes: HashMap<String, Home>,
    /// Ids of virtual accounts by code.
    sub_accounts: HashMap<String, String>,
    /// To be written in one go.
    rows: Vec<SubAccountRow>,
    accounts: HashMap<String, AccountId>,
    openings: Openings,
    given_more: BTreeSet<String>,
}

impl<'t, 'c> Creation<'t, 'c> {
    fn new(tx: &'t mut Tx<'c>, stored: &Stored) -> Result<Self> {
        let home = |m: &MasterRow| {
            Some(Home {
                id: m.id.clone(),
                entity: m.entity.clone(),
                currency: m.money().ok()?,
                book: m.book,
                scheme: Scheme::parse(&m.number_scheme)?,
                prefix: m.number_prefix.clone(),
                given: m.numbers_given,
            })
        };
        Ok(Creation {
            openings: Openings::begin(tx)?,
            tx,
            applied: Applied::default(),
            entities: stored.entities.iter().map(|(code, row)| (code.clone(), row.id.clone())).collect(),
            banks: stored.banks.iter().map(|(code, row)| (code.clone(), row.id.clone())).collect(),
            products: stored
                .products
                .iter()
                .map(|(code, row)| (code.clone(), (row.id.clone(), row.name.clone())))
                .collect(),
            markets: stored.markets.iter().map(|(code, row)| (code.clone(), row.name.clone())).collect(),
            homes: stored.masters.iter().filter_map(|(code, row)| Some((code.clone(), home(row)?))).collect(),
            sub_accounts: stored.sub_accounts.iter().map(|(code, row)| (code.clone(), row.id.clone())).collect(),
            rows: Vec::new(),
            accounts: HashMap::new(),
            given_more: BTreeSet::new(),
        })
    }

    fn things(&mut self, plan: &Plan<'_>) -> Result<()> {
        for e in &plan.entities {
            let (id, code, country) = (self.tx.id("ent"), e.code.clone(), e.country.clone());
            let row =
                EntityRow { id: id.clone(), code, name: name(&e.label), country, metadata: e.label.metadata.clone() };
            store::insert_entity(self.tx.conn(), &row)?;
            self.made(Thing::Entity, &e.code, json!({ "name": row.name, "country": row.country }), &e.label);
            self.entities.insert(row.code.clone(), id);
            self.applied.entities.push(row.code);
        }
        for b in &plan.banks {
            let (id, code, country) = (self.tx.id("bnk"), b.code.clone(), b.country.clone());
            let (bic, metadata) = (b.bic.clone(), b.label.metadata.clone());
            let row = BankRow { id: id.clone(), code, name: name(&b.label), bic, country, metadata };
            store::insert_bank(self.tx.conn(), &row)?;
            self.made(
                Thing::Bank,
                &b.code,
                json!({ "name": row.name, "country": row.country, "bic": row.bic }),
                &b.label,
            );
            self.banks.insert(row.code.clone(), id);
            self.applied.banks.push(row.code);
        }
        for p in &plan.products {
            let (id, code) = (self.tx.id("prd"), p.code.clone());
            let row = ProductRow { id: id.clone(), code, name: name(&p.label), metadata: p.label.metadata.clone() };
            store::insert_product(self.tx.conn(), &row)?;
            self.made(Thing::Product, &p.code, json!({ "name": row.name }), &p.label);
            self.products.insert(row.code.clone(), (id, row.name));
            self.applied.products.push(row.code);
        }
        for m in &plan.markets {
            let row = MarketRow { code: m.code.clone(), name: name(&m.label) };
            store::insert_market(self.tx.conn(), &row)?;
            self.made(Thing::Market, &m.code, json!({ "name": row.name }), &m.label);
            self.markets.insert(row.code.clone(), row.name);
            self.applied.markets.push(row.code);
        }
        Ok(())
    }

    /// A master with its book, its own accounts and its house leaves.
    fn master(&mut self, m: &Master) -> Result<()> {
        let id = self.tx.id("mst");
        let book = ledger::open_book(self.tx, &m.code, "cash", m.currency.code())?;
        let schedule = Schedule::new().with(&m.schedule);
        let row = MasterRow {
            id: id.clone(),
            code: m.code.clone(),
            name: name(&m.label),
            bank: known(&self.banks, &m.bank)?,
            entity: known(&self.entities, &m.entity)?,
            currency: m.currency.code().to_owned(),
            account_number: m.account.clone(),
            time_zone: m.time_zone.clone(),
            cut_over_on: m.cut_over_on,
            opening: m.opening.0,
            number_scheme: m.scheme.as_str().to_owned(),
            number_prefix: m.prefix.clone(),
            numbers_given: 0,
            book,
            account: self.account(book, m.currency, AccountKind::Master, &m.code).0,
            suspense: self.account(book, m.currency, AccountKind::Suspense, &format!("{}/suspense", m.code)).0,
            in_transit: self.account(book, m.currency, AccountKind::InTransit, &format!("{}/in-transit", m.code)).0,
            line_count: 0,
            metadata: m.label.metadata.clone(),
            calendar: schedule.calendar.clone(),
            statement_by: schedule.statement_by.clone(),
            report_by: schedule.report_by.clone(),
        };
        // The master refers to its accounts.
        self.openings.write(self.tx)?;
        store::insert_master(self.tx.conn(), &row)?;
        let after = json!({
            "name": row.name, "bank": m.bank, "entity": m.entity, "currency": row.currency, "account": row.account_number,
            "time_zone": row.time_zone, "cut_over_on": row.cut_over_on, "opening": m.opening.to_text(m.currency),
            "number_scheme": row.number_scheme, "number_prefix": row.number_prefix, "schedule": schedule,
        });
        self.made(Thing::Master, &m.code, after, &m.label);
        let home = Home {
            id: id.clone(),
            entity: row.entity.clone(),
            currency: m.currency,
            book,
            scheme: m.scheme,
            prefix: m.prefix.clone(),
            given: 0,
        };
        self.homes.insert(m.code.clone(), home);
        self.applied.masters.push(m.code.clone());
        let top = blank(&id, &format!("{}/house", m.code), "House", "summary", &row.entity);
        let top_id = self.sub_account(top);
        for leaf in HOUSE {
            let code = row.house(leaf);
            let AccountId(account) = self.account(book, m.currency, AccountKind::House, &code);
            let house = blank(&id, &code, house_name(leaf), "house", &row.entity);
            self.sub_account(SubAccountRow { parent: Some(top_id.clone()), account: Some(account), ..house });
        }
        Ok(())
    }

    /// A leaf, and the summaries above it that are not there yet.
    fn leaf(&mut self, leaf: &Leaf, limits: Option<Terms>) -> Result<()> {
        let Some(home) = self.homes.get_mut(&leaf.master) else {
            return Err(missing(&leaf.master));
        };
        let serial = home.given.saturating_add(1);
        let number = numbers::generate(home.scheme, &home.prefix, serial.unsigned_abs());
        let number = number.map_err(|problem| Refusal::NumbersUsedUp { master: leaf.master.clone(), problem })?;
        home.given = serial;
        let (master, entity, book, currency) = (home.id.clone(), home.entity.clone(), home.book, home.currency);
        self.given_more.insert(leaf.master.clone());
        let Some((product, product_name)) = self.products.get(&leaf.product).cloned() else {
            return Err(missing(&leaf.product));
        };
        let market_name = known(&self.markets, &leaf.market)?;
        let owner = leaf.owner.as_ref().map_or(Ok(entity.clone()), |code| known(&self.entities, code))?;
        let of_product = format!("{}/{}", leaf.master, leaf.product);
        let summary =
            SubAccountRow { product: Some(product), ..blank(&master, &of_product, &product_name, "summary", &entity) };
        let above = self.summary(summary.clone());
        let of_market = format!("{of_product}/{}", leaf.market.to_ascii_lowercase());
        let summary = SubAccountRow {
            code: of_market,
            name: market_name,
            market: Some(leaf.market.clone()),
            parent: Some(above),
            ..summary
        };
        let above = self.summary(summary.clone());
        let new = NewAccount { book, code: &leaf.code, currency, kind: AccountKind::Leaf };
        let AccountId(account) = self.openings.add(self.tx, &new, limits);
        self.accounts.insert(leaf.code.clone(), AccountId(account));
        let plain = || format!("{product_name} {} {}", leaf.market, leaf.purpose);
        self.sub_account(SubAccountRow {
            code: leaf.code.clone(),
            name: leaf.label.name.clone().unwrap_or_else(plain),
            kind: "leaf".to_owned(),
            owner,
            parent: Some(above),
            account: Some(account),
            virtual_number: Some(number.clone()),
            metadata: leaf.label.metadata.clone(),
            ..summary
        });
        self.applied.leaves.push(NewLeaf { code: leaf.code.clone(), virtual_number: number });
        Ok(())
    }

    fn summary(&mut self, row: SubAccountRow) -> String {
        let there = self.sub_accounts.get(&row.code).cloned();
        there.unwrap_or_else(|| self.sub_account(row))
    }

    /// Gives the row its id and keeps it for writing; answers the id.
    fn sub_account(&mut self, row: SubAccountRow) -> String {
        let id = self.tx.id("sub");
        let mut after = json!({ "name": row.name, "kind": row.kind });
        if let Some(number) = &row.virtual_number {
            after["virtual_number"] = json!(number);
        }
        if let Some(code) = self.entities.iter().find(|(_, id)| **id == row.owner).map(|(code, _)| code) {
            after["owner"] = json!(code);
        }
        let label = Label { name: None, metadata: row.metadata.clone() };
        self.made(Thing::SubAccount, &row.code, after, &label);
        self.sub_accounts.insert(row.code.clone(), id.clone());
        self.rows.push(SubAccountRow { id: id.clone(), ..row });
        id
    }

    fn account(&mut self, book: i64, currency: Currency, kind: AccountKind, code: &str) -> AccountId {
        let account = self.openings.add(self.tx, &NewAccount { book, code, currency, kind }, None);
        self.accounts.insert(code.to_owned(), account);
        account
    }

    fn write_sub_accounts(&mut self) -> Result<()> {
        self.openings.write(self.tx)?;
        store::insert_sub_accounts(self.tx.conn(), &self.rows)?;
        for code in &self.given_more {
            if let Some(home) = self.homes.get(code) {
                store::update_numbers_given(self.tx.conn(), &home.id, home.given)?;
            }
        }
        Ok(())
    }

    /// The bank's balance at the start of the cut-over day, booked on that day: it is there before the day's first line.
    fn openings(&mut self, masters: &[&Master]) -> Result<()> {
        let mut entries = Vec::with_capacity(masters.len());
        for m in masters {
            let account = |code: &str| self.accounts.get(code).copied().ok_or_else(|| missing(code));
            let share = |account: AccountId, amount: Minor| -> Result<NewPosting> {
                let amount = amount.opposite().map_err(|e| Error::Broken(format!("opening of {}: {e}", m.code)))?;
                Ok(NewPosting { account, amount: amount.0 })
            };
            let mut postings = vec![NewPosting { account: account(&m.code)?, amount: m.opening.0 }];
            for (leaf, amount) in m.shares.iter().flatten() {
                postings.push(share(account(leaf)?, *amount)?);
            }
            postings.push(share(account(&format!("{}/suspense", m.code))?, m.unplaced)?);
            postings.retain(|p| p.amount != 0);
            let Some(home) = self.homes.get(&m.code).filter(|_| !postings.is_empty()) else {
                continue;
            };
            entries.push(NewEntry {
                kind: "opening".to_owned(),
                basis: Basis::Fact,
                description: format!("Opening balance of {}", m.code),
                booked_on: m.cut_over_on,
                valued_on: m.cut_over_on,
                cause: opening_cause(&home.id),
                postings,
                holds: Vec::new(),
                reverses: None,
                metadata: None,
            });
        }
        ledger::post_in(self.tx, &entries)?.into_iter().collect::<Result<Vec<_>>>().map(drop)
    }

    fn made(&mut self, thing: Thing, code: &str, mut after: serde_json::Value, label: &Label) {
        if let Some(metadata) = &label.metadata {
            after["metadata"] = serde_json::from_str(metadata).unwrap_or_default();
        }
        self.tx.event(thing.event(), code, None, Some(after.to_string()));
    }
}

/// A virtual account with nothing but what all have.
fn blank(master: &str, code: &str, name: &str, kind: &str, owner: &str) -> SubAccountRow {
    SubAccountRow {
        id: String::new(),
        master: master.to_owned(),
        parent: None,
        code: code.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        product: None,
        market: None,
        owner: owner.to_owned(),
        account: None,
        virtual_number: None,
        metadata: None,
    }
}

fn house_name(leaf: &str) -> &'static str {
    match leaf {
        "pool" => "Treasury pool",
        "fees" => "Bank fees",
        "interest" => "Bank interest",
        "rounding" => "Rounding differences",
        _ => "Currency result",
    }
}

fn name(label: &Label) -> String {
    label.name.clone().unwrap_or_default()
}

fn label_json(label: &Label) -> String {
    let metadata = label.metadata.as_deref().and_then(|m| serde_json::from_str::<serde_json::Value>(m).ok());
    json!({ "name": label.name, "metadata": metadata }).to_string()
}

fn known(ids: &HashMap<String, String>, code: &str) -> Result<String> {
    ids.get(code).cloned().ok_or_else(|| missing(code))
}

/// References were checked before anything was written.
fn missing(code: &str) -> Error {
    Error::Broken(format!("\"{code}\" went missing while the chart was made"))
}
