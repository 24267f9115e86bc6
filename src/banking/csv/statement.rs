//! A run of rows of one account and currency, which is a statement: its balances, if the file has any, prove each row.

use super::profile::{Order, Profile};
use super::row::Row;
use crate::banking::{Balance, Direction, Event, Foot, Format, Head, Line, Problem, Role, Severity, Status};
use crate::money::{Currency, Minor};
use chrono::NaiveDate;
use std::collections::VecDeque;

/// A statement that is being read.
pub(super) struct Draft {
    pub(super) account: Option<String>,
    pub(super) currency: Option<Currency>,
    index: usize,
    at: String,
    foot: Foot,
    days: Option<(NaiveDate, NaiveDate)>,
    opening: Option<Minor>,
    /// The balance after the last booked row.
    balance: Option<Minor>,
    has_balances: bool,
    /// The first row whose balance does not follow, and how many do not.
    broken: Option<(String, String)>,
    breaks: u64,
}

/// Balances that stand outside of the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Outside {
    pub(super) opening: Option<Minor>,
    pub(super) closing: Option<Minor>,
    /// One that is there and cannot be read.
    pub(super) problem: Option<String>,
}

impl Draft {
    /// Begins a statement; its first row tells its opening balance, where rows have balances.
    pub(super) fn begin(
        (index, line): (usize, u64),
        (account, currency): (Option<String>, Option<Currency>),
        first: Option<&Row>,
        profile: &Profile,
        outside: Outside,
        ready: &mut VecDeque<Event>,
    ) -> Draft {
        let at = format!("line {line}, statement {}", index + 1);
        let entry = first.and_then(|row| row.entry.as_ref());
        let before = entry.filter(|(line, _)| line.status == Status::Booked).and_then(|(line, balance)| {
            let before = i128::from((*balance)?.0) - i128::from(line.signed().0);
            Minor::from_sum(before).ok()
        });
        let opening = before.or(outside.opening);
        let on = entry.and_then(|(line, _)| line.booked_on);
        let head = Head {
            index,
            at: at.clone(),
            format: Format::Csv,
            role: Role::Statement,
            version: Format::Csv.as_str().to_owned(),
            message_id: None,
            account: account.clone(),
            servicer: profile.account.bank.clone(),
            related_account: None,
            currency,
            id: None,
            number: None,
            page: None,
            last_page: None,
            copy: false,
            from: None,
            to: None,
            opening: opening.zip(currency).zip(on).map(|((amount, currency), on)| Balance {
                amount,
                currency,
                on,
                intermediate: false,
            }),
        };
        ready.push_back(Event::Begin(Box::new(head)));
        let draft = Draft {
            account,
            currency,
            index,
            at,
            foot: Foot::default(),
            days: None,
            opening,
            balance: before,
            has_balances: profile.amount.balance.is_some(),
            broken: None,
            breaks: 0,
        };
        if draft.account.is_none() {
            draft.tell("the file does not say of which account it is", Severity::Grave, ready);
        }
        if draft.currency.is_none() {
            draft.tell("the file does not say its currency", Severity::Grave, ready);
        }
        draft
    }

