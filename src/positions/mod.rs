//! Positions: what each product has, and whether the masters agree with their banks.
//!
//! A position is a leaf's balance on its normal side: booked, held, what is left of it, and what is expected. A master's line sets its book
//! against the newest closing balance of the bank, both as of the same day, so that a difference is a difference and not
//! merely a day's business that the bank has not told of yet.

use crate::db::{Conn, Db};
use crate::error::{Error, Result};
use crate::expectations;
use crate::ledger::check::Violation;
use crate::ledger::{self, AccountKind, AccountRow, DayBasis};
use crate::money::{Currency, Minor};
use crate::rates::{self, Asked, Converter};
use crate::scope::{self, Scope};
use crate::time::Instant;
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

pub mod api;
mod reporting;
mod store;

pub use reporting::{InReporting, Reporting, TotalInReporting, Totals};

/// An amount with the decimals of its currency, so that it can be printed; JSON has it as a signed decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Minor units, positive on the account's normal side.
    pub minor: Minor,
    /// Decimals of the currency.
    pub exponent: u8,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.minor.to_text_with(self.exponent))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Of when a report tells: as of the end of a booking day, as it was known at an instant, both, or now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The booking day; `None`: all that is booked.
    pub as_of: Option<NaiveDate>,
    /// What was recorded by then; `None`: all that is known now.
    pub known_at: Option<Instant>,
}

impl Moment {
    fn is_now(&self) -> bool {
        *self == Moment::default()
    }
}

impl From<Option<NaiveDate>> for Moment {
    fn from(as_of: Option<NaiveDate>) -> Self {
        Moment { as_of, known_at: None }
    }
}

/// All positions and masters at one moment. As JSON: the documented output of `tributary positions --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The day that was asked for; `None`: now.
    pub as_of: Option<NaiveDate>,
    /// The instant that was asked for: only what was recorded by then counts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_maybe_rfc3339")]
    pub known_at: Option<Instant>,
    /// The currency that all is converted into as well; `None`: every amount is in its own currency only.
    pub reporting_currency: Option<String>,
    /// By product, market, currency, master and sub-account.
    pub positions: Vec<Position>,
    /// By code.
    pub masters: Vec<MasterLine>,
    /// Rates and totals, with a reporting currency only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reporting: Option<Reporting>,
}

fn as_maybe_rfc3339<S: Serializer>(at: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(crate::time::rfc3339).serialize(serializer)
}

/// What one leaf of a product has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Code of the product.
    pub product: String,
    /// ISO 3166.
    pub market: String,
    /// ISO 4217.
    pub currency: String,
    /// Code of the master.
    pub master: String,
    /// Path of the leaf.
    pub sub_account: String,
    /// What is posted.
    pub booked: Amount,
    /// What is reserved.
    pub held: Amount,
    /// What may be spent.
    pub available: Amount,
    /// What expected receipts that are open will bring at least; `None` as of a day, since nobody expects the past.
    pub expected: Option<Amount>,
    /// The same in the reporting currency, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reporting: Option<InReporting>,
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.exponent, self.minor).cmp(&(other.exponent, other.minor))
    }
}

/// A master against its bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasterLine {
    /// Its code.
    pub master: String,
    /// ISO 4217.
    pub currency: String,
    /// Booked at the end of `bank_as_of`, or of the day asked for (or now) when the bank has told of no closing balance.
    pub book: Amount,
    /// The newest closing balance that the bank has told of, up to the day asked for; `None` as known at an instant.
    pub bank_closing: Option<Amount>,
    /// Its day.
    pub bank_as_of: Option<NaiveDate>,
    /// `bank_closing` less `book`, both of the same day.
    pub difference: Option<Amount>,
    /// Lines whose owner is not known yet.
    pub suspense: Amount,
    /// Sent, and not yet debited by the bank.
    pub in_transit: Amount,
    /// All house leaves together.
    pub house: Amount,
}

/// What a product has in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Code of the product.
    pub product: String,
    /// ISO 4217.
    pub currency: String,
    /// Leaves in all.
    pub leaves: usize,
    /// What is posted.
    pub booked: Amount,
    /// What is reserved.
    pub held: Amount,
    /// What may be spent.
    pub available: Amount,
    /// What is expected at least.
    pub expected: Option<Amount>,
}

/// Where accounts stand at the moment of a report, on their normal side.
struct Standing {
    /// `None`: now; the rows carry it.
    then: Option<(HashMap<i64, i64>, HashMap<i64, i64>)>,
}

