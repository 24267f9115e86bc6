//! What one commit posts of a message: new lines, lines that were known, what is announced; and what its last line brings about.

use super::kept::Kept;
use crate::allocation::follow::{self, Decided};
use crate::allocation::freed::{self, Freed};
use crate::allocation::moves::{Move, move_line, withdraw};
use crate::allocation::place::{Placement, Placer, merged};
use crate::allocation::store::{self, NewRoute};
use crate::allocation::transfers::Side;
use crate::allocation::{RouteRow, announced, holds, look_up, transfers};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ledger::{self, Basis, Cause, HoldKind, NewEntry, NewPosting};
use crate::statements::identity::{Known, NEAR};
use crate::statements::pending::{Sought, meeting};
use crate::statements::{self, LineRow, NewLine, Notified, PendingRow, Placed, StatementRow};
use std::collections::HashMap;

/// The lines of a master as the pairing has found them: how many, and at which revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) lines: i64,
    pub(super) revision: i64,
}

impl Standing {
    pub(super) fn of(overlap: &statements::Overlap) -> Standing {
        Standing { lines: overlap.line_count, revision: overlap.revision }
    }
}

/// Lines of one message that are posted in one commit.
pub(super) struct Slice {
    pub(super) row: StatementRow,
    standing: Standing,
    /// Told for the first time.
    pub(super) new: Vec<NewLine>,
    /// Told before by other messages.
    pub(super) again: Vec<(NewLine, Known)>,
    /// Announced, not booked.
    pub(super) pending: Vec<NewLine>,
}

/// A line in whose place another one stands, and what people had decided on it.
struct Replaced {
    line: String,
    decided: Option<Decided>,
}

/// Lines that were told for the first time, posted.
struct Posted<'a> {
    stored: Vec<(&'a NewLine, Placed)>,
    /// Whether that made any entry.
    any: bool,
    routes: Vec<NewRoute>,
    /// Which of them are a side of a transfer between own masters.
    sides: Vec<Side>,
}

