//! Rules by priority: data that says whose money a line is by what the bank reports of it. Pure.
//!
//! The rule that is tried first is the one with the smallest priority, among equals the one with the smallest code; the
//! first whose conditions all hold decides, and nothing else about the set matters, such as the order it was written in.
//! Texts compare without case, blanks and punctuation, since banks disagree about all three.
//!
//! A set is compiled once and asked for every line of a bank file, so the cost of a line must hardly depend on the number
//! of rules: candidates are kept by master and direction, the texts sought by all rules stand in one automaton per kind of
//! text, each text of a line is normalised at most once and only when a candidate asks for it.
//!
//! A rule places money only by what the payer cannot write at will. One that goes by free text or by an amount alone says
//! `suggests = true`: [`RuleSet::first_match`] passes over it, and [`RuleSet::suggestion`] shows it to a person.
//!
//! Invariants: [`RuleSet::compile`] accepts only rules that have a condition, whose targets share out the whole line and whose
//! money stays in the line's master; `compile` and [`RuleSet::first_match`] do not panic on any text.

use crate::money::{Currency, Minor};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

pub mod api;
mod compile;
mod sentence;
mod split;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod tests;
mod text;

use split::Portion;
pub(super) use text::normalise;
use text::{CodePattern, Needles, Sought, found_in};

/// One `[[rule]]` table of a treasury file; as JSON, the definition that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Unique among the rules in force: lower-case letters, digits and hyphens.
    pub code: String,
    /// The smallest is tried first.
    pub priority: i64,
    /// It places nothing, and only shows a person who places a waiting line what it would do.
    #[serde(default, skip_serializing_if = "is_no")]
    pub suggests: bool,
    /// `gross-up`: the leaf gets what was sent, and the house bears the charges that the bank has kept and shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charges: Option<String>,
    /// All conditions that are given must hold.
    pub when: When,
    /// Whose money it is then.
    pub to: Vec<To>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_no(flag: &bool) -> bool {
    !*flag
}

/// The conditions of a rule: all that are given must hold, and there is at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Codes of masters, any of which may be the line's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masters: Option<Vec<String>>,
    /// `credit` or `debit`: the effective direction. A line of zero is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Contained in the name of the counterparty or of the party on whose behalf it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<String>,
    /// Equals the counterparty's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<String>,
    /// Contained in the remittance text, or in what the bank adds to the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remittance: Option<String>,
    /// Equals one of the line's references; with `*` at its end, begins one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Bank transaction code, in parts between `/`: `*` at the end of a part stands for any rest of it, a part that is only
    /// `*` for one part or more: `PMNT/RCDT/*`, `*/CHRG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The least unsigned amount, inclusive: decimal text in the line's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The greatest unsigned amount, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Whether the bank takes back an earlier booking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversal: Option<bool>,
    /// Whether the line has a reason of return.
    #[serde(default, rename = "return", skip_serializing_if = "Option::is_none")]
    pub returned: Option<bool>,
}

impl When {
    /// Whether it asks for something that the payer cannot write at will: who the bank says it is, a reference, the bank's own
    /// code, or the account alone that it came to. Free text, an amount and a direction are none of these.
    pub fn places(&self) -> bool {
        let of_the_bank = self.counterparty.is_some()
            || self.counterparty_account.is_some()
            || self.reference.is_some()
            || self.code.is_some()
            || self.reversal == Some(true)
            || self.returned == Some(true);
        let account_alone =
            self.masters.is_some() && [&self.remittance, &self.min, &self.max].iter().all(|c| c.is_none());
        of_the_bank || account_alone
    }
}

/// One target of a rule: with one of `percent`, `amount`, `up_to` and `rest`, or with none where it is the only one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The code of the leaf, in which `{master}` stands for the code of the line's master.
    pub leaf: String,
    /// Its share as decimal text, of what fixed amounts and waterfall leave. The percents of a rule sum to 100, or to less
    /// when another target has the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<String>,
    /// Exactly this much of each line; one that has less than all fixed amounts together waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// As much as the line has, up to this, in the order of the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
    /// What the others leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<bool>,
}

