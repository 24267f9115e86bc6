//! The chart over HTTP: what there is, as far as the caller sees it, and the life and limits of leaves.

use super::{MasterRow, Move, SeenChart, SubAccountRow, account_seen, chart_seen};
use crate::access::Permission;
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change};
use crate::http::{Asked, Call, Day, Limit, Money, Nothing, Operation, Page, Paging, Why, get, post, put};
use crate::ledger::{AccountRow, Terms};
use crate::scope::Scope;
use crate::time::{from_stored, rfc3339};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of the chart, and of what is on its accounts.
pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        get("/v1/entities", "entities.list", "Legal entities, by code").may(Permission::ChartRead).reads(entities),
        get("/v1/entities/{entity}", "entities.show", "One legal entity").may(Permission::ChartRead).reads(entity),
        get("/v1/banks", "banks.list", "Banks, by code").may(Permission::ChartRead).reads(banks),
        get("/v1/banks/{bank}", "banks.show", "One bank").may(Permission::ChartRead).reads(bank),
        get("/v1/products", "products.list", "Lines of business, by code").may(Permission::ChartRead).reads(products),
        get("/v1/products/{product}", "products.show", "One line of business")
            .may(Permission::ChartRead)
            .reads(product),
        get("/v1/markets", "markets.list", "Countries of business, by code").may(Permission::ChartRead).reads(markets),
        get("/v1/masters", "masters.list", "Real bank accounts, by code").may(Permission::ChartRead).reads(masters),
        get("/v1/masters/{master}", "masters.show", "One real bank account").may(Permission::ChartRead).reads(master),
        get("/v1/sub-accounts", "sub_accounts.list", "Virtual accounts, summaries too, by code")
            .may(Permission::ChartRead)
            .reads(sub_accounts),
        get(
            "/v1/sub-accounts/{sub_account}",
            "sub_accounts.show",
            "One virtual account; the slashes of its code are written %2F",
        )
        .may(Permission::ChartRead)
        .reads(sub_account),
        get(
            "/v1/sub-accounts/{sub_account}/limits",
            "limits.show",
            "A leaf's limits, with the ETag that changing them needs",
        )
        .may(Permission::ChartRead)
        .configuration()
        .reads(limits),
        put("/v1/sub-accounts/{sub_account}/limits", "limits.change", "Give a leaf other limits")
            .may(Permission::LeavesChange)
            .configuration()
            .dry_runs()
            .writes(change_limits),
    ];
    for (path, id, says, permission, command) in [
        (
            "/v1/sub-accounts/{sub_account}/freeze",
            "leaves.freeze",
            "Stop decisions on a leaf's money",
            Permission::LeavesFreeze,
            freeze as fn(&mut Tx<'_>, &Asked<Nothing, Why>) -> Result<Standing>,
        ),
        (
            "/v1/sub-accounts/{sub_account}/unfreeze",
            "leaves.unfreeze",
            "Let decisions on a leaf's money go on",
            Permission::LeavesChange,
            unfreeze,
        ),
        (
            "/v1/sub-accounts/{sub_account}/close",
            "leaves.close",
            "End a leaf that is at zero",
            Permission::LeavesChange,
            close,
        ),
        (
            "/v1/sub-accounts/{sub_account}/reopen",
            "leaves.reopen",
            "Begin a closed leaf again",
            Permission::LeavesChange,
            reopen,
        ),
    ] {
        all.push(post(path, id, says).may(permission).dry_runs().writes(command));
    }
    all.extend(super::accounts::api::operations());
    all
}

