//! Deciding on one line, pure: the evidence in its order, and why.

use super::rules::{Facts, Match, RuleSet};
use crate::banking::Detail;
use crate::ledger::AccountId;
use crate::money::{Currency, Minor};
use crate::statements::NewLine;
use std::collections::{BTreeSet, HashMap};

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A virtual account number in a field that the bank fills.
    VirtualNumber,
    /// A rule.
    Rule,
    /// Nothing: the line waits in suspense.
    None,
    /// A person.
    Person,
}

impl Evidence {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::VirtualNumber => "virtual_number",
            Evidence::Rule => "rule",
            Evidence::None => "none",
            Evidence::Person => "person",
        }
    }
}

/// Whose money a line is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What decided.
    pub evidence: Evidence,
    /// Code and version of the rule, where one did.
    pub rule: Option<(String, i64)>,
    /// The fields that decided, and their values.
    pub matched: Vec<(&'static str, String)>,
    /// Why, for people. May name the counterparty, so it is not sealed.
    pub sentence: String,
    /// Postings on the shares of the master, debit positive: the opposite of the line's amount in all.
    pub shares: Vec<(AccountId, i64)>,
    /// Whether the line waits to be placed.
    pub suspense: bool,
}

/// A leaf that money can be placed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its ledger account.
    pub account: AccountId,
    /// Its code.
    pub code: String,
    /// Closed: what comes for it waits in suspense.
    pub closed: bool,
}

/// What decides on the lines of one master.
#[derive(Debug)]
pub struct Placer {
    /// The master's code.
    pub master: String,
    /// Its currency.
    pub currency: Currency,
    /// The master's ledger account.
    pub account: AccountId,
    /// Its suspense account.
    pub suspense: AccountId,
    /// Lines booked before this day are history and post nothing.
    pub cut_over_on: chrono::NaiveDate,
    /// The bank's number of the master itself, which names no leaf.
    pub own_number: String,
    /// Leaves by virtual account number, normalised.
    pub by_number: HashMap<String, usize>,
    /// Leaves by code.
    pub by_code: HashMap<String, usize>,
    /// All leaves of the master.
    pub leaves: Vec<Leaf>,
    /// The rules in force.
    pub rules: RuleSet,
}

impl Placer {
    /// Decides on a line that the bank has booked.
    pub fn place(&self, line: &NewLine) -> Decision {
        match self.by_virtual_number(line) {
            Some(decision) => decision,
            None => self.by_rule(line).unwrap_or_else(|| self.wait(line, self.unknown_number(line))),
        }
    }

    /// The numbers that the bank filled in for our side: the creditor account of a credit, a structured reference.
    fn numbers(line: &NewLine) -> impl Iterator<Item = (&'static str, &str)> {
        let own = line.own_account.iter().map(|n| ("own_account", n.as_str()));
        let reference = line.creditor_reference.iter().map(|n| ("creditor_reference", n.as_str()));
        let details = line.details.iter().flat_map(|d| {
            let own = d.own_account.iter().map(|n| ("own_account", n.as_str()));
            own.chain(d.creditor_reference.iter().map(|n| ("creditor_reference", n.as_str())))
        });
        own.chain(reference).chain(details)
    }

    fn by_virtual_number(&self, line: &NewLine) -> Option<Decision> {
        let found = |number: &str| self.by_number.get(&crate::chart::numbers::normalise(number)).copied();
        let mut named: BTreeSet<usize> = BTreeSet::new();
        let mut matched = Vec::new();
        for (field, number) in Self::numbers(line) {
            if let Some(place) = found(number)
                && named.insert(place)
            {
                matched.push((field, number.to_owned()));
            }
        }
        let first = named.first().and_then(|place| self.leaves.get(*place))?;
        if named.len() > 1 {
            let codes: Vec<&str> = named.iter().filter_map(|p| self.leaves.get(*p)).map(|l| l.code.as_str()).collect();
            return Some(
                self.wait(line, format!("its virtual account numbers name several sub-accounts: {}", codes.join(", "))),
            );
        }
        if first.closed {
            return Some(self.wait(line, format!("its virtual account number names {}, which is closed", first.code)));
        }
        // Of a batch, each payment must name the leaf: one of them does not speak for the others.
        let names =
            |d: &&Detail| [&d.own_account, &d.creditor_reference].into_iter().flatten().any(|n| found(n).is_some());
        let partly = line.details.iter().filter(|d| !names(d)).count();
        if partly > 0 {
            let what = format!(
                "{partly} of its {} payments name no sub-account, the others name {}",
                line.details.len(),
                first.code
            );
            return Some(self.wait(line, what));
        }
        let (field, number) = matched.first().cloned().unwrap_or(("own_account", String::new()));
        let how = if field == "own_account" { "the bank booked it to" } else { "its structured reference is" };
        Some(Decision {
            evidence: Evidence::VirtualNumber,
            rule: None,
            sentence: format!("{how} virtual account number {number} of {}", first.code),
            matched,
            shares: vec![(first.account, -line.amount)],
            suspense: false,
        })
    }