    /// Whether a row is of this statement.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        // A row that cannot be read may lack both; it belongs where it stands.
        (row.account.is_none() || row.account == self.account)
            && (row.currency.is_none() || row.currency == self.currency)
    }

    pub(super) fn take(&mut self, row: Row, ready: &mut VecDeque<Event>) {
        let position = self.foot.line_count;
        self.foot.line_count += 1;
        let at = format!("line {}", row.line);
        for (problem, severity) in row.problems {
            ready.push_back(Event::Problem(Problem { statement: Some(self.index), at: at.clone(), problem, severity }));
        }
        let Some((mut line, balance)) = row.entry else { return };
        line.position = position;
        self.count(&line, balance, &at);
        ready.push_back(Event::Line(Box::new(line)));
    }

    fn count(&mut self, line: &Line, balance: Option<Minor>, at: &str) {
        let amount = i128::from(line.amount.0);
        match line.direction {
            Direction::Credit => {
                self.foot.credit_total += amount;
                self.foot.credit_count += 1;
            }
            Direction::Debit => {
                self.foot.debit_total += amount;
                self.foot.debit_count += 1;
            }
        }
        if line.status != Status::Booked {
            return;
        }
        let signed = i128::from(line.signed().0);
        self.foot.booked_sum += signed;
        if let Some(day) = line.booked_on {
            let (first, last) = self.days.unwrap_or((day, day));
            self.days = Some((first.min(day), last.max(day)));
        }
        if !self.has_balances {
            return;
        }
        let expected = self.balance.map(|before| i128::from(before.0) + signed);
        let follows = match (expected, balance) {
            (Some(expected), Some(balance)) => expected == i128::from(balance.0),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if !follows {
            self.breaks += 1;
            let text = |minor: i128| crate::banking::findings::sum_text(minor, line.currency);
            let found = balance.map_or("none".to_owned(), |b| text(i128::from(b.0)));
            let wanted = expected.map_or("one".to_owned(), text);
            let problem = format!("the balance after this row is {found} and should be {wanted}");
            self.broken.get_or_insert((at.to_owned(), problem));
        }
        self.balance = balance.or_else(|| expected.and_then(|e| Minor::from_sum(e).ok()));
    }

    /// Ends the statement; `unterminated`: the file ends in its last row.
    pub(super) fn end(mut self, outside: Outside, order: Order, unterminated: bool, ready: &mut VecDeque<Event>) {
        if let Some(problem) = &outside.problem {
            self.tell(problem, Severity::Quarantine, ready);
        }
        let proved = self.has_balances && self.breaks == 0 && self.foot.line_count > 0;
        if let Some((at, problem)) = self.broken.take() {
            let more = if self.breaks > 1 { format!("; so are {} more", self.breaks - 1) } else { String::new() };
            let hint = match order {
                Order::OldestFirst => " (is the newest row first? then file.order is to say so)",
                Order::NewestFirst => " (is the oldest row first? then file.order is to say so)",
            };
            // One wrong row is a wrong row; where every other one is, the order is.
            let hint = if self.breaks.saturating_mul(2) >= self.foot.line_count { hint } else { "" };
            let problem = format!("{problem}{more}{hint}");
            let (statement, severity) = (Some(self.index), Severity::Quarantine);
            ready.push_back(Event::Problem(Problem { statement, at, problem, severity }));
        }
        if unterminated && !proved {
            let text = "the last row has no line end: if the file was cut off, its last cell is not complete (file.last_row_unterminated says that this bank's files end so)";
            self.tell(text, Severity::Quarantine, ready);
        }
        let closing = if self.has_balances { self.balance } else { outside.closing };
        // Below the rows an opening balance comes too late for the statement's head, but not for the proof.
        if let (None, Some(opening), Some(closing), Some(currency)) =
            (self.opening, outside.opening, closing, self.currency)
        {
            let expected = i128::from(opening.0) + self.foot.booked_sum;
            if expected != i128::from(closing.0) {
                let text = |minor: i128| crate::banking::findings::sum_text(minor, currency);
                let problem = format!(
                    "opening {} plus booked lines {} is {}, but it closes at {}",
                    opening.to_text(currency),
                    text(self.foot.booked_sum),
                    text(expected),
                    closing.to_text(currency)
                );
                self.tell(&problem, Severity::Quarantine, ready);
            }
        }
        self.foot.closing = closing.zip(self.currency).zip(self.days).map(|((amount, currency), (_, last))| Balance {
            amount,
            currency,
            on: last,
            intermediate: false,
        });
        ready.push_back(Event::End(Box::new(self.foot)));
    }

    /// The file cannot be read on.
    pub(super) fn cut(self, line: u64, ready: &mut VecDeque<Event>) {
        let text = format!("the statement is not complete: its file cannot be read beyond line {line}");
        self.tell(&text, Severity::Grave, ready);
    }

    fn tell(&self, problem: &str, severity: Severity, ready: &mut VecDeque<Event>) {
        let (statement, at, problem) = (Some(self.index), self.at.clone(), problem.to_owned());
        ready.push_back(Event::Problem(Problem { statement, at, problem, severity }));
    }
}
