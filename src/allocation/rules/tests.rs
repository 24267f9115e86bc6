//! Every condition, every refusal, the naive definition as the oracle, and splits that conserve.

use super::text::normalise;
use super::{Facts, Problem, Rule, RuleFile, RuleSet, To, When};
use crate::money::{Currency, Minor};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rust_decimal::Decimal;
use serde::Deserialize;

fn usd() -> Currency {
    "USD".parse().unwrap()
}

/// One rule from the text of its conditions, paid to one leaf.
fn rule(code: &str, priority: i64, when: &str) -> Rule {
    let text =
        format!("code = \"{code}\"\npriority = {priority}\n[when]\n{when}\n[[to]]\nleaf = \"{{master}}/{code}\"\n");
    let rule = Rule::new(toml::from_str(&text).unwrap(), 3);
    // How conditions hold does not depend on whether the rule may place.
    Rule { suggests: !rule.when.places(), ..rule }
}

/// What decides, or else what suggests.
fn first<'s>(rules: &'s RuleSet, facts: &Facts<'_>) -> Option<super::Match<'s>> {
    rules.first_match(facts).or_else(|| rules.suggestion(facts))
}

fn set(rules: Vec<Rule>) -> RuleSet {
    RuleSet::compile(rules).unwrap_or_else(|p| panic!("{p:?}"))
}

fn line<'a>() -> Facts<'a> {
    Facts {
        counterparty_name: Some("Apple Inc."),
        ultimate_name: Some("App Store Operations"),
        counterparty_account: Some("DE89 3704 0044 0532 0130 00"),
        remittance: Some("Tik-Tok US, July payout"),
        info: Some("WIRE IN, value same day"),
        references: &["E2E-1", "TT-77/b"],
        code: Some("PMNT/RCDT/ESCT"),
        ..Facts::new("us-usd", usd(), Minor(120_000))
    }
}

/// Whether a rule with only this condition takes the line, and its sentence without the rule's name.
fn takes(when: &str, facts: &Facts<'_>) -> Option<String> {
    let rules = set(vec![rule("r", 1, when)]);
    first(&rules, facts).map(|m| m.sentence().replace("rule r v3: ", ""))
}

