//! The rules of the demo's treasury, as TOML: what is told by the bank's code first, then whom the money comes from.
//!
//! Not everything has a rule on purpose: lumps of app stores without one wait in suspense for the store's settlement file,
//! and nobody can place what an unknown payer sends.

use super::treasury::{Master, Style};
use crate::money::Minor;
use std::fmt::Write;

/// Products and their percents.
type Split = &'static [(&'static str, &'static str)];

/// Shares of the app stores' lumps that are known beforehand: store, what its name contains, master, split.
const SPLITS: [(&str, &str, &str, Split); 6] = [
    ("apple", "APPLE", "us-usd", &[("tiktok", "55"), ("capcut", "25"), ("lemon8", "12.5"), ("hypic", "7.5")]),
    ("google", "GOOGLE", "us-usd", &[("tiktok", "70"), ("capcut", "30")]),
    ("apple", "APPLE", "gb-gbp", &[("tiktok", "62"), ("capcut", "38")]),
    ("apple", "ITUNES KK", "jp-jpy", &[("tiktok", "48.25"), ("capcut", "31.75"), ("lemon8", "20")]),
    ("google", "GOOGLE", "br-brl", &[("tiktok", "66.6667"), ("capcut", "33.3333")]),
    ("apple", "APPLE", "sg-sgd", &[("tiktok", "60"), ("capcut", "40")]),
];

/// Whether a store's lumps on a master are split by rule; else they wait for the store's settlement file.
pub(super) fn splits(payer: &str, master: &str) -> bool {
    SPLITS.iter().any(|(_, name, of, _)| *of == master && payer.contains(name))
}

struct Rules {
    out: String,
}

/// The `[[rule]]` tables.
pub(super) fn toml(masters: &[Master]) -> String {
    let mut rules = Rules { out: String::new() };
    rules.of_the_bank();
    for master in masters {
        rules.of_stores(master);
        rules.of_payouts(master);
        rules.of_suppliers(master);
        if master.plan.style == Style::German {
            rules.of_references(master);
        }
    }
    rules.out
}

impl Rules {
    fn rule(&mut self, code: &str, priority: u32, when: &[(&str, &str)], to: &[(String, Option<&str>)]) {
        let told = self.write(code, priority, when, to);
        told.expect("a String takes all");
    }

    fn write(
        &mut self,
        code: &str,
        priority: u32,
        when: &[(&str, &str)],
        to: &[(String, Option<&str>)],
    ) -> std::fmt::Result {
        let out = &mut self.out;
        write!(out, "\n[[rule]]\ncode = \"{code}\"\npriority = {priority}\n[rule.when]\n")?;
        for (field, value) in when {
            match *field {
                "masters" => writeln!(out, "masters = [\"{value}\"]")?,
                "reversal" | "return" => writeln!(out, "{field} = {value}")?,
                _ => writeln!(out, "{field} = \"{value}\"")?,
            }
        }
        for (leaf, percent) in to {
            writeln!(out, "[[rule.to]]\nleaf = \"{leaf}\"")?;
            if let Some(percent) = percent {
                writeln!(out, "percent = \"{percent}\"")?;
            }
        }
        Ok(())
    }

    /// What holds at every bank; each names its codes in its own way.
    fn of_the_bank(&mut self) {
        let fees = [("{master}/house/fees".to_owned(), None)];
        let interest = [("{master}/house/interest".to_owned(), None)];
        let pool = [("{master}/house/pool".to_owned(), None)];
        self.rule("bank-fees", 10, &[("code", "*/CHRG")], &fees);
        self.rule("bank-fees-swift", 10, &[("code", "NCHG")], &fees);
        self.rule("bank-fees-gvc", 10, &[("code", "NCHG/*")], &fees);
        self.rule("bank-interest", 11, &[("code", "*/INTR")], &interest);
        self.rule("bank-interest-swift", 11, &[("code", "NINT")], &interest);
        self.rule("bank-interest-gvc", 11, &[("code", "NINT/*")], &interest);
        self.rule("salaries", 20, &[("direction", "debit"), ("reference", "SALARY-*")], &pool);
        let office = [("direction", "debit"), ("counterparty", "Harbour Office Leasing")];
        self.rule("office-rent", 30, &office, &pool);
    }

    /// Lumps that are split as agreed: only credits, and never what the bank takes back.
    fn of_stores(&mut self, master: &Master) {
        let code = master.plan.code;
        for (store, name, _, shares) in SPLITS.iter().filter(|s| s.2 == code) {
            let targets: Vec<(String, Option<&str>)> = shares
                .iter()
                .filter_map(|(product, percent)| {
                    let leaf = &master.leaves[master.main_leaf(product)?];
                    Some((leaf.code.replacen(code, "{master}", 1), Some(*percent)))
                })
                .collect();
            let when = [("masters", code), ("direction", "credit"), ("counterparty", *name), ("reversal", "false")];
            self.rule(&format!("{store}-{code}"), 100, &when, &targets);
        }
    }

    fn of_payouts(&mut self, master: &Master) {
        let code = master.plan.code;
        if let Some(leaf) = master.creators_leaf() {
            let leaf = &master.leaves[leaf];
            let reference = format!("CRP-{}-*", leaf.market);
            let when = [("masters", code), ("direction", "debit"), ("reference", reference.as_str())];
            self.rule(&format!("creators-{code}"), 200, &when, &[(leaf.code.clone(), None)]);
        }
        if let Some(leaf) = master.main_leaf("tiktok-shop") {
            let leaf = master.leaves[leaf].code.clone();
            // What is larger than any seller's month wants a person's eyes.
            let most = Minor(100_000 * master.plan.euro).to_text(master.currency);
            let paid = [("masters", code), ("direction", "debit"), ("reference", "SET-*"), ("max", &most)];
            self.rule(&format!("sellers-{code}"), 210, &paid, &[(leaf.clone(), None)]);
            let cards = [("masters", code), ("direction", "credit"), ("counterparty", "Northwind Card Services")];
            self.rule(&format!("cards-{code}"), 220, &cards, &[(leaf, None)]);
        }
    }

    fn of_suppliers(&mut self, master: &Master) {
        let code = master.plan.code;
        let suppliers =
            [("hosting", "Alpine Cloud Hosting", "lark"), ("delivery", "Meridian Content Delivery", "capcut")];
        for (what, name, product) in suppliers {
            if let Some(leaf) = master.main_leaf(product) {
                let when = [("masters", code), ("direction", "debit"), ("counterparty", name)];
                self.rule(&format!("{what}-{code}"), 300, &when, &[(master.leaves[leaf].code.clone(), None)]);
            }
        }
    }

    /// A German MT940 has no field for a virtual account number: payers name the product in their reference. No direction, so
    /// that a receipt that goes back leaves from where it came to.
    fn of_references(&mut self, master: &Master) {
        let code = master.plan.code;
        for leaf in master.leaves.iter().filter(|leaf| leaf.is_operating()) {
            let reference = format!("{}-{}-*", leaf.product.to_ascii_uppercase(), leaf.market);
            let name = format!("{}-{}-{code}", leaf.product, leaf.market.to_ascii_lowercase());
            self.rule(&name, 400, &[("masters", code), ("reference", &reference)], &[(leaf.code.clone(), None)]);
        }
    }
}
