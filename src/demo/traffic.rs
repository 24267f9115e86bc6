//! What happens on a master in a day: the lines that its bank will report.
//!
//! The desk keeps what each leaf should have, so that payouts are of money that is there; where a line ends up is decided by
//! the treasury alone, by the virtual account number, the rules, or not at all. Some receipts have consequences on later
//! days: they were pending, come back, or were booked twice by mistake.

use super::decisions::{FIRST_UNKNOWN, TEXTS, UNKNOWN};
use super::dice::Dice;
use super::names::{self, PAYERS, Party};
use super::rulebook;
use super::treasury::{Leaf, Master, Style, weight};
use super::wording::{Kind, booking_text, code, product_name};
use crate::banking::write::Entry;
use crate::banking::{Detail, Direction, Status};
use crate::chart::numbers::Scheme;
use crate::money::Minor;
use chrono::{Datelike, NaiveDate, Weekday};

mod dealings;

/// A business day and what the calendar makes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) on: NaiveDate,
    /// The business day before, in the same month.
    pub(super) before: Option<NaiveDate>,
    pub(super) ends_month: bool,
}

impl Day {
    /// The first business day of the month that is not before `day`.
    fn is_first_from(&self, day: u32) -> bool {
        self.on.day() >= day && self.before.is_none_or(|b| b.day() < day)
    }
}

/// A line to come, in so many business days, and whose money it should be.
struct Later {
    days: u8,
    entry: Entry,
    leaf: Option<usize>,
}

/// What an app store has paid in one sum, for the store's settlement file to explain.
pub(super) struct Lump {
    pub(super) store: &'static str,
    pub(super) payer: Party,
    pub(super) reference: String,
    pub(super) amount: i64,
    pub(super) on: NaiveDate,
}

/// A large invoice, which its product announces.
pub(super) struct Invoice {
    pub(super) number: String,
    pub(super) leaf: usize,
    pub(super) amount: i64,
    pub(super) on: NaiveDate,
    pub(super) payer: Party,
}

/// A master on its way through the days.
pub(super) struct Desk<'m> {
    pub(super) master: &'m Master,
    dice: Dice,
    leaves: Vec<i64>,
    pool: i64,
    /// The operating leaves as often as they are big.
    lots: Vec<usize>,
    payments: u64,
    references: u64,
    later: Vec<Later>,
    today: Vec<Entry>,
    pub(super) lumps: Vec<Lump>,
    pub(super) invoices: Vec<Invoice>,
}

impl<'m> Desk<'m> {
    pub(super) fn new(master: &'m Master, dice: Dice) -> Self {
        let of = |(index, leaf): (usize, &Leaf)| {
            let main = if leaf.market == master.plan.markets[0] { 2 } else { 1 };
            let lots = if leaf.is_operating() { weight(leaf.product) * main } else { 0 };
            std::iter::repeat_n(index, usize::try_from(lots).unwrap_or(0))
        };
        Desk {
            master,
            dice,
            leaves: master.leaves.iter().map(|leaf| leaf.opening).collect(),
            pool: master.pool,
            lots: master.leaves.iter().enumerate().flat_map(of).collect(),
            payments: 0,
            references: 0,
            later: Vec::new(),
            today: Vec::new(),
            lumps: Vec::new(),
            invoices: Vec::new(),
        }
    }

    /// The lines of a business day.
    pub(super) fn day(&mut self, day: Day) -> Vec<Entry> {
        self.due(day.on);
        let receipts = self.master.plan.receipts * self.dice.between(75, 125) / 100;
        for _ in 0..receipts {
            self.receipt(day.on);
        }
        self.batch_of_receipts(day.on);
        self.stores(day.on);
        self.invoices(day.on);
        self.own_transfers(day.on);
        self.creators(day.on);
        self.shop(day.on);
        self.suppliers(day);
        self.salaries(day);
        self.of_the_bank(day);
        self.unplaceable(day.on);
        self.shuffle();
        self.pending(day.on);
        std::mem::take(&mut self.today)
    }

    /// What earlier days have left for this one.
    fn due(&mut self, on: NaiveDate) {
        for mut later in std::mem::take(&mut self.later) {
            later.days -= 1;
            if later.days > 0 {
                self.later.push(later);
                continue;
            }
            later.entry.booked_on = on;
            later.entry.valued_on = on;
            self.book(later.entry, later.leaf);
        }
    }

