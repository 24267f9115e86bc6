//! The verbs of the clock and the chart: what a treasurer declares.

use super::script::{Outcome, Step};
use super::world::{BankAccount, World, answer, day, instant, list};
use tributary::chart::file::{
    BankTable, EntityTable, MarketTable, MasterTable, NumbersTable, ProductTable, ShareTable, SubAccountTable,
};
use tributary::chart::numbers::{Scheme, generate, normalise};
use tributary::chart::{self, Applied, ChartFile, LimitChange, Move};
use tributary::error::Result as Answer;
use tributary::money::{Currency, Minor};

/// `at 2026-03-02T09:00Z`: from here on it is that time.
pub fn at(world: &mut World, step: &Step) -> Result<Outcome, String> {
    world.clock.set(instant(step.need_name()?)?);
    Ok(Outcome::Done(Vec::new()))
}

/// `master de-eur currency=EUR cut-over=2026-03-01 opening=100.00 shares="tiktok:60.00,house/pool:40.00"`
pub fn master(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = step.need_name()?.to_owned();
    let get = |key: &str, default: &str| step.words.get(key).unwrap_or(default).to_owned();
    let currency: Currency = get("currency", "EUR").parse().map_err(|e| format!("{e}"))?;
    let serial = world.accounts.len() as u64 + 1;
    let made = generate(Scheme::Iban, "DE10000000", serial).map_err(|e| e.to_string())?;
    let (number, opening) = (get("account", &made), get("opening", "0"));
    let (entity, bank) = (get("entity", "acme"), get("bank", "nordbank"));
    let mut file = ChartFile {
        entity: vec![entity_table(&entity)],
        bank: vec![BankTable {
            code: bank.clone(),
            name: bank.clone(),
            bic: None,
            country: "DE".to_owned(),
            metadata: None,
        }],
        ..ChartFile::default()
    };
    let mut shares = Vec::new();
    let mut declared = Vec::new();
    for (name, amount) in step.words.get("shares").map(list).into_iter().flatten() {
        let amount = amount.ok_or_else(|| format!("shares= needs an amount for {name}"))?.to_owned();
        let leaf = if name.starts_with("house/") {
            format!("{code}/{name}")
        } else {
            let (table, leaf) = leaf_tables(&mut file, &code, name, |_| None)?;
            file.sub_account.push(table);
            declared.push((leaf.clone(), name.to_owned()));
            leaf
        };
        shares.push(ShareTable { leaf, amount });
    }
    // Each scheme has ranges of its own, so that no two masters share one.
    let scheme = get("numbers", "iban");
    let prefix = match scheme.as_str() {
        "iban" => format!("DE70{serial:06}"),
        "digits" => format!("88{serial:06}"),
        _ => format!("M{serial:03}"),
    };
    file.master.push(MasterTable {
        code: code.clone(),
        name: get("name", &code),
        bank,
        entity,
        currency: currency.code().to_owned(),
        account: number.clone(),
        time_zone: "Europe/Berlin".to_owned(),
        cut_over_on: get("cut-over", "2026-03-01"),
        opening: opening.clone(),
        numbers: NumbersTable { scheme, prefix },
        opening_shares: step.words.get("shares").map(|_| shares),
        calendar: step.words.get("calendar").map(str::to_owned),
        statement_by: step.words.get("statement-by").map(str::to_owned),
        ..MasterTable::default()
    });
    let applied = apply(world, step, file);
    let balance = Minor::parse(&opening, currency).map(|m| m.0).unwrap_or(0);
    answer(applied, |_| {
        for (leaf, name) in declared {
            world.call(&leaf, &name);
            world.leaves.insert(name, leaf);
        }
        let account = BankAccount { number: normalise(&number), currency, balance, statements: 0 };
        world.accounts.insert(code, account);
        Outcome::said("declared")
    })
}