#[test]
fn each_condition_holds_and_says_why() {
    let debit = Facts { amount: Minor(-120_000), ..line() };
    let returned = Facts { return_reason: Some("AC04"), reversal: true, ..line() };
    let cases: &[(&str, &Facts<'_>, Option<&str>)] = &[
        ("masters = [\"de-eur\", \"us-usd\"]", &line(), Some("master is us-usd")),
        ("masters = [\"de-eur\"]", &line(), None),
        ("direction = \"credit\"", &line(), Some("it is a credit")),
        ("direction = \"credit\"", &debit, None),
        ("direction = \"debit\"", &debit, Some("it is a debit")),
        ("direction = \"debit\"", &Facts { amount: Minor(0), ..line() }, None),
        ("counterparty = \"APPLE INC\"", &line(), Some("counterparty \"Apple Inc.\" contains \"APPLE INC\"")),
        (
            "counterparty = \"a-p-p store\"",
            &line(),
            Some("ultimate party \"App Store Operations\" contains \"a-p-p store\""),
        ),
        ("counterparty = \"IncApp\"", &line(), None),
        (
            "counterparty_account = \"de89370400440532013000\"",
            &line(),
            Some("counterparty account is DE89 3704 0044 0532 0130 00"),
        ),
        ("counterparty_account = \"DE8937040044053201300\"", &line(), None),
        ("remittance = \"TIKTOK\"", &line(), Some("remittance \"Tik-Tok US, July payout\" contains \"TIKTOK\"")),
        ("remittance = \"wire in\"", &line(), Some("the bank's text \"WIRE IN, value same day\" contains \"wire in\"")),
        ("remittance = \"payoutwire\"", &line(), None),
        ("reference = \"TT-*\"", &line(), Some("reference TT-77/b starts with TT-")),
        ("reference = \"e2e1\"", &line(), Some("reference is E2E-1")),
        ("reference = \"TT-77\"", &line(), None),
        ("reference = \"77*\"", &line(), None),
        ("code = \"PMNT/RCDT/*\"", &line(), Some("code PMNT/RCDT/ESCT fits PMNT/RCDT/*")),
        ("code = \"*/ESCT\"", &line(), Some("code PMNT/RCDT/ESCT fits */ESCT")),
        ("code = \"*/CHRG\"", &line(), None),
        ("min = \"1200\"", &line(), Some("amount 1200.00 is at least 1200")),
        ("max = \"1200.00\"", &debit, Some("amount 1200.00 is at most 1200.00")),
        ("min = \"10.00\"\nmax = \"5000.00\"", &line(), Some("amount 1200.00 is within 10.00 and 5000.00")),
        ("min = \"1200.0001\"", &line(), None),
        ("max = \"1199.99\"", &debit, None),
        ("reversal = false", &line(), Some("it is no reversal")),
        ("reversal = true", &returned, Some("the bank takes back an earlier booking")),
        ("reversal = true", &line(), None),
        ("return = true", &returned, Some("it is a return (reason AC04)")),
        ("return = true", &line(), None),
        ("return = false", &line(), Some("it is no return")),
        ("return = false", &returned, None),
        ("counterparty = \"apple\"\nremittance = \"capcut\"", &line(), None),
    ];
    for (when, facts, expected) in cases {
        assert_eq!(takes(when, facts).as_deref(), *expected, "{when}");
    }
}

#[test]
fn a_condition_on_what_the_line_lacks_does_not_hold() {
    let bare = Facts::new("us-usd", usd(), Minor(1));
    for field in ["counterparty", "counterparty_account", "remittance", "reference", "code"] {
        assert_eq!(takes(&format!("{field} = \"x*\""), &bare), None, "{field}");
    }
}

#[test]
fn a_code_pattern_fits_by_parts() {
    let cases = [
        ("PMNT/RCDT/ESCT", "pmnt/rcdt/esct", true),
        ("PMNT/RC*/ESCT", "PMNT/RCDT/ESCT", true),
        ("PMNT/R*", "PMNT/RCDT/ESCT", false),
        ("PMNT/*", "PMNT/RCDT/ESCT", true),
        ("PMNT/*", "PMNT", false),
        ("*/CHRG", "ACMT/MCOP/CHRG", true),
        ("*/CHRG", "CHRG", false),
        ("*/CHRG/*", "A/CHRG/CHRG/B", true),
        ("*/A/*/A", "A/A/A/A", true),
        ("*/A/*/A", "A/A/A", false),
        ("NTRF", "NTRF/166", false),
        ("*/8*", "NCHG/808", true),
        ("NMSC+8*", "NMSC+808", true),
        ("é*", "é/x", false),
        ("é*", "é", true),
    ];
    for (pattern, code, expected) in cases {
        let facts = Facts { code: Some(code), ..line() };
        assert_eq!(takes(&format!("code = \"{pattern}\""), &facts).is_some(), expected, "{pattern} {code}");
    }
}

#[test]
fn bounds_are_in_the_lines_currency() {
    for (code, minor, least) in
        [("JPY", 1200, "1200"), ("KWD", 1_200_000, "1200.000"), ("CLF", 12_000_001, "1200.0001")]
    {
        let facts = Facts { currency: code.parse().unwrap(), amount: Minor(-minor), ..line() };
        assert!(takes(&format!("min = \"{least}\"\nmax = \"{least}\""), &facts).is_some(), "{code}");
        let less = Facts { amount: Minor(-minor + 1), ..facts };
        assert!(takes(&format!("min = \"{least}\""), &less).is_none(), "{code}");
    }
    assert!(takes("min = \"10\"", &Facts { amount: Minor(i64::MIN), ..line() }).is_some());
}

#[test]
fn the_smallest_priority_decides_and_then_the_code() {
    let when = "counterparty = \"apple\"";
    let rules = set(vec![
        rule("c", 10, when),
        rule("b", 5, "counterparty = \"google\""),
        rule("z", 7, when),
        rule("a", 7, when),
    ]);
    assert_eq!(rules.rules().map(|r| r.code.as_str()).collect::<Vec<_>>(), ["b", "a", "z", "c"]);
    let found = rules.first_match(&line()).unwrap();
    assert_eq!((found.rule.code.as_str(), found.rule.version), ("a", 3));
    assert_eq!(found.matched, [("counterparty", "Apple Inc.".to_owned())]);
}

#[test]
fn a_long_value_is_cut_in_the_sentence_only() {
    let text = "é".repeat(200);
    let rules = set(vec![rule("r", 1, "remittance = \"É\"")]);
    let facts = Facts { remittance: Some(&text), ..line() };
    let found = first(&rules, &facts).unwrap();
    assert_eq!(found.matched, [("remittance", text.clone())]);
    assert!(found.sentence().len() < 250);
}

#[test]
fn a_split_goes_to_the_leaves_of_the_lines_master() {
    let text = "code = \"apple\"\npriority = 1\nwhen = { counterparty = \"apple\" }\nto = [{ leaf = \"{master}/a\", percent = \"60\" }, \
                { leaf = \"{master}/b\", percent = \"39.5\" }, { leaf = \"{master}/c\", percent = \"0.5\" }]";
    let rules = set(vec![Rule::new(toml::from_str(text).unwrap(), 1)]);
    let found = rules.first_match(&line()).unwrap();
    let shares = |amount| found.shares("us-usd", Minor(amount), usd()).unwrap();
    let leaf = |l: &str, a| (format!("us-usd/{l}"), Minor(a));
    assert_eq!(shares(-1000), [leaf("a", -600), leaf("b", -395), leaf("c", -5)]);
    assert_eq!(shares(10), [leaf("a", 6), leaf("b", 4)]);
    assert_eq!(shares(0), []);
    assert_eq!(Minor::sum(shares(i64::MIN).into_iter().map(|s| s.1)), i128::from(i64::MIN));
}

#[test]
fn every_problem_is_named_with_its_rule_and_field() {
    type Change = fn(&mut Rule);
    let said = |change: Change| {
        let mut wrong = rule("r", 1, "counterparty = \"x\"");
        change(&mut wrong);
        RuleSet::compile(vec![wrong]).unwrap_err().iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
    };
    let cases: &[(Change, &str)] = &[
        (|r| r.code = "A b".into(), "rule A b, code: write 1 to 64"),
        (|r| r.code = String::new(), "rule number 1, code: "),
        (|r| r.version = 0, "version: versions count from 1"),
        (|r| r.when = When::default(), "when: a rule without a condition"),
        (|r| r.when.masters = Some(vec![]), "when.masters: an empty list"),
        (|r| r.when.masters = Some(vec!["a".into(), "a".into()]), "a is named twice"),
        (|r| r.when.direction = Some("in".into()), "when.direction: \"in\" is not a direction"),
        (|r| r.when.counterparty = Some(" .-".into()), "when.counterparty: \" .-\" has no letter or digit"),
        (|r| r.when.remittance = Some(String::new()), "when.remittance: "),
        (|r| r.when.reference = Some("A*B".into()), "when.reference: \"A*B\" has a * that is not at its end"),
        (|r| r.when.reference = Some("*".into()), "when.reference: \"\" has no letter"),
        (|r| r.when.code = Some("A//B".into()), "when.code: \"A//B\" has an empty part"),
        (|r| r.when.code = Some("A/*B".into()), "has a * inside a part"),
        (|r| r.when.min = Some("-1".into()), "when.min: \"-1\" is not a number without sign"),
        (|r| r.when.max = Some("1.".into()), "when.max: \"1.\" is not a number"),
        (|r| r.when.min = Some("0.00001".into()), "when.min: \"0.00001\" is too long"),
        (|r| r.when.max = Some("9".repeat(40)), "is too long"),
        (
            |r| (r.when.min, r.when.max) = (Some("2".into()), Some("1".into())),
            "when.max: 1 is less than min 2: exchange them",
        ),
        (|r| r.charges = Some("net".into()), "charges: \"net\" is unknown: write gross-up"),
        (
            |r| r.when = When { remittance: Some("x".into()), min: Some("1".into()), ..When::default() },
            "when: what a payer writes, an amount or a direction alone place no money",
        ),
        (
            |r| r.when = When { masters: Some(vec!["m".into()]), max: Some("1".into()), ..When::default() },
            "or let the rule only suggest, with suggests = true",
        ),
        (|r| r.to[0].amount = Some("1.00".into()), "to: nothing says where the rest goes"),
        (|r| (r.to[0].amount, r.to[0].rest) = (Some("1".into()), Some(true)), "to[1].percent: a target has one of"),
        (|r| r.to[0].up_to = Some("0.00".into()), "to[1].up_to: a target gets more than 0: leave"),
        (|r| r.to[0].rest = Some(false), "to[1].rest: write rest = true"),
        (|r| r.to.clear(), "to: a rule without a target"),
        (|r| r.to[0].leaf = "de-eur/x".into(), "to[1].leaf: \"de-eur/x\" must be in the line's master"),
        (|r| r.to[0].leaf = "{master}//x".into(), "is not the code of a leaf"),
        (|r| r.to[0].leaf = "{master}/{product}".into(), "is not the code of a leaf"),
        (|r| r.to[0].percent = Some("60".into()), "to: the percents sum to 60: make them 100"),
        (|r| r.to[0].percent = Some("0".into()), "to[1].percent: a target gets more than 0"),
        (|r| r.to.push(r.to[0].clone()), "to[2].leaf: {master}/r is a target twice"),
        (
            |r| r.to.push(To { leaf: "{master}/q".into(), ..To::default() }),
            "to[1].percent: give each target its percent",
        ),
    ];
    for (change, expected) in cases {
        let said = said(*change);
        assert!(said.contains(expected), "{said} lacks {expected}");
    }
    let both =
        RuleSet::compile(vec![rule("r", 1, "min = \"x\"\nmax = \"y\""), rule("r", 2, "code = \"/\"")]).unwrap_err();
    assert_eq!(both.len(), 4, "{both:?}");
}

#[test]
fn a_leaf_named_in_full_needs_its_master_as_the_only_one() {
    let mut full = rule("r", 1, "masters = [\"us-usd\"]");
    full.to[0].leaf = "us-usd/tiktok/us/operating".into();
    assert!(RuleSet::compile(vec![full.clone()]).is_ok());
    full.when.masters = Some(vec!["us-usd".into(), "de-eur".into()]);
    assert!(RuleSet::compile(vec![full]).is_err());
}

#[test]
fn a_rule_keeps_its_form_in_json_and_unknown_fields_are_refused() {
    #[derive(Deserialize)]
    struct File {
        rule: Vec<RuleFile>,
    }
    let text = "[[rule]]\ncode = \"r\"\npriority = 100\n[rule.when]\nreturn = false\nmin = \"1.50\"\n[[rule.to]]\nleaf = \"{master}/x\"\n";
    let file: File = toml::from_str(text).unwrap();
    let json = serde_json::to_string(&file.rule[0]).unwrap();
    assert_eq!(
        json,
        r#"{"code":"r","priority":100,"when":{"min":"1.50","return":false},"to":[{"leaf":"{master}/x"}]}"#
    );
    assert_eq!(serde_json::from_str::<RuleFile>(&json).unwrap(), file.rule[0]);
    assert_eq!(Rule::new(file.rule[0].clone(), 1).to_file(), file.rule[0]);
    assert!(toml::from_str::<File>(&text.replace("min", "minimum")).is_err());
}

#[test]
fn every_example_of_the_documentation_is_a_set_of_rules() {
    let text = include_str!("../../../docs/rules.md");
    let blocks: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    assert!(blocks.len() >= 5, "docs/rules.md has lost its examples");
    for block in blocks {
        let file = crate::allocation::changes::RulesFile::parse(block).unwrap_or_else(|e| panic!("{block}: {e}"));
        set(file.rule.into_iter().map(|r| Rule::new(r, 1)).collect());
    }
}

#[test]
fn the_waterfall_of_the_documentation_is_shared_out_as_its_table_says() {
    let text = include_str!("../../../docs/rules.md");
    let block = text.split("```toml\n").find(|b| b.contains("code = \"ad-network\"")).unwrap();
    let file = crate::allocation::changes::RulesFile::parse(block.split("```").next().unwrap()).unwrap();
    let rules = set(file.rule.into_iter().map(|r| Rule::new(r, 1)).collect());
    let facts = Facts { counterparty_name: Some("Ad Network"), ..Facts::new("de-eur", usd(), Minor(1)) };
    let found = rules.first_match(&facts).unwrap();
    let rows = block.lines().skip_while(|l| !l.starts_with("| Line |")).skip(2).take_while(|l| l.starts_with('|'));
    let mut told = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let shares = found.shares("de-eur", Minor::parse(cells[0], usd()).unwrap(), usd());
        let expected: Vec<String> = cells[1..].iter().filter(|c| **c != "-").map(|c| (*c).to_owned()).collect();
        match shares {
            Ok(shares) => assert_eq!(shares.iter().map(|s| s.1.to_text(usd())).collect::<Vec<_>>(), expected, "{row}"),
            Err(_) => assert_eq!(cells[1], "waits", "{row}"),
        }
        told += 1;
    }
    assert_eq!(told, 4);
}

