//! Deciding on one line, pure: the evidence in its order, and why.

use super::announced::Announced;
use super::returns::Originals;
use super::reversals::Inflows;
use super::rules::{Facts, Match, RuleSet};
use super::transfers::OwnMaster;
use crate::banking::{Detail, Direction};
use crate::ledger::AccountId;
use crate::money::{Currency, Minor};
use crate::statements::NewLine;
use std::collections::{BTreeSet, HashMap};

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A payment of ours that comes back.
    Return,
    /// A virtual account number in a field that the bank fills.
    VirtualNumber,
    /// A receipt that a product has announced.
    Expected,
    /// A settlement file.
    Settlement,
    /// The counterparty is another master of this treasury.
    OwnTransfer,
    /// A rule.
    Rule,
    /// Nothing: the line waits in suspense.
    None,
    /// A person.
    Person,
    /// What the line posted was taken back.
    Withdrawn,
}

impl Evidence {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Return => "return",
            Evidence::VirtualNumber => "virtual_number",
            Evidence::Expected => "expected",
            Evidence::Settlement => "settlement",
            Evidence::OwnTransfer => "own_transfer",
            Evidence::Rule => "rule",
            Evidence::None => "none",
            Evidence::Person => "person",
            Evidence::Withdrawn => "withdrawn",
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

impl Decision {
    /// In a few words that name nobody, for the journal.
    pub fn how(&self) -> String {
        match (self.evidence, &self.rule) {
            (_, _) if self.suspense => "waits in suspense".to_owned(),
            (Evidence::Return, _) => "as a payment of ours that comes back".to_owned(),
            (Evidence::VirtualNumber, _) => "by virtual account number".to_owned(),
            (Evidence::Expected, _) => "as expected".to_owned(),
            (Evidence::Settlement, _) => "by a settlement file".to_owned(),
            (Evidence::OwnTransfer, _) => "as a transfer between own masters".to_owned(),
            (Evidence::Rule, Some((code, version))) => format!("by rule {code} v{version}"),
            (Evidence::Rule | Evidence::None, _) => "of nothing".to_owned(),
            (Evidence::Person, _) => "by a person".to_owned(),
            (Evidence::Withdrawn, _) => "taken back".to_owned(),
        }
    }
}

/// A leaf that money can be placed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its ledger account.
    pub account: AccountId,
    /// Its code.
    pub code: String,
    /// The product whose money it holds; none for a house leaf.
    pub product: Option<String>,
    /// The market.
    pub market: Option<String>,
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
    /// Its in-transit account.
    pub in_transit: AccountId,
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
    /// What was announced of the lines that are to be placed.
    pub announced: Announced,
    /// The treasury's other masters of this currency, by account number, normalised.
    pub own_masters: HashMap<String, OwnMaster>,
    /// What went out under the end-to-end ids that come back; see [`Placer::remember`].
    pub originals: Originals,
    /// What came in and may be taken back; see [`super::reversals`].
    pub inflows: Inflows,
}

/// One payment to decide on: a line, or one of the payments inside a batch.
#[derive(Debug, Clone, Copy)]
pub struct Payment<'a> {
    /// The line that it stands in.
    pub line: &'a NewLine,
    /// Which of the line's payments it is; `None`: the line carries its only payment itself.
    pub detail: Option<&'a Detail>,
    /// Signed: a credit is positive.
    pub amount: i64,
    /// What the bank shows as kept inside it, unsigned.
    pub charges: Option<i64>,
}

impl<'a> Payment<'a> {
    /// A line that carries its only payment itself.
    pub fn of(line: &'a NewLine) -> Self {
        Payment { line, detail: None, amount: line.amount, charges: line.charges }
    }
}

