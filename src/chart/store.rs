//! The chart's SQL. Charts are read whole: some thousand rows, rarely.

use super::file::Label;
use super::numbers::Scheme;
use super::plan::{Schedule, Thing};
use super::reading::{Known, KnownMaster};
use super::seen::Place;
use crate::calendars;
use crate::db::bulk::{self, Bulk, Cells};
use crate::db::schema::{accounts, banks, books, entities, markets, masters, products, sub_accounts};
use crate::db::{Conn, broken};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountKind, Terms};
use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::{
    ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, insert_into, update};
use std::collections::{BTreeMap, HashMap};

/// A legal entity.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = entities, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct EntityRow {
    pub id: String,
    pub code: String,
    pub name: String,
    pub country: String,
    pub metadata: Option<String>,
}

/// A bank.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = banks, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct BankRow {
    pub id: String,
    pub code: String,
    pub name: String,
    pub bic: Option<String>,
    pub country: String,
    pub metadata: Option<String>,
}

/// A line of business.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = products, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct ProductRow {
    pub id: String,
    pub code: String,
    pub name: String,
    pub metadata: Option<String>,
}

/// A country of a product's business.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = markets, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct MarketRow {
    pub code: String,
    pub name: String,
}

/// A real bank account. `bank` and `entity` are ids, `account`, `suspense` and `in_transit` numbers of ledger accounts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = masters, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct MasterRow {
    pub id: String,
    pub code: String,
    pub name: String,
    pub bank: String,
    pub entity: String,
    pub currency: String,
    pub account_number: String,
    pub time_zone: String,
    pub cut_over_on: NaiveDate,
    pub opening: i64,
    pub number_scheme: String,
    pub number_prefix: String,
    pub numbers_given: i64,
    pub book: i64,
    pub account: i64,
    pub suspense: i64,
    pub in_transit: i64,
    pub line_count: i64,
    pub metadata: Option<String>,
    pub calendar: String,
    pub statement_by: Option<String>,
    pub report_by: Option<String>,
}

impl MasterRow {
    /// Its currency, which was one when it was stored.
    pub fn money(&self) -> Result<crate::money::Currency> {
        self.currency.parse().map_err(|e| Error::Broken(format!("master {}: {e}", self.code)))
    }

    /// The account of one of its house leaves: `pool`, `fees`...
    pub fn house(&self, leaf: &str) -> String {
        format!("{}/house/{leaf}", self.code)
    }
}

/// A virtual account in a master. `master`, `parent`, `product` and `owner` are ids.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sub_accounts)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct SubAccountRow {
    pub id: String,
    pub master: String,
    pub parent: Option<String>,
    pub code: String,
    pub name: String,
    pub kind: String,
    pub product: Option<String>,
    pub market: Option<String>,
    pub owner: String,
    pub account: Option<i64>,
    pub virtual_number: Option<String>,
    pub metadata: Option<String>,
}

impl Bulk for SubAccountRow {
    type Table = sub_accounts::table;
    const TABLE: &'static str = "sub_accounts";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "master",
        "parent",
        "code",
        "name",
        "kind",
        "product",
        "market",
        "owner",
        "account",
        "virtual_number",
        "metadata",
    ];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> diesel::QueryResult<()> {
        c.text(&self.id)?;
        c.text(&self.master)?;
        c.maybe_text(self.parent.as_deref())?;
        c.text(&self.code)?;
        c.text(&self.name)?;
        c.text(&self.kind)?;
        c.maybe_text(self.product.as_deref())?;
        c.maybe_text(self.market.as_deref())?;
        c.text(&self.owner)?;
        c.maybe_int(&self.account)?;
        c.maybe_text(self.virtual_number.as_deref())?;
        c.maybe_text(self.metadata.as_deref())
    }
}

/// A leaf or house leaf, with the codes that people know.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Leaf {
    /// Its id.
    pub id: String,
    /// Its path, and the code of its account.
    pub code: String,
    /// For people.
    pub name: String,
    /// `leaf` or `house`.
    pub kind: String,
    /// Code of its product; house leaves have none.
    pub product: Option<String>,
    /// ISO 3166; house leaves have none.
    pub market: Option<String>,
    /// Code of the entity whose money it is.
    pub owner: String,
    /// Its ledger account.
    pub account: i64,
    /// What payers write; house leaves have none.
    pub virtual_number: Option<String>,
    /// `open`, `frozen`, `closed`.
    pub state: String,
    /// From when on it takes no decision.
    pub expires_at: Option<NaiveDateTime>,
}

