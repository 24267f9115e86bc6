//! From rules as written to a set that can be asked: every problem of every rule, or the set.

use super::sentence::reference_parts;
use super::text::{CodePattern, Needles, Place, normalise};
use super::{Candidates, Compiled, Portion, Problem, Rule, RuleSet, To};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Enough for any currency, and few enough that a bound stays within 96 bits of any amount.
const BOUND_DECIMALS: u32 = 4;
/// So that splitting 64 bits by percents stays within 128.
const PERCENT_DECIMALS: u32 = 6;

impl RuleSet {
    /// Checks all and indexes them; the order in which they are given does not matter.
    pub fn compile(mut rules: Vec<Rule>) -> Result<RuleSet, Vec<Problem>> {
        rules.sort_by(|a, b| (a.priority, &a.code, a.version).cmp(&(b.priority, &b.code, b.version)));
        let mut set = RuleSet {
            rules: Vec::with_capacity(rules.len()),
            by_master: HashMap::new(),
            others: Candidates::default(),
            names: Needles::default(),
            accounts: Needles::default(),
            texts: Needles::default(),
            references: Needles::default(),
            codes: Vec::new(),
        };
        let mut problems = repeated_codes(&rules);
        for (place, rule) in rules.into_iter().enumerate() {
            let name = if rule.code.trim().is_empty() { format!("number {}", place + 1) } else { rule.code.clone() };
            let mut check = Check { rule: name, problems: &mut problems };
            let compiled = set.compiled(rule, &mut check);
            set.rules.push(compiled);
        }
        for needles in [&mut set.names, &mut set.accounts, &mut set.texts, &mut set.references] {
            if let Err(why) = needles.build() {
                let problem = format!("the texts of all rules are too many or too long together ({why}): use fewer");
                problems.push(Problem { rule: "set".to_owned(), field: "when".to_owned(), problem });
            }
        }
        if problems.is_empty() {
            set.index();
            Ok(set)
        } else {
            Err(problems)
        }
    }

    fn compiled(&mut self, rule: Rule, check: &mut Check<'_>) -> Compiled {
        let when = &rule.when;
        check.identity(&rule);
        check.some_condition(&rule);
        check.masters(when.masters.as_deref());
        check.direction(when.direction.as_deref());
        let mut sought = |field: &str, text: &Option<String>, place: Place, needles: &mut Needles| {
            let text = check.text(field, text.as_deref()?)?;
            Some(needles.add(&text, place))
        };
        let account = sought("when.counterparty_account", &when.counterparty_account, Place::Whole, &mut self.accounts);
        let name = sought("when.counterparty", &when.counterparty, Place::Anywhere, &mut self.names);
        let text = sought("when.remittance", &when.remittance, Place::Anywhere, &mut self.texts);
        let reference = when.reference.as_deref().and_then(|r| check.reference(r));
        let reference = reference.map(|(text, place)| self.references.add(&text, place));
        let code = when.code.as_deref().and_then(|c| check.code(c)).map(|pattern| self.code(pattern));
        let min = when.min.as_deref().and_then(|m| check.decimal("when.min", m, BOUND_DECIMALS));
        let max = when.max.as_deref().and_then(|m| check.decimal("when.max", m, BOUND_DECIMALS));
        if let (Some(least), Some(most)) = (min, max)
            && least > most
        {
            check.say("when.max", format!("{most} is less than min {least}: exchange them or widen the bounds"));
        }
        let portions = check.targets(&rule);
        Compiled { rule, name, account, text, reference, code, min, max, portions }
    }

