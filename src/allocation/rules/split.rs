//! What each target of a rule gets of a line: fixed amounts, then a waterfall, then percents and the rest. Pure.
//!
//! A debit splits as the credit of the same size does, with the other sign, so that a chargeback takes from each leaf what the
//! receipt gave it. Invariant: the parts sum to the line exactly, and none has the other sign.

use crate::money::{Currency, Minor};
use rust_decimal::Decimal;

/// How much of a line a target gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    /// Exactly this, before all others; a line that has less is not split.
    Amount(Decimal),
    /// As far as the line reaches, in the order in which they are written.
    UpTo(Decimal),
    /// Of what fixed amounts and waterfall leave.
    Percent(Decimal),
    /// What all others leave.
    Rest,
}

/// The parts of a line, one per portion. Fails with a sentence that continues "but cannot be split: ".
pub(super) fn split(portions: &[Portion], amount: Minor, currency: Currency) -> Result<Vec<Minor>, String> {
    let sign = i128::from(amount.0.signum());
    let mut left = i128::from(amount.0).abs();
    let mut parts: Vec<i128> = vec![0; portions.len()];
    for (portion, part) in portions.iter().zip(&mut parts) {
        if let Portion::Amount(fixed) = portion {
            *part = units(*fixed, currency)?;
            left -= *part;
        }
    }
    if left < 0 {
        let whole = amount.to_text(currency);
        return Err(format!("{} is less than its fixed amounts together", whole.trim_start_matches('-')));
    }
    for (portion, part) in portions.iter().zip(&mut parts) {
        if let Portion::UpTo(most) = portion {
            *part = units(*most, currency)?.min(left);
            left -= *part;
        }
    }
    let told: Decimal = portions.iter().filter_map(|p| if let Portion::Percent(p) = p { Some(*p) } else { None }).sum();
    let weights: Vec<Decimal> = portions
        .iter()
        .map(|portion| match portion {
            Portion::Percent(percent) => *percent,
            Portion::Rest => Decimal::ONE_HUNDRED - told,
            Portion::Amount(_) | Portion::UpTo(_) => Decimal::ZERO,
        })
        .collect();
    let said = |e: crate::money::Problem| e.to_string();
    if left > 0 {
        let shared = Minor::from_sum(sign * left).and_then(|rest| rest.split(&weights)).map_err(said)?;
        for (part, shared) in parts.iter_mut().zip(shared) {
            *part += i128::from(shared.0).abs();
        }
    }
    parts.into_iter().map(|part| Minor::from_sum(sign * part).map_err(said)).collect()
}

fn units(amount: Decimal, currency: Currency) -> Result<i128, String> {
    let units = Minor::parse(&amount.normalize().to_string(), currency);
    units.map(|m| i128::from(m.0)).map_err(|e| format!("{amount} is no amount in {}: {e}", currency.code()))
}
