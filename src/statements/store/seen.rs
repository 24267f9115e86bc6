//! Statements and lines in pages, as far as the masters that somebody sees have them. What belongs to no master, such as a statement
//! of an unknown account, only the whole treasury sees.

use super::{LineRow, StatementRow};
use crate::db::schema::{lines, statements};
use crate::db::{Conn, broken};
use crate::error::Result;
use diesel::RunQueryDsl;
use diesel::prelude::{ExpressionMethods, QueryDsl, SelectableHelper};

/// Which statements.
#[derive(Debug, Clone, Default)]
pub struct StatementFilter {
    /// Only of these masters, by id; `None`: of all and of none.
    pub masters: Option<Vec<String>>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only those before this id.
    pub before: Option<String>,
}

/// Statements, the newest first.
pub fn statements_page(conn: &mut Conn, filter: &StatementFilter, limit: i64) -> Result<Vec<StatementRow>> {
    let mut all =
        statements::table.order(statements::id.desc()).select(StatementRow::as_select()).limit(limit).into_boxed();
    if let Some(masters) = &filter.masters {
        all = all.filter(statements::master.eq_any(masters));
    }
    if let Some(state) = &filter.state {
        all = all.filter(statements::state.eq(state));
    }
    if let Some(before) = &filter.before {
        all = all.filter(statements::id.lt(before));
    }
    all.load(conn).map_err(broken)
}

/// The lines that a statement was the first to tell of, in order, behind a place.
pub fn lines_page(conn: &mut Conn, statement: &str, behind: i64, limit: i64) -> Result<Vec<LineRow>> {
    let all = lines::table.filter(lines::statement.eq(statement)).filter(lines::place.gt(behind));
    all.order(lines::place).select(LineRow::as_select()).limit(limit).load(conn).map_err(broken)
}