/// `leaf tiktok-us master=de-eur product=tiktok market=US`
pub fn leaf(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?.to_owned();
    let mut file = ChartFile::default();
    let (table, leaf) = leaf_tables(&mut file, step.words.need("master")?, &name, |key| step.words.get(key))?;
    if let Some(owner) = &table.owner {
        file.entity.push(entity_table(owner));
    }
    file.sub_account.push(table);
    answer(apply(world, step, file), |_| {
        world.call(&leaf, &name);
        world.leaves.insert(name, leaf);
        Outcome::said("declared")
    })
}

/// The table of a leaf and its code; its product and market are added to the file, which passes over those that are there.
fn leaf_tables<'a>(
    file: &mut ChartFile,
    master: &str,
    name: &str,
    get: impl Fn(&str) -> Option<&'a str>,
) -> Result<(SubAccountTable, String), String> {
    let product = get("product").unwrap_or(name).to_owned();
    let market = get("market").unwrap_or("DE").to_owned();
    let purpose = get("purpose").unwrap_or("operating").to_owned();
    let code = format!("{master}/{product}/{}/{purpose}", market.to_ascii_lowercase());
    if !file.product.iter().any(|p| p.code == product) {
        file.product.push(ProductTable { code: product.clone(), name: product.clone(), metadata: None });
    }
    if !file.market.iter().any(|m| m.code == market) {
        file.market.push(MarketTable { code: market.clone(), name: market.clone() });
    }
    let table = SubAccountTable {
        master: master.to_owned(),
        product,
        market,
        purpose: Some(purpose),
        owner: get("owner").map(str::to_owned),
        name: get("name").map(str::to_owned),
        ..SubAccountTable::default()
    };
    Ok((table, code))
}

fn entity_table(code: &str) -> EntityTable {
    EntityTable { code: code.to_owned(), name: code.to_owned(), country: "DE".to_owned(), metadata: None }
}

fn apply(world: &World, step: &Step, file: ChartFile) -> Answer<Applied> {
    world.db.write("chart.apply", &World::who(&step.words), move |tx| chart::apply(tx, &file))
}

/// `freeze tiktok`: decisions cannot move its money.
pub fn freeze(world: &mut World, step: &Step) -> Result<Outcome, String> {
    change_state(world, step, Move::Freeze)
}

/// `unfreeze tiktok`: decisions can again.
pub fn unfreeze(world: &mut World, step: &Step) -> Result<Outcome, String> {
    change_state(world, step, Move::Unfreeze)
}

/// `close tiktok`: at zero, and to stay there until it is reopened.
pub fn close(world: &mut World, step: &Step) -> Result<Outcome, String> {
    change_state(world, step, Move::Close)
}

/// `reopen tiktok`
pub fn reopen(world: &mut World, step: &Step) -> Result<Outcome, String> {
    change_state(world, step, Move::Reopen)
}

fn change_state(world: &mut World, step: &Step, asked: Move) -> Result<Outcome, String> {
    let code = world.code(step.need_name()?);
    let reason = step.words.get("reason").unwrap_or("as asked").to_owned();
    let done = world.db.write("chart.change_state", &World::who(&step.words), move |tx| {
        chart::change_state(tx, &code, asked, &reason)
    });
    answer(done, |(state, changed)| {
        Outcome::said(format!("{}{}", if changed { "" } else { "already " }, state.as_str()))
    })
}

/// `limit tiktok floor=10.00 ceiling=1000.00 movement=50.00 expires=2026-03-31`; `none` takes one away.
pub fn limit(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = world.code(step.need_name()?);
    let text = |key: &str| step.words.get(key).map(|t| (t != "none").then(|| t.to_owned()));
    let expires = match step.words.get("expires") {
        Some("none") => Some(None),
        _ => day(&step.words, "expires")?.map(Some),
    };
    let change = LimitChange {
        floor: text("floor"),
        ceiling: text("ceiling"),
        movement_limit: text("movement"),
        expires_on: expires,
    };
    let reason = step.words.get("reason").unwrap_or("as asked").to_owned();
    let done = world.db.write("chart.change_limits", &World::who(&step.words), move |tx| {
        chart::change_limits(tx, &code, &change, &reason)
    });
    answer(done, |(_, changed)| Outcome::said(if changed { "limited" } else { "limited as before" }))
}
