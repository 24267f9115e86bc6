//! The first pass over a file: everything is read and proved, nothing is written.

use super::identity::{Identity, identity};
use crate::banking::{Balance, Event, Foot, Format, Head, Line, Problem, Profiles, Reader, Severity, Status, findings};
use crate::db::seal::{Encoding, Hash, sha256};
use chrono::NaiveDate;
use std::io::BufRead;

/// What a file says, without its lines.
#[derive(Debug, Default)]
pub struct Survey {
    /// What it is; `None` when it cannot be read.
    pub format: Option<Format>,
    /// The text of the declared profile that it was read by.
    pub profile: Option<String>,
    /// Its statements, in order.
    pub statements: Vec<Surveyed>,
    /// What is wrong with the file itself; a grave one refuses all of it.
    pub problems: Vec<Problem>,
}

impl Survey {
    /// Whether the file as a whole cannot be used: it cannot be read, or it was cut off.
    pub fn refused(&self) -> bool {
        self.format.is_none() || self.problems.iter().any(|p| p.severity == Severity::Grave)
    }
}

/// What a statement says, without its lines.
#[derive(Debug)]
pub struct Surveyed {
    /// Its beginning.
    pub head: Head,
    /// Its end.
    pub foot: Foot,
    /// Booked lines.
    pub booked_count: u64,
    /// First and last booking day of them.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Digest of what it says, however it is written.
    pub content: Hash,
    /// Problems and notes.
    pub problems: Vec<Problem>,
}

impl Surveyed {
    /// The gravest of its problems.
    pub fn severity(&self) -> Option<Severity> {
        let has = |s: Severity| self.problems.iter().any(|p| p.severity == s).then_some(s);
        has(Severity::Grave).or_else(|| has(Severity::Quarantine)).or_else(|| has(Severity::Note))
    }
}

/// Reads a whole file, in constant space, CSV by the profile that it fits.
pub fn survey(input: impl BufRead, profiles: &Profiles) -> Survey {
    let reader = Reader::with_profiles(input, profiles);
    let profile = reader.profile().map(|p| p.text().to_owned());
    let mut survey = Survey { format: reader.format(), profile, ..Survey::default() };
    let mut open: Option<Open> = None;
    for event in reader {
        match event {
            Event::Begin(head) => open = Some(Open::new(*head)),
            Event::Line(line) => {
                if let Some(open) = &mut open {
                    open.line(&line);
                }
            }
            Event::Problem(problem) => match (&mut open, problem.statement) {
                (Some(open), Some(index)) if open.head.index == index => open.problems.push(problem),
                // Of a statement that has ended, or of the file.
                (_, Some(index)) if survey.statements.iter().any(|s| s.head.index == index) => {
                    survey
                        .statements
                        .iter_mut()
                        .filter(|s| s.head.index == index)
                        .for_each(|s| s.problems.push(problem.clone()));
                }
                _ => survey.problems.push(problem),
            },
            Event::End(foot) => survey.statements.extend(open.take().map(|open| open.close(*foot))),
        }
    }
    if let Some(open) = open {
        survey.problems.push(Problem {
            statement: None,
            at: open.head.at.clone(),
            problem: "the file ends within this statement; ask for it again".to_owned(),
            severity: Severity::Grave,
        });
    }
    survey
}

/// A booked line with the days that posting needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The bank's booking day, else the value date.
    pub booked_on: NaiveDate,
    /// The value date, else the booking day.
    pub valued_on: NaiveDate,
}

/// The days of a line; `None` when it has neither.
pub fn days(line: &Line) -> Option<Days> {
    let booked_on = line.booked_on.or(line.valued_on)?;
    Some(Days { booked_on, valued_on: line.valued_on.unwrap_or(booked_on) })
}

struct Open {
    head: Head,
    booked_count: u64,
    days: Option<(NaiveDate, NaiveDate)>,
    /// Sum of the lines' identities: the same for the same lines in any order.
    digest: u128,
    problems: Vec<Problem>,
}

impl Open {
    fn new(head: Head) -> Open {
        Open { head, booked_count: 0, days: None, digest: 0, problems: Vec::new() }
    }

    fn line(&mut self, line: &Line) {
        if line.status != Status::Booked {
            if line.status == Status::Pending {
                let on = days(line).map_or(NaiveDate::MIN, |d| d.booked_on);
                // So that a report which only announces more than the one before is not taken for the same.
                self.digest = self.digest.wrapping_add(!u128::from_be_bytes(identity(line, on, on)));
            }
            return;
        }
        let Some(days) = days(line) else {
            self.problems.push(Problem {
                statement: Some(self.head.index),
                at: line.at.clone(),
                problem: "the line has neither a booking day nor a value date, so it cannot be posted".to_owned(),
                severity: Severity::Grave,
            });
            return;
        };
        self.booked_count += 1;
        let (first, last) = self.days.unwrap_or((days.booked_on, days.booked_on));
        self.days = Some((first.min(days.booked_on), last.max(days.booked_on)));
        let identity: Identity = identity(line, days.booked_on, days.valued_on);
        self.digest = self.digest.wrapping_add(u128::from_be_bytes(identity));
    }

    fn close(self, foot: Foot) -> Surveyed {
        let mut problems = self.problems;
        problems.extend(findings(&self.head, &foot));
        let totals = [foot.credit_total, foot.debit_total];
        if totals.iter().any(|t| i64::try_from(*t).is_err()) {
            problems.push(Problem {
                statement: Some(self.head.index),
                at: self.head.at.clone(),
                problem: "its lines add up to more than 64 bits of minor units hold".to_owned(),
                severity: Severity::Grave,
            });
        }
        let head = self.head;
        let mut e = Encoding::new("statement.1");
        e.optional(head.account.as_deref()).optional(head.id.as_deref());
        e.int(head.number.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1)).int(head.page.map_or(-1, i64::from));
        let balance = |e: &mut Encoding, b: Option<Balance>| match b {
            Some(b) => {
                e.int(b.amount.0).text(&b.on.to_string()).int(i64::from(b.intermediate));
            }
            None => {
                e.optional(None);
            }
        };
        balance(&mut e, head.opening);
        balance(&mut e, foot.closing);
        e.bytes(&self.digest.to_be_bytes());
        Surveyed {
            booked_count: self.booked_count,
            days: self.days,
            content: sha256(e.as_bytes()),
            problems,
            head,
            foot,
        }
    }
}