/// All entities, by code.
pub fn entities(conn: &mut Conn) -> Result<Vec<EntityRow>> {
    entities::table.select(EntityRow::as_select()).order(entities::code).load(conn).map_err(broken)
}

/// All banks, by code.
pub fn banks(conn: &mut Conn) -> Result<Vec<BankRow>> {
    banks::table.select(BankRow::as_select()).order(banks::code).load(conn).map_err(broken)
}

/// All products, by code.
pub fn products(conn: &mut Conn) -> Result<Vec<ProductRow>> {
    products::table.select(ProductRow::as_select()).order(products::code).load(conn).map_err(broken)
}

/// All markets, by code.
pub fn markets(conn: &mut Conn) -> Result<Vec<MarketRow>> {
    markets::table.select(MarketRow::as_select()).order(markets::code).load(conn).map_err(broken)
}

/// All masters, by code.
pub fn masters(conn: &mut Conn) -> Result<Vec<MasterRow>> {
    masters::table.select(MasterRow::as_select()).order(masters::code).load(conn).map_err(broken)
}

/// The master with this code.
pub fn master(conn: &mut Conn, code: &str) -> Result<MasterRow> {
    let found = masters::table.filter(masters::code.eq(code)).select(MasterRow::as_select()).first(conn);
    let found = found.optional().map_err(broken)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no master {code}; `tributary chart show` lists them")))
}

/// All virtual accounts, summaries too, by code: each stands behind its parent.
pub fn sub_accounts(conn: &mut Conn) -> Result<Vec<SubAccountRow>> {
    sub_accounts::table.select(SubAccountRow::as_select()).order(sub_accounts::code).load(conn).map_err(broken)
}

/// The virtual account with this code.
pub fn sub_account(conn: &mut Conn, code: &str) -> Result<SubAccountRow> {
    let found = find_sub_account(conn, code)?;
    found.ok_or_else(|| Error::NotFound(format!("there is no sub-account {code}; `tributary chart show` lists them")))
}

pub(super) fn find_sub_account(conn: &mut Conn, code: &str) -> Result<Option<SubAccountRow>> {
    let found = sub_accounts::table.filter(sub_accounts::code.eq(code)).select(SubAccountRow::as_select());
    found.first(conn).optional().map_err(broken)
}

/// The leaves and house leaves of a master, by code.
pub fn leaves(conn: &mut Conn, master_id: &str) -> Result<Vec<Leaf>> {
    let of_master = sub_accounts::table
        .inner_join(accounts::table.on(sub_accounts::account.eq(accounts::id.nullable())))
        .inner_join(entities::table.on(entities::id.eq(sub_accounts::owner)))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())))
        .filter(sub_accounts::master.eq(master_id))
        .order(sub_accounts::code);
    let rows = of_master.select((
        sub_accounts::id,
        sub_accounts::code,
        sub_accounts::name,
        sub_accounts::kind,
        products::code.nullable(),
        sub_accounts::market,
        entities::code,
        accounts::id,
        sub_accounts::virtual_number,
        accounts::state,
        accounts::expires_at,
    ));
    rows.load(conn).map_err(broken)
}

/// Account, master, the entity that holds it, the owner, the product.
type PlaceColumns = (i64, String, String, Option<String>, Option<String>);

/// Where accounts stand, by their number; or one of them. Those outside of all masters are left out.
pub(super) fn places(conn: &mut Conn, account: Option<i64>) -> Result<HashMap<i64, Place>> {
    let codes: Vec<(String, String)> =
        entities::table.select((entities::id, entities::code)).load(conn).map_err(broken)?;
    let codes: HashMap<String, String> = codes.into_iter().collect();
    let all = accounts::table
        .inner_join(masters::table.on(masters::book.eq(accounts::book)))
        .left_join(sub_accounts::table.on(sub_accounts::account.eq(accounts::id.nullable())))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())))
        // Every number when none is asked for.
        .filter(accounts::id.between(account.unwrap_or(i64::MIN), account.unwrap_or(i64::MAX)))
        .select((
            accounts::id,
            masters::code,
            masters::entity,
            sub_accounts::owner.nullable(),
            products::code.nullable(),
        ));
    let rows: Vec<PlaceColumns> = all.load(conn).map_err(broken)?;
    let place = |(id, master, holder, owner, product): PlaceColumns| {
        let entity = codes.get(owner.as_ref().unwrap_or(&holder)).cloned();
        (id, Place { product, entity, master: Some(master) })
    };
    Ok(rows.into_iter().map(place).collect())
}

