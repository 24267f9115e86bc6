//! The verbs of the rules: their versions, the back-test of a change and applying it, and suggestions for what waits.

use super::script::{Outcome, Step};
use super::world::{World, answer, day, list, text};
use tributary::allocation::backtest::{self, Bounds, Change, Report};
use tributary::allocation::changes::{self, RulesFile};
use tributary::allocation::rules::{RuleFile, To, When};
use tributary::allocation::{self, recall, transfers};
use tributary::ledger::{self, AccountRow};
use tributary::{chart, error};

/// `rule apple priority=10 counterparty="Apple" to="tiktok:60,douyin:40"`: in force at once. `draft`: only written, for
/// `rules test` and `rules apply`.
pub fn rule(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let text = |key: &str| step.words.get(key).map(str::to_owned);
    let yes = |key: &str| step.words.get(key).map(|v| v == "yes");
    let code = step.need_name()?.to_owned();
    let file = RuleFile {
        code: code.clone(),
        priority: step.words.get("priority").unwrap_or("10").parse().map_err(|_| "priority= is a whole number")?,
        suggests: step.words.has("suggests"),
        charges: text("charges"),
        when: When {
            masters: text("masters").map(|m| m.split(',').map(str::to_owned).collect()),
            direction: text("direction"),
            counterparty: text("counterparty"),
            counterparty_account: text("counterparty-account"),
            remittance: text("text"),
            reference: text("reference"),
            code: text("code"),
            min: text("min"),
            max: text("max"),
            reversal: yes("reversal"),
            returned: yes("return"),
        },
        to: list(step.words.need("to")?).map(|(leaf, share)| target(world, leaf, share)).collect(),
    };
    if step.words.has("draft") {
        world.drafts.0.rule.push(file);
        return Ok(Outcome::said("written"));
    }
    let applied = world.db.write("rules.apply", &World::who(&step.words), move |tx| {
        let changed = allocation::apply_rules(tx, vec![file.clone()])?;
        Ok((changed, allocation::rules(tx.conn())?))
    });
    answer(applied, |(changed, rules)| {
        let version = rules.iter().find(|r| r.code == code).map_or(0, |r| r.version);
        Outcome::said(if changed == 0 { format!("version {version} as before") } else { format!("version {version}") })
    })
}

/// `tiktok:60` percent, `tiktok:=10.00` an amount, `tiktok:<10.00` up to an amount, `tiktok:rest`.
fn target(world: &World, leaf: &str, share: Option<&str>) -> To {
    let to = To { leaf: world.code(leaf), ..To::default() };
    let text = |text: &str| Some(text.to_owned());
    match share {
        None => to,
        Some("rest") => To { rest: Some(true), ..to },
        Some(share) => match (share.strip_prefix('='), share.strip_prefix('<')) {
            (Some(amount), _) => To { amount: text(amount), ..to },
            (_, Some(most)) => To { up_to: text(most), ..to },
            _ => To { percent: text(share), ..to },
        },
    }
}

/// `rules test` runs the drafts over stored lines, `rules reroute` applies what was tested last, `rules apply` puts the drafts
/// in force for lines to come, `rules show` says what is in force.
pub fn rules(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let bounds = Bounds {
        from: day(&step.words, "from")?,
        to: day(&step.words, "to")?,
        decided_by_people: step.words.has("people"),
    };
    let mut file = world.drafts.0.clone();
    file.retire.extend(step.words.get("retire").into_iter().flat_map(|codes| codes.split(',')).map(str::to_owned));
    let who = World::who(&step.words);
    match step.need_name()? {
        "test" => {
            let mut moves: Vec<Change> = Vec::new();
            let report = world.db.read(|conn| {
                backtest::run(conn, &file, &bounds, &mut |change| {
                    moves.push(change);
                    Ok(())
                })
            });
            world.drafts.0.retire.clone_from(&file.retire);
            if let Ok(report) = &report {
                world.drafts.1.clone_from(&report.digest);
            }
            let moves = if step.words.has("lines") { moves } else { Vec::new() };
            told(world, report, |world, report| tested(world, &report, &moves))
        }
        "reroute" => {
            let digest = world.drafts.1.clone();
            let applied = world.db.write("rules.reroute", &who, move |tx| backtest::apply(tx, &file, &bounds, &digest));
            if applied.is_ok() {
                world.drafts.0 = RulesFile::default();
            }
            told(world, applied, |world, applied| {
                let mut said = vec![format!("moved {}", applied.moved)];
                said.extend(applied.refused.iter().map(|r| world.named(&format!("{} refused {}", r.line, r.code))));
                Ok(said)
            })
        }
        "apply" => {
            let applied = world.db.write("rules.apply", &who, move |tx| changes::apply(tx, &file));
            if applied.is_ok() {
                world.drafts.0 = RulesFile::default();
            }
            told(world, applied, |_, versions| {
                Ok(versions.iter().map(|v| format!("{} version {} {}", v.code, v.version, v.state)).collect())
            })
        }
        "show" => {
            let rules = world.db.read(allocation::rule_versions);
            told(world, rules, |_, rules| {
                Ok(rules.iter().map(|r| format!("{} v{} {} by {}", r.code, r.version, r.state, r.made_by)).collect())
            })
        }
        other => Err(format!("rules {other} is none of test, reroute, apply, show")),
    }
}

