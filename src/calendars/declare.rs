//! Declarations of calendars: tables of the treasury file, and CSV. Pure, and names every problem with its place.

use super::days::{Calendar, Day, saturday_and_sunday};
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// `[[calendar]]` of the treasury file, as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the file's, described in docs/treasury-file.md")]
pub struct CalendarTable {
    pub code: String,
    pub name: Option<String>,
    pub weekend: Option<Vec<String>>,
    /// Names by day.
    pub holidays: Option<BTreeMap<String, String>>,
}

/// A declaration without problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its code.
    pub code: String,
    /// What it does not say stays, or is the code.
    pub name: Option<String>,
    weekend: Option<BTreeSet<Day>>,
    holidays: BTreeMap<NaiveDate, String>,
}

const CODE_LENGTH: usize = 40;
const NAME_LENGTH: usize = 140;

/// Reads the tables, or says everything that is wrong.
pub(super) fn read(tables: &[CalendarTable]) -> Result<Vec<Declared>, Vec<String>> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    let mut declared = Vec::with_capacity(tables.len());
    for table in tables {
        let mut wrong = |what: String| problems.push(format!("[[calendar]] \"{}\", {what}", table.code));
        if !seen.insert(&table.code) {
            wrong("code: the file defines it twice".to_owned());
        }
        if let Err(what) = check_code(&table.code).and(check_name(table.name.as_deref())) {
            wrong(what);
        }
        let mut weekend = BTreeSet::new();
        for text in table.weekend.iter().flatten() {
            match Day::parse(text) {
                Some(day) => drop(weekend.insert(day)),
                None => {
                    wrong(format!("weekend: \"{text}\" is not a day of the week: mon, tue, wed, thu, fri, sat, sun"))
                }
            }
        }
        if weekend.len() > 6 {
            wrong("weekend: at least one day of the week is a business day".to_owned());
        }
        let mut holidays = BTreeMap::new();
        for (text, name) in table.holidays.iter().flatten() {
            match (day(text), check_name(Some(name))) {
                (Some(day), Ok(())) => drop(holidays.insert(day, name.clone())),
                (None, _) => wrong(format!("holidays: \"{text}\" is not a day: write it like 2027-01-01")),
                (_, Err(what)) => wrong(format!("holidays, {text}, {what}")),
            }
        }
        let weekend = table.weekend.as_ref().map(|_| weekend);
        declared.push(Declared { code: table.code.clone(), name: table.name.clone(), weekend, holidays });
    }
    if problems.is_empty() { Ok(declared) } else { Err(problems) }
}

/// Reads a CSV of holidays: a heading `date,name`, then a line for each.
pub fn read_csv(code: &str, name: Option<&str>, text: &str) -> Result<Declared, Vec<String>> {
    let mut problems = Vec::new();
    problems.extend(check_code(code).and(check_name(name)).err());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headings: Vec<String> = reader.headers().map(|h| h.iter().map(str::to_owned).collect()).unwrap_or_default();
    if headings != ["date", "name"] {
        problems.push(format!("line 1: the headings are \"{}\"; they must be date,name", headings.join(",")));
        return Err(problems);
    }
    let mut holidays = BTreeMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                problems.push(format!("line {}: {e}", e.position().map_or(0, csv::Position::line)));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let (text, name) = (record.get(0).unwrap_or_default(), record.get(1).unwrap_or_default());
        match (day(text), check_name(Some(name))) {
            (Some(day), Ok(())) if holidays.insert(day, name.to_owned()).is_some() => {
                problems.push(format!("line {line}: {text} is there twice"));
            }
            (Some(_), Ok(())) => {}
            (None, _) => problems.push(format!("line {line}: \"{text}\" is not a day: write it like 2027-01-01")),
            (_, Err(what)) => problems.push(format!("line {line}, {what}")),
        }
    }
    if holidays.is_empty() && problems.is_empty() {
        problems.push("the file has no holidays".to_owned());
    }
    let declared = Declared { code: code.to_owned(), name: name.map(str::to_owned), weekend: None, holidays };
    if problems.is_empty() { Ok(declared) } else { Err(problems) }
}

