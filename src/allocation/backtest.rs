//! Back-test: what a change of the rules would move among lines that are stored already, and moving exactly that.
//!
//! Each posted line is decided again with the rules as they would be. It moves when the rules have decided it before, or it
//! waits, and the rules now say otherwise; what a virtual account number, a return or a transfer between own masters has
//! placed is not the rules' to move, and what a person has placed only when that is asked for, and a rule names a leaf. A
//! rule that holds and cannot place (its leaf is closed, or is not there) moves nothing that is placed.
//!
//! The digest is over the change of the rules, the bounds and every move, so that what was shown is what is applied: whoever
//! applies gives it back, and when a line, a route or a rule came meanwhile it is another one, and nothing is moved.

use super::Refusal;
use super::changes::{self, Planned, RulesFile, Version};
use super::moves::Replacing;
use super::place::{Evidence, Placement, Placer, merged};
use super::store::{self, NewRoute, RouteRow, StoredLine};
use crate::chart;
use crate::db::seal::{self, Encoding};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::ledger::{self, AccountId, Basis, NewEntry};
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// Lines that are moved in one commit, at most: they are in memory meanwhile, and other commands wait.
pub const MOST_MOVES: usize = 200_000;
/// Entries per call of the journal.
const ENTRIES: usize = 8_000;

/// Which lines are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The first booking day.
    pub from: Option<NaiveDate>,
    /// The last booking day.
    pub to: Option<NaiveDate>,
    /// Also lines that people have placed.
    pub decided_by_people: bool,
}

/// Money that goes from one share of a master to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The code of the account that has less then.
    pub from: String,
    /// The code of the account that has more then.
    pub to: String,
    /// Minor units, more than nothing.
    pub minor: i64,
}

/// A line that moves.
#[derive(Debug, Clone)]
pub struct Change {
    /// The master's code.
    pub master: String,
    /// Its currency.
    pub currency: String,
    /// The line.
    pub line: String,
    /// Its booking day.
    pub booked_on: NaiveDate,
    valued_on: NaiveDate,
    /// Signed: a credit is positive.
    pub amount: i64,
    /// Who is on the other side.
    pub counterparty: Option<String>,
    /// What moves.
    pub flows: Vec<Flow>,
    /// It is placed now, and would wait.
    pub waits_then: bool,
    /// It waits now, and would be placed.
    pub waited: bool,
    /// What is decided anew.
    pub placements: Vec<Placement>,
    replaced: Vec<RouteRow>,
    newest: (i64, i64),
    /// See [`Replacing::unconfirmed`].
    unconfirmed: Option<[AccountId; 2]>,
}

/// What moves between two shares in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The master's code.
    pub master: String,
    /// Its currency.
    pub currency: String,
    /// See [`Flow::from`], and the product whose leaf it is.
    pub from: (String, Option<String>),
    /// See [`Flow::to`], and the product whose leaf it is.
    pub to: (String, Option<String>),
    /// Moves between them.
    pub moves: u64,
    /// Minor units.
    pub minor: i128,
}

/// What a back-test finds in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The versions that the change makes.
    pub versions: Vec<Version>,
    /// Lines looked at.
    pub lines: u64,
    /// Lines that move.
    pub moved: u64,
    /// Of these: placed now, would wait.
    pub newly_waiting: u64,
    /// Of these: wait now, would be placed.
    pub newly_placed: u64,
    /// Lines that stay where they are because the rule that holds for them cannot place.
    pub stuck: u64,
    /// By master and the codes of both shares.
    pub totals: Vec<Total>,
    /// Names exactly this result.
    pub digest: String,
}

/// Moves and their sum, by the product that has less, the one that has more, and the currency.
pub type ByProduct = BTreeMap<(String, String, String), (u64, i128)>;

impl Report {
    /// Moves between products; what is no product's is the house's, suspense or in transit.
    pub fn by_product(&self) -> ByProduct {
        let mut sums = ByProduct::new();
        for t in &self.totals {
            let of = |(code, product): &(String, Option<String>)| {
                let other = code.split('/').nth(1).unwrap_or(code);
                product.clone().unwrap_or_else(|| format!("({other})"))
            };
            let sum = sums.entry((of(&t.from), of(&t.to), t.currency.clone())).or_default();
            *sum = (sum.0 + t.moves, sum.1 + t.minor);
        }
        sums.retain(|(from, to, _), _| from != to);
        sums
    }