impl Slice {
    pub(super) fn new(row: StatementRow, standing: Standing) -> Slice {
        Slice { row, standing, new: Vec::new(), again: Vec::new(), pending: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.new.len() + self.again.len() + self.pending.len()
    }

    /// Lines that are stored now, and lines that were.
    pub(super) fn counts(&self) -> (usize, usize) {
        let changed = self.again.iter().filter(|(_, known)| matches!(known, Known::Changed(_))).count();
        (self.new.len() + changed, self.again.len() - changed)
    }

    pub(super) fn post(&self, tx: &mut Tx<'_>, kept: &Kept) -> Result<()> {
        let Some(master) = self.row.master.as_deref() else {
            return Err(Error::Broken(format!("{} has no master", self.row.id)));
        };
        // First of all: what is told again was found in lines that somebody else may have confirmed or taken back since.
        statements::claim(tx, master, self.standing.revision)?;
        kept.with(tx, master, |tx, placer| self.post_by(tx, master, placer))
    }

    /// The revision of the master's lines after this slice.
    pub(super) fn revision(&self, tx: &mut Tx<'_>) -> Result<i64> {
        statements::revision(tx.conn(), self.row.master.as_deref().unwrap_or_default())
    }

    fn post_by(&self, tx: &mut Tx<'_>, master: &str, placer: &mut Placer) -> Result<()> {
        look_up(tx.conn(), master, placer, self.new.iter().chain(self.again.iter().map(|(line, _)| line)))?;
        let kind = if self.row.proves() { "booked" } else { "notified" };
        let held = !self.row.proves() && statements::profile_of(tx.conn(), master)?.notified == Notified::Unconfirmed;
        let ids: Vec<&str> = self.again.iter().map(|(_, known)| known.id()).collect();
        let mut known = if ids.is_empty() { HashMap::new() } else { statements::lines_by_id(tx.conn(), &ids)? };
        let mut new: Vec<(&NewLine, Option<Replaced>)> = self.new.iter().map(|line| (line, None)).collect();
        let mut freed = Freed::default();
        let mut again: Vec<(&NewLine, String)> = Vec::with_capacity(self.again.len());
        for (line, was) in &self.again {
            match was {
                Known::Same(id) => {
                    let stored = known.get(id).ok_or_else(|| gone(id))?;
                    // Taken back between the pairing and this commit: paired anew, it posts.
                    if self.row.proves() && stored.posting == "withdrawn" && stored.facet == "notified" {
                        return Err(Error::Conflict(format!("line {id} was withdrawn meanwhile")));
                    }
                    again.push((line, id.clone()));
                }
                Known::Changed(id) => {
                    let stored = known.get(id).ok_or_else(|| gone(id))?;
                    let decided = follow::decided(tx.conn(), id)?;
                    freed.extend(withdraw(tx, stored, "the statement has it with another amount")?);
                    new.push((line, Some(Replaced { line: id.clone(), decided })));
                }
            }
        }
        // After what was taken back is free again for what comes in its place.
        let lines: Vec<&NewLine> = new.iter().map(|(line, _)| *line).collect();
        placer.announced = announced::load(tx.conn(), master, &lines)?;
        let Posted { stored, any, routes, sides } = self.post_new(tx, master, placer, held, new)?;
        if !(any || stored.is_empty() && again.is_empty() && self.pending.is_empty()) {
            // Only known lines, or history: without this the commit would have no seal (I10), and nobody could find out
            // whether it was kept when its answer is lost.
            statements::tell_of_lines(tx, &self.row.id, stored.len(), again.len());
        }
        statements::insert_lines(tx, master, self.standing.lines, kind, &stored, &again)?;
        store::insert_routes(tx, &routes)?;
        // What decided may now move on what was just stored.
        announced::keep(tx, &placer.announced, &routes)?;
        transfers::take_in(tx, &sides)?;
        freed.look_again(tx)?;
        if self.row.proves() {
            self.confirm(tx, placer, &again, &mut known)?;
        }
        // What was announced was looked up for new lines only.
        placer.announced = announced::Announced::default();
        for (line, id) in again.iter().filter(|(line, _)| line.details.len() > 1) {
            add_details(tx, master, placer, line, known.get(id).ok_or_else(|| gone(id))?)?;
        }
        self.meet(tx, master, &stored, &again)
    }

    /// Posts lines that are told for the first time.
    fn post_new<'a>(
        &self,
        tx: &mut Tx<'_>,
        master: &str,
        placer: &mut Placer,
        held: bool,
        new: Vec<(&'a NewLine, Option<Replaced>)>,
    ) -> Result<Posted<'a>> {
        let mut sides = Vec::new();
        let mut stored = Vec::with_capacity(new.len());
        let mut entries = Vec::with_capacity(new.len());
        let mut decisions = Vec::with_capacity(new.len());
        for (line, replaced) in new {
            let id = tx.id("ln");
            let posting = match line {
                l if l.amount == 0 => "none",
                l if l.booked_on < placer.cut_over_on => "history",
                _ => "posted",
            };
            let unconfirmed = held && posting == "posted" && line.amount > 0;
            if posting == "posted" {
                let mut placements = placer.place(line);
                if let Some(decided) = replaced.as_ref().and_then(|r| r.decided.as_ref()) {
                    placements = placer.follow(line, decided, placements)?;
                }
                placer.remember(&id, line, &placements);
                placer.remember_inflows(&id, line, &placements);
                sides.extend(placer.sides(master, &id, line, &placements));
                entries.push(entry(placer, &id, line, &placements, unconfirmed));
                decisions.push((id.clone(), placements));
            }
            let replaces = replaced.map(|r| r.line);
            stored.push((line, Placed { id, posting, unconfirmed, replaces }));
        }
        let posted = ledger::post_in(tx, &entries)?;
        let mut routes = Vec::with_capacity(decisions.len());
        for ((line, placements), posted) in decisions.into_iter().zip(posted) {
            let posted = posted.map_err(|no| no.within(format!("line {line}")))?;
            routes.extend(NewRoute::of(&line, 0, posted.number, placements));
        }
        Ok(Posted { stored, any: !entries.is_empty(), routes, sides })
    }

