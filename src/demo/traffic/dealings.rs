//! What does not happen every day: large invoices that were announced, money between own masters, payouts that come back, and
//! what the bank tells of a day that is not over.

use super::{Desk, Invoice, Kind, Later, names, of_party};
use crate::banking::write::Entry;
use crate::banking::{Detail, Status};
use crate::demo::treasury::{ENTITIES, PLANS};
use crate::demo::wording::product_name;
use chrono::NaiveDate;

/// From the first to the second master: when it leaves, when it arrives, how many euros. The last one is under way at the end.
const FROM: &str = "de-eur";
const INTO: &str = "fr-eur";
const TRANSFERS: [(&str, &str, i64); 3] =
    [("2026-07-15", "2026-07-16", 450_000), ("2026-08-27", "2026-08-28", 300_000), ("2026-09-28", "", 250_000)];

impl Desk<'_> {
    /// A large invoice now and then: its payer names the invoice and not the virtual account, so that only who knows of the
    /// invoice can place it. Most are paid as they should be, some less a discount that nobody has agreed to, some never.
    pub(super) fn invoices(&mut self, on: NaiveDate) {
        if !self.dice.chance(45) {
            return;
        }
        self.payments += 1;
        let number = format!("INV26-{:06}", self.payments);
        let leaf = self.any_leaf();
        let amount = self.euros(10_000, 45_000);
        let customer = self.dice.below(names::PAYERS);
        let payer = || names::party(self.master.plan, customer);
        let of = &self.master.leaves[leaf];
        let text = format!("Invoice {number} {} Ads {}", product_name(of.product), of.market);
        let detail = Detail { end_to_end_id: Some(number.clone()), remittance: Some(text), ..of_party(payer()) };
        self.invoices.push(Invoice { number, leaf, amount, on, payer: payer() });
        // Announced on the Monday after; paid later than that, and within its four weeks.
        let days = u8::try_from(self.dice.between(6, 14)).unwrap_or(6);
        let (paid, leaf) = match self.dice.below(100) {
            0..8 => return,
            8..14 => (amount - amount / 50, None),
            _ => (amount, Some(leaf)),
        };
        let entry = self.entry(Kind::Receipt, paid, on, detail);
        self.later.push(Later { days, entry, leaf });
    }

    /// Liquidity that goes from one own master to another of its currency.
    pub(super) fn own_transfers(&mut self, on: NaiveDate) {
        let today = on.to_string();
        for (leaves, arrives, euros) in TRANSFERS {
            let (day, kind, other) = match self.master.plan.code {
                FROM => (leaves, Kind::Paid, INTO),
                INTO => (arrives, Kind::Receipt, FROM),
                _ => return,
            };
            let Some(other) = PLANS.iter().find(|p| p.code == other && day == today) else { continue };
            let amount = euros * other.euro;
            let owner = ENTITIES.iter().find(|e| e.0 == other.entity).map(|e| e.1.to_owned());
            let detail = Detail {
                counterparty_name: owner,
                counterparty_account: Some(other.account.to_owned()),
                counterparty_bank: Some(other.bic.to_owned()),
                end_to_end_id: Some(format!("OWN-{}", leaves.replace('-', ""))),
                remittance: Some("Liquidity between own accounts".to_owned()),
                ..Detail::default()
            };
            self.pool += if kind == Kind::Paid { -amount } else { amount };
            let entry = self.entry(kind, amount, on, detail);
            self.book(entry, None);
        }
    }

    /// The payout of today with this reference comes back in some days: the account is closed, or is none.
    pub(super) fn comes_back(&mut self, reference: &str) {
        let sent = self.today.iter().rev().find(|e| e.owner_ref.as_deref() == Some(reference));
        let Some((amount, on, detail)) = sent.map(|e| (e.amount.0, e.booked_on, e.details[0].clone())) else { return };
        let reason = *self.dice.pick(&["AC01", "AC04", "RR04"]);
        let entry = self.entry(Kind::CameBack, amount, on, Detail { return_reason: Some(reason.to_owned()), ..detail });
        let days = u8::try_from(self.dice.between(2, 4)).unwrap_or(2);
        // It stays on the leaf for what came back, out of which nothing is paid here.
        self.later.push(Later { days, entry, leaf: None });
    }

    /// What the bank has booked of a day that is not over, and so many receipts that it only expects.
    pub(in crate::demo) fn morning(&mut self, on: NaiveDate, pending: u64) -> Vec<Entry> {
        self.due(on);
        for _ in 0..self.dice.between(5, 8) {
            let entry = self.some_receipt(on);
            self.book(entry, None);
        }
        for _ in 0..pending {
            let entry = self.some_receipt(on);
            self.today.push(Entry { status: Status::Pending, ..entry });
        }
        std::mem::take(&mut self.today)
    }

    fn some_receipt(&mut self, on: NaiveDate) -> Entry {
        let leaf = self.any_leaf();
        let amount = self.receipt_amount();
        let detail = self.advert(leaf);
        self.entry(Kind::Receipt, amount, on, detail)
    }
}