/// A version of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Unique in a set.
    pub code: String,
    /// From 1; every route says which version made it.
    pub version: i64,
    /// The smallest is tried first.
    pub priority: i64,
    /// See [`RuleFile::suggests`].
    pub suggests: bool,
    /// See [`RuleFile::charges`].
    pub charges: Option<String>,
    /// See [`RuleFile::when`].
    pub when: When,
    /// See [`RuleFile::to`].
    pub to: Vec<To>,
}

impl Rule {
    /// A version of what a file says.
    pub fn new(file: RuleFile, version: i64) -> Rule {
        let RuleFile { code, priority, suggests, charges, when, to } = file;
        Rule { code, version, priority, suggests, charges, when, to }
    }

    /// What a file says of it.
    pub fn to_file(&self) -> RuleFile {
        let Rule { code, version: _, priority, suggests, charges, when, to } = self.clone();
        RuleFile { code, priority, suggests, charges, when, to }
    }

    /// Whether what the bank has kept is added to what the leaf gets.
    pub fn grosses_up(&self) -> bool {
        self.charges.is_some()
    }
}

/// What is wrong in a rule and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule's code, or its place among those given when it has none.
    pub rule: String,
    /// The field: `code`, `when.min`, `to[2].percent`.
    pub field: String,
    /// A sentence for people.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}, {}: {}", self.rule, self.field, self.problem)
    }
}

/// What rules may ask of a line, borrowed from wherever the line is.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The code of the line's master.
    pub master: &'a str,
    /// The master's currency.
    pub currency: Currency,
    /// Signed: a credit to us is positive.
    pub amount: Minor,
    /// The counterparty.
    pub counterparty_name: Option<&'a str>,
    /// On whose behalf it acts.
    pub ultimate_name: Option<&'a str>,
    /// The counterparty's account.
    pub counterparty_account: Option<&'a str>,
    /// The unstructured text.
    pub remittance: Option<&'a str>,
    /// What the bank adds to the line.
    pub info: Option<&'a str>,
    /// All references: end-to-end id, the bank's, the owner's, the creditor reference.
    pub references: &'a [&'a str],
    /// The bank transaction code.
    pub code: Option<&'a str>,
    /// Whether the bank takes back an earlier booking.
    pub reversal: bool,
    /// Why it was returned.
    pub return_reason: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// A line of which nothing but its amount is known.
    pub fn new(master: &'a str, currency: Currency, amount: Minor) -> Self {
        Facts {
            master,
            currency,
            amount,
            counterparty_name: None,
            ultimate_name: None,
            counterparty_account: None,
            remittance: None,
            info: None,
            references: &[],
            code: None,
            reversal: false,
            return_reason: None,
        }
    }

    fn unsigned(&self) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(self.amount.0).abs(), u32::from(self.currency.exponent()))
    }
}

/// Rules that are valid together, ready to be asked.
#[derive(Debug)]
pub struct RuleSet {
    /// In the order in which they are tried.
    rules: Vec<Compiled>,
    /// Those that can hold for lines of a master that some rule names, by the index of [`way`].
    by_master: HashMap<String, Candidates>,
    /// Those that can hold for lines of all other masters.
    others: Candidates,
    names: Needles,
    accounts: Needles,
    texts: Needles,
    references: Needles,
    codes: Vec<CodePattern>,
}

/// Indexes of rules in the order in which they are tried, by the direction of the line.
type Candidates = [Vec<u32>; 3];

/// Credit, debit, or neither.
fn way(amount: Minor) -> usize {
    match amount.0.signum() {
        1 => 0,
        -1 => 1,
        _ => 2,
    }
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    name: Option<u32>,
    account: Option<u32>,
    text: Option<u32>,
    reference: Option<u32>,
    code: Option<u32>,
    min: Option<Decimal>,
    max: Option<Decimal>,
    portions: Vec<Portion>,
}

