//! Positions' SQL: every account of every master in one statement.

use super::Amount;
use crate::db::schema::{accounts, balances, masters, products, statements, sub_accounts};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::ledger::AccountKind;
use crate::money::Minor;
use chrono::NaiveDate;
use diesel::RunQueryDsl;
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, Selectable, SelectableHelper,
};

/// A master, as far as positions need it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = masters)]
pub(super) struct Master {
    pub(super) id: String,
    pub(super) code: String,
    pub(super) currency: String,
    pub(super) cut_over_on: NaiveDate,
    pub(super) book: i64,
    pub(super) account: i64,
}

/// An account of a master with its balance; product and market where it is a product's leaf.
#[derive(Debug, Clone)]
pub(super) struct BalanceRow {
    pub(super) account: i64,
    pub(super) code: String,
    kind: AccountKind,
    pub(super) currency: String,
    pub(super) exponent: u8,
    pub(super) master: String,
    pub(super) product: Option<String>,
    pub(super) market: Option<String>,
    pub(super) debits: i64,
    pub(super) credits: i64,
    pub(super) held: i64,
}

impl BalanceRow {
    pub(super) fn kind(&self) -> AccountKind {
        self.kind
    }

    pub(super) fn amount(&self, minor: i64) -> Amount {
        Amount { minor: Minor(minor), exponent: self.exponent }
    }
}

/// All masters, by code.
pub(super) fn masters(conn: &mut Conn) -> Result<Vec<Master>> {
    masters::table.select(Master::as_select()).order(masters::code).load(conn).map_err(broken)
}

type Columns = (i64, String, String, String, i64, String, Option<String>, Option<String>, i64, i64, i64);

/// All accounts in the books of masters.
pub(super) fn balances(conn: &mut Conn) -> Result<Vec<BalanceRow>> {
    let all = masters::table
        .inner_join(accounts::table.on(accounts::book.eq(masters::book)))
        .inner_join(balances::table.on(balances::account.eq(accounts::id)))
        .left_join(
            sub_accounts::table
                .on(sub_accounts::account.eq(accounts::id.nullable()).and(sub_accounts::kind.eq("leaf"))),
        )
        .left_join(products::table.on(sub_accounts::product.eq(products::id.nullable())));
    let rows: Vec<Columns> = all
        .select((
            accounts::id,
            accounts::code,
            accounts::kind,
            accounts::currency,
            accounts::exponent,
            masters::code,
            products::code.nullable(),
            sub_accounts::market.nullable(),
            balances::debits,
            balances::credits,
            balances::held,
        ))
        .load(conn)
        .map_err(broken)?;
    let row = |(account, code, kind, currency, exponent, master, product, market, debits, credits, held): Columns| {
        BalanceRow {
            account,
            code,
            kind: AccountKind::parse(&kind).unwrap_or(AccountKind::Memo),
            currency,
            exponent: u8::try_from(exponent).unwrap_or(0),
            master,
            product,
            market,
            debits,
            credits,
            held,
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The newest closing balance that the bank has told of, with its day: from the cut-over on, up to a day.
///
/// A balance carried to a statement's next page is not the day's closing.
pub(super) fn newest_closing(
    conn: &mut Conn,
    master: &str,
    cut_over_on: NaiveDate,
    up_to: Option<NaiveDate>,
) -> Result<Option<(i64, NaiveDate)>> {
    // Not `NaiveDate::MAX`, whose text begins with a sign and sorts first on SQLite.
    let last_day = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default();
    let told = statements::table
        .filter(statements::master.eq(master))
        .filter(statements::state.eq("posted"))
        .filter(statements::closing.is_not_null())
        .filter(statements::closing_carried.eq(false))
        .filter(statements::closing_on.ge(cut_over_on))
        .filter(statements::closing_on.le(up_to.unwrap_or(last_day)))
        // The databases differ in where NULL sorts.
        .order((
            statements::closing_on.desc(),
            statements::number.is_null(),
            statements::number.desc(),
            statements::id.desc(),
        ))
        .select((statements::closing.assume_not_null(), statements::closing_on.assume_not_null()));
    told.first(conn).optional().map_err(broken)
}
