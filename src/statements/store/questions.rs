//! What the stored messages leave open.

use crate::db::{Conn, broken};
use crate::error::{Error, Result};
use crate::money::{Currency, Minor};
use crate::statements::breaks::Break;
use crate::statements::identity::NEAR;
use chrono::NaiveDate;
use diesel::sql_types::{BigInt, Date, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    master: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Nullable<Date>)]
    day: Option<NaiveDate>,
    #[diesel(sql_type = Nullable<BigInt>)]
    amount: Option<i64>,
    #[diesel(sql_type = Nullable<Date>)]
    closed_on: Option<NaiveDate>,
    #[diesel(sql_type = Nullable<Text>)]
    other: Option<String>,
}

/// Statements that wait or were accepted against their own figures, notified lines that no statement has, announced ones that never
/// came, and receipts that nobody has paid in their time.
pub(in crate::statements) fn open_questions(conn: &mut Conn) -> Result<Vec<Break>> {
    let sql = "SELECT s.state AS kind, m.code AS master, m.currency AS currency, s.id AS subject, s.closing_on AS day, \
               s.closing AS amount, s.closing_on AS closed_on, s.same_as AS other FROM statements s JOIN masters m ON m.id = s.master \
               WHERE s.state IN ('quarantined', 'restated') \
               UNION ALL SELECT 'contradiction', m.code, m.currency, s.id, s.closing_on, s.closing, s.closing_on, s.decided_by \
               FROM statements s JOIN masters m ON m.id = s.master \
               WHERE s.state = 'posted' AND s.decided_by IS NOT NULL AND s.role = 'statement' AND s.opening IS NOT NULL \
               AND s.closing IS NOT NULL AND s.opening + s.credit_total - s.debit_total <> s.closing \
               UNION ALL SELECT 'not_in_statement', m.code, m.currency, l.id, l.booked_on, l.amount, \
               (SELECT MAX(s.closing_on) FROM statements s WHERE s.master = l.master AND s.role = 'statement' AND s.state = 'posted'), \
               l.counterparty_name FROM lines l JOIN masters m ON m.id = l.master WHERE l.facet = 'notified' AND l.posting = 'posted' \
               UNION ALL SELECT 'never_came', m.code, m.currency, p.id, p.expected_on, p.amount, NULL, p.counterparty_name \
               FROM pending_lines p JOIN masters m ON m.id = p.master WHERE p.state = 'expired' \
               UNION ALL SELECT 'receipt_expired', m.code, m.currency, e.id, e.last_on, e.least, NULL, a.code || ' (' || e.key || ')' \
               FROM expectations e JOIN masters m ON m.id = e.master JOIN accounts a ON a.id = e.account WHERE e.state = 'expired'";
    let rows: Vec<Row> = sql_query(sql).load(conn).map_err(broken)?;
    rows.into_iter().filter_map(|row| row.shown().transpose()).collect()
}

impl Row {
    /// `None` for a notified line whose time is not over yet.
    fn shown(self) -> Result<Option<Break>> {
        let currency: Currency = self.currency.parse().map_err(|e| Error::Broken(format!("{}: {e}", self.master)))?;
        let amount = self.amount.map_or_else(String::new, |a| format!("{} {currency}", Minor(a).to_text(currency)));
        let day = self.day.map_or_else(String::new, |d| d.to_string());
        let (id, other) = (self.subject.as_str(), self.other.unwrap_or_default());
        let (kind, what) = match self.kind.as_str() {
            "quarantined" => (
                "quarantined",
                format!(
                    "statement {id} closing {day} contradicts itself; `tributary statement show {id}` says how, then accept or reject it"
                ),
            ),
            "restated" => (
                "restated",
                format!(
                    "statement {id} closing {day} says something else than {other}; `tributary statement show {id}` shows the difference, then accept or reject it"
                ),
            ),
            "contradiction" => (
                "contradiction",
                format!(
                    "statement {id} closing {day} at {amount} was accepted by {other} although its lines do not lead there"
                ),
            ),
            "not_in_statement" => {
                let overdue = self.day.zip(self.closed_on).is_some_and(|(day, closed)| closed - day >= NEAR);
                if !overdue {
                    return Ok(None);
                }
                let closed = self.closed_on.map_or_else(String::new, |d| d.to_string());
                (
                    "not_in_statement",
                    format!(
                        "{amount} of {day} was notified as booked, and no statement up to {closed} has it; ask the bank, then withdraw it or wait"
                    ),
                )
            }
            "receipt_expired" => (
                "receipt_expired",
                format!(
                    "{other} expected at least {amount} by {day}, and it has not come; ask the payer, or give it up with `tributary expect cancel`"
                ),
            ),
            _ => ("never_came", format!("{amount} was announced for {day} and never booked")),
        };
        Ok(Some(Break { kind, master: self.master, subject: self.subject, day: self.day, what }))
    }
}
