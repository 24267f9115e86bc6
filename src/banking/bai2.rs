//! BAI2 (cash management balance reporting), read record by record.
//!
//! A file (`01` to `99`) holds groups (`02` to `98`) of one bank and day, a group holds accounts (`03` to `49`), and each
//! account is a statement. Every level repeats the sum of its amounts and the number of its records: what differs by a cent
//! or a record quarantines the statement, or all statements of the group or file.
//!
//! Files before version 2 and the Australian dialect look alike and have fewer fields: what parses is taken, what does not
//! is told.
//!
//! Invariant: an account that the file cuts off has no [`Event::End`] and a grave problem of its own beside the file's.

mod account;
mod record;
mod types;

use super::source::Source;
use super::{Event, Problem, Severity};
use account::{Account, Group, as_of, problem_event, wrong_count};
use record::{Code, Record, amount, pieces, shortened};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;
use std::ops::Range;
use types::{Own, Types};

/// What a bank means by the types of entries that it defines for itself: a declared profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Always `bai2`.
    #[serde(rename = "format")]
    _format: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Senders (`01`) or originators of groups (`02`) whose files it is for.
    #[serde(default)]
    banks: Vec<String>,
    /// The types: `920 = "credit"`.
    types: BTreeMap<String, Own>,
}

impl Profile {
    /// Reads a profile from its TOML text.
    pub(super) fn parse(text: &str) -> Result<Profile, String> {
        let profile: Profile = toml::from_str(text).map_err(|e| e.to_string())?;
        let wrong = profile.types.keys().find(|code| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()));
        match wrong {
            Some(code) => Err(format!("types: \"{code}\" is no type of an entry: three digits are meant")),
            None => Ok(profile),
        }
    }

    /// Whether the first bytes of a file name a bank that this profile is for.
    pub(super) fn fits(&self, first_text: &str) -> bool {
        let mut records = first_text.lines().take(20).flat_map(pieces);
        records.any(|piece| {
            let place = match piece.code {
                Some(Code::File) => 0,
                Some(Code::Group) => 1,
                _ => return false,
            };
            let named = piece.body.split(',').nth(place).unwrap_or_default().trim();
            self.banks.iter().any(|bank| bank == named)
        })
    }
}

/// Whether a text looks like the beginning of a BAI2 file: a file's header, then more of it or a group; or other records.
pub(super) fn is_bai2(first_text: &str) -> bool {
    let mut records = first_text.lines().flat_map(pieces).map(|piece| piece.code);
    match records.next() {
        Some(Some(Code::File)) => records.next().is_none_or(|code| matches!(code, Some(Code::More | Code::Group))),
        // One that lost its beginning: a file of another kind does not have three such lines in a row.
        Some(Some(_)) => records.by_ref().take(2).filter(Option::is_some).count() == 2,
        _ => false,
    }
}

/// A BAI2 file that is being read.
pub struct Reader<R> {
    source: Source<R>,
    ready: VecDeque<Event>,
    done: bool,
    types: Types,
    record: Option<Record>,
    file: Option<File>,
    group: Option<Group>,
    account: Option<Account>,
    /// Accounts that gave a statement.
    statements: usize,
    /// A problem of many statements, which is given out one by one.
    spread: Option<(Range<usize>, String, String)>,
}