/// A text of a payment: of the detail where there is one, else of the line.
macro_rules! text_of {
    ($($(#[$doc:meta])* $name:ident),+) => {
        impl<'a> Payment<'a> {
            $($(#[$doc])* pub fn $name(&self) -> Option<&'a str> {
                self.detail.map_or(self.line.$name.as_deref(), |d| d.$name.as_deref())
            })+
        }
    };
}

text_of! {
    /// See [`Detail::own_account`].
    own_account,
    /// See [`Detail::creditor_reference`].
    creditor_reference,
    /// See [`Detail::counterparty_name`].
    counterparty_name,
    /// See [`Detail::counterparty_account`].
    counterparty_account,
    /// See [`Detail::ultimate_name`].
    ultimate_name,
    /// See [`Detail::end_to_end_id`].
    end_to_end_id,
    /// See [`Detail::remittance`].
    remittance,
    /// See [`Detail::return_reason`].
    return_reason
}

/// What was decided on a line, or on one payment of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Place of the payment in its line; `None`: the line as a whole.
    pub detail: Option<i64>,
    /// Signed: a credit is positive.
    pub amount: i64,
    /// Whose money it is.
    pub decision: Decision,
}

/// The postings of several decisions, one per account, in the order in which they first come.
pub fn merged<'a>(shares: impl IntoIterator<Item = &'a (AccountId, i64)>) -> Vec<(AccountId, i64)> {
    let mut places: HashMap<AccountId, usize> = HashMap::new();
    let mut sums: Vec<(AccountId, i64)> = Vec::new();
    for (account, amount) in shares {
        let place = *places.entry(*account).or_insert_with(|| {
            sums.push((*account, 0));
            sums.len() - 1
        });
        if let Some((_, sum)) = sums.get_mut(place) {
            *sum += amount;
        }
    }
    sums.retain(|(_, amount)| *amount != 0);
    sums
}

impl Placer {
    /// Decides on a line that the bank has booked: payment by payment when the payments of a batch add up to it, else as a
    /// whole, which they then all must agree on. What was announced is used up by the payment that meets it.
    pub fn place(&mut self, line: &NewLine) -> Vec<Placement> {
        let whole = |decision| vec![Placement { detail: None, amount: line.amount, decision }];
        if line.details.is_empty() {
            let decision = self.decide(&Payment::of(line));
            self.announced.take(&decision);
            return whole(decision);
        }
        let Some(parts) = self.parts(line) else {
            return whole(self.as_one(line));
        };
        match self.agreed(line, &parts) {
            Some(decision) => whole(decision),
            None => parts,
        }
    }

    /// Decides on each payment of a batch, when they add up to it.
    pub fn parts(&mut self, line: &NewLine) -> Option<Vec<Placement>> {
        let amounts = amounts_that_add_up(line)?;
        let payments = line.details.iter().zip(amounts).zip(0i64..);
        let placed = payments.map(|((detail, amount), place)| {
            let charges = detail.charges.map(|c| c.0);
            let decision = self.decide(&Payment { line, detail: Some(detail), amount, charges });
            self.announced.take(&decision);
            Placement { detail: Some(place), amount, decision }
        });
        Some(placed.collect())
    }

    /// What all payments of a batch say alike needs saying once.
    fn agreed(&self, line: &NewLine, parts: &[Placement]) -> Option<Decision> {
        let first = &parts.first()?.decision;
        let account = |d: &Decision| if let [(account, _)] = d.shares.as_slice() { Some(*account) } else { None };
        let place = account(first)?;
        let same = |d: &Decision| {
            (d.evidence, &d.rule, &d.matched, &d.sentence)
                == (first.evidence, &first.rule, &first.matched, &first.sentence)
                && account(d) == Some(place)
        };
        parts.iter().all(|p| same(&p.decision)).then(|| Decision {
            sentence: format!("of each of its {} payments: {}", parts.len(), first.sentence),
            shares: vec![(place, -line.amount)],
            ..first.clone()
        })
    }

    /// A batch whose payments do not add up to it: one of them does not speak for the others.
    fn as_one(&self, line: &NewLine) -> Decision {
        // What one payment shows as kept says nothing about the whole, and nobody has announced a payment whose amount is not
        // known.
        let of = |detail| {
            let payment = Payment { line, detail: Some(detail), amount: line.amount, charges: None };
            self.weigh(&payment, |numbered| numbered)
        };
        let mut decisions = line.details.iter().map(of);
        let count = line.details.len();
        let Some(first) = decisions.next() else {
            return self.wait(line.amount, "it has no payments".to_owned());
        };
        let same = |d: Decision| (d.evidence, &d.rule, &d.shares) == (first.evidence, &first.rule, &first.shares);
        if !decisions.all(same) {
            let why = format!("its {count} payments do not add up to it, and they do not all name one place");
            return self.wait(line.amount, why);
        }
        Decision { sentence: format!("of each of its {count} payments: {}", first.sentence), ..first }
    }

