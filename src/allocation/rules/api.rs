//! Rules over HTTP: what they are, what a change would move, and putting it in force. They place the money of all products, so only
//! who sees the whole treasury sees them.

use super::RuleFile;
use crate::access::Permission;
use crate::allocation::backtest::{self, Bounds, Report};
use crate::allocation::changes::RulesFile;
use crate::allocation::{self, RuleRow};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done};
use crate::http::{Answer, Asked, Call, Day, Money, Nothing, Operation, Page, Paging, Refusal, get, post};
use crate::money::Currency;
use crate::time::{from_stored, rfc3339};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of rules.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/rules", "rules.list", "The rules in force, in the order in which they are tried")
            .may(Permission::RulesRead)
            .reads(list),
        get("/v1/rules/{rule}", "rules.show", "Every version of a rule").may(Permission::RulesRead).reads(show),
        post("/v1/rules/test", "rules.test", "What a change would move among stored lines; nothing is written")
            .may(Permission::RulesRead)
            .does::<Testing, Tested>(test),
        post(
            "/v1/rules",
            "rules.apply",
            "Put a change in force, or propose it, for lines to come; with a digest also for stored ones",
        )
        .may(Permission::RulesChange)
        .dry_runs()
        .writes(apply),
    ]
}

/// A version of a rule.
#[derive(Serialize, JsonSchema)]
struct RuleVersion {
    /// The rule.
    code: String,
    /// Its version.
    version: i64,
    /// The smallest is tried first.
    priority: i64,
    /// `active` or `retired`.
    state: String,
    /// What it says: the fields of a `[[rule]]` table.
    definition: serde_json::Value,
    /// Who made it.
    made_by: String,
    /// When; RFC 3339.
    made_at: String,
}

fn version(r: RuleRow) -> RuleVersion {
    RuleVersion {
        definition: serde_json::from_str(&r.definition).unwrap_or_default(),
        code: r.code,
        version: r.version,
        priority: r.priority,
        state: r.state,
        made_by: r.made_by,
        made_at: rfc3339(from_stored(r.made_at)),
    }
}

fn list(call: &Call, paging: &Paging) -> Result<Page<RuleVersion>> {
    let all = match call.scope().is_everything() {
        true => call.read(allocation::rules)?,
        false => Vec::new(),
    };
    // Priorities may be below zero; their order must be that of text.
    let place = |r: &RuleVersion| format!("{:020} {}", i128::from(r.priority) - i128::from(i64::MIN), r.code);
    Ok(call.page_of(all.into_iter().map(version).collect(), paging.limit, place))
}

/// A rule with its history.
#[derive(Serialize, JsonSchema)]
struct RuleHistory {
    /// Its code.
    code: String,
    /// In order.
    versions: Vec<RuleVersion>,
}

fn show(call: &Call, _: &Nothing) -> Result<RuleHistory> {
    let code = call.path("rule").to_owned();
    let all = match call.scope().is_everything() {
        true => call.read(allocation::rule_versions)?,
        false => Vec::new(),
    };
    let versions: Vec<RuleVersion> = all.into_iter().filter(|r| r.code == code).map(version).collect();
    if versions.is_empty() {
        return Err(Error::NotFound(format!("there is no rule {code}")));
    }
    Ok(RuleHistory { code, versions })
}

/// A change of the rules, and the stored lines that it is tried on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Testing {
    /// New or changed rules, with the fields of a `[[rule]]` table.
    #[serde(default)]
    rules: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Codes of rules that are no longer tried.
    #[serde(default)]
    retire: Vec<String>,
    /// From this booking day.
    from: Option<Day>,
    /// Up to this booking day.
    to: Option<Day>,
    /// Also lines that people have placed.
    #[serde(default)]
    decided_by_people: bool,
    /// How many of the lines that move are listed; none where it is left out.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    list: u16,
    /// Behind how many of them the list begins.
    #[serde(default)]
    list_after: u32,
}