/// What stands between `01` and `99`.
#[derive(Default)]
struct File {
    message_id: Option<String>,
    second_version: bool,
    first: usize,
    found: i128,
    declared: i128,
    groups: u64,
    records: u64,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if let Some((range, at, text)) = &mut self.spread {
                if let Some(index) = range.next() {
                    return Some(problem_event(index, at.clone(), text.clone(), Severity::Quarantine));
                }
                self.spread = None;
            }
            if self.done {
                return None;
            }
            self.step();
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` as BAI2, whatever it is.
    pub fn new(input: R, profile: Option<&Profile>) -> Self {
        Reader {
            source: Source::new(input),
            ready: VecDeque::new(),
            done: false,
            types: profile.map(|p| Types::new(p.types.clone())).unwrap_or_default(),
            record: None,
            file: None,
            group: None,
            account: None,
            statements: 0,
            spread: None,
        }
    }

    /// Reads on by one physical line.
    fn step(&mut self) {
        let number = self.source.line();
        let mut line = String::new();
        match self.source.read_line(&mut line) {
            Ok(true) => {
                if line.contains(|c: char| c.is_control()) {
                    line = line.replace(|c: char| c.is_control(), " ");
                }
                for piece in pieces(&line) {
                    match piece.code {
                        Some(Code::More) => self.go_on(number, piece.body, piece.ended),
                        Some(code) => {
                            self.end_record();
                            self.count();
                            self.record = Some(Record::new(code, number, piece.body, piece.ended));
                        }
                        None => self.take_stray(number, piece.body),
                    }
                }
            }
            Ok(false) => self.finish(number, None),
            Err(error) => self.finish(number, Some(format!("the file cannot be read: {error}"))),
        }
    }

    /// An `88`.
    fn go_on(&mut self, line: u64, body: &str, ended: bool) {
        self.count();
        match &mut self.record {
            Some(record) => {
                record.count += 1;
                record.add(body, ended);
            }
            None => {
                self.tell_here(line, "an 88 goes on with a record that is not there".to_owned(), Severity::Quarantine)
            }
        }
    }

    /// A line that is no record: text that a line end broke, or nothing that is known.
    fn take_stray(&mut self, line: u64, text: &str) {
        let numbered =
            text.get(..2).is_some_and(|t| t.bytes().all(|b| b.is_ascii_digit())) && text.get(2..3) == Some(",");
        match &mut self.record {
            Some(record) if record.code == Code::Entry && !numbered => {
                record.add(text.strip_suffix('/').unwrap_or(text), false);
                let note = "the line begins with no record code: it is read as text of the entry above it".to_owned();
                self.tell_here(line, note, Severity::Note);
            }
            _ => {
                let problem = format!("\"{}\" is no record that is known, and was left out", shortened(text));
                self.tell_here(line, problem, Severity::Quarantine);
            }
        }
    }

    /// A physical record counts on each level that it stands in.
    fn count(&mut self) {
        let levels = [
            self.file.as_mut().map(|f| &mut f.records),
            self.group.as_mut().map(|g| &mut g.records),
            self.account.as_mut().map(|a| &mut a.records),
        ];
        levels.into_iter().flatten().for_each(|count| *count += 1);
    }

    /// The record at hand is complete, because another one begins.
    fn end_record(&mut self) {
        let Some(record) = self.record.take() else { return };
        match record.code {
            Code::File => self.begin_file(&record),
            Code::Group => self.begin_group(&record),
            Code::Account => self.begin_account(&record),
            Code::Entry => match &mut self.account {
                Some(account) => {
                    let second = self.file.as_ref().is_none_or(|f| f.second_version);
                    account.entry(&record, &self.types, second, &mut self.ready);
                }
                None => self.tell_file(record.line, "a 16 stands in no account".to_owned()),
            },
            Code::AccountEnd => match self.account.is_some() {
                true => self.end_account(Some(&record)),
                false => self.tell_file(record.line, "a 49 ends an account that is not there".to_owned()),
            },
            Code::GroupEnd => self.end_group(&record),
            Code::FileEnd => self.end_file(&record),
            Code::More => {}
        }
    }

    fn begin_file(&mut self, record: &Record) {
        if self.file.is_some() {
            self.tell_file(record.line, "a file begins before the one above it has ended with a 99".to_owned());
        }
        let mut fields = record.fields();
        let (sender, receiver, created) = (fields.text(), fields.text(), fields.text());
        let (_time, id, _length, _blocks) = (fields.text(), fields.text(), fields.text(), fields.text());
        let version = fields.text();
        if version != "2" {
            let said =
                if version.is_empty() { "no version".to_owned() } else { format!("version {}", shortened(version)) };
            let text = format!("the file says {said} and not 2: what has the shape of BAI2 is read");
            self.ready.push_back(Event::Problem(Problem {
                statement: None,
                at: format!("line {}", record.line),
                problem: text,
                severity: Severity::Note,
            }));
        }
        let message_id = (!id.is_empty()).then(|| format!("{sender}/{receiver}/{created}/{id}"));
        self.file = Some(File {
            message_id,
            second_version: version == "2",
            first: self.statements,
            records: record.count,
            ..File::default()
        });
    }

    fn begin_group(&mut self, record: &Record) {
        if self.file.is_none() {
            self.tell_file(record.line, "a group stands in no file: a BAI2 file begins with 01".to_owned());
        }
        if self.group.is_some() {
            self.tell_file(record.line, "a group begins before the one above it has ended with a 98".to_owned());
        }
        let at = format!("line {}, record 02", record.line);
        let mut fields = record.fields();
        let _receiver = fields.text();
        let mut group =
            Group { originator: fields.some(), first: self.statements, records: record.count, ..Group::default() };
        let status = fields.text();
        let mut tell = |problem: String, severity: Severity| group.problems.push((at.clone(), problem, severity));
        match status {
            "1" => {}
            "2" => tell(
                "the bank deletes what it reported before of this day: nothing here is posted; ask it what is right, and correct what was posted".to_owned(),
                Severity::Grave,
            ),
            "3" => tell(
                "the bank corrects what it reported before of this day: compare it with that before you accept it".to_owned(),
                Severity::Quarantine,
            ),
            "4" => tell("the bank marks this group as a test: it is never posted".to_owned(), Severity::Grave),
            "" => tell("the group does not say that it is an update (status 1)".to_owned(), Severity::Quarantine),
            other => tell(format!("\"{}\" is no status of a group", shortened(other)), Severity::Grave),
        }
        match as_of(fields.text()) {
            Ok(day) => group.as_of = Some(day),
            Err(problem) => group.problems.push((at.clone(), problem, Severity::Grave)),
        }
        let _time = fields.text();
        group.currency = fields.some();
        match fields.text() {
            "" | "1" | "2" => {}
            "3" | "4" => group.same_day = true,
            other => {
                let text = format!("\"{}\" does not say of which day the group is (1 to 4 do)", shortened(other));
                group.problems.push((at, text, Severity::Grave));
            }
        }
        self.group = Some(group);
    }

    fn begin_account(&mut self, record: &Record) {
        if self.account.is_some() {
            self.end_account(None);
        }
        let mut outside = Group::default();
        if self.group.is_none() {
            let at = format!("line {}, record 03", record.line);
            outside.problems.push((at, "the account stands in no group".to_owned(), Severity::Grave));
        }
        let file = self.file.as_ref();
        let (message_id, second) = (file.and_then(|f| f.message_id.clone()), file.is_none_or(|f| f.second_version));
        let group = self.group.as_ref().unwrap_or(&outside);
        let mut account = Account::begin(self.statements, record, group, message_id, second, &mut self.ready);
        account.records = record.count;
        self.statements += 1;
        self.account = Some(account);
    }

    fn end_account(&mut self, record: Option<&Record>) {
        let Some(account) = self.account.take() else { return };
        let second = self.file.as_ref().is_none_or(|f| f.second_version);
        let (control, unread) = (account.control, account.unread);
        let declared = account.end(record, second, &mut self.ready);
        if let Some(group) = &mut self.group {
            group.accounts += 1;
            group.declared = group.declared.saturating_add(declared);
            // What could not be read is not held against the levels above.
            group.found = group.found.saturating_add(if unread { declared } else { control });
        }
    }

    fn end_group(&mut self, record: &Record) {
        if self.account.is_some() {
            self.end_account(None);
        }
        let Some(group) = self.group.take() else {
            return self.tell_file(record.line, "a 98 ends a group that is not there".to_owned());
        };
        let second = self.file.as_ref().is_none_or(|f| f.second_version);
        let totals = [group.found, group.declared];
        let (declared, wrong) = trailer(record, totals, (group.accounts, group.records), ("accounts", second));
        if let Some(file) = &mut self.file {
            file.groups += 1;
            file.found = file.found.saturating_add(group.found);
            file.declared = file.declared.saturating_add(declared);
        }
        self.spread_problem(group.first, record.line, wrong);
    }

    fn end_file(&mut self, record: &Record) {
        if self.account.is_some() {
            self.end_account(None);
        }
        if self.group.take().is_some() {
            self.tell_file(record.line, "the file ends before its last group has ended with a 98".to_owned());
        }
        let Some(file) = self.file.take() else {
            return self.tell_file(record.line, "a 99 ends a file that is not there".to_owned());
        };
        let totals = [file.found, file.declared];
        // The last record of all has no other after it that would show a cut.
        let complete = record.ended || record.fields().count() >= 3;
        if !complete {
            self.tell_file(
                record.line,
                "the 99 at the end is not complete: fetch the file again from the bank".to_owned(),
            );
        }
        let (_, wrong) = trailer(record, totals, (file.groups, file.records), ("groups", file.second_version));
        self.spread_problem(file.first, record.line, wrong);
    }

    /// A problem of all statements from `first` on; without any it is the file's.
    fn spread_problem(&mut self, first: usize, line: u64, wrong: Vec<String>) {
        if wrong.is_empty() {
            return;
        }
        let (at, text) = (format!("line {line}"), wrong.join("; "));
        if first == self.statements {
            return self.tell_file(line, text);
        }
        // What still waits is of statements before: it goes first.
        if let Some((range, at, text)) = self.spread.take() {
            self.ready.extend(range.map(|index| problem_event(index, at.clone(), text.clone(), Severity::Quarantine)));
        }
        self.spread = Some((first..self.statements, at, text));
    }

    /// The file ends, or cannot be read on.
    fn finish(&mut self, line: u64, problem: Option<String>) {
        self.done = true;
        self.end_record();
        let open = self.file.is_some() || self.group.is_some();
        let cut = open || self.account.is_some();
        if let Some(account) = self.account.take() {
            account.cut(line, &mut self.ready);
        }
        match problem {
            Some(problem) => self.tell_file(line, problem),
            None if cut => {
                let text = "the file ends without its last record 99: fetch it again from the bank".to_owned();
                self.tell_file(line, text);
            }
            None if self.statements == 0 => self.tell_file(line, "the file holds no account of BAI2".to_owned()),
            None => {}
        }
    }

    /// About the statement at hand, else about the file.
    fn tell_here(&mut self, line: u64, problem: String, severity: Severity) {
        // An `03` that is not complete yet begins the next statement.
        let begins = self.record.as_ref().is_some_and(|r| r.code == Code::Account);
        let at = format!("line {line}");
        match (&self.account, begins) {
            (Some(account), false) => self.ready.push_back(problem_event(account.index, at, problem, severity)),
            _ => {
                let severity = if severity == Severity::Note { severity } else { Severity::Grave };
                self.ready.push_back(Event::Problem(Problem { statement: None, at, problem, severity }));
            }
        }
    }

    fn tell_file(&mut self, line: u64, problem: String) {
        let at = format!("line {line}");
        self.ready.push_back(Event::Problem(Problem { statement: None, at, problem, severity: Severity::Grave }));
    }
}

/// What a `98` or `99` says other than what was found, and its own total. `found` is the sum of what was read, and of what the
/// level below declares: an error below that was told there is not told again.
fn trailer(
    record: &Record,
    found: [i128; 2],
    (parts, records): (u64, u64),
    (noun, second_version): (&str, bool),
) -> (i128, Vec<String>) {
    let code = record.code.as_str();
    let mut wrong = Vec::new();
    let mut fields = record.fields();
    let (total, said, count) = (fields.text(), fields.text(), fields.text());
    let mut declared = found[0];
    match amount(total, None) {
        Ok(total) => {
            declared = i128::from(total.0);
            if !found.contains(&declared) {
                wrong.push(format!(
                    "the control total of the {code} is {declared}, but the level below adds up to {}",
                    found[0]
                ));
            }
        }
        Err(problem) => wrong.push(format!("the {code}: {problem}")),
    }
    if said.parse::<u64>() != Ok(parts) {
        wrong.push(format!("the {code} counts \"{}\" {noun}, and there are {parts}", shortened(said)));
    }
    if second_version {
        wrong.extend(wrong_count(record, count, records));
    }
    (declared, wrong)
}

#[cfg(test)]
mod tests;
