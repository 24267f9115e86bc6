//! From a chart file to a chart: what must hold before any of it is taken.
//!
//! Pure, and collects every problem with its place, so that a file is mended in one go. References may point to what the
//! same file defines or to what the database has already ([`Known`]): a file may bring only what is new.

use super::HOUSE;
use super::file::{
    Bank, BankTable, Chart, ChartFile, Entity, EntityTable, Label, Leaf, Market, MarketTable, Master, MasterTable,
    Metadata, NumbersTable, Product, ProductTable, ScheduleChange, ShareTable, SubAccountTable,
};
use super::lifecycle::LimitChange;
use super::numbers::{self, Scheme};
use crate::calendars::Calendar;
use crate::ledger::{AccountKind, Terms};
use crate::money::{Currency, Minor};
use chrono::{NaiveDate, NaiveTime};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the database has already, as far as a file can refer to it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Codes of entities.
    pub entities: BTreeSet<String>,
    /// Codes of banks.
    pub banks: BTreeSet<String>,
    /// Codes of products.
    pub products: BTreeSet<String>,
    /// Codes of markets.
    pub markets: BTreeSet<String>,
    /// Masters by code.
    pub masters: BTreeMap<String, KnownMaster>,
    /// Paths of leaves and house leaves.
    pub leaves: BTreeSet<String>,
    /// Codes of declared calendars.
    pub calendars: BTreeSet<String>,
}

/// What must differ between two masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMaster {
    /// Account number and currency.
    pub account: (String, String),
    /// Scheme and prefix of virtual account numbers; `None` when they cannot be read.
    pub range: Option<(Scheme, String)>,
}

/// What is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// `master`, `sub_account`...
    pub table: &'static str,
    /// The code of the item, or its place among its kind.
    pub item: String,
    /// The field.
    pub field: &'static str,
    /// A sentence.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[{}]] {}, {}: {}", self.table, self.item, self.field, self.problem)
    }
}

/// Words that stand in a path beside the products.
const RESERVED: [&str; 3] = ["house", "suspense", "in-transit"];

/// The purpose of a leaf that names none.
const OPERATING: &str = "operating";

const CODE_LENGTH: usize = 40;
const NAME_LENGTH: usize = 140;

/// ISO 3166-1 alpha-2, and Kosovo's user-assigned code, which banks use.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD \
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM \
    KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ \
    SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU \
    WF WS XK YE YT ZA ZM ZW";

impl ChartFile {
    /// Reads every table, or says everything that is wrong.
    pub fn read(&self, known: &Known) -> Result<Chart, Vec<Problem>> {
        let mut reader = Reader { known: known.clone(), seen: BTreeSet::new(), problems: Vec::new() };
        let chart = Chart {
            entities: self.entity.iter().enumerate().map(|(i, t)| reader.entity(i, t)).collect(),
            banks: self.bank.iter().enumerate().map(|(i, t)| reader.bank(i, t)).collect(),
            products: self.product.iter().enumerate().map(|(i, t)| reader.product(i, t)).collect(),
            markets: self.market.iter().enumerate().map(|(i, t)| reader.market(i, t)).collect(),
            masters: self.master.iter().enumerate().filter_map(|(i, t)| reader.master(i, t)).collect(),
            leaves: Vec::new(),
        };
        // Leaves refer to masters, and opening shares to leaves.
        let leaves = self.sub_account.iter().map(|t| reader.leaf(t)).collect();
        reader.shares(&chart.masters);
        if reader.problems.is_empty() { Ok(Chart { leaves, ..chart }) } else { Err(reader.problems) }
    }
}

/// Where a reader is: `[[table]] item`.
struct Place {
    table: &'static str,
    item: String,
}

struct Reader {
    /// What there is: at first in the database, then also in the file.
    known: Known,
    /// What this file has defined, to find what it defines twice.
    seen: BTreeSet<(&'static str, String)>,
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, at: &Place, field: &'static str, problem: impl fmt::Display) {
        self.problems.push(Problem { table: at.table, item: at.item.clone(), field, problem: problem.to_string() });
    }

    fn entity(&mut self, index: usize, t: &EntityTable) -> Entity {
        let at = self.begin("entity", index, &t.code);
        self.code(&at, "code", &t.code);
        self.country(&at, "country", &t.country);
        self.known.entities.insert(t.code.clone());
        Entity {
            code: t.code.clone(),
            label: self.label(&at, Some(&t.name), t.metadata.as_ref()),
            country: t.country.clone(),
        }
    }