/// A change of the rules that is to be in force.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Changing {
    /// New or changed rules, with the fields of a `[[rule]]` table.
    #[serde(default)]
    rules: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Codes of rules that are no longer tried.
    #[serde(default)]
    retire: Vec<String>,
    /// From this booking day; with a digest.
    from: Option<Day>,
    /// Up to this booking day; with a digest.
    to: Option<Day>,
    /// Also lines that people have placed; with a digest.
    #[serde(default)]
    decided_by_people: bool,
    /// What the test of the same change has answered: stored lines move exactly so. Without it none does.
    digest: Option<String>,
}

fn file(rules: &[serde_json::Map<String, serde_json::Value>], retire: &[String]) -> Result<RulesFile> {
    let read = |(at, rule): (usize, &serde_json::Map<String, serde_json::Value>)| {
        let bad = |e: serde_json::Error| Refusal::BadBody { why: format!("rules[{at}]: {e}") };
        serde_json::from_value::<RuleFile>(rule.clone().into()).map_err(bad)
    };
    let rule = rules.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(RulesFile { rule, retire: retire.to_vec() })
}

/// What a change comes to.
#[derive(Serialize, JsonSchema)]
struct Tested {
    /// Versions that it makes.
    versions: Vec<MadeVersion>,
    /// Lines looked at.
    lines: u64,
    /// Lines that move.
    moved: u64,
    /// Of these: placed now, would wait.
    newly_waiting: u64,
    /// Of these: wait now, would be placed.
    newly_placed: u64,
    /// Lines that stay because the rule that holds for them cannot place.
    stuck: u64,
    /// By master and both shares.
    totals: Vec<MovedTotal>,
    /// Line by line, as many as were asked for.
    list: Vec<MovedLine>,
    /// Names exactly this result, for putting it in force.
    digest: Option<String>,
    /// Lines that were not moved, and why; empty in a test.
    refused: Vec<NotMoved>,
    /// The proposal that waits for approval; null where all is done.
    proposal: Option<String>,
}

/// A version that is made.
#[derive(Serialize, JsonSchema)]
struct MadeVersion {
    /// The rule.
    code: String,
    /// Its version.
    version: i64,
    /// `active` or `retired`.
    state: String,
}

/// What moves between two shares of a master.
#[derive(Serialize, JsonSchema)]
struct MovedTotal {
    /// The master's code.
    master: String,
    /// Who has less then.
    from: String,
    /// Whose leaf that is; null: the treasury's own.
    from_product: Option<String>,
    /// Who has more then.
    to: String,
    /// Whose leaf that is; null: the treasury's own.
    to_product: Option<String>,
    /// Moves between them.
    moves: u64,
    /// In all.
    amount: Option<Money>,
}

/// A line that moves.
#[derive(Serialize, JsonSchema)]
struct MovedLine {
    /// The line.
    line: String,
    /// The master's code.
    master: String,
    /// Its booking day.
    booked_on: NaiveDate,
    /// Its amount; a credit is positive.
    amount: Option<Money>,
    /// Who is on the other side.
    counterparty: Option<String>,
    /// What moves of it.
    moves: Vec<MovedShare>,
}

/// What moves of a line.
#[derive(Serialize, JsonSchema)]
struct MovedShare {
    /// Who has less then.
    from: String,
    /// Who has more then.
    to: String,
    /// How much.
    amount: Option<Money>,
}

/// A line that stays where it is.
#[derive(Serialize, JsonSchema)]
struct NotMoved {
    /// The line.
    line: String,
    /// The code of the refusal.
    code: String,
    /// Why, for people.
    detail: String,
}

fn made(v: &crate::allocation::changes::Version) -> MadeVersion {
    MadeVersion { code: v.code.clone(), version: v.version, state: v.state.to_owned() }
}