/// Number, book, code, currency, its decimals, kind; master, the entity that holds it, the owner, the product.
type PlacedColumns = (i64, i64, String, String, i64, String, String, String, Option<String>, Option<String>);

/// An account of a master, without its balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedLeaf {
    /// Its number.
    pub id: i64,
    /// Its book.
    pub book: i64,
    /// Its path.
    pub code: String,
    /// ISO 4217.
    pub currency: String,
    /// Decimals of the currency.
    pub exponent: u8,
    /// What it is.
    pub kind: AccountKind,
    /// Where it stands.
    pub place: Place,
}

/// Those of these accounts that are there and lie in a master.
pub(super) fn placed(conn: &mut Conn, codes: &[&str]) -> Result<Vec<PlacedLeaf>> {
    let holders: Vec<(String, String)> =
        entities::table.select((entities::id, entities::code)).load(conn).map_err(broken)?;
    let all = accounts::table
        .inner_join(masters::table.on(masters::book.eq(accounts::book)))
        // A leaf and its account have one code, and both are found by it.
        .left_join(sub_accounts::table.on(sub_accounts::code.eq(accounts::code)))
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())));
    let mut found = Vec::with_capacity(codes.len());
    for some in codes.chunks(KEYS) {
        let some = all.filter(accounts::code.eq_any(some)).select((
            accounts::id,
            accounts::book,
            accounts::code,
            accounts::currency,
            accounts::exponent,
            accounts::kind,
            masters::code,
            masters::entity,
            sub_accounts::owner.nullable(),
            products::code.nullable(),
        ));
        let rows: Vec<PlacedColumns> = some.load(conn).map_err(broken)?;
        found.extend(rows.into_iter().map(
            |(id, book, code, currency, exponent, kind, master, holder, owner, product)| {
                let owner = owner.unwrap_or(holder);
                let entity = holders.iter().find(|(id, _)| *id == owner).map(|(_, code)| code.clone());
                let place = Place { product, entity, master: Some(master) };
                let kind = AccountKind::parse(&kind).unwrap_or(AccountKind::Memo);
                let exponent = u8::try_from(exponent).unwrap_or(0);
                PlacedLeaf { id, book, code, currency, exponent, kind, place }
            },
        ));
    }
    Ok(found)
}

/// Keys per `IN` list: far below both databases' limits of bound values.
const KEYS: usize = 5_000;

/// BICs by the id of their bank.
pub(super) fn bics(conn: &mut Conn) -> Result<HashMap<String, String>> {
    let rows: Vec<(String, Option<String>)> =
        banks::table.select((banks::id, banks::bic)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().filter_map(|(id, bic)| bic.map(|b| (id, b))).collect())
}

/// The time zone of the master whose book this is.
pub(super) fn time_zone_of_book(conn: &mut Conn, book: i64) -> Result<String> {
    masters::table.filter(masters::book.eq(book)).select(masters::time_zone).first(conn).map_err(broken)
}

/// Currencies of books, by number.
pub(super) fn book_currencies(conn: &mut Conn) -> Result<HashMap<i64, String>> {
    let rows: Vec<(i64, String)> = books::table.select((books::id, books::currency)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().collect())
}

/// The chart as it is, by code.
#[derive(Debug, Default)]
pub struct Stored {
    pub(super) entities: HashMap<String, EntityRow>,
    pub(super) banks: HashMap<String, BankRow>,
    pub(super) products: HashMap<String, ProductRow>,
    pub(super) markets: HashMap<String, MarketRow>,
    pub(super) masters: BTreeMap<String, MasterRow>,
    pub(super) sub_accounts: HashMap<String, SubAccountRow>,
    /// Terms of all accounts.
    pub(super) terms: HashMap<String, Terms>,
    /// Codes of declared calendars.
    pub(super) calendars: Vec<String>,
}