    fn code(&mut self, pattern: CodePattern) -> u32 {
        let known = self.codes.iter().position(|p| *p == pattern);
        let index = known.unwrap_or_else(|| {
            self.codes.push(pattern);
            self.codes.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Writes down which rules can hold for which lines, so that the others are never looked at.
    fn index(&mut self) {
        let named: BTreeSet<&String> = self.rules.iter().flat_map(|c| c.rule.when.masters.iter().flatten()).collect();
        let candidates = |master: Option<&String>| {
            let mut by_way = Candidates::default();
            for (index, compiled) in (0u32..).zip(&self.rules) {
                let when = &compiled.rule.when;
                let in_scope = match (&when.masters, master) {
                    (None, _) => true,
                    (Some(masters), Some(master)) => masters.contains(master),
                    (Some(_), None) => false,
                };
                let ways: &[usize] = match when.direction.as_deref() {
                    Some("credit") => &[0],
                    Some(_) => &[1],
                    None => &[0, 1, 2],
                };
                for way in ways.iter().filter(|_| in_scope) {
                    by_way[*way].push(index);
                }
            }
            by_way
        };
        let by_master = named.into_iter().map(|master| (master.clone(), candidates(Some(master)))).collect();
        self.others = candidates(None);
        self.by_master = by_master;
    }
}

fn repeated_codes(rules: &[Rule]) -> Vec<Problem> {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for rule in rules {
        *times.entry(rule.code.as_str()).or_default() += 1;
    }
    let repeated = times.into_iter().filter(|(_, n)| *n > 1);
    let problem = |(code, n): (&str, u32)| Problem {
        rule: code.to_owned(),
        field: "code".to_owned(),
        problem: format!("{n} rules have this code: give each its own"),
    };
    repeated.map(problem).collect()
}

/// Checks of one rule; each says what is wrong and gives what is usable.
struct Check<'p> {
    rule: String,
    problems: &'p mut Vec<Problem>,
}

impl Check<'_> {
    fn say(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(Problem { rule: self.rule.clone(), field: field.into(), problem: problem.into() });
    }

    fn identity(&mut self, rule: &Rule) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if rule.code.is_empty() || rule.code.len() > 64 || !rule.code.chars().all(plain) {
            self.say("code", "write 1 to 64 lower-case letters, digits and hyphens, such as apple-tiktok-us");
        }
        if rule.version < 1 {
            self.say("version", "versions count from 1");
        }
    }

    fn some_condition(&mut self, rule: &Rule) {
        if rule.when == super::When::default() {
            self.say(
                "when",
                "a rule without a condition would take every line: give at least one, such as counterparty",
            );
        } else if !rule.suggests && !rule.when.places() {
            self.say(
                "when",
                "what a payer writes, an amount or a direction alone place no money: add counterparty, counterparty_account, \
                 reference or code, or let the rule only suggest, with suggests = true",
            );
        }
        if let Some(other) = rule.charges.as_deref().filter(|c| *c != "gross-up") {
            self.say("charges", format!("\"{other}\" is unknown: write gross-up, or leave it out"));
        }
    }

    fn masters(&mut self, masters: Option<&[String]>) {
        let Some(masters) = masters else { return };
        if masters.is_empty() {
            self.say("when.masters", "an empty list holds for no line: name masters, or leave it out for all");
        }
        let mut seen = BTreeSet::new();
        for master in masters {
            if master.trim().is_empty() || master.contains('/') {
                self.say("when.masters", format!("\"{master}\" is not the code of a master, such as us-usd"));
            } else if !seen.insert(master) {
                self.say("when.masters", format!("{master} is named twice: name it once"));
            }
        }
    }

    fn direction(&mut self, direction: Option<&str>) {
        if let Some(other) = direction.filter(|d| !matches!(*d, "credit" | "debit")) {
            self.say(
                "when.direction",
                format!("\"{other}\" is not a direction: write credit or debit, or leave it out"),
            );
        }
    }

    /// A text that has something to compare.
    fn text(&mut self, field: &str, text: &str) -> Option<String> {
        let normal = normalise(text);
        if normal.is_empty() {
            self.say(field, format!("\"{text}\" has no letter or digit, and nothing else is compared: give some"));
            return None;
        }
        Some(normal)
    }

    fn reference(&mut self, pattern: &str) -> Option<(String, Place)> {
        let (sought, place) = reference_parts(pattern);
        if sought.contains('*') {
            self.say("when.reference", format!("\"{pattern}\" has a * that is not at its end: only TT-* works"));
            return None;
        }
        self.text("when.reference", sought).map(|text| (text, place))
    }

    fn code(&mut self, pattern: &str) -> Option<CodePattern> {
        let parsed = CodePattern::parse(pattern);
        parsed.map_err(|why| self.say("when.code", format!("\"{pattern}\" {why}"))).ok()
    }

