//! Positions' SQL: every account of every master in one statement.

use super::Amount;
use crate::db::schema::{accounts, balances, entities, masters, products, statements, sub_accounts};
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::ledger::AccountKind;
use crate::money::Minor;
use crate::scope::{Guarded, Placed, Target};
use chrono::NaiveDate;
use diesel::RunQueryDsl;
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, Selectable, SelectableHelper,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A master, as far as positions need it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = masters)]
pub(super) struct Master {
    pub(super) id: String,
    pub(super) code: String,
    pub(super) currency: String,
    pub(super) cut_over_on: NaiveDate,
    pub(super) account: i64,
}

/// A master with the code of the entity that holds it.
#[derive(Debug, Clone)]
pub(super) struct HeldMaster {
    pub(super) master: Master,
    entity: String,
}

impl Placed for HeldMaster {
    fn target(&self) -> Target<'_> {
        Target::master(&self.master.code, &self.entity)
    }
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
    entity: Option<Arc<str>>,
}

impl Placed for BalanceRow {
    /// A product's leaf stands by itself; all else is of the master as a whole, and seen with it.
    fn target(&self) -> Target<'_> {
        let path = if self.product.is_some() { &self.code } else { &self.master };
        Target {
            product: self.product.as_deref(),
            entity: self.entity.as_deref(),
            master: Some(&self.master),
            path: Some(path),
        }
    }
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
pub(super) fn masters(conn: &mut Conn) -> Result<Vec<Guarded<HeldMaster>>> {
    let all = masters::table.inner_join(entities::table.on(entities::id.eq(masters::entity))).order(masters::code);
    let rows: Vec<(Master, String)> = all.select((Master::as_select(), entities::code)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().map(|(master, entity)| Guarded::new(HeldMaster { master, entity })).collect())
}

/// Codes of all masters by their book, for the proof.
pub(super) fn master_codes(conn: &mut Conn) -> Result<HashMap<i64, String>> {
    let rows: Vec<(i64, String)> = masters::table.select((masters::book, masters::code)).load(conn).map_err(broken)?;
    Ok(rows.into_iter().collect())
}

type Columns =
    (i64, String, String, String, i64, String, Option<String>, Option<String>, i64, i64, i64, String, Option<String>);

/// All accounts in the books of masters.
pub(super) fn balances(conn: &mut Conn) -> Result<Vec<Guarded<BalanceRow>>> {
    let codes: Vec<(String, String)> =
        entities::table.select((entities::id, entities::code)).load(conn).map_err(broken)?;
    let codes: HashMap<String, Arc<str>> = codes.into_iter().map(|(id, code)| (id, Arc::from(code))).collect();
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
            masters::entity,
            sub_accounts::owner.nullable(),
        ))
        .load(conn)
        .map_err(broken)?;
    let row = |(
        account,
        code,
        kind,
        currency,
        exponent,
        master,
        product,
        market,
        debits,
        credits,
        held,
        holder,
        owner,
    ): Columns| {
        Guarded::new(BalanceRow {
            account,
            code,
            kind: AccountKind::parse(&kind).unwrap_or(AccountKind::Memo),
            currency,
            exponent: u8::try_from(exponent).unwrap_or(0),
            master,
            entity: codes.get(owner.as_ref().filter(|_| product.is_some()).unwrap_or(&holder)).cloned(),
            product,
            market,
            debits,
            credits,
            held,
        })
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The newest closing balance that the bank has told of, with its day: from the cut-over on, up to a day.
///
/// A balance carried to a statement's next page is not the day's closing, and neither is one that another statement of the
/// day goes on from, whichever came first.
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
        .filter(statements::closing_carried.eq(false));
    let newest = told
        .filter(statements::closing_on.ge(cut_over_on))
        .filter(statements::closing_on.le(up_to.unwrap_or(last_day)))
        .order(statements::closing_on.desc())
        .select(statements::closing_on.assume_not_null());
    let Some(day) = newest.first::<NaiveDate>(conn).optional().map_err(broken)? else { return Ok(None) };
    // The databases differ in where NULL sorts.
    let order = (statements::number.is_null(), statements::number.desc(), statements::id.desc());
    let of_day: Vec<Told> = told
        .filter(statements::closing_on.eq(day))
        .order(order)
        .select((
            statements::opening,
            statements::opening_carried,
            statements::closing.assume_not_null(),
            statements::first_day,
        ))
        .load(conn)
        .map_err(broken)?;
    Ok(last_of_day(&of_day, day).map(|closing| (closing, day)))
}

/// Opening, whether it is carried from a page before, closing, first day of its lines.
type Told = (Option<i64>, bool, i64, Option<NaiveDate>);

/// The closing that no statement of the day goes on from; of several, or of none when the day came back to where it began,
/// that of the highest number.
fn last_of_day(of_day: &[Told], day: NaiveDate) -> Option<i64> {
    let goes_on = |closing: i64| {
        let moved = |(opening, carried, closing, first): &&Told| {
            !carried && *first == Some(day) && opening.is_some_and(|o| o != *closing)
        };
        of_day.iter().filter(moved).any(|(opening, ..)| *opening == Some(closing))
    };
    let mut closings = of_day.iter().map(|(_, _, closing, _)| *closing);
    closings.clone().find(|closing| !goes_on(*closing)).or_else(|| closings.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_closes_where_no_statement_of_it_goes_on() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let of_day =
            |of: &[(i64, i64)]| -> Vec<Told> { of.iter().map(|(o, c)| (Some(*o), false, *c, Some(day))).collect() };
        let last = |of: &[(i64, i64)]| last_of_day(&of_day(of), day);
        assert_eq!(last(&[]), None);
        assert_eq!((last(&[(0, 3), (3, 8)]), last(&[(3, 8), (0, 3)])), (Some(8), Some(8)));
        // It did not move in the end, in either form of the same statement.
        assert_eq!(last(&[(3, 3), (3, 3), (0, 3)]), Some(3));
        // Noon is missing; the day came back: the first, which has the highest number.
        assert_eq!((last(&[(5, 8), (0, 3)]), last(&[(3, 0), (0, 3)])), (Some(8), Some(0)));
        // A statement over several days opened on another one.
        assert_eq!(last_of_day(&[(Some(8), false, 9, None), (Some(3), false, 8, Some(day))], day), Some(9));
    }
}