/// A legal entity.
#[derive(Serialize, JsonSchema)]
struct Entity {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// ISO 3166.
    country: String,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

/// A bank.
#[derive(Serialize, JsonSchema)]
struct Bank {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// ISO 9362.
    bic: Option<String>,
    /// ISO 3166.
    country: String,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

/// A line of business.
#[derive(Serialize, JsonSchema)]
struct Product {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

/// A country of business.
#[derive(Serialize, JsonSchema)]
struct Market {
    /// ISO 3166.
    code: String,
    /// For people.
    name: String,
}

/// A real bank account.
#[derive(Serialize, JsonSchema)]
struct Master {
    /// Its code.
    code: String,
    /// For people.
    name: String,
    /// Code of the bank.
    bank: String,
    /// Code of the entity that holds it.
    entity: String,
    /// ISO 4217.
    currency: String,
    /// As the bank writes it.
    account_number: String,
    /// IANA.
    time_zone: String,
    /// From this day on its lines post.
    cut_over_on: NaiveDate,
    /// Code of its business days.
    calendar: String,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

/// A virtual account.
#[derive(Serialize, JsonSchema)]
struct SubAccount {
    /// Its path, which begins with the master's code.
    code: String,
    /// For people.
    name: String,
    /// `leaf`, `house` or `summary`.
    kind: String,
    /// Path of the summary that it lies in.
    parent: Option<String>,
    /// Code of the master.
    master: String,
    /// Code of the product.
    product: Option<String>,
    /// ISO 3166.
    market: Option<String>,
    /// Code of the entity whose money it is.
    owner: String,
    /// What payers write.
    virtual_number: Option<String>,
    /// For other systems.
    metadata: Option<serde_json::Value>,
}

fn json(text: Option<&str>) -> Option<serde_json::Value> {
    text.and_then(|t| serde_json::from_str(t).ok())
}

fn master_of(chart: &SeenChart, m: &MasterRow) -> Master {
    Master {
        code: m.code.clone(),
        name: m.name.clone(),
        bank: chart.code(&m.bank),
        entity: chart.code(&m.entity),
        currency: m.currency.clone(),
        account_number: m.account_number.clone(),
        time_zone: m.time_zone.clone(),
        cut_over_on: m.cut_over_on,
        calendar: m.calendar.clone(),
        metadata: json(m.metadata.as_deref()),
    }
}

fn sub_account_of(chart: &SeenChart, s: &SubAccountRow) -> SubAccount {
    SubAccount {
        code: s.code.clone(),
        name: s.name.clone(),
        kind: s.kind.clone(),
        parent: s.parent.as_deref().map(|p| chart.code(p)),
        master: chart.code(&s.master),
        product: s.product.as_deref().map(|p| chart.code(p)),
        market: s.market.clone(),
        owner: chart.code(&s.owner),
        virtual_number: s.virtual_number.clone(),
        metadata: json(s.metadata.as_deref()),
    }
}

fn all_entities(chart: &SeenChart) -> Vec<Entity> {
    let one = |e: &super::EntityRow| Entity {
        code: e.code.clone(),
        name: e.name.clone(),
        country: e.country.clone(),
        metadata: json(e.metadata.as_deref()),
    };
    chart.entities.iter().map(one).collect()
}

fn all_banks(chart: &SeenChart) -> Vec<Bank> {
    let one = |b: &super::BankRow| Bank {
        code: b.code.clone(),
        name: b.name.clone(),
        bic: b.bic.clone(),
        country: b.country.clone(),
        metadata: json(b.metadata.as_deref()),
    };
    chart.banks.iter().map(one).collect()
}

fn all_products(chart: &SeenChart) -> Vec<Product> {
    let one = |p: &super::ProductRow| Product {
        code: p.code.clone(),
        name: p.name.clone(),
        metadata: json(p.metadata.as_deref()),
    };
    chart.products.iter().map(one).collect()
}

fn seen(call: &Call) -> Result<SeenChart> {
    call.read(|conn| chart_seen(conn, call.scope()))
}

/// The one of a list that the path names.
fn named<T>(call: &Call, what: &str, all: Vec<T>, code: impl Fn(&T) -> &str) -> Result<T> {
    let wanted = call.path(what);
    let absent = || Error::NotFound(format!("there is no {} {wanted}", what.replace('_', "-")));
    all.into_iter().find(|one| code(one) == wanted).ok_or_else(absent)
}

fn entities(call: &Call, paging: &Paging) -> Result<Page<Entity>> {
    Ok(call.page_of(all_entities(&seen(call)?), paging.limit, |e| e.code.clone()))
}

fn entity(call: &Call, _: &Nothing) -> Result<Entity> {
    named(call, "entity", all_entities(&seen(call)?), |e| &e.code)
}

fn banks(call: &Call, paging: &Paging) -> Result<Page<Bank>> {
    Ok(call.page_of(all_banks(&seen(call)?), paging.limit, |b| b.code.clone()))
}

fn bank(call: &Call, _: &Nothing) -> Result<Bank> {
    named(call, "bank", all_banks(&seen(call)?), |b| &b.code)
}

fn products(call: &Call, paging: &Paging) -> Result<Page<Product>> {
    Ok(call.page_of(all_products(&seen(call)?), paging.limit, |p| p.code.clone()))
}

fn product(call: &Call, _: &Nothing) -> Result<Product> {
    named(call, "product", all_products(&seen(call)?), |p| &p.code)
}

fn markets(call: &Call, paging: &Paging) -> Result<Page<Market>> {
    let all = seen(call)?.markets.into_iter().map(|m| Market { code: m.code, name: m.name });
    Ok(call.page_of(all.collect(), paging.limit, |m| m.code.clone()))
}

fn masters(call: &Call, paging: &Paging) -> Result<Page<Master>> {
    let chart = seen(call)?;
    let all = chart.masters.iter().map(|m| master_of(&chart, m)).collect();
    Ok(call.page_of(all, paging.limit, |m| m.code.clone()))
}

fn master(call: &Call, _: &Nothing) -> Result<Master> {
    let chart = seen(call)?;
    let all = chart.masters.iter().map(|m| master_of(&chart, m)).collect();
    named(call, "master", all, |m: &Master| &m.code)
}

/// Which virtual accounts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this master.
    master: Option<String>,
    /// Only of this product.
    product: Option<String>,
    /// Only of this market.
    market: Option<String>,
    /// How many a page has.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[expect(dead_code, reason = "read by the plumbing; here it is a documented parameter")]
    cursor: Option<String>,
}

fn sub_accounts(call: &Call, which: &Which) -> Result<Page<SubAccount>> {
    let chart = seen(call)?;
    let is = |asked: &Option<String>, of: Option<&String>| asked.is_none() || asked.as_ref() == of;
    let all = chart.sub_accounts.iter().map(|s| sub_account_of(&chart, s)).filter(|s| {
        is(&which.master, Some(&s.master))
            && is(&which.product, s.product.as_ref())
            && is(&which.market, s.market.as_ref())
    });
    Ok(call.page_of(all.collect(), which.limit, |s| s.code.clone()))
}

fn sub_account(call: &Call, _: &Nothing) -> Result<SubAccount> {
    let chart = seen(call)?;
    let all = chart.sub_accounts.iter().map(|s| sub_account_of(&chart, s)).collect();
    named(call, "sub_account", all, |s: &SubAccount| &s.code)
}

/// What a proposal says where there is to be no limit.
const NO_LIMIT: &str = "none";

/// A leaf's limits; null: there is none.
#[derive(Serialize, JsonSchema)]
struct Limits {
    /// The leaf's path.
    sub_account: String,
    /// Below which no decision takes what is available.
    floor: Option<Money>,
    /// Above which no decision takes what is booked.
    ceiling: Option<Money>,
    /// What one decision moves at most.
    movement_limit: Option<Money>,
    /// From when on it takes no decision; RFC 3339.
    expires_at: Option<String>,
}

fn limits_of(a: &AccountRow, terms: &Terms) -> Limits {
    let of = |minor: i64| Money::of(minor, u8::try_from(a.exponent).unwrap_or(0), &a.currency);
    Limits {
        sub_account: a.code.clone(),
        floor: terms.floor.map(of),
        ceiling: terms.ceiling.map(of),
        movement_limit: terms.movement_limit.map(of),
        expires_at: terms.expires_at.map(rfc3339),
    }
}

/// The account of a leaf that is seen; accounts that are no leaves have no limits of their own.
fn leaf(conn: &mut Conn, scope: &Scope, code: &str) -> Result<AccountRow> {
    let absent = || Error::NotFound(format!("there is no leaf {code}"));
    let account = account_seen(conn, scope, code).map_err(|e| if e.code() == "not_found" { absent() } else { e })?;
    if account.kind == "leaf" || account.kind == "house" { Ok(account) } else { Err(absent()) }
}

fn limits(call: &Call, _: &Nothing) -> Result<Limits> {
    let account = call.read(|conn| leaf(conn, call.scope(), call.path("sub_account")))?;
    Ok(limits_of(&account, &terms(&account)))
}

fn terms(a: &AccountRow) -> Terms {
    Terms {
        floor: a.floor,
        ceiling: a.ceiling,
        movement_limit: a.movement_limit,
        expires_at: a.expires_at.map(from_stored),
    }
}

/// All limits of a leaf: what is null or not there is no limit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewLimits {
    /// Below which no decision takes what is available.
    floor: Option<Money>,
    /// Above which no decision takes what is booked.
    ceiling: Option<Money>,
    /// What one decision moves at most.
    movement_limit: Option<Money>,
    /// Its last day, where its master is.
    expires_on: Option<Day>,
    /// Why, in a few words; kept.
    #[schemars(length(min = 3))]
    reason: String,
}

/// A leaf's limits, as they are now.
#[derive(Serialize, JsonSchema)]
struct ChangedLimits {
    /// The limits.
    #[serde(flatten)]
    limits: Limits,
    /// The proposal of others that waits for approval; null where they are changed.
    proposal: Option<String>,
}

fn change_limits(tx: &mut Tx<'_>, asked: &Asked<Nothing, NewLimits>) -> Result<ChangedLimits> {
    let (scope, code, body) = (tx.scope().clone(), asked.path("sub_account"), &asked.body);
    let account = leaf(tx.conn(), &scope, code)?;
    asked.expect_unchanged(&limits_of(&account, &terms(&account)))?;
    let amount = |name: &str, money: &Option<Money>| -> Result<Option<String>> {
        let Some(money) = money else { return Ok(Some(NO_LIMIT.to_owned())) };
        money.read(name)?;
        if money.currency != account.currency {
            let why = format!("{name}: {code} is kept in {}, not in {}", account.currency, money.currency);
            return Err(crate::http::Refusal::BadBody { why }.into());
        }
        Ok(Some(money.amount.clone()))
    };
    let change = four_eyes::Limits {
        leaf: code.to_owned(),
        floor: amount("floor", &body.floor)?,
        ceiling: amount("ceiling", &body.ceiling)?,
        movement_limit: amount("movement_limit", &body.movement_limit)?,
        expires_on: Some(body.expires_on.map_or_else(|| NO_LIMIT.to_owned(), |d| d.0.to_string())),
        reason: body.reason.clone(),
    };
    let (_, proposal) = four_eyes::submit_in(tx, &Change::Limits(change))?.parts();
    let account = leaf(tx.conn(), &scope, code)?;
    Ok(ChangedLimits { limits: limits_of(&account, &terms(&account)), proposal })
}

/// Where a leaf's life stands.
#[derive(Serialize, JsonSchema)]
struct Standing {
    /// The leaf's path.
    sub_account: String,
    /// `open`, `frozen` or `closed`.
    state: String,
    /// Whether it is in that state since this request.
    changed: bool,
}

fn live(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>, step: Move) -> Result<Standing> {
    let (scope, code) = (tx.scope().clone(), asked.path("sub_account"));
    leaf(tx.conn(), &scope, code)?;
    let (state, changed) = super::change_state(tx, code, step, &asked.body.reason)?;
    Ok(Standing { sub_account: code.to_owned(), state: state.as_str().to_owned(), changed })
}

fn freeze(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Standing> {
    live(tx, asked, Move::Freeze)
}

fn unfreeze(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Standing> {
    live(tx, asked, Move::Unfreeze)
}

fn close(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Standing> {
    live(tx, asked, Move::Close)
}

fn reopen(tx: &mut Tx<'_>, asked: &Asked<Nothing, Why>) -> Result<Standing> {
    live(tx, asked, Move::Reopen)
}
