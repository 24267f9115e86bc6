//! `Tx`: a write in progress. It knows who acts, what they may see and what time it is, hands out the journal's numbers,
//! and collects what the seal of this commit will cover.

use super::bulk::{self, Bulk, Cells};
use super::conn::{Conn, broken};
use super::schema::seals;
use super::seal::{Encoding, Hash, Peaks, SealContent, leaf, root};
use crate::actor::{Actor, Scope};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::time::{Clock, Instant, from_stored, never_back, stored};
use chrono::NaiveDateTime;
use diesel::prelude::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, insert_into};
use std::ops::Range;
use std::sync::Arc;

/// Who asks: goes with every command from the surface to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Recorded with what they cause.
    pub actor: Actor,
    /// What they may see and touch.
    pub scope: Scope,
}

impl Who {
    /// The operator of the machine that holds the database, by name.
    pub fn operator(name: &str) -> Arc<Who> {
        Arc::new(Who { actor: Actor::operator(name), scope: Scope::everything() })
    }
}

/// The newest seal: where the journal stands. There is nothing else that says so, hence nothing that could disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest seal; 0 before the first.
    pub seal: i64,
    /// Newest entry number; 0 before the first.
    pub entry: i64,
    /// Newest event number; 0 before the first.
    pub event: i64,
    /// When the newest seal was recorded.
    pub recorded_at: Option<Instant>,
    /// Its hash; zeros before the first.
    pub hash: Hash,
    /// The tree over seals.
    pub peaks: Peaks,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = seals, treat_none_as_default_value = false)]
pub(super) struct SealRow {
    pub number: i64,
    pub recorded_at: NaiveDateTime,
    pub first_entry: i64,
    pub last_entry: i64,
    pub first_event: i64,
    pub last_event: i64,
    pub root: Vec<u8>,
    pub hash: Vec<u8>,
    pub peaks: Vec<u8>,
}

/// Where the journal stands.
pub fn head(conn: &mut Conn) -> Result<Head> {
    let row: Option<SealRow> =
        seals::table.select(SealRow::as_select()).order(seals::number.desc()).first(conn).optional().map_err(broken)?;
    let Some(row) = row else {
        return Ok(Head { seal: 0, entry: 0, event: 0, recorded_at: None, hash: [0; 32], peaks: Peaks::default() });
    };
    let damaged = || Error::Broken(format!("seal {} is damaged (I11); run `tributary check`", row.number));
    let size = u64::try_from(row.number).map_err(|_| damaged())?;
    Ok(Head {
        seal: row.number,
        entry: row.last_entry,
        event: row.last_event,
        recorded_at: Some(from_stored(row.recorded_at)),
        hash: row.hash.as_slice().try_into().map_err(|_| damaged())?,
        peaks: Peaks::from_stored(size, &row.peaks).ok_or_else(damaged)?,
    })
}

/// A seal, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealView {
    /// Its number.
    pub number: i64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// First and last entry; none when the last is the smaller one.
    pub entries: (i64, i64),
    /// First and last event; likewise.
    pub events: (i64, i64),
    /// The Merkle root over both.
    pub root: Vec<u8>,
    /// Its hash, which the next one carries.
    pub hash: Vec<u8>,
}