/// The definition, rule by rule and condition by condition.
fn naive<'r>(rules: &'r [Rule], f: &Facts<'_>) -> Option<&'r Rule> {
    let contains = |pattern: &str, texts: [Option<&str>; 2]| {
        texts.into_iter().flatten().any(|t| normalise(t).contains(&normalise(pattern)))
    };
    let amount = Decimal::new(f.amount.0, u32::from(f.currency.exponent())).abs();
    let holds = |r: &&Rule| {
        let w = &r.when;
        w.masters.as_ref().is_none_or(|m| m.iter().any(|m| m == f.master))
            && w.direction.as_ref().is_none_or(|d| if d == "credit" { f.amount.0 > 0 } else { f.amount.0 < 0 })
            && w.counterparty.as_ref().is_none_or(|p| contains(p, [f.counterparty_name, f.ultimate_name]))
            && w.counterparty_account
                .as_ref()
                .is_none_or(|p| f.counterparty_account.is_some_and(|a| normalise(a) == normalise(p)))
            && w.remittance.as_ref().is_none_or(|p| contains(p, [f.remittance, f.info]))
            && w.reference.as_ref().is_none_or(|p| {
                f.references.iter().map(|r| normalise(r)).any(|r| match p.strip_suffix('*') {
                    Some(start) => r.starts_with(&normalise(start)),
                    None => r == normalise(p),
                })
            })
            && w.code.as_ref().is_none_or(|p| {
                f.code.is_some_and(|c| naive_code(&p.split('/').collect::<Vec<_>>(), &c.split('/').collect::<Vec<_>>()))
            })
            && w.min.as_ref().is_none_or(|m| amount >= m.parse().unwrap())
            && w.max.as_ref().is_none_or(|m| amount <= m.parse().unwrap())
            && w.reversal.is_none_or(|x| x == f.reversal)
            && w.returned.is_none_or(|x| x == f.return_reason.is_some())
    };
    rules.iter().filter(holds).min_by_key(|r| (r.priority, &r.code))
}