    /// Into today's statement, with the bank's reference where it gives one.
    fn book(&mut self, mut entry: Entry, leaf: Option<usize>) {
        if let Some(has) = leaf.and_then(|l| self.leaves.get_mut(l)) {
            match entry.direction {
                Direction::Credit => *has += entry.amount.0,
                Direction::Debit => *has -= entry.amount.0,
            }
        }
        if entry.bank_ref.is_none() && self.master.plan.refs {
            self.references += 1;
            entry.bank_ref = Some(format!("{}{:07}", entry.booked_on.format("%y%m%d"), self.references));
        }
        self.today.push(entry);
    }

    fn entry(&mut self, kind: Kind, amount: i64, on: NaiveDate, detail: Detail) -> Entry {
        let style = self.master.plan.style;
        let detail = Detail { amount: Some(Minor(amount)), ..detail };
        let mut entry = Entry::of(Minor(amount), kind.direction(), on, code(style, kind), detail);
        entry.info = booking_text(style, kind).map(str::to_owned);
        entry
    }

    /// An amount between so many euros, in the master's currency.
    fn euros(&mut self, low: i64, high: i64) -> i64 {
        (self.dice.between(low * 100, high * 100) * self.master.plan.euro / 100).max(1)
    }

    /// Many small receipts, few large ones.
    fn receipt_amount(&mut self) -> i64 {
        match self.dice.below(100) {
            0..50 => self.euros(20, 400),
            50..85 => self.euros(400, 3_000),
            85..98 => self.euros(3_000, 20_000),
            _ => self.euros(20_000, 90_000),
        }
    }

    /// An advertiser's payment for a leaf, addressed as its master's numbers are.
    fn advert(&mut self, leaf: usize) -> Detail {
        self.payments += 1;
        let master = self.master;
        let leaf = &master.leaves[leaf];
        let number = self.dice.below(PAYERS);
        let payer = names::party(master.plan, number);
        let name = product_name(leaf.product);
        let mut detail = of_party(payer);
        detail.end_to_end_id = Some(format!("INV26-{:06}", self.payments));
        detail.remittance = Some(format!("Invoice INV26-{:06} {name} Ads {}", self.payments, leaf.market));
        match (master.plan.style, master.scheme) {
            (Style::German, _) => {
                let product = leaf.product.to_ascii_uppercase();
                detail.end_to_end_id = Some(format!("{product}-{}-{:06}", leaf.market, self.payments));
            }
            (_, Scheme::Rf) => detail.creditor_reference = Some(leaf.number.clone()),
            _ => detail.own_account = Some(leaf.number.clone()),
        }
        // Agencies pay for their customers.
        if self.dice.chance(6) {
            detail.ultimate_name = Some(names::party(master.plan, number + 71).name);
        }
        detail
    }

    fn any_leaf(&mut self) -> usize {
        *self.dice.pick(&self.lots)
    }

    /// A receipt, and what becomes of it.
    fn receipt(&mut self, on: NaiveDate) {
        let leaf = self.any_leaf();
        let amount = self.receipt_amount();
        let detail = self.advert(leaf);
        let entry = self.entry(Kind::Receipt, amount, on, detail);
        match self.dice.below(1000) {
            // A payer who pays twice on one day, in the same words.
            0..18 => {
                self.book(entry.clone(), Some(leaf));
                self.book(entry, Some(leaf));
            }
            // It comes back: the account that it was drawn on cannot pay.
            18..30 => {
                let reason = *self.dice.pick(&["AC04", "AM04", "MD01", "MS03"]);
                let back = Detail { return_reason: Some(reason.to_owned()), ..entry.details[0].clone() };
                let returned = self.entry(Kind::Returned, amount, on, back);
                let days = u8::try_from(self.dice.between(2, 4)).unwrap_or(2);
                self.later.push(Later { days, entry: returned, leaf: Some(leaf) });
                self.book(entry, Some(leaf));
            }
            // The bank books it twice and takes the second back on the next day.
            30..34 => {
                self.book(entry.clone(), Some(leaf));
                self.book(entry.clone(), Some(leaf));
                let mistaken = self.today.last().and_then(|e| e.bank_ref.clone());
                let reversal = Entry { direction: Direction::Debit, reversal: true, bank_ref: mistaken, ..entry };
                self.later.push(Later { days: 1, entry: reversal, leaf: Some(leaf) });
            }
            _ => self.book(entry, Some(leaf)),
        }
    }