/// Seals before a number, the newest first.
pub fn seals_page(conn: &mut Conn, before: i64, limit: i64) -> Result<Vec<SealView>> {
    let page = seals::table.filter(seals::number.lt(before)).order(seals::number.desc()).limit(limit);
    let rows: Vec<SealRow> = page.select(SealRow::as_select()).load(conn).map_err(broken)?;
    let view = |row: SealRow| SealView {
        number: row.number,
        recorded_at: from_stored(row.recorded_at),
        entries: (row.first_entry, row.last_entry),
        events: (row.first_event, row.last_event),
        root: row.root,
        hash: row.hash,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// One recorded change, as it will be stored.
#[derive(Debug, Clone)]
pub(super) struct NewEvent {
    number: i64,
    seal: i64,
    actor: String,
    kind: &'static str,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

impl Bulk for NewEvent {
    type Table = super::schema::events::table;
    const TABLE: &'static str = "events";
    const COLUMNS: &'static [&'static str] = &["number", "seal", "actor", "kind", "subject", "before", "after"];

    fn cells<'b, C: Cells<'b>>(&'b self, c: &mut C) -> diesel::QueryResult<()> {
        c.int(&self.number)?;
        c.int(&self.seal)?;
        c.text(&self.actor)?;
        c.text(self.kind)?;
        c.text(&self.subject)?;
        c.maybe_text(self.before.as_deref())?;
        c.maybe_text(self.after.as_deref())
    }
}

/// The leaf of an event, from its columns.
pub(crate) fn event_leaf(
    number: i64,
    actor: &str,
    kind: &str,
    subject: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Hash {
    let mut e = Encoding::new("tributary.event.1");
    e.int(number).text(actor).text(kind).text(subject).optional(before).optional(after);
    leaf(e.as_bytes())
}

/// A write in progress.
pub struct Tx<'c> {
    conn: &'c mut Conn,
    ids: &'c Ids,
    who: Arc<Who>,
    head: Head,
    now: Instant,
    entry_leaves: Vec<Hash>,
    entries_given: i64,
    events: Vec<NewEvent>,
}

/// How far a [`Tx`] was, so that a refused command can be undone within its group.
pub(super) struct Mark {
    entries_given: i64,
    entry_leaves: usize,
    events: usize,
}

impl<'c> Tx<'c> {
    pub(super) fn begin(conn: &'c mut Conn, clock: &dyn Clock, ids: &'c Ids, who: Arc<Who>) -> Result<Tx<'c>> {
        let head = head(conn)?;
        let now = never_back(clock.now(), head.recorded_at);
        Ok(Tx { conn, ids, who, head, now, entry_leaves: Vec::new(), entries_given: 0, events: Vec::new() })
    }

    /// The connection, for the `store.rs` of a feature.
    pub fn conn(&mut self) -> &mut Conn {
        self.conn
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.who.actor
    }

    /// What they may see and touch.
    pub fn scope(&self) -> &Scope {
        &self.who.scope
    }

    /// The instant at which this commit is recorded.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The number of the seal that this commit will make.
    pub fn seal(&self) -> i64 {
        self.head.seal + 1
    }

    /// The newest event before this commit.
    pub fn last_event(&self) -> i64 {
        self.head.event
    }

    /// A new id with this prefix.
    pub fn id(&self, prefix: &str) -> String {
        self.ids.next(prefix, self.now)
    }

    /// The next `count` entry numbers. Each must be given a leaf, in order, before the commit.
    pub fn entry_numbers(&mut self, count: usize) -> Result<Range<i64>> {
        let count = i64::try_from(count).map_err(|_| Error::Broken("too many entries".to_owned()))?;
        let first = self.head.entry + 1 + self.entries_given;
        self.entries_given += count;
        Ok(first..first + count)
    }

    /// The leaf of the next entry.
    pub fn entry_leaf(&mut self, leaf: Hash) {
        self.entry_leaves.push(leaf);
    }

    /// Records a change: what happened, to what, and the JSON before and after. Bulk work records one event per range.
    pub fn event(&mut self, kind: &'static str, subject: &str, before: Option<String>, after: Option<String>) -> i64 {
        let number = self.head.event + 1 + i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        self.events.push(NewEvent {
            number,
            seal: self.seal(),
            actor: self.who.actor.as_str().to_owned(),
            kind,
            subject: subject.to_owned(),
            before,
            after,
        });
        number
    }

    /// From here on this one acts: items of a group come from several.
    pub(crate) fn act_as(&mut self, who: &Arc<Who>) {
        self.who = Arc::clone(who);
    }

    /// Runs a command whose refusal undoes what it wrote and is recorded under `name`. The outer error is a fault of the machine.
    pub fn attempt<A>(&mut self, name: &str, command: impl FnOnce(&mut Tx<'_>) -> Result<A>) -> Result<Result<A>> {
        let mark = self.mark();
        self.conn.run("SAVEPOINT attempt").map_err(broken)?;
        let answer = match command(self) {
            Err(fault) if !fault.is_answer() => return Err(fault),
            Err(no) => {
                self.conn.run("ROLLBACK TO SAVEPOINT attempt").map_err(broken)?;
                self.back_to(&mark);
                let after = serde_json::json!({ "code": no.code(), "message": no.to_string() });
                self.event("command.refused", name, None, Some(after.to_string()));
                Err(no)
            }
            Ok(answer) => Ok(answer),
        };
        self.conn.run("RELEASE SAVEPOINT attempt").map_err(broken)?;
        Ok(answer)
    }

    /// Runs a command to see what it would answer, and undoes all of it: a dry run. Its refusal is not recorded either.
    pub fn rehearse<A>(&mut self, command: impl FnOnce(&mut Tx<'_>) -> Result<A>) -> Result<Result<A>> {
        let mark = self.mark();
        self.conn.run("SAVEPOINT rehearsal").map_err(broken)?;
        let answer = command(self);
        if let Err(fault) = &answer
            && !fault.is_answer()
        {
            return Err(fault.clone());
        }
        self.conn.run("ROLLBACK TO SAVEPOINT rehearsal").map_err(broken)?;
        self.conn.run("RELEASE SAVEPOINT rehearsal").map_err(broken)?;
        self.back_to(&mark);
        Ok(answer)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { entries_given: self.entries_given, entry_leaves: self.entry_leaves.len(), events: self.events.len() }
    }

    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.entries_given = mark.entries_given;
        self.entry_leaves.truncate(mark.entry_leaves);
        self.events.truncate(mark.events);
    }

    /// Writes the events and the seal; answers the seal's number and hash, or `None` when this commit adds nothing to the
    /// journal (housekeeping).
    pub(super) fn seal_up(self) -> Result<Option<(i64, Hash)>> {
        let leaves = i64::try_from(self.entry_leaves.len()).unwrap_or(-1);
        assert!(leaves == self.entries_given, "I11: {} entry numbers given, {leaves} leaves", self.entries_given);
        if self.entry_leaves.is_empty() && self.events.is_empty() {
            return Ok(None);
        }
        bulk::insert(self.conn, &self.events)?;
        let mut leaves = self.entry_leaves;
        leaves.extend(
            self.events
                .iter()
                .map(|e| event_leaf(e.number, &e.actor, e.kind, &e.subject, e.before.as_deref(), e.after.as_deref())),
        );
        let event_count = i64::try_from(self.events.len()).unwrap_or(0);
        let head = &self.head;
        let content = SealContent {
            number: head.seal + 1,
            recorded_at: self.now,
            entries: (head.entry + 1, head.entry + self.entries_given),
            events: (head.event + 1, head.event + event_count),
            root: root(&leaves),
            previous: head.hash,
        };
        let hash = content.hash();
        let mut peaks = head.peaks.clone();
        peaks.push(hash);
        let row = SealRow {
            number: content.number,
            recorded_at: stored(content.recorded_at),
            first_entry: content.entries.0,
            last_entry: content.entries.1,
            first_event: content.events.0,
            last_event: content.events.1,
            root: content.root.to_vec(),
            hash: hash.to_vec(),
            peaks: peaks.to_stored(),
        };
        insert_into(seals::table).values(&row).execute(self.conn).map_err(broken)?;
        Ok(Some((content.number, hash)))
    }
}

/// Whether the seal with this number carries this hash: how an unknown commit is told from a failed one.
pub(super) fn seal_is_there(conn: &mut Conn, number: i64, hash: &Hash) -> Result<bool> {
    let found: Option<Vec<u8>> =
        seals::table.find(number).select(seals::hash).first(conn).optional().map_err(broken)?;
    Ok(found.as_deref() == Some(hash.as_slice()))
}
