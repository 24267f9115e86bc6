//! What was announced of a payment before the bank told of it: expected receipts and settlement files, as evidence.
//!
//! Both come after the virtual account number and before the rules, since they speak of one payment and not of many. One that
//! fits decides: an expected receipt goes to the leaf that waits, and a lump waits in suspense for the moment until its
//! settlement shares it out, in the same commit. Two that fit, or one that contradicts the virtual account number, are
//! conflicting evidence: the payment waits and names them all.
//!
//! Deciding is pure; [`load`] reads what may decide about a slice of lines, [`keep`] records what was met.

use super::place::{Decision, Evidence, Payment, Placer};
use super::store::{self, NewRoute, RouteRow, Waiting};
use super::{Refusal, settlement};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::expectations::matching::{Awaited, Told};
use crate::expectations::{self, Meeting};
use crate::ledger::AccountId;
use crate::money::{Currency, Minor};
use crate::statements::NewLine;
use chrono::{Days, NaiveDate};

/// A lump comes within so many days after the platform has paid it: a weekend, holidays and a slow correspondent.
pub const LUMP_DAYS: u64 = 10;

/// A settlement that waits for its lump, as far as matching needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lump {
    /// The platform's name for it.
    pub code: String,
    /// Signed minor units.
    pub total: i64,
    /// The line is booked from this day on.
    pub paid_on: NaiveDate,
    /// The platform's name, as compared.
    pub platform: String,
    /// The account that it pays from, as compared.
    pub payer: Option<String>,
    /// The reference of the payment, as compared.
    pub reference: Option<String>,
}

/// A name as it is compared: its letters and digits in upper case.
pub fn name_key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// The last booking day that a lump may come on.
pub fn last_day(paid_on: NaiveDate) -> NaiveDate {
    paid_on.checked_add_days(Days::new(LUMP_DAYS)).unwrap_or(paid_on)
}

impl Lump {
    /// What corroborates that a payment is this lump: amount and day must fit, and besides a reference, an account or a name
    /// must be what the file says.
    pub fn corroborated_by<'t>(&self, told: &'t Told<'_>, name: Option<&'t str>) -> Option<(&'static str, &'t str)> {
        if told.amount != self.total || !(self.paid_on..=last_day(self.paid_on)).contains(&told.booked_on) {
            return None;
        }
        let reference = self.reference.as_deref().and_then(|reference| told.carries(reference));
        let account = || {
            let (account, key) = told.counterparty.as_ref()?;
            (self.payer.as_ref() == Some(key)).then_some(("counterparty_account", *account))
        };
        let name = || name.filter(|name| name_key(name) == self.platform).map(|name| ("counterparty_name", name));
        reference.or_else(account).or_else(name)
    }
}

/// What may decide about the lines of a slice.
#[derive(Debug, Default)]
pub struct Announced {
    /// Expected receipts.
    pub expected: Awaited,
    /// Settlements that wait for their lump.
    pub lumps: Vec<Lump>,
}

impl Announced {
    /// Takes out what a decision rests on: nothing is met twice.
    pub(super) fn take(&mut self, decision: &Decision) {
        match decision.claim() {
            Some(Claim::Expectation(account, key)) => self.expected.take(account, key),
            Some(Claim::Settlement(code)) => self.lumps.retain(|lump| lump.code != code),
            None => {}
        }
    }
}

/// What a decision meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim<'a> {
    /// The expectation of this ledger account with this key.
    Expectation(i64, &'a str),
    /// The settlement with this code.
    Settlement(&'a str),
}

impl Decision {
    /// What this decision meets, if it rests on something that was announced.
    pub fn claim(&self) -> Option<Claim<'_>> {
        let named = |what: &str| self.matched.iter().find(|(field, _)| *field == what).map(|(_, name)| name.as_str());
        match (self.evidence, self.suspense) {
            // Its money waits for the moment until the settlement, in the same commit, shares it out.
            (Evidence::Settlement, true) => named("settlement").map(Claim::Settlement),
            (Evidence::Expected | Evidence::VirtualNumber, false) => {
                let (account, _) = self.shares.first()?;
                named("expectation").map(|key| Claim::Expectation(account.0, key))
            }
            _ => None,
        }
    }
}

/// What a payment says of itself.
fn told<'a>(payment: &Payment<'a>) -> Told<'a> {
    let references = [
        ("end_to_end_id", payment.end_to_end_id()),
        ("creditor_reference", payment.creditor_reference()),
        ("remittance", payment.remittance()),
    ];
    Told::new((payment.amount, payment.line.booked_on), &references, payment.counterparty_account())
}