    /// Several payments in one line; an MT940 would not tell of them.
    fn batch_of_receipts(&mut self, on: NaiveDate) {
        if !self.is_camt() || !self.dice.chance(35) {
            return;
        }
        let count = self.dice.between(3, 6);
        let mut details = Vec::new();
        for _ in 0..count {
            let leaf = self.any_leaf();
            let amount = self.euros(40, 1_500);
            self.leaves[leaf] += amount;
            details.push(Detail { amount: Some(Minor(amount)), ..self.advert(leaf) });
        }
        let total = details.iter().filter_map(|d| d.amount).map(|a| a.0).sum();
        let mut entry = self.entry(Kind::Receipt, total, on, Detail::default());
        entry.details = details;
        self.book(entry, None);
    }

    /// What app stores pay for all products in one sum, once a week each.
    fn stores(&mut self, on: NaiveDate) {
        let plan = self.master.plan;
        let apple = match plan.code {
            "us-usd" => "APPLE INC.",
            "jp-jpy" => "ITUNES KK",
            "cn-cny" => "APPLE TRADING (SHANGHAI) CO LTD",
            "de-eur" | "fr-eur" | "at-eur" | "gb-gbp" => "APPLE DISTRIBUTION INTERNATIONAL LTD",
            _ => "APPLE SERVICES PTE LTD",
        };
        let store = match on.weekday() {
            Weekday::Thu => Some(("apple", apple, "APP STORE PROCEEDS", 1)),
            Weekday::Tue if plan.code != "cn-cny" => Some(("google", "GOOGLE PAYMENT CORP", "GOOGLE PLAY PAYOUT", 2)),
            _ => None,
        };
        if let Some((store, name, what, number)) = store {
            let amount = self.euros(3_000, 7_000) * plan.receipts;
            let reference = format!("STORE-{}", on.format("%G%V"));
            if !rulebook::splits(name, plan.code) {
                let payer = names::company(plan, name, number);
                self.lumps.push(Lump { store, payer, reference: reference.clone(), amount, on });
            }
            let mut detail = of_party(names::company(plan, name, number));
            detail.end_to_end_id = Some(reference);
            detail.remittance = Some(format!("{what} {} WEEK {}", plan.currency, on.format("%V")));
            let entry = self.entry(Kind::Receipt, amount, on, detail);
            self.book(entry, None);
        }
    }

    /// Pays creators out of their float: some at once, the many in a batch.
    fn creators(&mut self, on: NaiveDate) {
        let Some(leaf) = self.master.creators_leaf() else { return };
        let market = self.master.leaves[leaf].market;
        let name = format!("CRP-{market}-{}", on.format("%m%d"));
        for nth in 1..=self.dice.between(1, 3) {
            let amount = self.euros(80, 2_400);
            let reference = format!("{name}-{nth:02}");
            self.pay(leaf, amount, on, |desk| desk.creator(reference.clone(), market));
            if self.dice.chance(5) {
                self.comes_back(&reference);
            }
        }
        if !matches!(on.weekday(), Weekday::Mon | Weekday::Wed) {
            return;
        }
        let mut details = Vec::new();
        for nth in 1..=self.dice.between(5, 14) {
            let amount = self.euros(60, 1_900);
            let mut detail = self.creator(format!("{name}-B{nth:02}"), market);
            detail.amount = Some(Minor(amount));
            detail.payment_info_id = Some(format!("{name}-B"));
            details.push(detail);
        }
        let total: i64 = details.iter().filter_map(|d| d.amount).map(|a| a.0).sum();
        if self.leaves[leaf] >= total {
            let mut entry = self.entry(Kind::Paid, total, on, Detail::default());
            entry.owner_ref = Some(format!("{name}-B"));
            entry.details = details;
            self.book(entry, Some(leaf));
        }
    }

    fn creator(&mut self, reference: String, market: &str) -> Detail {
        let number = self.dice.below(120);
        let mut detail = of_party(names::creator(self.master.plan, number));
        detail.end_to_end_id = Some(reference);
        detail.remittance = Some(format!("Creator payout {market}"));
        detail
    }

