//! The place of a line among lines that say the same: the last part of its identity.
//!
//! Equal lines are rare, and to look for them costs a seek at a random page for each line. An import knows what it has stored
//! itself, and that nobody else stored anything meanwhile (the count of the master's lines would differ): so it looks only
//! for lines of days that had lines before it began, and for those whose like it has seen itself.

use super::lines::{NewLine, Placed};
use crate::db::schema::lines;
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::statements::identity::Identity;
use chrono::NaiveDate;
use diesel::RunQueryDsl;
use diesel::dsl::max;
use diesel::prelude::{ExpressionMethods, QueryDsl};
use foldhash::{HashMap, HashMapExt, HashSet};

/// Identities per `IN` list.
const KEYS: usize = 5_000;

/// What one import has stored of a master. Forgotten by the next import, or when another one was here meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Ordinals {
    of: Option<Began>,
    /// Eight bytes of each identity: a million of them fit into memory, and two that agree by chance cost one look.
    seen: HashSet<u64>,
}

/// How a master stood when an import began with it.
#[derive(Debug, Clone)]
struct Began {
    master: String,
    /// The newest day that had lines.
    newest: Option<NaiveDate>,
}

impl Ordinals {
    /// The next place for each identity of these lines that has equals already; others begin at 0.
    pub(super) fn next(
        &mut self,
        conn: &mut Conn,
        master: &str,
        new: &[(&NewLine, Placed)],
    ) -> Result<HashMap<Identity, i64>> {
        let newest = self.newest(conn, master)?;
        let doubtful = |line: &&NewLine| {
            let first_sight = self.seen.insert(short(&line.identity));
            !first_sight || newest.is_some_and(|day| line.booked_on <= day)
        };
        let mut doubted: Vec<&[u8]> =
            new.iter().map(|(line, _)| *line).filter(doubtful).map(|line| line.identity.as_slice()).collect();
        doubted.sort_unstable();
        doubted.dedup();
        let mut found = HashMap::new();
        for some in doubted.chunks(KEYS) {
            let equals = lines::table.filter(lines::master.eq(master)).filter(lines::identity.eq_any(some));
            let rows: Vec<(Vec<u8>, i64)> =
                equals.select((lines::identity, lines::ordinal)).load(conn).map_err(broken)?;
            for (identity, ordinal) in rows {
                let next = found.entry(identity.as_slice().try_into().unwrap_or_default()).or_insert(0);
                *next = (ordinal + 1).max(*next);
            }
        }
        Ok(found)
    }

    fn newest(&mut self, conn: &mut Conn, master: &str) -> Result<Option<NaiveDate>> {
        if let Some(began) = self.of.as_ref().filter(|b| b.master == master) {
            return Ok(began.newest);
        }
        let of_master = lines::table.filter(lines::master.eq(master));
        let newest = of_master.select(max(lines::booked_on)).first(conn).map_err(broken)?;
        self.of = Some(Began { master: master.to_owned(), newest });
        self.seen.clear();
        Ok(newest)
    }
}

fn short(identity: &Identity) -> u64 {
    let first: [u8; 8] = identity.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first)
}
