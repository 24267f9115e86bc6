//! Properties of deciding: what holds for any accounts and any entries.

#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "the oracle of a property may be plain")]

use super::{Account, AccountKind, Balance, Basis, HashMap, HoldKind, NewEntry, Refusal, State};
use crate::ledger::{AccountId, Cause, HoldMove, NewPosting};
use chrono::NaiveDate;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

const KINDS: [AccountKind; 6] = [
    AccountKind::Master,
    AccountKind::Leaf,
    AccountKind::Leaf,
    AccountKind::Leaf,
    AccountKind::Suspense,
    AccountKind::House,
];

fn state() -> State {
    let account = |(place, kind): (usize, &AccountKind)| Account {
        id: i64::try_from(place).unwrap() + 1,
        code: format!("a{place}"),
        book: 1,
        exponent: 2,
        kind: *kind,
        floor: matches!(kind, AccountKind::Leaf | AccountKind::House).then_some(0),
        ceiling: None,
        movement_limit: None,
        expired: false,
        frozen: false,
        closed: false,
        balance: Balance::default(),
        touched: false,
    };
    State::new(KINDS.iter().enumerate().map(account).collect(), HashMap::default(), HashMap::default())
}

fn entry(basis: Basis, postings: &[(i64, i64)], holds: Vec<HoldMove>) -> NewEntry {
    let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    NewEntry {
        kind: "test".to_owned(),
        basis,
        description: String::new(),
        booked_on: day,
        valued_on: day,
        cause: Cause::new("test", "1"),
        postings: postings.iter().map(|(a, m)| NewPosting { account: AccountId(*a), amount: *m }).collect(),
        holds,
        reverses: None,
        metadata: None,
    }
}

fn hold(account: i64, id: &str, kind: HoldKind, amount: i64) -> HoldMove {
    HoldMove { account: AccountId(account), hold: id.to_owned(), kind, amount }
}

fn balances(state: &State) -> Vec<(i64, i64)> {
    state.accounts.iter().map(|a| (a.balance.booked(), a.balance.held)).collect()
}

fn any_entry() -> impl Strategy<Value = NewEntry> {
    let amount = prop_oneof![1i64..1_000, Just(i64::MAX), any::<i64>()];
    let postings = prop::collection::vec((1i64..=7, amount), 0..5);
    let kind = prop_oneof![
        Just(HoldKind::Placed),
        Just(HoldKind::Consumed),
        Just(HoldKind::Released),
        Just(HoldKind::Expired)
    ];
    let holds = prop::collection::vec((1i64..=7, 0u8..4, kind, -5i64..600), 0..3);
    (any::<bool>(), any::<bool>(), postings, holds).prop_map(|(fact, balance, mut postings, holds)| {
        if balance {
            // Mostly entries that are balanced, so that most of them get past the first check.
            let sum: i128 = postings.iter().map(|(_, m)| i128::from(*m)).sum();
            if let Ok(rest) = i64::try_from(-sum) {
                postings.push((1, rest));
            }
        }
        let holds = holds.into_iter().map(|(a, h, k, m)| hold(a, &format!("h{h}"), k, m)).collect();
        entry(if fact { Basis::Fact } else { Basis::Decision }, &postings, holds)
    })
}

proptest! {
    #[test]
    fn any_sequence_of_entries_keeps_the_invariants(entries in prop::collection::vec(any_entry(), 1..40)) {
        let mut state = state();
        for entry in &entries {
            let before = balances(&state);
            let floors: Vec<i64> = state.accounts.iter().map(|a| a.balance.available(a.kind)).collect();
            match state.decide(1, "t", entry) {
                Err(_) => prop_assert_eq!(before, balances(&state)), // refused: nothing changed
                Ok(decided) => {
                    // I3: the last balance after is the account's balance.
                    for (posting, after) in entry.postings.iter().zip(&decided.balances_after).rev().take(1) {
                        let (_, account) = state.account(posting.account.0).unwrap();
                        prop_assert_eq!(account.balance.booked(), *after);
                    }
                    // I4: a decision that took from a leaf left it at its floor or above.
                    for (account, had) in state.accounts.iter().zip(floors) {
                        let has = account.balance.available(account.kind);
                        prop_assert!(entry.basis == Basis::Fact || account.floor.is_none_or(|f| has >= had || has >= f));
                    }
                }
            }
            // I1 and I5: the book sums to zero at every step; nothing is held below zero.
            prop_assert_eq!(state.accounts.iter().map(|a| i128::from(a.balance.booked())).sum::<i128>(), 0);
            prop_assert!(state.accounts.iter().all(|a| a.balance.held >= 0));
            // What is held on an account is what is left of its holds.
            for account in &state.accounts {
                let left: i128 = state.holds.values().filter(|h| h.account == account.id).map(|h| i128::from(h.left)).sum();
                prop_assert_eq!(left, i128::from(account.balance.held));
            }
        }
    }

    #[test]
    fn an_entry_and_its_reversal_are_identity(amounts in prop::collection::vec((2i64..=6, 1i64..1_000_000), 1..5)) {
        let mut state = state();
        let mut postings = amounts;
        postings.push((1, -postings.iter().map(|(_, m)| m).sum::<i64>()));
        let before = balances(&state);
        state.decide(1, "t", &entry(Basis::Fact, &postings, vec![])).unwrap();
        state.reversible.insert(1, (postings.clone(), false));
        let mirrored: Vec<_> = postings.iter().map(|(a, m)| (*a, -m)).collect();
        let reversal = NewEntry { reverses: Some(1), ..entry(Basis::Fact, &mirrored, vec![]) };
        state.decide(2, "t", &reversal).unwrap();
        prop_assert_eq!(before, balances(&state));
        prop_assert_eq!(state.decide(3, "t", &reversal).unwrap_err(), Refusal::AlreadyReversed { entry: 1 });
    }
}