    /// Debits a leaf, when it has the money.
    fn pay(&mut self, leaf: usize, amount: i64, on: NaiveDate, detail: impl FnOnce(&mut Self) -> Detail) {
        if self.leaves[leaf] >= amount {
            let detail = detail(self);
            let mut entry = self.entry(Kind::Paid, amount, on, detail);
            entry.owner_ref = entry.details[0].end_to_end_id.clone();
            self.book(entry, Some(leaf));
        }
    }

    /// The shop: card payments come in as one sum less the acquirer's charges, sellers are paid twice a week.
    fn shop(&mut self, on: NaiveDate) {
        let Some(leaf) = self.master.main_leaf("tiktok-shop") else { return };
        let plan = self.master.plan;
        let gross = self.euros(600, 1_900) * plan.receipts;
        let charges = gross / 125;
        let mut detail = of_party(names::company(plan, "Northwind Card Services", 3));
        detail.end_to_end_id = Some(format!("NCS-{}", on.format("%y%m%d")));
        detail.remittance = Some(format!("CARD SETTLEMENT {} GROSS LESS COMMISSION", on.format("%d.%m.%Y")));
        detail.charges = Some(Minor(charges));
        let entry = self.entry(Kind::Receipt, gross - charges, on, detail);
        self.book(entry, Some(leaf));
        if matches!(on.weekday(), Weekday::Tue | Weekday::Thu) {
            for nth in 1..=self.dice.between(3, 7) {
                let amount = self.euros(200, 700) * plan.receipts;
                self.pay(leaf, amount, on, |desk| {
                    let number = desk.dice.below(PAYERS);
                    let mut detail = of_party(names::party(plan, number));
                    detail.end_to_end_id = Some(format!("SET-{}-{nth:02}", on.format("%y%m%d")));
                    detail.remittance = Some(format!("Seller settlement {}", on.format("%Y-%m-%d")));
                    detail
                });
            }
        }
    }

    /// Monthly bills of single products, and the rent that the pool pays.
    fn suppliers(&mut self, day: Day) {
        let bills = [
            (5, "Alpine Cloud Hosting AG", "lark", 4, 9_000, 21_000),
            (12, "Meridian Content Delivery Inc", "capcut", 5, 6_000, 18_000),
        ];
        for (due, name, product, number, low, high) in bills {
            if let Some(leaf) = self.master.main_leaf(product).filter(|_| day.is_first_from(due)) {
                let amount = self.euros(low, high);
                self.pay(leaf, amount, day.on, |desk| desk.bill(name, number, day.on));
            }
        }
        if day.is_first_from(1) {
            let amount = self.euros(14_000, 38_000);
            let detail = self.bill("Harbour Office Leasing Ltd", 6, day.on);
            self.pay_from_pool(Kind::Paid, amount, day.on, vec![detail], None);
        }
    }

    fn bill(&mut self, name: &str, number: u64, on: NaiveDate) -> Detail {
        self.payments += 1;
        let mut detail = of_party(names::company(self.master.plan, name, number));
        detail.end_to_end_id = Some(format!("BILL-{:06}", self.payments));
        detail.remittance = Some(format!("Invoice {} {}", on.format("%Y-%m"), self.payments));
        detail
    }

    fn salaries(&mut self, day: Day) {
        if !day.is_first_from(25) {
            return;
        }
        let mut details = Vec::new();
        for nth in 0..self.dice.between(6, 11) {
            let amount = self.euros(2_800, 9_500);
            let number = 200 + u64::try_from(nth).unwrap_or(0) * 7;
            let mut detail = of_party(names::creator(self.master.plan, number));
            detail.amount = Some(Minor(amount));
            detail.end_to_end_id = Some(format!("SALARY-{}-{nth:02}", day.on.format("%Y%m")));
            detail.payment_info_id = Some(format!("SALARY-{}", day.on.format("%Y%m")));
            detail.remittance = Some(format!("Salary {}", day.on.format("%m/%Y")));
            details.push(detail);
        }
        let total = details.iter().filter_map(|d| d.amount).map(|a| a.0).sum();
        let reference = format!("SALARY-{}", day.on.format("%Y%m"));
        self.pay_from_pool(Kind::Salaries, total, day.on, details, Some(reference));
    }