impl Declared {
    /// The calendar that there is then: years that the declaration names become what it says, others stay.
    pub(super) fn applied_to(&self, before: Option<&Calendar>) -> Result<Calendar, String> {
        if Calendar::built_in(&self.code).is_some() {
            return Err(format!("calendar \"{}\" is built in; give yours another code", self.code));
        }
        let years: BTreeSet<i32> = self.holidays.keys().map(Datelike::year).collect();
        let stay = before.into_iter().flat_map(|b| &b.holidays).filter(|(day, _)| !years.contains(&day.year()));
        let mut holidays: BTreeMap<NaiveDate, String> = stay.map(|(day, name)| (*day, name.clone())).collect();
        holidays.extend(self.holidays.clone());
        let name = self.name.clone().or_else(|| before.map(|b| b.name.clone())).unwrap_or_else(|| self.code.clone());
        let weekend = self.weekend.clone().or_else(|| before.map(|b| b.weekend.clone()));
        let weekend = weekend.unwrap_or_else(saturday_and_sunday);
        Ok(Calendar { code: self.code.clone(), name, weekend, rule: None, holidays })
    }
}

/// `2027-01-01` and nothing else: chrono also reads `2027-1-1`.
fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|d| d.to_string() == text)
}

fn check_code(code: &str) -> Result<(), String> {
    let fits = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if code.is_empty() || code.len() > CODE_LENGTH || !fits || code.starts_with('-') {
        return Err(format!("code: \"{code}\" is not a code: letters a to z, digits and -, at most {CODE_LENGTH}"));
    }
    Ok(())
}

fn check_name(name: Option<&str>) -> Result<(), String> {
    let bad =
        |name: &str| name.trim().is_empty() || name.chars().count() > NAME_LENGTH || name.chars().any(char::is_control);
    if name.is_some_and(bad) {
        return Err(format!("name: a name has 1 to {NAME_LENGTH} printable signs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_that_is_declared_again_becomes_what_it_says() {
        let csv = |text: &str| read_csv("jp", Some("Japan"), text).unwrap();
        let first = csv("date,name\n2026-01-01,New Year\n2027-01-01,New Year\n2027-02-11,Foundation\n");
        let before = first.applied_to(None).unwrap();
        let after = csv("date,name\n2027-01-01,New Year\n2027-02-23,Birthday\n").applied_to(Some(&before)).unwrap();
        let days: Vec<String> = after.holidays.keys().map(ToString::to_string).collect();
        assert_eq!(days, ["2026-01-01", "2027-01-01", "2027-02-23"]);
        assert!(after.knows(2026) && !after.knows(2028));
        assert_eq!(first.applied_to(Some(&before)).unwrap(), before);
    }

    #[test]
    fn every_problem_of_a_csv_is_named_with_its_line() {
        let bad = "date,name\n2027-1-1,New Year\n2027-02-11,\n2027-03-21,Spring\n2027-03-21,Spring\n2027-04-01,a,b\n";
        let problems = read_csv("JP", None, bad).unwrap_err();
        let lines: Vec<&str> = problems.iter().map(|p| p.split(['"', ',', ':']).next().unwrap()).collect();
        assert_eq!(lines, ["code", "line 2", "line 3", "line 5", "line 6"], "{problems:#?}");
        assert!(read_csv("jp", None, "day;name\n").unwrap_err()[0].starts_with("line 1: the headings"));
        assert!(read_csv("jp", None, "").is_err() && read_csv("jp", None, "date,name\n").is_err());
        assert!(read_csv("target", None, "date,name\n2027-01-01,x\n").unwrap().applied_to(None).is_err());
    }
}