fn amount(minor: i128, currency: &str) -> Option<Money> {
    let currency: Currency = currency.parse().ok()?;
    let minor = i64::try_from(minor).ok()?;
    Some(Money::of(minor, currency.exponent(), currency.code()))
}

fn moved(change: &backtest::Change) -> MovedLine {
    let share = |flow: &backtest::Flow| MovedShare {
        from: flow.from.clone(),
        to: flow.to.clone(),
        amount: amount(flow.minor.into(), &change.currency),
    };
    MovedLine {
        line: change.line.clone(),
        master: change.master.clone(),
        booked_on: change.booked_on,
        amount: amount(change.amount.into(), &change.currency),
        counterparty: change.counterparty.clone(),
        moves: change.flows.iter().map(share).collect(),
    }
}

fn tested(report: Report, refused: Vec<backtest::NotMoved>) -> Tested {
    let total = |t: &backtest::Total| MovedTotal {
        master: t.master.clone(),
        from: t.from.0.clone(),
        from_product: t.from.1.clone(),
        to: t.to.0.clone(),
        to_product: t.to.1.clone(),
        moves: t.moves,
        amount: amount(t.minor, &t.currency),
    };
    Tested {
        versions: report.versions.iter().map(made).collect(),
        lines: report.lines,
        moved: report.moved,
        newly_waiting: report.newly_waiting,
        newly_placed: report.newly_placed,
        stuck: report.stuck,
        totals: report.totals.iter().map(total).collect(),
        list: Vec::new(),
        digest: Some(report.digest),
        refused: refused.into_iter().map(|r| NotMoved { line: r.line, code: r.code, detail: r.why }).collect(),
        proposal: None,
    }
}

fn test(call: &Call, body: &Testing) -> Result<Answer> {
    call.scope().need_everything("what rules place")?;
    let bounds =
        Bounds { from: body.from.map(|d| d.0), to: body.to.map(|d| d.0), decided_by_people: body.decided_by_people };
    let file = file(&body.rules, &body.retire)?;
    if body.list > 1000 {
        return Err(Refusal::BadBody { why: "list: 1000 at most".to_owned() }.into());
    }
    let (first, most) = (usize::try_from(body.list_after).unwrap_or(usize::MAX), usize::from(body.list));
    let (mut seen, mut list) = (0, Vec::new());
    let report = call.read(|conn| {
        backtest::run(conn, &file, &bounds, &mut |change| {
            if seen >= first && list.len() < most {
                list.push(moved(&change));
            }
            seen += 1;
            Ok(())
        })
    })?;
    Answer::json(200, &Tested { list, ..tested(report, Vec::new()) })
}

fn apply(tx: &mut Tx<'_>, asked: &Asked<Nothing, Changing>) -> Result<Tested> {
    tx.scope().need_everything("what rules place")?;
    let body = &asked.body;
    let bounds =
        Bounds { from: body.from.map(|d| d.0), to: body.to.map(|d| d.0), decided_by_people: body.decided_by_people };
    let file = file(&body.rules, &body.retire)?;
    let change = match &body.digest {
        Some(digest) => Change::BackTest { file, bounds, digest: digest.clone() },
        None if bounds != Bounds::default() => {
            let why = "days and people say which stored lines move: give the digest of their test with them".to_owned();
            return Err(Refusal::BadBody { why }.into());
        }
        None => Change::Rules(file),
    };
    let (done, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let versions = match done {
        Some(Done::BackTest(applied)) => return Ok(tested(applied.report, applied.refused)),
        Some(Done::Rules(versions)) => versions,
        _ => Vec::new(),
    };
    Ok(Tested {
        versions: versions.iter().map(made).collect(),
        lines: 0,
        moved: 0,
        newly_waiting: 0,
        newly_placed: 0,
        stuck: 0,
        totals: Vec::new(),
        list: Vec::new(),
        digest: body.digest.clone(),
        refused: Vec::new(),
        proposal,
    })
}