fn naive_code(pattern: &[&str], code: &[&str]) -> bool {
    match pattern.split_first() {
        None => code.is_empty(),
        Some((&"*", rest)) => (1..=code.len()).any(|n| naive_code(rest, &code[n..])),
        Some((part, rest)) => code.split_first().is_some_and(|(first, others)| {
            let fits = part.strip_suffix('*').map_or(part == first, |start| first.starts_with(start));
            fits && naive_code(rest, others)
        }),
    }
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![2 => Just(None), 1 => prop::sample::select(texts).prop_map(|t| Some(t.to_owned()))]
}

fn some_when() -> impl Strategy<Value = When> {
    let texts = (
        one_of(&["a", "ab", "B-a", "aba", "bb", "ß", "é b"]),
        one_of(&["ab", "b", "A A"]),
        one_of(&["a", "bab", "b b"]),
        one_of(&["a*", "ab*", "ab", "b-*", "ba"]),
        one_of(&["*/A", "A/*", "A/B", "B*/*", "*", "A/*/A"]),
    );
    let rest = (
        prop::option::of(prop::sample::subsequence(vec!["m", "n", "o"], 1..3)),
        one_of(&["credit", "debit"]),
        one_of(&["0.00", "0.5", "3"]),
        one_of(&["3", "4.00", "90"]),
        prop::option::of(any::<bool>()),
        prop::option::of(any::<bool>()),
    );
    (texts, rest).prop_map(|((counterparty, counterparty_account, remittance, reference, code), rest)| {
        let (masters, direction, min, max, reversal, returned) = rest;
        let masters = masters.map(|m| m.into_iter().map(str::to_owned).collect());
        // At least one condition.
        let max = max.or(Some("100".to_owned()));
        When {
            masters,
            direction,
            counterparty,
            counterparty_account,
            remittance,
            reference,
            code,
            min,
            max,
            reversal,
            returned,
        }
    })
}