    fn pay_from_pool(
        &mut self,
        kind: Kind,
        amount: i64,
        on: NaiveDate,
        mut details: Vec<Detail>,
        owner: Option<String>,
    ) {
        if self.pool < amount {
            return;
        }
        self.pool -= amount;
        if let [only] = details.as_mut_slice() {
            only.amount = Some(Minor(amount));
        }
        let mut entry = self.entry(kind, amount, on, Detail::default());
        entry.details = details;
        entry.owner_ref = owner;
        self.book(entry, None);
    }

    /// Fees and interest.
    fn of_the_bank(&mut self, day: Day) {
        if self.dice.chance(55) {
            let amount = self.euros(2, 35);
            self.charge(amount, day.on, "Transaction fees");
        }
        if day.ends_month {
            let amount = self.euros(260, 900);
            self.charge(amount, day.on, "Account fees of the month");
            let amount = self.euros(900, 6_000);
            let remittance = Some(format!("Credit interest {}", day.on.format("%m/%Y")));
            let entry = self.entry(Kind::Interest, amount, day.on, Detail { remittance, ..Detail::default() });
            self.book(entry, None);
        }
    }

    fn charge(&mut self, amount: i64, on: NaiveDate, what: &str) {
        let detail = Detail { remittance: Some(what.to_owned()), ..Detail::default() };
        let entry = self.entry(Kind::Fee, amount, on, detail);
        self.book(entry, None);
    }

    /// What nobody can place: payers who are not known and say nothing useful, and numbers with a slip of the pen.
    fn unplaceable(&mut self, on: NaiveDate) {
        if self.dice.chance(35) {
            let number = self.dice.below(UNKNOWN);
            let mut detail = of_party(names::party(self.master.plan, FIRST_UNKNOWN + number));
            detail.remittance = Some((*self.dice.pick(&TEXTS)).to_owned());
            let amount = self.receipt_amount();
            let entry = self.entry(Kind::Receipt, amount, on, detail);
            self.book(entry, None);
        }
        if self.dice.chance(25) {
            let leaf = self.any_leaf();
            let mut detail = self.advert(leaf);
            // Both ends of the text stay, so that it still looks like one of ours.
            detail.own_account = detail.own_account.map(|n| slipped(&n));
            detail.creditor_reference = detail.creditor_reference.map(|n| slipped(&n));
            if self.master.plan.style == Style::German {
                detail.end_to_end_id = detail.end_to_end_id.map(|n| format!("X{n}"));
            }
            let amount = self.receipt_amount();
            let entry = self.entry(Kind::Receipt, amount, on, detail);
            self.book(entry, None);
        }
    }

    /// What the bank expects to book on the next day; it moves no balance yet.
    fn pending(&mut self, on: NaiveDate) {
        if !self.is_camt() || !self.dice.chance(45) {
            return;
        }
        for _ in 0..self.dice.between(1, 2) {
            let leaf = self.any_leaf();
            let amount = self.receipt_amount();
            let detail = self.advert(leaf);
            let entry = self.entry(Kind::Receipt, amount, on, detail);
            self.today.push(Entry { status: Status::Pending, ..entry.clone() });
            self.later.push(Later { days: 1, entry, leaf: Some(leaf) });
        }
    }

    fn is_camt(&self) -> bool {
        matches!(self.master.plan.style, Style::Camt08 | Style::Camt02)
    }

    fn shuffle(&mut self) {
        for last in (1..self.today.len()).rev() {
            let other = self.dice.index(last + 1);
            self.today.swap(last, other);
        }
    }
}

fn of_party(party: Party) -> Detail {
    Detail {
        counterparty_name: Some(party.name),
        counterparty_account: Some(party.account),
        counterparty_bank: party.bank.map(str::to_owned),
        ..Detail::default()
    }
}

/// The number with its last two different neighbours exchanged, which its check digits find.
pub(super) fn slipped(number: &str) -> String {
    let mut signs: Vec<char> = number.chars().collect();
    if let Some(at) = (5..signs.len()).rev().find(|i| signs[*i] != signs[i - 1]) {
        signs.swap(at, at - 1);
    }
    signs.into_iter().collect()
}