impl RuleSet {
    /// The rule that decides, with the values that decided.
    pub fn first_match(&self, facts: &Facts<'_>) -> Option<Match<'_>> {
        self.first_of(false, facts)
    }

    /// The first of the rules that only suggest.
    pub fn suggestion(&self, facts: &Facts<'_>) -> Option<Match<'_>> {
        self.first_of(true, facts)
    }

    fn first_of(&self, suggests: bool, facts: &Facts<'_>) -> Option<Match<'_>> {
        let candidates = &self.by_master.get(facts.master).unwrap_or(&self.others)[way(facts.amount)];
        let mut asked = Asked::new(self, facts);
        let decides = candidates.iter().find_map(|i| {
            let rule = &self.rules[usize::try_from(*i).unwrap_or(usize::MAX)];
            (rule.rule.suggests == suggests && asked.holds(rule)).then_some(rule)
        })?;
        Some(Match { rule: &decides.rule, matched: decides.rule.when.values(facts), portions: &decides.portions })
    }

    /// The rules in the order in which they are tried.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|c| &c.rule)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// One line's texts against all that the rules seek in them, found out when first asked for.
struct Asked<'s, 'f> {
    set: &'s RuleSet,
    facts: &'f Facts<'f>,
    amount: Option<Decimal>,
    names: Option<Sought>,
    accounts: Option<Sought>,
    texts: Option<Sought>,
    references: Option<Sought>,
    codes: Option<Sought>,
}

impl<'s, 'f> Asked<'s, 'f> {
    fn new(set: &'s RuleSet, facts: &'f Facts<'f>) -> Self {
        Asked { set, facts, amount: None, names: None, accounts: None, texts: None, references: None, codes: None }
    }

    /// The master and the direction hold already: the rule is a candidate. What is cheap is asked first.
    fn holds(&mut self, rule: &Compiled) -> bool {
        let Asked { set, facts, .. } = *self;
        if rule.rule.when.reversal.is_some_and(|r| r != facts.reversal)
            || rule.rule.when.returned.is_some_and(|r| r != facts.return_reason.is_some())
        {
            return false;
        }
        if let Some(id) = rule.account {
            let found = self.accounts.get_or_insert_with(|| set.accounts.seek(facts.counterparty_account));
            if !found.has(id) {
                return false;
            }
        }
        if let Some(id) = rule.name {
            let both = [facts.counterparty_name, facts.ultimate_name];
            if !self.names.get_or_insert_with(|| set.names.seek(both.into_iter().flatten())).has(id) {
                return false;
            }
        }
        if let Some(id) = rule.code
            && !self.codes.get_or_insert_with(|| found_in(&set.codes, facts.code)).has(id)
        {
            return false;
        }
        if rule.min.is_some() || rule.max.is_some() {
            let amount = *self.amount.get_or_insert_with(|| facts.unsigned());
            if rule.min.is_some_and(|min| amount < min) || rule.max.is_some_and(|max| amount > max) {
                return false;
            }
        }
        if let Some(id) = rule.reference {
            let found = self.references.get_or_insert_with(|| set.references.seek(facts.references.iter().copied()));
            if !found.has(id) {
                return false;
            }
        }
        if let Some(id) = rule.text {
            let both = [facts.remittance, facts.info];
            return self.texts.get_or_insert_with(|| set.texts.seek(both.into_iter().flatten())).has(id);
        }
        true
    }
}

/// A rule that decides a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'s> {
    /// The rule.
    pub rule: &'s Rule,
    /// Each condition's field and the line's value that met it, in the order of [`When`]. A name or text is under the
    /// field in which it stood: `counterparty` or `ultimate`, `remittance` or `info`; the bounds are one, `amount`.
    pub matched: Vec<(&'static str, String)>,
    portions: &'s [Portion],
}

impl Match<'_> {
    /// The leaves and what each gets of a line of `master`: the parts sum to the amount, keep its sign, and those of
    /// nothing are left out. Fails with a sentence for people.
    pub fn shares(&self, master: &str, amount: Minor, currency: Currency) -> Result<Vec<(String, Minor)>, String> {
        let parts = split::split(self.portions, amount, currency)?;
        let leaves = self.rule.to.iter().map(|to| to.leaf.replace("{master}", master));
        Ok(leaves.zip(parts).filter(|(_, part)| !part.is_zero()).collect())
    }
}