    /// Decides on one payment: the evidence in its order.
    pub fn decide(&self, payment: &Payment<'_>) -> Decision {
        if payment.amount == 0 {
            return Decision { shares: Vec::new(), suspense: false, ..self.wait(0, "it is of nothing".to_owned()) };
        }
        self.weigh(payment, |numbered| self.by_announcement(payment, numbered))
    }

    /// The evidence in its order; `announced` weighs what was announced against what the virtual account number says.
    fn weigh(&self, payment: &Payment<'_>, announced: impl FnOnce(Option<Decision>) -> Option<Decision>) -> Decision {
        let reversal = self.by_reversal(payment);
        if let Some(Ok(decision)) = reversal {
            return decision;
        }
        let unsure = || reversal.and_then(Result::err).map(|why| self.wait(payment.amount, why));
        self.by_return(payment)
            .or_else(|| announced(self.by_virtual_number(payment)))
            .or_else(|| self.by_own_transfer(payment))
            .or_else(|| self.by_rule(payment))
            .or_else(unsure)
            .unwrap_or_else(|| self.wait(payment.amount, self.unknown_number(payment) + &self.almost(payment)))
    }

    /// What a virtual account number says.
    pub(super) fn by_virtual_number(&self, payment: &Payment<'_>) -> Option<Decision> {
        let mut named: BTreeSet<usize> = BTreeSet::new();
        let mut matched = Vec::new();
        // What the bank fills in for our side: the creditor account of a credit, a structured reference.
        let numbers = [("own_account", payment.own_account()), ("creditor_reference", payment.creditor_reference())];
        for (field, number) in numbers.into_iter().filter_map(|(field, number)| number.map(|n| (field, n))) {
            if let Some(place) = self.by_number.get(&crate::chart::numbers::normalise(number))
                && named.insert(*place)
            {
                matched.push((field, number.to_owned()));
            }
        }
        let first = named.first().and_then(|place| self.leaves.get(*place))?;
        if named.len() > 1 {
            let codes: Vec<&str> = named.iter().filter_map(|p| self.leaves.get(*p)).map(|l| l.code.as_str()).collect();
            let why = format!("its virtual account numbers name several sub-accounts: {}", codes.join(", "));
            return Some(self.wait(payment.amount, why));
        }
        if first.closed {
            let why = format!("its virtual account number names {}, which is closed", first.code);
            return Some(self.wait(payment.amount, why));
        }
        let (field, number) = matched.first().cloned().unwrap_or(("own_account", String::new()));
        let how = if field == "own_account" { "the bank booked it to" } else { "its structured reference is" };
        Some(Decision {
            evidence: Evidence::VirtualNumber,
            rule: None,
            sentence: format!("{how} virtual account number {number} of {}", first.code),
            matched,
            shares: vec![(first.account, -payment.amount)],
            suspense: false,
        })
    }