    /// Digits with at most one point; no sign, since amounts are compared without theirs.
    fn decimal(&mut self, field: &str, text: &str, decimals: u32) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            self.say(
                field,
                format!("\"{text}\" is not a number without sign: write digits with a decimal point, such as 10.50"),
            );
            return None;
        }
        let number = Decimal::from_str_exact(text).ok().map(|n| n.normalize());
        let number = number.filter(|n| n.scale() <= decimals && *n < Decimal::from(i64::MAX));
        if number.is_none() {
            self.say(
                field,
                format!("\"{text}\" is too long: at most {decimals} decimals and 18 digits before the point"),
            );
        }
        number
    }

    /// What each target gets.
    fn targets(&mut self, rule: &Rule) -> Vec<Portion> {
        if rule.to.is_empty() {
            self.say("to", "a rule without a target moves nothing: give [[rule.to]] with a leaf");
        }
        let mut seen = BTreeSet::new();
        let mut portions = Vec::with_capacity(rule.to.len());
        for (place, to) in rule.to.iter().enumerate() {
            self.leaf(&format!("to[{}].leaf", place + 1), to, rule);
            if !seen.insert(&to.leaf) {
                self.say(format!("to[{}].leaf", place + 1), format!("{} is a target twice: name it once", to.leaf));
            }
            portions.extend(self.portion(place, to, rule.to.len() == 1));
        }
        // What cannot be read is said already.
        if portions.len() == rule.to.len() && !rule.to.is_empty() {
            self.whole(&portions);
        }
        portions
    }

    fn portion(&mut self, place: usize, to: &To, only: bool) -> Option<Portion> {
        let field = |name: &str| format!("to[{}].{name}", place + 1);
        let told = [to.percent.is_some(), to.amount.is_some(), to.up_to.is_some(), to.rest.is_some()];
        match told.iter().filter(|t| **t).count() {
            0 if only => return Some(Portion::Rest),
            0 => {
                self.say(
                    field("percent"),
                    "give each target its percent when there are several, or its amount, its up_to, or rest = true",
                );
                return None;
            }
            1 => {}
            _ => {
                self.say(field("percent"), "a target has one of percent, amount, up_to and rest: leave the others out");
                return None;
            }
        }
        let (name, text, decimals) = match (&to.percent, &to.amount, &to.up_to, to.rest) {
            (Some(text), ..) => ("percent", text, PERCENT_DECIMALS),
            (_, Some(text), ..) => ("amount", text, BOUND_DECIMALS),
            (_, _, Some(text), _) => ("up_to", text, BOUND_DECIMALS),
            (.., Some(true)) => return Some(Portion::Rest),
            _ => {
                self.say(field("rest"), "write rest = true, or leave it out");
                return None;
            }
        };
        let number = self.decimal(&field(name), text, decimals)?;
        if number.is_zero() {
            let unit = if name == "percent" { " percent" } else { "" };
            self.say(field(name), format!("a target gets more than 0{unit}: leave the target out"));
            return None;
        }
        Some(match name {
            "percent" => Portion::Percent(number),
            "amount" => Portion::Amount(number),
            _ => Portion::UpTo(number),
        })
    }

    /// Whether the targets together take the whole of any line that can be split, and no more.
    fn whole(&mut self, portions: &[Portion]) {
        let rests = portions.iter().filter(|p| **p == Portion::Rest).count();
        let percents = portions.iter().filter_map(|p| if let Portion::Percent(p) = p { Some(*p) } else { None });
        // Each is below 2^63, so that the sum cannot overflow.
        let (told, sum) = (percents.clone().count(), percents.sum::<Decimal>());
        let hundred = Decimal::ONE_HUNDRED;
        match rests {
            0 if told == 0 => {
                self.say("to", "nothing says where the rest goes: give one target rest = true");
            }
            0 if sum != hundred => self.say("to", format!("the percents sum to {sum}: make them 100")),
            0 => {}
            1 if sum < hundred => {}
            1 => self
                .say("to", format!("the percents sum to {sum}, so that nothing is left for the rest: make them less")),
            _ => self.say("to", format!("{rests} targets have the rest: let one have it")),
        }
    }

    /// The code of a leaf, in the line's own master: money cannot move to another bank account by a rule.
    fn leaf(&mut self, field: &str, to: &To, rule: &Rule) {
        let leaf = to.leaf.as_str();
        let rest = leaf.strip_prefix("{master}/").or_else(|| {
            let [only] = rule.when.masters.as_deref()? else {
                return None;
            };
            leaf.strip_prefix(only.as_str())?.strip_prefix('/')
        });
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match rest {
            None => self.say(
                field,
                format!("\"{leaf}\" must be in the line's master: write {{master}}/ in front, such as {{master}}/tiktok/us/operating"),
            ),
            Some(rest) if !rest.split('/').all(|part| !part.is_empty() && part.chars().all(plain)) => {
                self.say(field, format!("\"{leaf}\" is not the code of a leaf, such as {{master}}/tiktok/us/operating"));
            }
            Some(_) => {}
        }
    }
}