/// What goes wrong at the bank or comes back is nothing that anybody has announced.
fn counts(payment: &Payment<'_>) -> bool {
    !payment.line.reversal && payment.return_reason().is_none()
}

impl Placer {
    /// Decides by what was announced; `numbered` is what the virtual account number says, and stays so where nothing was.
    pub(super) fn by_announcement(&self, payment: &Payment<'_>, numbered: Option<Decision>) -> Option<Decision> {
        let Announced { expected, lumps } = &self.announced;
        if (expected.is_empty() && lumps.is_empty()) || !counts(payment) {
            return numbered;
        }
        // Numbers that contradict each other, or name a closed leaf, are no evidence that something else could strengthen.
        if numbered.as_ref().is_some_and(|d| d.suspense) {
            return numbered;
        }
        let told = told(payment);
        let fits = expected.fits(&told);
        let lump =
            |l| Lump::corroborated_by(l, &told, payment.counterparty_name()).map(|(field, value)| (l, field, value));
        let lumps: Vec<(&Lump, &'static str, &str)> = lumps.iter().filter_map(lump).collect();
        let numbered_on = numbered.as_ref().and_then(|d| d.shares.first()).map(|(account, _)| account.0);
        match (fits.as_slice(), lumps.as_slice()) {
            ([], []) => numbered,
            (all, []) if !all.is_empty() && all.iter().all(|f| Some(f.expected.account) == numbered_on) => {
                numbered.map(|decision| self.also_expected(decision, all))
            }
            ([fit], []) if numbered.is_none() => Some(self.expected(payment, fit)),
            ([], [(lump, field, value)]) if numbered.is_none() => Some(Decision {
                evidence: Evidence::Settlement,
                matched: vec![("settlement", lump.code.clone()), (*field, (*value).to_owned())],
                ..self.wait(
                    payment.amount,
                    format!("settlement {} says how it is shared out, and was not carried out", lump.code),
                )
            }),
            _ => {
                let number = numbered.iter().map(|d| d.sentence.clone());
                let expected =
                    fits.iter().map(|f| format!("{} expects it ({})", self.name(f.expected.account), f.expected.key));
                let lumps = lumps.iter().map(|(lump, ..)| format!("settlement {} shares it out", lump.code));
                let all: Vec<String> = number.chain(expected).chain(lumps).collect();
                Some(self.wait(payment.amount, format!("its evidence contradicts itself: {}", all.join("; "))))
            }
        }
    }

    /// What a payment that nobody could place names by its reference, though its amount or day is another: for the person who
    /// looks into it.
    pub(super) fn almost(&self, payment: &Payment<'_>) -> String {
        if self.announced.expected.is_empty() {
            return String::new();
        }
        let told = told(payment);
        let named: Vec<String> = self
            .announced
            .expected
            .named(&told)
            .map(|e| {
                format!("{} expects {} under its reference, of another amount or day", self.name(e.account), e.key)
            })
            .collect();
        if named.is_empty() { String::new() } else { format!("; {}", named.join(", ")) }
    }

    /// The number decides; one expectation of the same leaf is met by it, several are for a person to tell apart.
    fn also_expected(&self, mut decision: Decision, fits: &[expectations::matching::Fit<'_>]) -> Decision {
        if let [fit] = fits {
            decision.matched.push(("expectation", fit.expected.key.clone()));
            decision.sentence.push_str(&format!(", and it was expected ({})", fit.expected.key));
        } else {
            let keys: Vec<&str> = fits.iter().map(|f| f.expected.key.as_str()).collect();
            decision
                .sentence
                .push_str(&format!(", and several receipts are expected that it fits ({})", keys.join(", ")));
        }
        decision
    }

    fn expected(&self, payment: &Payment<'_>, fit: &expectations::matching::Fit<'_>) -> Decision {
        let (key, leaf) = (&fit.expected.key, self.name(fit.expected.account));
        let matched = vec![("expectation", key.clone()), (fit.field, fit.value.to_owned())];
        if self.leaves.iter().any(|l| l.account.0 == fit.expected.account && l.closed) {
            return Decision {
                matched,
                ..self.wait(payment.amount, format!("{leaf} expects it ({key}), and is closed"))
            };
        }
        let field = fit.field.replace('_', " ");
        Decision {
            evidence: Evidence::Expected,
            rule: None,
            matched,
            sentence: format!("{leaf} expects it ({key}): its {field} is {}, amount and day fit", fit.value),
            shares: vec![(AccountId(fit.expected.account), -payment.amount)],
            suspense: false,
        }
    }

    fn name(&self, account: i64) -> &str {
        self.leaves.iter().find(|l| l.account.0 == account).map_or("a leaf", |l| l.code.as_str())
    }
}

/// Reads what may decide about some new lines of a master.
pub(super) fn load(conn: &mut Conn, master: &str, lines: &[&NewLine]) -> Result<Announced> {
    let days = lines.iter().map(|l| l.booked_on);
    let (Some(first), Some(last)) = (days.clone().min(), days.max()) else { return Ok(Announced::default()) };
    let told_of_all = || {
        let credits = lines.iter().copied().filter(|l| l.amount > 0 || !l.details.is_empty());
        let payments = credits.flat_map(|line| {
            let whole = line.details.is_empty().then_some(None);
            whole
                .into_iter()
                .chain(line.details.iter().map(Some))
                .map(|detail| told(&Payment { detail, amount: 0, ..Payment::of(line) }))
        });
        payments.collect()
    };
    let expected = expectations::awaited(conn, master, (first, last), told_of_all)?;
    Ok(Announced { expected, lumps: store::settlements::lumps(conn, master)? })
}

/// Records what the routes of a slice have met: expectations, and settlements, which are carried out.
pub(super) fn keep(tx: &mut Tx<'_>, announced: &Announced, routes: &[NewRoute]) -> Result<()> {
    let mut meetings = Vec::new();
    for route in routes {
        match route.decision.claim() {
            Some(Claim::Expectation(account, key)) => {
                let id = announced.expected.id(account, key);
                meetings.extend(id.map(|id| Meeting {
                    id: id.to_owned(),
                    line: route.line.clone(),
                    detail: route.detail,
                    route: route.seq,
                    reason: None,
                }));
            }
            Some(Claim::Settlement(code)) => settlement::carry_out_at_once(tx, code, &route.line, route.detail)?,
            None => {}
        }
    }
    expectations::meet(tx, &meetings)
}

/// A person says that a line, or one payment of it (`LINE/3`), is what somebody waited for: it is moved to the leaf that
/// waits, unless it is there already, and meets the expectation, which is named by its key or id.
pub fn meet(tx: &mut Tx<'_>, name: &str, line: &str, reason: &str) -> Result<()> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    let expected = expectations::find(tx.conn(), name)?;
    let state = expected.state()?;
    if state.after(expectations::Event::Meet).is_none() {
        let (key, event) = (expected.key, expectations::Event::Meet);
        return Err(expectations::Refusal::State { key, state, event }.into());
    }
    let (of, detail) = super::line_and_payment(line)?;
    let gives = |r: &RouteRow| -> Result<bool> {
        Ok(r.detail == detail && r.shares()?.iter().any(|(a, amount)| a.0 == expected.account && *amount < 0))
    };
    let routes = store::routes_of(tx.conn(), of)?;
    let mut there = None;
    for route in store::in_force(&routes) {
        if gives(route)? {
            there = Some(route.seq);
        }
    }
    let route = match there {
        Some(route) => route,
        None => {
            let leaf = store::code_of(tx.conn(), expected.account)?;
            super::reroute(tx, line, &leaf, reason)?;
            let routes = store::routes_of(tx.conn(), of)?;
            routes.last().map_or(0, |r| r.seq)
        }
    };
    let (id, line, reason) = (expected.id, of.to_owned(), Some(reason.trim().to_owned()));
    expectations::meet(tx, &[expectations::Meeting { id, line, detail, route, reason }])
}

/// Tells people, of lines that wait, what was announced that fits by amount and day: a suggestion, no evidence.
pub(super) fn suggest(conn: &mut Conn, master: Option<&str>, waiting: &mut [Waiting]) -> Result<()> {
    let expected = expectations::suggested(conn, master)?;
    let lumps = settlement::list(conn, master, Some("waiting"))?;
    for line in waiting {
        let currency: Currency =
            line.currency.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
        let amount = Minor(line.minor).to_text(currency);
        let fits = expected.iter().filter(|e| e.fits(&line.master, line.minor, line.booked_on));
        let fits = fits.map(|e| (e.key.as_str(), format!("{} expects as much ({})", e.leaf, e.key)));
        let lumps = lumps.iter().filter(|s| s.master == line.master && s.total == amount);
        let lumps = lumps.map(|s| (s.settlement.as_str(), format!("settlement {} shares out as much", s.settlement)));
        let unnamed = fits.chain(lumps).filter(|(name, _)| !line.why.contains(name)).map(|(_, said)| said);
        let told: Vec<String> = unnamed.take(3).collect();
        if !told.is_empty() {
            line.why.push_str(&format!("; by its amount alone, which proves nothing: {}", told.join(", ")));
        }
    }
    Ok(())
}