    fn by_rule(&self, line: &NewLine) -> Option<Decision> {
        let of_line = Detail {
            counterparty_name: line.counterparty_name.clone(),
            ultimate_name: line.ultimate_name.clone(),
            counterparty_account: line.counterparty_account.clone(),
            remittance: line.remittance.clone(),
            end_to_end_id: line.end_to_end_id.clone(),
            creditor_reference: line.creditor_reference.clone(),
            ..Detail::default()
        };
        // Of a batch, each payment must fit the rule: the first one does not speak for the others.
        let payments = if line.details.is_empty() { std::slice::from_ref(&of_line) } else { &line.details };
        let mut fits = payments.iter().map(|payment| self.fits(line, payment));
        let first = fits.next().flatten();
        let all_fit = fits.all(|f| f.as_ref().map(|f| &f.rule.code) == first.as_ref().map(|f| &f.rule.code));
        if !all_fit {
            let why = format!("its {} payments do not all fit the same rule", payments.len());
            return Some(self.wait(line, why));
        }
        let found = first?;
        let rule = Some((found.rule.code.clone(), found.rule.version));
        let (matched, sentence) = (found.matched.clone(), found.sentence());
        // The shares of a credit are credits: the opposite sign of the line, as the master takes the other side.
        let parts = match found.shares(&self.master, Minor(-line.amount)) {
            Ok(parts) => parts,
            Err(problem) => {
                return Some(Decision {
                    rule,
                    matched,
                    ..self.wait(line, format!("{sentence}, but cannot be split: {problem}"))
                });
            }
        };
        let mut shares = Vec::with_capacity(parts.len());
        for (code, amount) in parts {
            match self.by_code.get(&code).and_then(|place| self.leaves.get(*place)) {
                Some(leaf) if !leaf.closed => shares.push((leaf.account, amount.0)),
                Some(_) => {
                    return Some(Decision {
                        rule,
                        matched,
                        ..self.wait(line, format!("{sentence}, but {code} is closed"))
                    });
                }
                None => {
                    return Some(Decision {
                        rule,
                        matched,
                        ..self.wait(line, format!("{sentence}, but there is no leaf {code}"))
                    });
                }
            }
        }
        Some(Decision { evidence: Evidence::Rule, rule, matched, sentence, shares, suspense: false })
    }

    /// The rule that a payment of a line fits.
    fn fits(&self, line: &NewLine, payment: &Detail) -> Option<Match<'_>> {
        let references = [&payment.end_to_end_id, &payment.creditor_reference, &line.bank_ref, &line.owner_ref];
        let references: Vec<&str> = references.into_iter().filter_map(|r| r.as_deref()).collect();
        self.rules.first_match(&Facts {
            master: &self.master,
            currency: self.currency,
            amount: Minor(line.amount),
            counterparty_name: payment.counterparty_name.as_deref(),
            ultimate_name: payment.ultimate_name.as_deref(),
            counterparty_account: payment.counterparty_account.as_deref(),
            remittance: payment.remittance.as_deref(),
            info: line.info.as_deref(),
            references: &references,
            code: line.code.as_deref(),
            reversal: line.reversal,
            return_reason: line.return_reason.as_deref(),
        })
    }

    fn unknown_number(&self, line: &NewLine) -> String {
        let own = crate::chart::numbers::normalise(&self.own_number);
        let foreign = line.own_account.as_deref().filter(|n| crate::chart::numbers::normalise(n) != own);
        match foreign {
            Some(number) => format!(
                "the bank booked it to {number}, which is not a virtual account number given out here, and no rule matches"
            ),
            None => "no virtual account number and no rule matches".to_owned(),
        }
    }

    fn wait(&self, line: &NewLine, why: String) -> Decision {
        Decision {
            evidence: Evidence::None,
            rule: None,
            matched: Vec::new(),
            sentence: why,
            shares: vec![(self.suspense, -line.amount)],
            suspense: true,
        }
    }
}