    /// Refuses what is not what was shown under this digest.
    pub fn refuse_other(&self, digest: &str) -> Result<()> {
        if self.digest == digest.trim() {
            return Ok(());
        }
        // Without the new digest: what was not looked at is not applied.
        Err(Error::Conflict(
            "the rules, their file, the days or the lines are not those that were shown: look at `tributary rules test` \
             again. Nothing was moved"
                .to_owned(),
        ))
    }

    /// Refuses what moves too much for one commit.
    pub fn refuse_too_many(&self) -> Result<()> {
        let most = u64::try_from(MOST_MOVES).unwrap_or(u64::MAX);
        if self.moved > most { Err(Refusal::TooManyMoves { most: MOST_MOVES }.into()) } else { Ok(()) }
    }
}

/// Runs a change over stored lines, writing nothing; `each` is given every line that moves.
pub fn run(
    conn: &mut Conn,
    file: &RulesFile,
    bounds: &Bounds,
    each: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<Report> {
    let planned = changes::plan(conn, file)?;
    test(conn, &planned, bounds, each)
}

fn test(
    conn: &mut Conn,
    planned: &Planned,
    bounds: &Bounds,
    each: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<Report> {
    let mut run = Run::new(planned, bounds);
    for master in chart::masters(conn)? {
        let mut placer = store::placer(conn, &master.id)?;
        placer.rules = planned.set()?;
        let names = Names::of(&placer);
        let mut after: Option<(NaiveDate, String)> = None;
        loop {
            let page = store::posted_page(conn, &master.id, (bounds.from, bounds.to), after.as_ref())?;
            let Some(last) = page.last() else { break };
            after = Some((last.line.booked_on, last.id.clone()));
            super::look_up(conn, &master.id, &mut placer, page.iter().map(|s| &s.line))?;
            for stored in page {
                run.report.lines += 1;
                match moved(&mut placer, stored, bounds) {
                    Moved::Not => {}
                    Moved::Stuck => run.report.stuck += 1,
                    Moved::To(stored, replaced, placements) => {
                        let change = names.change(&placer, &stored, replaced, placements)?;
                        run.add(&names, &change);
                        each(change)?;
                    }
                }
            }
        }
    }
    Ok(run.into_report())
}

/// What becomes of a line.
enum Moved {
    Not,
    Stuck,
    To(Box<StoredLine>, Vec<RouteRow>, Vec<Placement>),
}

fn moved(placer: &mut Placer, stored: StoredLine, bounds: &Bounds) -> Moved {
    let mut stuck = false;
    let mut goes = |routes: &[&RouteRow], placed: &[Placement]| {
        let by_person = routes.iter().any(|r| r.evidence == Evidence::Person.as_str());
        let ours = routes.iter().all(|r| {
            let of_rules = [Evidence::Rule, Evidence::None].iter().any(|e| r.evidence == e.as_str());
            of_rules || (bounds.decided_by_people && r.evidence == Evidence::Person.as_str())
        });
        let by_rules = placed.iter().all(|p| match p.decision.evidence {
            Evidence::Rule => true,
            Evidence::None => !by_person,
            _ => false,
        });
        if !ours || !by_rules || same(routes, placed) {
            return false;
        }
        let cannot = placed.iter().any(|p| p.decision.suspense && p.decision.rule.is_some());
        if cannot && routes.iter().any(|r| !r.suspense) {
            stuck = true;
            return false;
        }
        true
    };
    let in_force = store::in_force(&stored.routes);
    let (mut replaced, mut placements) = (Vec::new(), Vec::new());
    match in_force.as_slice() {
        [] => {}
        [whole] if whole.detail.is_none() => {
            let placed = placer.place(&stored.line);
            if goes(&in_force, &placed) {
                replaced.push((*whole).clone());
                placements = placed;
            }
        }
        parts => {
            for (route, part) in parts.iter().zip(placer.parts(&stored.line).into_iter().flatten()) {
                if route.detail == part.detail && goes(&[*route], std::slice::from_ref(&part)) {
                    replaced.push((*route).clone());
                    placements.push(part);
                }
            }
        }
    }
    match (replaced.is_empty(), stuck) {
        (false, _) => Moved::To(Box::new(stored), replaced, placements),
        (true, true) => Moved::Stuck,
        (true, false) => Moved::Not,
    }
}

/// Whether the same shares are given as before.
fn same(routes: &[&RouteRow], placed: &[Placement]) -> bool {
    let before: Vec<(AccountId, i64)> = routes.iter().flat_map(|r| r.shares().unwrap_or_default()).collect();
    let sorted = |shares: Vec<(AccountId, i64)>| shares.into_iter().collect::<BTreeMap<_, _>>();
    sorted(merged(&before)) == sorted(merged(placed.iter().flat_map(|p| &p.decision.shares)))
}

/// Codes and products of the shares of a master.
struct Names {
    code: HashMap<AccountId, (String, Option<String>)>,
    product: HashMap<String, Option<String>>,
}

impl Names {
    fn of(placer: &Placer) -> Names {
        let leaves = placer.leaves.iter().map(|l| (l.account, (l.code.clone(), l.product.clone())));
        let others = [(placer.suspense, "suspense"), (placer.in_transit, "in-transit")];
        let others = others.map(|(account, name)| (account, (format!("{}/{name}", placer.master), None)));
        let code: HashMap<AccountId, (String, Option<String>)> = leaves.chain(others).collect();
        let product = code.values().cloned().collect();
        Names { code, product }
    }

    fn change(
        &self,
        placer: &Placer,
        stored: &StoredLine,
        replaced: Vec<RouteRow>,
        placements: Vec<Placement>,
    ) -> Result<Change> {
        let mut shares = Vec::new();
        for route in &replaced {
            shares.extend(route.shares()?.into_iter().map(|(account, amount)| (account, -amount)));
        }
        shares.extend(placements.iter().flat_map(|p| p.decision.shares.iter().copied()));
        let line = &stored.line;
        let newest = stored.routes.last().ok_or_else(|| Error::Broken(format!("{} has no route", stored.id)))?;
        Ok(Change {
            master: placer.master.clone(),
            currency: placer.currency.code().to_owned(),
            line: stored.id.clone(),
            booked_on: line.booked_on,
            valued_on: line.valued_on,
            amount: placements.iter().map(|p| p.amount).sum(),
            counterparty: line.counterparty_name.clone(),
            flows: self.flows(&merged(&shares))?,
            waits_then: placements.iter().any(|p| p.decision.suspense) && replaced.iter().all(|r| !r.suspense),
            waited: replaced.iter().any(|r| r.suspense) && placements.iter().all(|p| !p.decision.suspense),
            placements,
            replaced,
            newest: (newest.seq, newest.entry),
            unconfirmed: stored.unconfirmed.then_some([placer.suspense, placer.in_transit]),
        })
    }

    /// Pairs those that have less with those that have more, by code.
    fn flows(&self, shares: &[(AccountId, i64)]) -> Result<Vec<Flow>> {
        let (mut givers, mut takers) = (BTreeMap::new(), BTreeMap::new());
        for (account, amount) in shares {
            let (code, _) = self
                .code
                .get(account)
                .ok_or_else(|| Error::Broken(format!("account {} is no share of the master of its line", account.0)))?;
            // A share is a liability: a debit leaves less in it.
            let side = if *amount > 0 { &mut givers } else { &mut takers };
            side.insert(code.clone(), amount.abs());
        }
        let mut flows = Vec::new();
        let (mut givers, mut takers) = (givers.into_iter(), takers.into_iter());
        let (mut giver, mut taker) = (givers.next(), takers.next());
        while let (Some((from, gives)), Some((to, takes))) = (&mut giver, &mut taker) {
            let minor = (*gives).min(*takes);
            flows.push(Flow { from: from.clone(), to: to.clone(), minor });
            (*gives, *takes) = (*gives - minor, *takes - minor);
            let (given, taken) = (*gives == 0, *takes == 0);
            if given {
                giver = givers.next();
            }
            if taken {
                taker = takers.next();
            }
        }
        Ok(flows)
    }
}

/// A back-test under way.
struct Run {
    report: Report,
    hash: seal::Hash,
    totals: BTreeMap<(String, String, String), Total>,
}

impl Run {
    fn new(planned: &Planned, bounds: &Bounds) -> Run {
        let mut start = Encoding::new("tributary.backtest.1");
        let day = |day: Option<NaiveDate>| day.map(|d| d.to_string());
        start.optional(day(bounds.from).as_deref()).optional(day(bounds.to).as_deref());
        start.int(i64::from(bounds.decided_by_people));
        for v in &planned.versions {
            start.text(&v.code).int(v.version).text(v.state).text(&v.definition);
        }
        let report = Report {
            versions: planned.versions.clone(),
            lines: 0,
            moved: 0,
            newly_waiting: 0,
            newly_placed: 0,
            stuck: 0,
            totals: Vec::new(),
            digest: String::new(),
        };
        Run { report, hash: seal::sha256(start.as_bytes()), totals: BTreeMap::new() }
    }

    fn add(&mut self, names: &Names, change: &Change) {
        self.report.moved += 1;
        self.report.newly_waiting += u64::from(change.waits_then);
        self.report.newly_placed += u64::from(change.waited);
        let mut next = Encoding::new("tributary.backtest.move.1");
        next.bytes(&self.hash).text(&change.line).int(change.newest.0).int(change.newest.1);
        for placed in &change.placements {
            let (code, version) = placed.decision.rule.clone().unwrap_or_default();
            next.int(placed.detail.unwrap_or(-1)).text(&code).int(version);
            for (account, amount) in &placed.decision.shares {
                next.int(account.0).int(*amount);
            }
        }
        self.hash = seal::sha256(next.as_bytes());
        let product = |code: &str| names.product.get(code).cloned().flatten();
        for flow in &change.flows {
            let key = (change.master.clone(), flow.from.clone(), flow.to.clone());
            let total = self.totals.entry(key).or_insert_with(|| Total {
                master: change.master.clone(),
                currency: change.currency.clone(),
                from: (flow.from.clone(), product(&flow.from)),
                to: (flow.to.clone(), product(&flow.to)),
                moves: 0,
                minor: 0,
            });
            total.moves += 1;
            total.minor += i128::from(flow.minor);
        }
    }

    fn into_report(self) -> Report {
        let totals = self.totals.into_values().collect();
        Report { totals, digest: seal::hex(&self.hash), ..self.report }
    }
}

/// A line that was not moved when a back-test was applied, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMoved {
    /// The line.
    pub line: String,
    /// The code of the refusal.
    pub code: String,
    /// Why, for people.
    pub why: String,
}

/// What applying a back-test did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What was tested.
    pub report: Report,
    /// Lines that were moved.
    pub moved: u64,
    /// Lines that were not; they stay where they are.
    pub refused: Vec<NotMoved>,
}