    /// The books of the day have what was notified: it may be spent from now on.
    fn confirm(
        &self,
        tx: &mut Tx<'_>,
        placer: &Placer,
        again: &[(&NewLine, String)],
        known: &mut HashMap<String, LineRow>,
    ) -> Result<()> {
        let (mut confirmed, mut released, mut days) = (Vec::new(), Vec::new(), Vec::new());
        for (told, id) in again {
            let Some(line) = known.get_mut(id).filter(|l| l.facet == "notified") else { continue };
            if line.unconfirmed {
                let routes = store::routes_of(tx.conn(), id)?;
                let in_force = store::in_force(&routes);
                released.extend(in_force.iter().flat_map(|r| placer.holds(r)).map(|h| holds::released(&h)));
                line.unconfirmed = false;
            }
            "booked".clone_into(&mut line.facet);
            confirmed.push(id.as_str());
            if told.booked_on != line.booked_on {
                days.push((id.as_str(), told.booked_on));
            }
        }
        if !released.is_empty() {
            let seq = again.first().map_or(0, |(line, _)| line.place);
            let day = crate::time::day_of(tx.now());
            let entry = NewEntry {
                kind: "confirmation".to_owned(),
                basis: Basis::Fact,
                description: format!("A statement has {} lines that were notified before", confirmed.len()),
                booked_on: day,
                valued_on: day,
                cause: Cause { kind: "confirmation".to_owned(), id: self.row.id.clone(), seq },
                postings: Vec::new(),
                holds: released,
                reverses: None,
                metadata: None,
            };
            ledger::post_one(tx, entry)?;
        }
        statements::confirm(tx, &confirmed, self.row.master.as_deref().unwrap_or_default(), &days)
    }

    /// What was announced is met by booked lines; what is announced now is kept, once.
    fn meet(
        &self,
        tx: &mut Tx<'_>,
        master: &str,
        stored: &[(&NewLine, Placed)],
        again: &[(&NewLine, String)],
    ) -> Result<()> {
        let mut open = statements::open_pending(tx.conn(), master)?;
        if open.is_empty() && self.pending.is_empty() {
            return Ok(());
        }
        let booked: Vec<(&NewLine, &str)> = stored
            .iter()
            .map(|(line, placed)| (*line, placed.id.as_str()))
            .chain(again.iter().map(|(line, id)| (*line, id.as_str())))
            .collect();
        let sought: Vec<Sought> = booked.iter().map(|(line, _)| sought(line)).collect();
        let mut met: Vec<String> = Vec::new();
        for ((_, line), pending) in booked.iter().zip(meeting(&sought, &open)) {
            if let Some(pending) = pending {
                statements::meet_pending(tx, &pending.id, line)?;
                met.push(pending.id.clone());
            }
        }
        open.retain(|p| !met.contains(&p.id));
        let asked: Vec<Sought> = self.pending.iter().map(self::sought).collect();
        let told = statements::booked_already(tx.conn(), master, &self.pending)?;
        let known = meeting(&asked, &open);
        let fresh =
            self.pending.iter().zip(known).filter(|(line, known)| known.is_none() && !told.contains(&line.place));
        let fresh: Vec<PendingRow> = fresh.map(|(line, _)| pending_row(tx.id("pl"), master, line)).collect();
        statements::insert_pending(tx, &fresh)
    }
}

/// A message's last line is stored: it is posted, what it replaces is taken back, and what should have come by now is overdue.
pub(super) fn finish(tx: &mut Tx<'_>, row: &StatementRow, new_lines: i64, kept: &Kept) -> Result<()> {
    statements::finish_statement(tx, row, new_lines)?;
    if let Some(earlier) = &row.same_as {
        let mut freed = Freed::default();
        for line in statements::supersede(tx, earlier, row)? {
            freed.extend(withdraw(tx, &line, "the statement that told of it was restated without it")?);
        }
        if let (Some(master), false) = (&row.master, freed.is_empty()) {
            kept.with(tx, master, |tx, placer| freed::meet_again(tx, placer, row, &freed))?;
        }
    }
    let (Some(master), Some(closed_on), true) = (&row.master, row.closing_on, row.proves()) else { return Ok(()) };
    let Some(due) = closed_on.checked_sub_signed(NEAR) else { return Ok(()) };
    let expired = statements::expire_pending(tx, master, due)?;
    if expired > 0 {
        let after = serde_json::json!({ "count": expired, "expected_up_to": due, "closed_on": closed_on });
        tx.event("pending.expired", &row.id, None, Some(after.to_string()));
    }
    Ok(())
}

