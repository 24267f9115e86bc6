//! What rested on a line that the bank took back: expected receipts and settlements wait again, and are met by what came in
//! its place.
//!
//! A line that another statement has with another amount is taken back before the new one is placed, so the new one meets them
//! as any line does. A statement that restates another takes back what only that one had when its own lines are posted
//! already; so those of them that nothing but a rule or nobody has placed are asked once more.

use super::announced::{self, Claim};
use super::moves::{Move, move_line};
use super::place::{Placement, Placer};
use super::store::{self, NewRoute, RouteRow, StoredLine};
use super::{look_up, settlement};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::expectations;
use crate::statements::{self, NewLine, StatementRow};

/// What waits again.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// Bounds of the amounts of expected receipts and settlements.
    amounts: Vec<(i64, i64)>,
    /// Names of settlements.
    settlements: Vec<String>,
}

impl Freed {
    /// Adds what another line had.
    pub(super) fn extend(&mut self, other: Freed) {
        self.amounts.extend(other.amounts);
        self.settlements.extend(other.settlements);
    }

    /// Whether nothing does.
    pub(super) fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    /// Shares out other lumps that wait already.
    pub(super) fn look_again(&self, tx: &mut Tx<'_>) -> Result<()> {
        settlement::look_again(tx, &self.settlements)
    }
}

/// Frees what rested on a line that the bank has taken back.
pub(super) fn free(tx: &mut Tx<'_>, line: &statements::LineRow) -> Result<Freed> {
    let mut amounts = expectations::free(tx, &line.id)?;
    let settlements = settlement::free(tx, &line.id)?;
    if !settlements.is_empty() {
        // Of a batch each shares out one payment, whose amount is its total.
        for code in &settlements {
            let total = settlement::total(tx.conn(), code)?;
            amounts.push((total, total));
        }
    }
    Ok(Freed { amounts, settlements })
}

/// The lines that a statement was the first to tell of meet what its last line has freed.
pub(super) fn meet_again(tx: &mut Tx<'_>, placer: &mut Placer, statement: &StatementRow, freed: &Freed) -> Result<()> {
    let Some(master) = statement.master.as_deref() else { return Ok(()) };
    let least = freed.amounts.iter().map(|(least, _)| *least).min();
    let most = freed.amounts.iter().map(|(_, most)| *most).max();
    let Some(bounds) = least.zip(most) else { return Ok(()) };
    let mut after = -1;
    loop {
        let page = store::posted_of(tx.conn(), &statement.id, bounds, after)?;
        let Some(last) = page.last() else { break };
        after = last.line.place;
        let page: Vec<StoredLine> = page.into_iter().filter(may_go_elsewhere).collect();
        let lines: Vec<&NewLine> = page.iter().map(|stored| &stored.line).collect();
        placer.announced = announced::load(tx.conn(), master, &lines)?;
        look_up(tx.conn(), master, placer, lines.iter().copied())?;
        for stored in &page {
            let placements = placer.place(&stored.line);
            if placements.iter().any(|p| p.decision.claim().is_some()) {
                meet(tx, placer, stored, placements)?;
            }
        }
    }
    placer.announced = announced::Announced::default();
    freed.look_again(tx)
}

/// Whether a line is where nothing stronger than what is announced has put it.
fn may_go_elsewhere(stored: &StoredLine) -> bool {
    store::in_force(&stored.routes).iter().all(|r| r.evidence == "rule" || r.evidence == "none")
}

fn meet(tx: &mut Tx<'_>, placer: &Placer, stored: &StoredLine, placements: Vec<Placement>) -> Result<()> {
    let in_force = store::in_force(&stored.routes);
    if let ([route], [placed]) = (in_force.as_slice(), placements.as_slice())
        && (route.detail, route.shares()?) == (placed.detail, placed.decision.shares.clone())
    {
        // It is there already, by a rule or because it waits.
        return keep(tx, placer, vec![NewRoute { seq: route.seq, ..as_new(route, placed.clone()) }]);
    }
    let line = statements::line(tx.conn(), &stored.id)?;
    let how = "by what it meets, which another line had met before it was taken back";
    let moved = Move { line: &line, detail: None, how, no_change: "where it is" };
    let newest = stored.routes.last().map_or(0, |r| r.seq);
    let again = placements.clone();
    match move_line(tx, &moved, |_, _| placements) {
        Ok(posted) => keep(tx, placer, NewRoute::of(&stored.id, newest + 1, posted.number, again).collect()),
        // The leaf of a rule has spent it, or has it already: what was freed stays open, and is shown.
        Err(Error::Refused { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

fn as_new(route: &RouteRow, placed: Placement) -> NewRoute {
    NewRoute {
        line: route.line.clone(),
        seq: route.seq,
        detail: route.detail,
        amount: route.amount,
        entry: route.entry,
        decision: placed.decision,
    }
}

fn keep(tx: &mut Tx<'_>, placer: &Placer, routes: Vec<NewRoute>) -> Result<()> {
    let claims = |r: &NewRoute| matches!(r.decision.claim(), Some(Claim::Expectation(..) | Claim::Settlement(_)));
    let routes: Vec<NewRoute> = routes.into_iter().filter(claims).collect();
    announced::keep(tx, &placer.announced, &routes)
}