    fn bank(&mut self, index: usize, t: &BankTable) -> Bank {
        let at = self.begin("bank", index, &t.code);
        self.code(&at, "code", &t.code);
        self.country(&at, "country", &t.country);
        let bic = t.bic.as_deref().map(numbers::normalise);
        if let Some(bic) = &bic
            && !is_bic(bic)
        {
            self.wrong(
                &at,
                "bic",
                format!("\"{bic}\" is not a BIC: four letters, a country, two or five signs, such as DEUTDEFF"),
            );
        }
        self.known.banks.insert(t.code.clone());
        let label = self.label(&at, Some(&t.name), t.metadata.as_ref());
        Bank { code: t.code.clone(), label, bic, country: t.country.clone() }
    }

    fn product(&mut self, index: usize, t: &ProductTable) -> Product {
        let at = self.begin("product", index, &t.code);
        self.code(&at, "code", &t.code);
        if RESERVED.contains(&t.code.as_str()) {
            self.wrong(&at, "code", format!("\"{}\" is a word of the paths of accounts; choose another", t.code));
        }
        self.known.products.insert(t.code.clone());
        Product { code: t.code.clone(), label: self.label(&at, Some(&t.name), t.metadata.as_ref()) }
    }

    fn market(&mut self, index: usize, t: &MarketTable) -> Market {
        let at = self.begin("market", index, &t.code);
        self.country(&at, "code", &t.code);
        self.known.markets.insert(t.code.clone());
        Market { code: t.code.clone(), label: self.label(&at, Some(&t.name), None) }
    }

    /// `None` when a field has no value of its type; problems say which.
    fn master(&mut self, index: usize, t: &MasterTable) -> Option<Master> {
        let at = self.begin("master", index, &t.code);
        self.code(&at, "code", &t.code);
        self.reference(&at, "bank", &t.bank, |k| k.banks.contains(&t.bank), "bank");
        self.reference(&at, "entity", &t.entity, |k| k.entities.contains(&t.entity), "entity");
        let account = self.account(&at, &t.account);
        if t.time_zone.parse::<chrono_tz::Tz>().is_err() {
            let what =
                format!("\"{}\" is not a time zone: use a name such as Europe/Berlin or Asia/Singapore", t.time_zone);
            self.wrong(&at, "time_zone", what);
        }
        let cut_over_on = day(&t.cut_over_on);
        if cut_over_on.is_none() {
            self.wrong(&at, "cut_over_on", format!("\"{}\" is not a date: write it like 2026-07-01", t.cut_over_on));
        }
        let schedule = self.schedule(&at, t);
        let range = self.range(&at, &t.numbers);
        let currency = t.currency.parse::<Currency>().map_err(|e| self.wrong(&at, "currency", e)).ok();
        let known = KnownMaster { account: (account.clone(), t.currency.clone()), range: range.clone() };
        self.distinct(&at, &t.code, known);
        let label = self.label(&at, Some(&t.name), t.metadata.as_ref());
        // Without its currency no amount can be read.
        let currency = currency?;
        let opening = amount(&t.opening, currency).map_err(|e| self.wrong(&at, "opening", e)).ok();
        let shares = match &t.opening_shares {
            None => None,
            Some(shares) => Some(shares.iter().map(|s| self.share(&at, s, currency)).collect::<Option<Vec<_>>>()?),
        };
        let placed = Minor::sum(shares.iter().flatten().map(|(_, amount)| *amount));
        let unplaced =
            Minor::from_sum(i128::from(opening?.0).saturating_sub(placed)).and_then(|m| m.opposite().and(Ok(m)));
        let unplaced = unplaced.map_err(|e| self.wrong(&at, "opening_shares", e)).ok();
        let (scheme, prefix) = range?;
        Some(Master {
            code: t.code.clone(),
            label,
            bank: t.bank.clone(),
            entity: t.entity.clone(),
            currency,
            account,
            time_zone: t.time_zone.clone(),
            cut_over_on: cut_over_on?,
            opening: opening?,
            scheme,
            prefix,
            shares,
            unplaced: unplaced?,
            schedule,
        })
    }