impl Standing {
    fn at(conn: &mut Conn, moment: &Moment) -> Result<Standing> {
        // Holds have no booking day; what counts is when they were recorded.
        let end_of = |day: NaiveDate| {
            let midnight = day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc();
            midnight - TimeDelta::microseconds(1)
        };
        let (booked, recorded) = match (moment.as_of, moment.known_at) {
            (None, None) => return Ok(Standing { then: None }),
            (Some(day), None) => (ledger::all_as_of(conn, DayBasis::Booking, day)?, end_of(day)),
            (None, Some(at)) => {
                let last_entry = ledger::entry_at(conn, at)?;
                (ledger::all_as_known(conn, last_entry)?, at)
            }
            (Some(day), Some(at)) => {
                (ledger::all_as_of_and_known(conn, DayBasis::Booking, day, at)?, end_of(day).min(at))
            }
        };
        let last_entry = ledger::entry_at(conn, recorded)?;
        Ok(Standing { then: Some((booked, ledger::all_held_at(conn, last_entry)?)) })
    }

    fn booked(&self, row: &store::BalanceRow) -> Amount {
        let debit_positive = match &self.then {
            None => row.debits - row.credits,
            Some((booked, _)) => booked.get(&row.account).copied().unwrap_or(0),
        };
        row.amount(row.kind().natural(debit_positive))
    }

    fn held(&self, row: &store::BalanceRow) -> Amount {
        row.amount(self.then.as_ref().map_or(row.held, |(_, held)| held.get(&row.account).copied().unwrap_or(0)))
    }
}

/// What products have and how masters stand, as far as the scope covers them, at a moment.
pub fn positions(conn: &mut Conn, scope: &Scope, moment: impl Into<Moment>) -> Result<Report> {
    let moment: Moment = moment.into();
    let standing = Standing::at(conn, &moment)?;
    let expected = if moment.is_now() { Some(expectations::expected_by_account(conn)?) } else { None };
    let mut positions = Vec::new();
    let mut by_master: HashMap<String, Vec<store::BalanceRow>> = HashMap::new();
    for row in scope::seen(store::balances(conn)?, scope) {
        let (Some(product), Some(market)) = (&row.product, &row.market) else {
            by_master.entry(row.master.clone()).or_default().push(row);
            continue;
        };
        let (booked, held) = (standing.booked(&row), standing.held(&row));
        let available = Amount { minor: booked.minor.minus(held.minor).map_err(too_large)?, ..booked };
        positions.push(Position {
            product: product.clone(),
            market: market.clone(),
            currency: row.currency.clone(),
            master: row.master.clone(),
            sub_account: row.code.clone(),
            booked,
            held,
            available,
            expected: expected.as_ref().map(|all| row.amount(all.get(&row.account).copied().unwrap_or(0))),
            in_reporting: None,
        });
    }
    positions.sort_unstable();
    let mut masters = Vec::new();
    for master in scope::seen(store::masters(conn)?, scope).into_iter().map(|m| m.master) {
        let rows = by_master.remove(&master.code).unwrap_or_default();
        masters.push(master_line(conn, &master, &rows, &standing, &moment)?);
    }
    let Moment { as_of, known_at } = moment;
    Ok(Report { as_of, known_at, reporting_currency: None, positions, masters, reporting: None })
}

/// As [`positions`], and converted into a currency with the rates of that day, or the last before it.
pub fn positions_in(
    conn: &mut Conn,
    scope: &Scope,
    moment: impl Into<Moment>,
    into: Currency,
    rates: &Asked,
) -> Result<Report> {
    let mut report = positions(conn, scope, moment)?;
    let quotes = rates::quotes(conn, rates)?;
    reporting::convert(&mut report, &Converter::new(&quotes, into), rates.on)?;
    Ok(report)
}

