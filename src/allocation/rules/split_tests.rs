//! Splits: that they conserve, mirror, fill in order, and say why they cannot.

use super::split::{Portion, split};
use crate::money::{Currency, Minor};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rust_decimal::Decimal;

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn money(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn parts(portions: &[Portion], amount: i64) -> Result<Vec<i64>, String> {
    split(portions, Minor(amount), usd()).map(|parts| parts.into_iter().map(|p| p.0).collect())
}

#[test]
fn fixed_amounts_come_first_then_the_waterfall_then_percents_and_the_rest() {
    let portions = [
        Portion::Rest,
        Portion::Percent(money("25")),
        Portion::UpTo(money("5")),
        Portion::Amount(money("10.50")),
        Portion::UpTo(money("3")),
    ];
    for (amount, expected) in [
        (1_050, vec![0, 0, 0, 1_050, 0]),
        (1_350, vec![0, 0, 300, 1_050, 0]),
        (1_700, vec![0, 0, 500, 1_050, 150]),
        (1_850, vec![0, 0, 500, 1_050, 300]),
        (2_253, vec![302, 101, 500, 1_050, 300]),
        (-2_253, vec![-302, -101, -500, -1_050, -300]),
        (0, vec![0; 5]),
    ] {
        if amount == 0 {
            assert!(parts(&portions, amount).unwrap_err().contains("less than its fixed amounts"));
        } else {
            assert_eq!(parts(&portions, amount), Ok(expected), "{amount}");
        }
    }
}

#[test]
fn a_line_that_cannot_be_split_says_why() {
    let fixed = [Portion::Amount(money("10")), Portion::Rest];
    assert_eq!(parts(&fixed, 999).unwrap_err(), "9.99 is less than its fixed amounts together");
    assert_eq!(parts(&fixed, -999).unwrap_err(), "9.99 is less than its fixed amounts together");
    let fine = [Portion::UpTo(money("0.125")), Portion::Rest];
    assert!(parts(&fine, 999).unwrap_err().starts_with("0.125 is no amount in USD"));
}

fn some_portions() -> impl Strategy<Value = Vec<Portion>> {
    let cents = |most: i64| (1..most).prop_map(|cents| Decimal::new(cents, 2));
    let one = prop_oneof![
        cents(50_000).prop_map(Portion::Amount),
        cents(50_000).prop_map(Portion::UpTo),
        (1i64..2_000_000).prop_map(|p| Portion::Percent(Decimal::new(p, 5))),
    ];
    // At most four percents of less than 20 each: there is always something left for the rest.
    (prop::collection::vec(one, 0..5), 0usize..5).prop_map(|(mut portions, at)| {
        portions.insert(at.min(portions.len()), Portion::Rest);
        portions
    })
}

proptest! {
    #[test]
    fn parts_sum_to_the_line_keep_its_sign_and_mirror(portions in some_portions(), amount in prop_oneof![any::<i64>(), -200_000i64..200_000]) {
        let fixed: i128 = portions.iter().map(|p| match p {
            Portion::Amount(a) => i128::from(Minor::parse(&a.to_string(), usd()).unwrap().0),
            _ => 0,
        }).sum();
        let whole = i128::from(amount).abs();
        let Ok(parts) = parts(&portions, amount) else {
            prop_assert!(fixed > whole, "only too little cannot be split");
            return Ok(());
        };
        prop_assert!(fixed <= whole);
        prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(amount));
        prop_assert!(parts.iter().all(|p| *p == 0 || p.signum() == amount.signum()));
        if let Some(opposite) = amount.checked_neg() {
            let mirrored: Vec<i64> = parts.iter().map(|p| -p).collect();
            prop_assert_eq!(self::parts(&portions, opposite), Ok(mirrored));
        }
        // The waterfall fills each before the next gets anything, and before anything is left to share.
        let mut dry = false;
        for (portion, part) in portions.iter().zip(&parts) {
            if let Portion::UpTo(most) = portion {
                let most = Minor::parse(&most.to_string(), usd()).unwrap().0;
                prop_assert!(part.unsigned_abs() <= most.unsigned_abs() && (!dry || *part == 0));
                dry |= part.unsigned_abs() < most.unsigned_abs();
            }
        }
        let shared: u64 = portions.iter().zip(&parts).filter(|(p, _)| matches!(p, Portion::Rest | Portion::Percent(_))).map(|(_, part)| part.unsigned_abs()).fold(0, u64::saturating_add);
        prop_assert!(!dry || shared == 0);
    }
}