    fn schedule(&mut self, at: &Place, t: &MasterTable) -> ScheduleChange {
        if let Some(code) = &t.calendar
            && Calendar::built_in(code).is_none()
            && !self.known.calendars.contains(code)
        {
            let what =
                format!("there is no calendar \"{code}\"; add [[calendar]] with that code, or use target or weekdays");
            self.wrong(at, "calendar", what);
        }
        let mut time = |field: &'static str, text: &Option<String>| match text.as_deref() {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                // Seconds are nobody's promise, and `9:00` is an easy slip.
                let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5);
                if time.is_none() {
                    self.wrong(at, field, format!("\"{text}\" is not a time of day: write it like 09:00, or none"));
                }
                Some(time)
            }
        };
        let (statement_by, report_by) = (time("statement_by", &t.statement_by), time("report_by", &t.report_by));
        ScheduleChange { calendar: t.calendar.clone(), statement_by, report_by }
    }

    /// Limits that contradict each other are found when they meet those that stay.
    fn limits(&mut self, at: &Place, code: &str, t: &SubAccountTable) -> LimitChange {
        let limit = |text: &Option<String>| text.clone().map(|t| (t != "none").then_some(t));
        let expires_on = match t.expires_on.as_deref() {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                let found = day(text);
                if found.is_none() {
                    self.wrong(
                        at,
                        "expires_on",
                        format!("\"{text}\" is not a date: write it like 2026-07-01, or none"),
                    );
                }
                Some(found)
            }
        };
        let (floor, ceiling, movement_limit) = (limit(&t.floor), limit(&t.ceiling), limit(&t.movement_limit));
        let asked = LimitChange { floor, ceiling, movement_limit, expires_on };
        let currency = self.known.masters.get(&t.master).and_then(|m| m.account.1.parse::<Currency>().ok());
        if let Some(currency) = currency {
            for (field, change) in asked.amounts() {
                if let Err(what) = change.applied_to(Terms::default(), currency, "UTC") {
                    let named = what.split_once(": ").map_or(what.as_str(), |(_, problem)| problem);
                    self.wrong(at, field, named);
                }
            }
            // Of a leaf that is there, limits that stay count too.
            let new = !self.known.leaves.contains(code);
            let terms = asked.applied_to(Terms::of_kind(AccountKind::Leaf), currency, "UTC").ok().filter(|_| new);
            if let Some(what) = terms.and_then(|terms| terms.problem(currency)) {
                self.wrong(at, "limits", what);
            }
        }
        asked
    }

    fn share(&mut self, at: &Place, share: &ShareTable, currency: Currency) -> Option<(String, Minor)> {
        let amount = amount(&share.amount, currency)
            .map_err(|e| self.wrong(at, "opening_shares", format!("{}: {e}", share.leaf)));
        if amount == Ok(Minor::ZERO) {
            self.wrong(at, "opening_shares", format!("{} gets nothing; leave it out", share.leaf));
        }
        amount.ok().map(|amount| (share.leaf.clone(), amount))
    }

    fn leaf(&mut self, t: &SubAccountTable) -> Leaf {
        let purpose = t.purpose.as_deref().unwrap_or(OPERATING);
        let code = format!("{}/{}/{}/{purpose}", t.master, t.product, t.market.to_ascii_lowercase());
        let at = self.begin("sub_account", 0, &code);
        self.reference(&at, "master", &t.master, |k| k.masters.contains_key(&t.master), "master");
        self.reference(&at, "product", &t.product, |k| k.products.contains(&t.product), "product");
        self.reference(&at, "market", &t.market, |k| k.markets.contains(&t.market), "market");
        self.code(&at, "purpose", purpose);
        if let Some(owner) = &t.owner {
            self.reference(&at, "owner", owner, |k| k.entities.contains(owner), "entity");
        }
        let limits = self.limits(&at, &code, t);
        self.known.leaves.insert(code.clone());
        Leaf {
            code,
            master: t.master.clone(),
            product: t.product.clone(),
            market: t.market.clone(),
            purpose: purpose.to_owned(),
            owner: t.owner.clone(),
            label: self.label(&at, t.name.as_deref(), t.metadata.as_ref()),
            limits,
        }
    }

    /// Opening shares name leaves of their own master, each once.
    fn shares(&mut self, masters: &[Master]) {
        for master in masters {
            let at = Place { table: "master", item: format!("\"{}\"", master.code) };
            let mut named = BTreeSet::new();
            for (leaf, _) in master.shares.iter().flatten() {
                let house = leaf.strip_prefix(&format!("{}/house/", master.code)).is_some_and(|h| HOUSE.contains(&h));
                if !leaf.starts_with(&format!("{}/", master.code)) {
                    self.wrong(&at, "opening_shares", format!("\"{leaf}\" is not a leaf of this master"));
                } else if !house && !self.known.leaves.contains(leaf) {
                    let what = format!(
                        "there is no leaf \"{leaf}\"; add its [[sub_account]] or name one of {}/house/",
                        master.code
                    );
                    self.wrong(&at, "opening_shares", what);
                } else if !named.insert(leaf) {
                    self.wrong(&at, "opening_shares", format!("\"{leaf}\" is named twice"));
                }
            }
        }
    }

    fn begin(&mut self, table: &'static str, index: usize, code: &str) -> Place {
        let item = if code.is_empty() { format!("number {}", index.saturating_add(1)) } else { format!("\"{code}\"") };
        let at = Place { table, item };
        if !self.seen.insert((table, at.item.clone())) {
            let field = if table == "sub_account" { "purpose" } else { "code" };
            self.wrong(&at, field, "the file defines it twice; take one away or give it another code");
        }
        at
    }

    fn code(&mut self, at: &Place, field: &'static str, code: &str) {
        let fits = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if code.is_empty() || code.len() > CODE_LENGTH || !fits || code.starts_with('-') {
            let what = format!(
                "\"{code}\" is not a code: letters a to z, digits and -, at most {CODE_LENGTH}, such as tiktok-shop"
            );
            self.wrong(at, field, what);
        }
    }

    fn country(&mut self, at: &Place, field: &'static str, code: &str) {
        if !COUNTRIES.split_whitespace().any(|c| c == code) {
            self.wrong(at, field, format!("\"{code}\" is not a country of ISO 3166-1: two capitals such as DE"));
        }
    }

    fn reference(&mut self, at: &Place, field: &'static str, code: &str, there: impl Fn(&Known) -> bool, table: &str) {
        if !there(&self.known) {
            self.wrong(
                at,
                field,
                format!("there is no {table} \"{code}\"; add [[{table}]] with that code or correct the name"),
            );
        }
    }

    fn account(&mut self, at: &Place, text: &str) -> String {
        let account = numbers::normalise(text);
        let plain = account.bytes().all(|b| b.is_ascii_alphanumeric());
        if account.len() < 4 || account.len() > 34 || !plain {
            self.wrong(at, "account", format!("\"{text}\" is not an account number: 4 to 34 letters and digits"));
        } else if numbers::looks_like_iban(&account) && !numbers::verify(&account) {
            self.wrong(
                at,
                "account",
                format!("\"{text}\" is not a valid IBAN: its length or its check digits are wrong"),
            );
        }
        account
    }

    fn range(&mut self, at: &Place, t: &NumbersTable) -> Option<(Scheme, String)> {
        let Some(scheme) = Scheme::parse(&t.scheme) else {
            self.wrong(at, "numbers.scheme", format!("\"{}\" is not a scheme: iban, rf or digits", t.scheme));
            return None;
        };
        let prefix = numbers::normalise(&t.prefix);
        numbers::places(scheme, &prefix).map_err(|e| self.wrong(at, "numbers.prefix", e)).ok()?;
        Some((scheme, prefix))
    }

    /// No two masters share an account or a range of numbers: what is addressed to one could land in the other.
    fn distinct(&mut self, at: &Place, code: &str, new: KnownMaster) {
        let others = || self.known.masters.iter().filter(|(c, _)| *c != code);
        let account = others().find(|(_, m)| m.account == new.account).map(|(c, _)| c.clone());
        let range = others().find(|(_, m)| m.range == new.range && new.range.is_some()).map(|(c, _)| c.clone());
        if let Some(other) = account {
            self.wrong(at, "account", format!("master \"{other}\" has the same account and currency"));
        }
        if let Some(other) = range {
            self.wrong(
                at,
                "numbers.prefix",
                format!("master \"{other}\" gives out numbers with the same prefix; each needs its own"),
            );
        }
        self.known.masters.insert(code.to_owned(), new);
    }

    fn label(&mut self, at: &Place, name: Option<&str>, metadata: Option<&Metadata>) -> Label {
        let unprintable = |text: &str| text.chars().any(char::is_control);
        if let Some(name) = name
            && (name.trim().is_empty() || name.chars().count() > NAME_LENGTH || unprintable(name))
        {
            self.wrong(at, "name", format!("a name has 1 to {NAME_LENGTH} printable signs"));
        }
        if metadata.is_some_and(|m| m.iter().any(|(key, value)| unprintable(key) || value.contains('\0'))) {
            self.wrong(at, "metadata", "keys have printable signs, and no value has a NUL");
        }
        let json = metadata.map(|m| serde_json::json!(m).to_string());
        Label { name: name.map(str::to_owned), metadata: json }
    }
}

/// `2026-07-01` and nothing else: chrono also reads `2026-7-1`.
fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|d| d.to_string() == text)
}

/// An amount that can stand on either side of an entry: the smallest of 64 bits has no opposite.
fn amount(text: &str, currency: Currency) -> Result<Minor, crate::money::Problem> {
    Minor::parse(text, currency).and_then(|amount| amount.opposite().and(Ok(amount)))
}

fn is_bic(bic: &str) -> bool {
    let country = bic.get(4..6).is_some_and(|c| COUNTRIES.split_whitespace().any(|known| known == c));
    let signs =
        bic.bytes().enumerate().all(|(i, b)| if i < 4 { b.is_ascii_uppercase() } else { b.is_ascii_alphanumeric() });
    matches!(bic.len(), 8 | 11) && country && signs
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