fn master_line(
    conn: &mut Conn,
    master: &store::Master,
    rows: &[store::BalanceRow],
    standing: &Standing,
    moment: &Moment,
) -> Result<MasterLine> {
    let exponent = rows.first().map_or(0, |r| r.exponent);
    let amount = |minor: Minor| Amount { minor, exponent };
    let of_kind = |kind: AccountKind| -> Result<Amount> {
        let sum = Minor::sum(rows.iter().filter(|r| r.kind() == kind).map(|r| standing.booked(r).minor));
        Minor::from_sum(sum).map(amount).map_err(too_large)
    };
    // What became of each statement until when is not kept, so of an instant the bank's side is not known: none rather than a wrong one.
    let closing = match moment.known_at {
        Some(_) => None,
        None => store::newest_closing(conn, &master.id, master.cut_over_on, moment.as_of)?,
    };
    let book = match &closing {
        // Its own day, so that what was booked since does not look like a difference.
        Some((_, day)) => amount(Minor(ledger::as_of(conn, master.account, DayBasis::Booking, *day)?)),
        None => of_kind(AccountKind::Master)?,
    };
    let difference = closing.map(|(closing, _)| Minor(closing).minus(book.minor).map(amount).map_err(too_large));
    Ok(MasterLine {
        master: master.code.clone(),
        currency: master.currency.clone(),
        book,
        bank_closing: closing.map(|(closing, _)| amount(Minor(closing))),
        bank_as_of: closing.map(|(_, day)| day),
        difference: difference.transpose()?,
        suspense: of_kind(AccountKind::Suspense)?,
        in_transit: of_kind(AccountKind::InTransit)?,
        house: of_kind(AccountKind::House)?,
    })
}

impl Report {
    /// Sums by product and currency, in that order; never across currencies.
    pub fn totals(&self) -> Result<Vec<Total>> {
        self.totals_by(|p| p.product.clone())
    }

    /// Sums by market and currency.
    pub fn totals_by_market(&self) -> Result<Vec<Total>> {
        self.totals_by(|p| p.market.clone())
    }

    /// Sums of all products by currency.
    pub fn totals_by_currency(&self) -> Result<Vec<Total>> {
        self.totals_by(|_| "total".to_owned())
    }

    /// Sums by product and master: `tiktok in de-eur`.
    pub fn totals_by_master(&self) -> Result<Vec<Total>> {
        self.totals_by(|p| format!("{} in {}", p.product, p.master))
    }

    fn totals_by(&self, name: impl Fn(&Position) -> String) -> Result<Vec<Total>> {
        let mut sums: BTreeMap<(String, String), Sums> = BTreeMap::new();
        for p in &self.positions {
            let sum = sums.entry((name(p), p.currency.clone())).or_default();
            sum.leaves += 1;
            sum.exponent = p.booked.exponent;
            sum.booked += i128::from(p.booked.minor.0);
            sum.held += i128::from(p.held.minor.0);
            if let Some(expected) = p.expected {
                *sum.expected.get_or_insert(0) += i128::from(expected.minor.0);
            }
        }
        sums.into_iter().map(|((name, currency), sums)| sums.total(name, currency)).collect()
    }
}

#[derive(Default)]
struct Sums {
    leaves: usize,
    exponent: u8,
    booked: i128,
    held: i128,
    expected: Option<i128>,
}

impl Sums {
    fn total(self, product: String, currency: String) -> Result<Total> {
        let amount =
            |sum: i128| Minor::from_sum(sum).map(|minor| Amount { minor, exponent: self.exponent }).map_err(too_large);
        Ok(Total {
            product,
            currency,
            leaves: self.leaves,
            booked: amount(self.booked)?,
            held: amount(self.held)?,
            available: amount(self.booked - self.held)?,
            expected: self.expected.map(amount).transpose()?,
        })
    }
}

/// I5: the shares of each master sum to its book balance.
pub fn check(db: &Db) -> Result<Vec<Violation>> {
    db.read(|conn| {
        let mut books: BTreeMap<i64, (i128, i128)> = BTreeMap::new();
        for account in ledger::accounts(conn)? {
            let (master, shares) = books.entry(account.book).or_default();
            match account.kind() {
                AccountKind::Master => *master += i128::from(account.natural()),
                AccountKind::Memo => {}
                _ => *shares += i128::from(AccountRow::natural(&account)),
            }
        }
        let codes = store::master_codes(conn)?;
        let wrong = books.into_iter().filter(|(_, (master, shares))| master != shares);
        let what = |(book, (master, shares)): (i64, (i128, i128))| {
            let code = codes.get(&book).map_or_else(|| format!("book {book}"), Clone::clone);
            Violation::new(
                "I5",
                format!("the shares of {code} sum to {shares} minor units, its book balance is {master}"),
            )
        };
        Ok(wrong.map(what).collect())
    })
}

/// Balances fit 64 bits one by one; their sum may not.
fn too_large(e: crate::money::Problem) -> Error {
    Error::Broken(format!("a total cannot be shown: {e}"))
}