fn gone(id: &str) -> Error {
    Error::Broken(format!("line {id} is gone"))
}

fn sought(line: &NewLine) -> Sought {
    let incoming = statements::incoming(line, 0);
    Sought { day: line.booked_on, amount: line.amount, identity: line.identity, keys: incoming.keys }
}

fn pending_row(id: String, master: &str, line: &NewLine) -> PendingRow {
    PendingRow {
        id,
        master: master.to_owned(),
        statement: line.statement.clone(),
        place: line.place,
        expected_on: line.booked_on,
        amount: line.amount,
        identity: line.identity.to_vec(),
        bank_ref: line.bank_ref.clone(),
        end_to_end_id: line.end_to_end_id.clone(),
        counterparty_name: line.counterparty_name.clone(),
        counterparty_account: line.counterparty_account.clone(),
        remittance: line.remittance.clone(),
        state: "open".to_owned(),
        line: None,
    }
}

/// A message brings the payments inside a batch that was told without them: what waited as a whole is placed one by one.
fn add_details(tx: &mut Tx<'_>, master: &str, placer: &mut Placer, told: &NewLine, stored: &LineRow) -> Result<()> {
    if stored.detail_count > 1 || stored.amount != told.amount {
        return Ok(());
    }
    statements::add_details(tx, &stored.id, told)?;
    let routes = store::routes_of(tx.conn(), &stored.id)?;
    let waits = matches!(store::in_force(&routes).as_slice(), [RouteRow { suspense: true, .. }]);
    let placements = placer.place(told);
    if !waits || stored.posting != "posted" || placements.iter().all(|p| p.decision.suspense || p.amount == 0) {
        return Ok(());
    }
    let how = "by the payments that another message brought";
    let moved = Move { line: stored, detail: None, how, no_change: "suspense" };
    let sides = placer.sides(master, &stored.id, told, &placements);
    match move_line(tx, &moved, |_, _| placements) {
        Ok(_) => transfers::take_in(tx, &sides),
        // What is placed sums to what waits on: nothing moves.
        Err(no) if no.code() == "same_leaf" => Ok(()),
        Err(e) => Err(e),
    }
}

/// What the bank has done, as an entry: the master on one side, the shares on the other.
fn entry(placer: &Placer, id: &str, line: &NewLine, placements: &[Placement], unconfirmed: bool) -> NewEntry {
    let kind = match line {
        l if l.reversal => "bank_reversal",
        l if l.return_reason.is_some() => "return",
        l if l.amount > 0 => "inflow",
        _ => "outflow",
    };
    let how = match placements {
        [Placement { decision, .. }] => decision.how(),
        parts => {
            let waiting = parts.iter().filter(|p| p.decision.suspense).count();
            let placed = parts.len() - waiting;
            match waiting {
                0 => format!("placed payment by payment, {placed} of them"),
                _ => format!("placed payment by payment, {placed} of them; {waiting} wait in suspense"),
            }
        }
    };
    let held = if unconfirmed { placer.holds_of(id, 0, placements) } else { Vec::new() };
    let master = NewPosting { account: placer.account, amount: line.amount };
    let shares = merged(placements.iter().flat_map(|p| &p.decision.shares));
    let shares = shares.into_iter().map(|(account, amount)| NewPosting { account, amount });
    NewEntry {
        kind: kind.to_owned(),
        basis: Basis::Fact,
        description: format!("{kind} {how}"),
        booked_on: line.booked_on,
        valued_on: line.valued_on,
        cause: Cause::new("line", id),
        postings: std::iter::once(master).chain(shares).collect(),
        holds: held.iter().map(|h| holds::moved(h, HoldKind::Placed)).collect(),
        reverses: None,
        metadata: None,
    }
}