fn some_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec((some_when(), 0i64..4), 0..12).prop_map(|whens| {
        let to = || vec![To { leaf: "{master}/x".to_owned(), ..To::default() }];
        let numbered = whens.into_iter().enumerate();
        numbered
            .map(|(n, (when, priority))| Rule {
                code: format!("r{n}"),
                version: 1,
                priority,
                suggests: true,
                charges: None,
                when,
                to: to(),
            })
            .collect()
    })
}

fn texts() -> impl Strategy<Value = (Vec<Option<String>>, Vec<String>)> {
    (
        prop::collection::vec(prop::option::of("[abAB ./-]{0,6}|[aéß ]{0,3}"), 6),
        prop::collection::vec("[abB-]{0,4}", 0..3),
    )
}

proptest! {
    #[test]
    fn the_first_match_is_that_of_the_naive_definition(
        rules in some_rules(), (texts, refs) in texts(), amount in -500i64..500, master in "[mnop]", reversal: bool, back: bool,
    ) {
        let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
        let code = texts[5].as_ref().map(|c| c.to_uppercase());
        let facts = Facts {
            counterparty_name: texts[0].as_deref(),
            ultimate_name: texts[1].as_deref(),
            counterparty_account: texts[2].as_deref(),
            remittance: texts[3].as_deref(),
            info: texts[4].as_deref(),
            references: &refs,
            code: code.as_deref(),
            reversal,
            return_reason: back.then_some("AC04"),
            ..Facts::new(&master, usd(), Minor(amount))
        };
        let expected = naive(&rules, &facts);
        let forward = set(rules.clone());
        let backward = set(rules.iter().rev().cloned().collect());
        let found = forward.suggestion(&facts);
        prop_assert_eq!(found.as_ref().map(|m| &m.rule.code), expected.map(|r| &r.code));
        prop_assert_eq!(&found, &backward.suggestion(&facts));
        prop_assert_eq!(forward.first_match(&facts), None);
        if let Some(found) = found {
            // Each condition shows its value, the two bounds as one.
            let json = serde_json::to_value(&found.rule.when).unwrap();
            let bounds = usize::from(found.rule.when.min.is_some() && found.rule.when.max.is_some());
            prop_assert_eq!(found.matched.len(), json.as_object().unwrap().len() - bounds);
        }
    }

    #[test]
    fn no_text_makes_it_panic(texts in prop::collection::vec(any::<String>(), 8), amount: i64) {
        let t = |i: usize| Some(texts[i].clone());
        let when = When {
            masters: Some(vec![texts[0].clone()]), direction: t(1), counterparty: t(2), counterparty_account: t(3),
            remittance: t(4), reference: t(5), code: t(6), min: t(7), max: t(0), reversal: None, returned: None,
        };
        let to = To { leaf: texts[1].clone(), percent: t(2), amount: None, up_to: t(3).filter(|_| amount > 0), rest: None };
        let _ = RuleSet::compile(vec![Rule {
            code: texts[3].clone(), version: 1, priority: amount, suggests: amount < 0, charges: t(4), when, to: vec![to],
        }]);
        let mut free = rule("r", 1, "reversal = false");
        let of = |i: usize| Some(format!("{}x", texts[i].replace('*', "")));
        (free.when.counterparty, free.when.remittance, free.when.reference) = (of(0), of(1), of(2));
        let rules = set(vec![free]);
        let (name, text, reference) = (of(0), of(1), of(2));
        let facts = Facts {
            counterparty_name: name.as_deref(), remittance: text.as_deref(), references: &[reference.as_deref().unwrap()],
            code: Some(&texts[6]), ..Facts::new(&texts[7], usd(), Minor(amount))
        };
        let found = first(&rules, &facts);
        prop_assert!(found.is_some_and(|m| !m.sentence().is_empty()));
    }

    #[test]
    fn shares_sum_to_the_amount(amount: i64, cuts in prop::collection::vec(1u32..100_000_000, 0..9)) {
        let mut cuts: Vec<u32> = cuts.into_iter().chain([0, 100_000_000]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut whole = rule("r", 1, "max = \"99999999999999999\"");
        whole.to = cuts.windows(2).enumerate().map(|(n, w)| {
            let percent = Decimal::new(i64::from(w[1] - w[0]), 6).to_string();
            To { leaf: format!("{{master}}/l{n}"), percent: Some(percent), ..To::default() }
        }).collect();
        let rules = set(vec![whole]);
        let found = first(&rules, &Facts::new("m", usd(), Minor(1))).unwrap();
        let shares = found.shares("m", Minor(amount), usd()).unwrap();
        prop_assert_eq!(Minor::sum(shares.iter().map(|s| s.1)), i128::from(amount));
        prop_assert!(shares.iter().all(|s| s.1.0.signum() == amount.signum() && s.0.starts_with("m/l")));
    }
}