fn told<T>(
    world: &World,
    result: error::Result<T>,
    say: impl FnOnce(&World, T) -> Result<Vec<String>, String>,
) -> Result<Outcome, String> {
    match result {
        Ok(value) => {
            say(world, value).map(|said| if said.is_empty() { Outcome::said("nothing") } else { Outcome::Done(said) })
        }
        Err(no) => answer(Err::<(), _>(no), |()| Outcome::Done(Vec::new())),
    }
}

fn tested(world: &World, report: &Report, moves: &[Change]) -> Result<Vec<String>, String> {
    let accounts = world.db.read(ledger::accounts).map_err(|e| e.to_string())?;
    let mut said = Vec::new();
    for change in moves {
        for flow in &change.flows {
            let on = on(&accounts, &flow.from)?;
            let (from, to) = (world.named(&flow.from), world.named(&flow.to));
            said.push(format!("{} from {from} to {to} {}", world.named(&change.line), text(flow.minor, on)));
        }
    }
    for total in &report.totals {
        let on = on(&accounts, &total.from.0)?;
        let minor = i64::try_from(total.minor).map_err(|e| e.to_string())?;
        let (from, to) = (world.named(&total.from.0), world.named(&total.to.0));
        said.push(format!("{} from {from} to {to}: {} moves, {}", total.master, total.moves, text(minor, on)));
    }
    let Report { lines, moved, newly_placed, newly_waiting, stuck, .. } = report;
    said.push(format!("{moved} of {lines} lines move, {newly_placed} newly placed, {newly_waiting} newly waiting"));
    if *stuck > 0 {
        said.push(format!("{stuck} stay: a rule holds and cannot place"));
    }
    Ok(said)
}

fn on<'a>(accounts: &'a [AccountRow], code: &str) -> Result<&'a AccountRow, String> {
    accounts.iter().find(|a| a.code == code).ok_or_else(|| format!("there is no account {code}"))
}

/// `suggest I9`: the leaves that suggest themselves for a line that waits, and why.
pub fn suggest(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let line = world.line(step.need_name()?)?;
    let found = world.db.read(|conn| recall::suggestions(conn, None, Some(&line)));
    told(world, found, |world, found| {
        let all = found.iter().flat_map(|(_, suggested)| suggested);
        Ok(all
            .map(|s| {
                let why: Vec<&str> = s.reasons.iter().map(|r| r.sentence.as_str()).collect();
                world.named(&format!("{}: {}", s.leaf, why.join("; ")))
            })
            .collect())
    })
}

/// `under-way`: the transfers between own masters of which one side has come.
pub fn under_way(world: &mut World, _: &Step) -> Result<Outcome, String> {
    let found = world.db.read(|conn| Ok((transfers::under_way(conn)?, chart::masters(conn)?, ledger::accounts(conn)?)));
    told(world, found, |world, (sides, masters, accounts)| {
        let code = |id: &str| masters.iter().find(|m| m.id == id).map_or("?", |m| m.code.as_str()).to_owned();
        sides
            .iter()
            .map(|s| {
                let (master, other) = (code(&s.master), code(&s.other));
                let amount = text(s.amount, on(&accounts, &master)?);
                Ok(world.named(&format!("{} {amount} on {master}, {other} has not told of it", s.line)))
            })
            .collect()
    })
}