    /// What the rules say.
    pub(super) fn by_rule(&self, payment: &Payment<'_>) -> Option<Decision> {
        let found = self.fits(payment, RuleSet::first_match)?;
        let rule = Some((found.rule.code.clone(), found.rule.version));
        let (matched, mut sentence) = (found.matched.clone(), found.sentence());
        let wait = |why: String| {
            Some(Decision { rule: rule.clone(), matched: matched.clone(), ..self.wait(payment.amount, why) })
        };
        let charges = payment.charges.filter(|c| *c > 0 && found.rule.grosses_up()).unwrap_or(0);
        let shown = Minor(charges).to_text(self.currency);
        let Some(gross) = payment.amount.checked_add(charges).filter(|g| g.signum() == payment.amount.signum()) else {
            return wait(format!("{sentence}, but the charges of {shown} in it are not less than it"));
        };
        // The shares of a credit are credits: the opposite sign of the line, as the master takes the other side.
        let parts = match found.shares(&self.master, Minor(-gross), self.currency) {
            Ok(parts) => parts,
            Err(problem) => return wait(format!("{sentence}, but cannot be split: {problem}")),
        };
        let fees = format!("{}/house/fees", self.master);
        let mut shares = Vec::with_capacity(parts.len() + 1);
        for (code, amount) in parts.into_iter().chain((charges > 0).then_some((fees, Minor(charges)))) {
            match self.leaf(&code) {
                Some(leaf) if !leaf.closed => shares.push((leaf.account, amount.0)),
                Some(_) => return wait(format!("{sentence}, but {code} is closed")),
                None => return wait(format!("{sentence}, but there is no leaf {code}")),
            }
        }
        if charges > 0 {
            sentence.push_str(&format!(", grossed up by the charges of {shown} that the bank has kept"));
        }
        Some(Decision { evidence: Evidence::Rule, rule, matched, sentence, shares: merged(&shares), suspense: false })
    }

    /// The leaf with this code.
    pub fn leaf(&self, code: &str) -> Option<&Leaf> {
        self.by_code.get(code).and_then(|place| self.leaves.get(*place))
    }

    /// The first rule that only suggests.
    pub fn suggested(&self, payment: &Payment<'_>) -> Option<Match<'_>> {
        self.fits(payment, RuleSet::suggestion)
    }

    /// The rule that a payment fits.
    fn fits<'s>(
        &'s self,
        payment: &Payment<'_>,
        ask: impl FnOnce(&'s RuleSet, &Facts<'_>) -> Option<Match<'s>>,
    ) -> Option<Match<'s>> {
        let line = payment.line;
        let bank_ref = line.bank_ref.as_deref();
        let references = [payment.end_to_end_id(), payment.creditor_reference(), bank_ref, line.owner_ref.as_deref()];
        let references: Vec<&str> = references.into_iter().flatten().collect();
        let facts = Facts {
            master: &self.master,
            currency: self.currency,
            amount: Minor(payment.amount),
            counterparty_name: payment.counterparty_name(),
            ultimate_name: payment.ultimate_name(),
            counterparty_account: payment.counterparty_account(),
            remittance: payment.remittance(),
            info: line.info.as_deref(),
            references: &references,
            code: line.code.as_deref(),
            reversal: line.reversal,
            return_reason: payment.return_reason(),
        };
        ask(&self.rules, &facts)
    }

    fn unknown_number(&self, payment: &Payment<'_>) -> String {
        let own = crate::chart::numbers::normalise(&self.own_number);
        match payment.own_account().filter(|n| crate::chart::numbers::normalise(n) != own) {
            Some(number) => format!(
                "the bank booked it to {number}, which is not a virtual account number given out here, and no rule matches"
            ),
            None => "no virtual account number and no rule matches".to_owned(),
        }
    }

    /// It waits, and why.
    pub(super) fn wait(&self, amount: i64, why: String) -> Decision {
        Decision {
            evidence: Evidence::None,
            rule: None,
            matched: Vec::new(),
            sentence: why,
            shares: vec![(self.suspense, -amount)],
            suspense: true,
        }
    }
}

/// The signed amounts of a line's payments, when each has one and they sum to the line.
fn amounts_that_add_up(line: &NewLine) -> Option<Vec<i64>> {
    let sign = |d: &Detail| match d.direction {
        Some(Direction::Debit) => -1,
        Some(Direction::Credit) => 1,
        None => line.amount.signum(),
    };
    let amounts: Vec<i64> = line.details.iter().map(|d| d.amount.map(|a| sign(d) * a.0)).collect::<Option<_>>()?;
    let sum: i128 = amounts.iter().map(|a| i128::from(*a)).sum();
    (sum == i128::from(line.amount)).then_some(amounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_one_account_are_one_posting() {
        let shares = [(AccountId(1), 5), (AccountId(2), 7), (AccountId(1), -5), (AccountId(2), 1)];
        assert_eq!(merged(&shares), [(AccountId(2), 8)]);
    }
}