#[test]
fn refusals_come_in_the_order_of_checking() {
    let mut s = state();
    let fact = |p: &[(i64, i64)]| entry(Basis::Fact, p, vec![]);
    assert_eq!(s.decide(1, "t", &fact(&[])).unwrap_err(), Refusal::Empty);
    assert_eq!(s.decide(1, "t", &fact(&[(99, 0)])).unwrap_err(), Refusal::UnknownAccount { account: "99".to_owned() });
    assert_eq!(
        s.decide(1, "t", &fact(&[(1, 0), (2, 5)])).unwrap_err(),
        Refusal::ZeroAmount { account: "a0".to_owned() }
    );
    assert_eq!(
        s.decide(1, "t", &fact(&[(1, 5), (2, -4)])).unwrap_err(),
        Refusal::Unbalanced { book: 1, off_by: "1".to_owned() }
    );
    let orphan = NewEntry { reverses: Some(7), ..fact(&[(1, 5), (2, -5)]) };
    assert_eq!(s.decide(1, "t", &orphan).unwrap_err(), Refusal::ReversesNothing { entry: 7 });
    s.accounts[1].closed = true;
    let decision = |p: &[(i64, i64)]| entry(Basis::Decision, p, vec![]);
    assert_eq!(
        s.decide(1, "t", &decision(&[(2, 5), (3, -5)])).unwrap_err(),
        Refusal::AccountClosed { account: "a1".to_owned() }
    );
    s.accounts[1].closed = false;
    s.accounts[1].frozen = true;
    assert_eq!(
        s.decide(1, "t", &decision(&[(2, 5), (3, -5)])).unwrap_err(),
        Refusal::AccountFrozen { account: "a1".to_owned() }
    );
    // What the bank has done is posted on a frozen account too.
    assert!(s.decide(1, "t", &fact(&[(1, 500), (2, -500)])).is_ok());
    s.accounts[1].frozen = false;
    // Only the bank moves its account, and only placing moves suspense.
    let master = s.decide(1, "t", &decision(&[(1, 5), (2, -5)])).unwrap_err();
    assert_eq!(master, Refusal::MovesMaster { account: "a0".to_owned() });
    let by_hand = s.decide(1, "t", &decision(&[(5, 5), (2, -5)])).unwrap_err();
    assert_eq!(by_hand, Refusal::MovesSuspense { account: "a4".to_owned() });
    let placed = NewEntry { cause: Cause::new("route", "1"), ..decision(&[(5, 5), (2, -5)]) };
    s.decide(1, "t", &placed).unwrap();
    let back = NewEntry { cause: Cause::new("route", "1"), ..decision(&[(5, -5), (2, 5)]) };
    s.decide(1, "t", &back).unwrap();
    let too_much = s.decide(1, "t", &decision(&[(2, 501), (3, -501)])).unwrap_err();
    assert_eq!(too_much.to_string(), "I4: a1 has 5.00 available and 5.01 is needed");
    assert!(s.decide(1, "t", &decision(&[(2, 500), (3, -500)])).is_ok());
    s.accounts[0].balance.debits = i64::MAX;
    assert_eq!(
        s.decide(1, "t", &fact(&[(1, 1), (2, -1)])).unwrap_err(),
        Refusal::Overflow { account: "a0".to_owned() }
    );
}

#[test]
fn a_hold_counts_against_what_is_available_and_is_consumed_at_most_once() {
    let mut s = state();
    s.decide(1, "t", &entry(Basis::Fact, &[(1, 500), (2, -500)], vec![])).unwrap();
    let place = |id: &str, amount| entry(Basis::Decision, &[], vec![hold(2, id, HoldKind::Placed, amount)]);
    s.decide(2, "t", &place("h1", 400)).unwrap();
    assert!(matches!(s.decide(3, "t", &place("h2", 101)), Err(Refusal::InsufficientFunds { .. })));
    assert_eq!(s.decide(3, "t", &place("h1", 1)).unwrap_err(), Refusal::HoldExists { hold: "h1".to_owned() });
    let pay = entry(Basis::Decision, &[(2, 400), (6, -400)], vec![hold(2, "h1", HoldKind::Consumed, 400)]);
    s.decide(3, "t", &pay).unwrap();
    assert_eq!(s.decide(4, "t", &pay).unwrap_err(), Refusal::HoldExceeded { hold: "h1".to_owned(), left: 0 });
    assert_eq!(balances(&s)[1], (-100, 0));
}