/// Reads the whole chart.
pub(super) fn stored(conn: &mut Conn) -> Result<Stored> {
    Ok(Stored {
        entities: entities(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        banks: banks(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        products: products(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        markets: markets(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        masters: masters(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        sub_accounts: sub_accounts(conn)?.into_iter().map(|r| (r.code.clone(), r)).collect(),
        terms: ledger::accounts(conn)?.into_iter().map(|a| (a.code.clone(), Terms::of(&a))).collect(),
        calendars: calendars::calendars(conn)?.into_iter().map(|c| c.code).collect(),
    })
}

impl Stored {
    /// What a file can refer to.
    pub(super) fn known(&self) -> Known {
        let range = |m: &MasterRow| Scheme::parse(&m.number_scheme).map(|s| (s, m.number_prefix.clone()));
        let known =
            |m: &MasterRow| KnownMaster { account: (m.account_number.clone(), m.currency.clone()), range: range(m) };
        let leaves = self.sub_accounts.values().filter(|s| s.account.is_some());
        Known {
            entities: self.entities.keys().cloned().collect(),
            banks: self.banks.keys().cloned().collect(),
            products: self.products.keys().cloned().collect(),
            markets: self.markets.keys().cloned().collect(),
            masters: self.masters.iter().map(|(code, m)| (code.clone(), known(m))).collect(),
            leaves: leaves.map(|s| s.code.clone()).collect(),
            calendars: self.calendars.iter().cloned().collect(),
        }
    }

    /// The code of an entity; its id where there is none, so that a message still says something.
    pub(super) fn entity_code<'a>(&'a self, id: &'a str) -> &'a str {
        self.entities.values().find(|e| e.id == id).map_or(id, |e| &e.code)
    }

    /// The code of a bank, likewise.
    pub(super) fn bank_code<'a>(&'a self, id: &'a str) -> &'a str {
        self.banks.values().find(|b| b.id == id).map_or(id, |b| &b.code)
    }
}

pub(super) fn insert_entity(conn: &mut Conn, row: &EntityRow) -> Result<()> {
    insert_into(entities::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn insert_bank(conn: &mut Conn, row: &BankRow) -> Result<()> {
    insert_into(banks::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn insert_product(conn: &mut Conn, row: &ProductRow) -> Result<()> {
    insert_into(products::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn insert_market(conn: &mut Conn, row: &MarketRow) -> Result<()> {
    insert_into(markets::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn insert_master(conn: &mut Conn, row: &MasterRow) -> Result<()> {
    insert_into(masters::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// Parents first: each row's parent is stored or stands before it.
pub(super) fn insert_sub_accounts(conn: &mut Conn, rows: &[SubAccountRow]) -> Result<()> {
    bulk::insert(conn, rows)
}

/// How many virtual account numbers a master has given.
pub(super) fn update_numbers_given(conn: &mut Conn, master_id: &str, given: i64) -> Result<()> {
    let master = masters::table.find(master_id);
    update(master).set(masters::numbers_given.eq(given)).execute(conn).map(drop).map_err(broken)
}

/// Gives a master other business days, and other times until when its messages are to be here.
pub(super) fn update_schedule(conn: &mut Conn, code: &str, schedule: &Schedule) -> Result<()> {
    let row = (
        masters::calendar.eq(&schedule.calendar),
        masters::statement_by.eq(&schedule.statement_by),
        masters::report_by.eq(&schedule.report_by),
    );
    update(masters::table.filter(masters::code.eq(code))).set(row).execute(conn).map(drop).map_err(broken)
}

/// Gives a thing another name and other metadata.
pub(super) fn update_label(conn: &mut Conn, thing: Thing, code: &str, label: &Label) -> Result<()> {
    let (name, metadata) = (label.name.as_deref().unwrap_or_default(), label.metadata.as_deref());
    macro_rules! set {
        ($table:ident) => {
            update($table::table.filter($table::code.eq(code)))
                .set(($table::name.eq(name), $table::metadata.eq(metadata)))
                .execute(conn)
        };
    }
    let done = match thing {
        Thing::Entity => set!(entities),
        Thing::Bank => set!(banks),
        Thing::Product => set!(products),
        Thing::Master => set!(masters),
        Thing::SubAccount => set!(sub_accounts),
        Thing::Market => update(markets::table.find(code)).set(markets::name.eq(name)).execute(conn),
    };
    done.map(drop).map_err(broken)
}
