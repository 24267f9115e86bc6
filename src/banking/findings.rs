//! Whether a statement agrees with itself: declared totals, and opening plus booked lines against closing.

use super::{Foot, Head, Problem, Role, Severity};
use crate::money::Currency;

/// How many problems wait for the head of their statement.
const WAITING_LIMIT: usize = 1000;

/// What speaks against a statement that could be read as such: it is to be quarantined when its totals or balances do not
/// agree, and a balance that it lacks is noted. Intermediate balances of pages are balances too.
pub fn findings(head: &Head, foot: &Foot) -> Vec<Problem> {
    let mut told = Vec::new();
    let mut tell = |problem: String, severity: Severity| {
        told.push(Problem { statement: Some(head.index), at: head.at.clone(), problem, severity });
    };
    if let Some(currency) = head.currency {
        declared_totals(foot, currency, &mut tell);
        balances(head, foot, currency, &mut tell);
    }
    if head.role != Role::Statement {
        // Reports and notifications prove nothing; what they lack they need not have.
        return told;
    }
    if head.opening.is_none() {
        tell("the statement has no opening booked balance, so it cannot be proved".to_owned(), Severity::Note);
    }
    if foot.closing.is_none() {
        tell("the statement has no closing booked balance, so it cannot be proved".to_owned(), Severity::Note);
    }
    told
}

fn declared_totals(foot: &Foot, currency: Currency, tell: &mut impl FnMut(String, Severity)) {
    let declared = &foot.declared;
    let counts = [
        ("", declared.count, foot.line_count),
        ("credit ", declared.credit_count, foot.credit_count),
        ("debit ", declared.debit_count, foot.debit_count),
    ];
    for (which, said, found) in counts {
        if let Some(said) = said
            && said != found
        {
            tell(format!("it declares {said} {which}entries and has {found}"), Severity::Quarantine);
        }
    }
    let sums = [
        ("entries", declared.sum, foot.credit_total.saturating_add(foot.debit_total)),
        ("credit entries", declared.credit_sum, foot.credit_total),
        ("debit entries", declared.debit_sum, foot.debit_total),
    ];
    for (which, said, found) in sums {
        if let Some(said) = said
            && said != found
        {
            let (said, found) = (sum_text(said, currency), sum_text(found, currency));
            tell(
                format!("it declares {said} {currency} as the sum of its {which}, which is {found}"),
                Severity::Quarantine,
            );
        }
    }
}

fn balances(head: &Head, foot: &Foot, currency: Currency, tell: &mut impl FnMut(String, Severity)) {
    for (name, balance) in [("opening", head.opening), ("closing", foot.closing)] {
        if let Some(other) = balance.map(|b| b.currency).filter(|c| *c != currency) {
            tell(format!("its {name} balance is in {other}, the account in {currency}"), Severity::Quarantine);
            return;
        }
    }
    if let (Some(opening), Some(closing)) = (head.opening, foot.closing) {
        let expected = i128::from(opening.amount.0).saturating_add(foot.booked_sum);
        let difference = i128::from(closing.amount.0).saturating_sub(expected);
        if difference != 0 && head.role != Role::Statement {
            // Which of the day's lines a report lists is its bank's to choose: all, or those since the report before.
            let text = format!(
                "its lines explain {} of the {} {currency} between its balances: it tells of a part of the day",
                sum_text(foot.booked_sum, currency),
                sum_text(i128::from(closing.amount.0).saturating_sub(i128::from(opening.amount.0)), currency),
            );
            tell(text, Severity::Note);
        } else if difference != 0 {
            let text = format!(
                "opening {} plus booked lines {} is {}, but it closes at {}: {} {currency} are unexplained",
                opening.amount.to_text(currency),
                sum_text(foot.booked_sum, currency),
                sum_text(expected, currency),
                closing.amount.to_text(currency),
                sum_text(difference, currency),
            );
            tell(text, Severity::Quarantine);
        }
    }
}

/// Keeps a problem that waits for the head of its statement. A statement of nothing but broken balances must not fill the
/// memory, and however many there are the gravest is kept.
pub(super) fn remember(waiting: &mut Vec<Problem>, problem: Problem) {
    if waiting.len() < WAITING_LIMIT || waiting.iter().all(|known| known.severity < problem.severity) {
        waiting.push(problem);
    }
}

/// An exact sum as a decimal text, with all decimals of its currency.
pub(super) fn sum_text(sum: i128, currency: Currency) -> String {
    let places = usize::from(currency.exponent());
    let digits = format!("{:0>width$}", sum.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if sum < 0 { "-" } else { "" };
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Minor;

    #[test]
    fn a_sum_prints_as_an_amount_does_and_beyond() {
        for code in ["JPY", "EUR", "KWD", "CLF"] {
            let currency: Currency = code.parse().unwrap();
            for value in [0, 5, -5, 12_345, -100_000, i64::MAX, i64::MIN] {
                assert_eq!(sum_text(i128::from(value), currency), Minor(value).to_text(currency));
            }
        }
        assert_eq!(sum_text(i128::from(i64::MAX) * 100, "EUR".parse().unwrap()), "9223372036854775807.00");
    }
}