/// Puts a change of the rules in force and moves stored lines as the back-test of that digest has shown, in one commit. A
/// line that waits is placed, as a fact; taking a line from a leaf is a decision, which the leaf's floor may refuse, and which
/// stops no other.
pub fn apply(tx: &mut Tx<'_>, file: &RulesFile, bounds: &Bounds, digest: &str) -> Result<Applied> {
    let planned = changes::plan(tx.conn(), file)?;
    let mut found: Vec<Change> = Vec::new();
    let report = test(tx.conn(), &planned, bounds, &mut |change| {
        if found.len() == MOST_MOVES {
            return Err(Refusal::TooManyMoves { most: MOST_MOVES }.into());
        }
        found.push(change);
        Ok(())
    })?;
    report.refuse_other(digest)?;
    changes::put_in_force(tx, &planned)?;
    let today = crate::time::day_of(tx.now());
    let (mut moved, mut refused) = (0, Vec::new());
    let mut left = found.into_iter().peekable();
    while left.peek().is_some() {
        let some: Vec<Change> = left.by_ref().take(ENTRIES).collect();
        let entries: Vec<NewEntry> = some.iter().map(|c| entry(c, today)).collect::<Result<_>>()?;
        let answers = ledger::post_in(tx, &entries)?;
        let mut routes = Vec::new();
        for (change, answer) in some.into_iter().zip(answers) {
            match answer {
                Ok(posted) => {
                    moved += 1;
                    routes.extend(NewRoute::of(&change.line, change.newest.0 + 1, posted.number, change.placements));
                }
                Err(Error::Broken(fault)) => return Err(Error::Broken(fault)),
                Err(no) => {
                    let (code, why) = (no.code().to_owned(), no.to_string());
                    let after = serde_json::json!({ "code": code, "message": why });
                    tx.event("route.refused", &change.line, None, Some(after.to_string()));
                    refused.push(NotMoved { line: change.line, code, why });
                }
            }
        }
        store::insert_routes(tx, &routes)?;
    }
    let after = serde_json::json!({ "digest": report.digest, "moved": moved, "refused": refused.len() });
    tx.event("rules.rerouted", "rules", None, Some(after.to_string()));
    Ok(Applied { report, moved, refused })
}

fn entry(change: &Change, today: NaiveDate) -> Result<NewEntry> {
    let replaced: Vec<&RouteRow> = change.replaced.iter().collect();
    let waited = replaced.iter().all(|r| r.suspense);
    let replacing = Replacing {
        line: &change.line,
        valued_on: change.valued_on,
        replaced: &replaced,
        newest: change.newest,
        kind: if waited { "placement" } else { "rerouting" },
        basis: if waited { Basis::Fact } else { Basis::Decision },
        how: "by a change of the rules",
        unconfirmed: change.unconfirmed,
        more: None,
    };
    let entry = replacing.entry(today, &change.placements)?;
    entry.ok_or_else(|| Error::Broken(format!("line {} moves nothing", change.line)))
}
