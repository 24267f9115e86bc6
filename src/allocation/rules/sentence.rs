//! Why a rule decided: the values that met its conditions, and the sentence for people.
//!
//! Only the rule that decided is asked, so this goes condition by condition, in plain sight of the definition.

use super::text::{Place, normalise};
use super::{Facts, Match, When};

/// Beyond this many characters a value is cut in a sentence; it stands whole among the matched values.
const SHOWN: usize = 80;

/// A reference pattern without its `*`, and how it must stand.
pub(super) fn reference_parts(pattern: &str) -> (&str, Place) {
    match pattern.trim_end().strip_suffix('*') {
        Some(start) => (start, Place::Start),
        None => (pattern, Place::Whole),
    }
}

impl When {
    /// Each condition's field and the value of a line for which it holds.
    pub(super) fn values(&self, facts: &Facts<'_>) -> Vec<(&'static str, String)> {
        let mut values = Vec::new();
        if self.masters.is_some() {
            values.push(("master", facts.master.to_owned()));
        }
        if let Some(direction) = &self.direction {
            values.push(("direction", direction.clone()));
        }
        if let Some(pattern) = &self.counterparty {
            let fields = [("counterparty", facts.counterparty_name), ("ultimate", facts.ultimate_name)];
            values.extend(first_with(&fields, pattern));
        }
        if self.counterparty_account.is_some() {
            values.extend(facts.counterparty_account.map(|a| ("counterparty_account", a.to_owned())));
        }
        if let Some(pattern) = &self.remittance {
            values.extend(first_with(&[("remittance", facts.remittance), ("info", facts.info)], pattern));
        }
        if let Some(pattern) = &self.reference {
            let (sought, place) = reference_parts(pattern);
            let sought = normalise(sought);
            let found = facts.references.iter().find(|r| place.holds(&normalise(r), &sought));
            values.extend(found.map(|r| ("reference", (*r).to_owned())));
        }
        if self.code.is_some() {
            values.extend(facts.code.map(|c| ("code", c.to_owned())));
        }
        if self.min.is_some() || self.max.is_some() {
            let signed = facts.amount.to_text(facts.currency);
            values.push(("amount", signed.trim_start_matches('-').to_owned()));
        }
        if self.reversal.is_some() {
            values.push(("reversal", facts.reversal.to_string()));
        }
        if self.returned.is_some() {
            values.push(("return", facts.return_reason.unwrap_or("none").to_owned()));
        }
        values
    }
}

/// The first field whose text contains the pattern.
fn first_with(fields: &[(&'static str, Option<&str>)], pattern: &str) -> Option<(&'static str, String)> {
    let sought = normalise(pattern);
    let found = fields.iter().find(|(_, text)| text.is_some_and(|t| Place::Anywhere.holds(&normalise(t), &sought)));
    found.and_then(|(field, text)| text.map(|t| (*field, t.to_owned())))
}

impl Match<'_> {
    /// Why, for people: `rule apple-tiktok-us v3: counterparty "Apple Inc." contains "APPLE INC" and amount 1200.00 is
    /// within 10.00 and 5000.00`.
    pub fn sentence(&self) -> String {
        let clauses: Vec<String> = self.matched.iter().map(|(field, value)| self.clause(field, value)).collect();
        format!("rule {} v{}: {}", self.rule.code, self.rule.version, clauses.join(" and "))
    }

    fn clause(&self, field: &str, value: &str) -> String {
        let when = &self.rule.when;
        let of = |pattern: &Option<String>| pattern.clone().unwrap_or_default();
        let shown = shortened(value);
        match field {
            "master" => format!("master is {shown}"),
            "direction" => format!("it is a {shown}"),
            "counterparty" => format!("counterparty \"{shown}\" contains \"{}\"", of(&when.counterparty)),
            "ultimate" => format!("ultimate party \"{shown}\" contains \"{}\"", of(&when.counterparty)),
            "counterparty_account" => format!("counterparty account is {shown}"),
            "remittance" => format!("remittance \"{shown}\" contains \"{}\"", of(&when.remittance)),
            "info" => format!("the bank's text \"{shown}\" contains \"{}\"", of(&when.remittance)),
            "reference" => match reference_parts(&of(&when.reference)) {
                (start, Place::Start) => format!("reference {shown} starts with {start}"),
                _ => format!("reference is {shown}"),
            },
            "code" => format!("code {shown} fits {}", of(&when.code)),
            "amount" => match (&when.min, &when.max) {
                (Some(min), Some(max)) => format!("amount {shown} is within {min} and {max}"),
                (Some(min), None) => format!("amount {shown} is at least {min}"),
                (_, max) => format!("amount {shown} is at most {}", of(max)),
            },
            "reversal" if when.reversal == Some(true) => "the bank takes back an earlier booking".to_owned(),
            "reversal" => "it is no reversal".to_owned(),
            "return" if when.returned == Some(true) => format!("it is a return (reason {shown})"),
            _ => "it is no return".to_owned(),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
