//! Sheets: CSV files with named columns, as people make them in a spreadsheet.
//!
//! The first row names the columns, in any order. Cells are separated by commas, semicolons or tabs, whichever the first row
//! has; blanks around a cell are not part of it, and an empty cell says nothing. A column that nobody knows is a slip of the
//! pen and refused, since what it says would pass unseen. All problems are collected, each with its line.

use csv::{ReaderBuilder, StringRecord, Trim};
use std::collections::BTreeMap;
use std::fmt;

/// The longest cell that is read: what people write, not what somebody sends to see us fail.
const CELL_BYTES: usize = 4_000;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A row below the names of the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    cells: BTreeMap<&'static str, String>,
}

impl Row {
    /// What a cell says; `None` when it is empty or its column is not there.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.cells.get(column).map(String::as_str)
    }

    /// What a cell says that must say something; an empty one is a problem.
    pub fn need<'a>(&'a self, column: &str, problems: &mut Vec<Problem>) -> Option<&'a str> {
        let found = self.get(column);
        if found.is_none() {
            problems.push(self.problem(format!("{column} is empty")));
        }
        found
    }

    /// A day such as 2026-03-02, when the cell says something.
    pub fn day(&self, column: &str, problems: &mut Vec<Problem>) -> Option<chrono::NaiveDate> {
        let text = self.get(column)?;
        let day = day(text);
        if day.is_none() {
            problems.push(self.problem(format!("{column} {text:?} is not a day such as 2026-03-02")));
        }
        day
    }

    /// A problem of this row.
    pub fn problem(&self, problem: String) -> Problem {
        Problem { line: self.line, problem }
    }
}

/// A day such as 2026-03-02, and nothing that only looks like one.
pub fn day(text: &str) -> Option<chrono::NaiveDate> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

/// Reads a sheet that must have the first columns and may have the others; rows without a single cell are passed over.
pub fn read(bytes: &[u8], needed: &[&'static str], others: &[&'static str]) -> Result<Vec<Row>, Vec<Problem>> {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |sign: u8| first.iter().filter(|b| **b == sign).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|sign| count(*sign)).unwrap_or(b',');
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
    let mut records = reader.records();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let heading = match records.next() {
        None => return Err(vec![Problem { line: 1, problem: "the file is empty".to_owned() }]),
        Some(Err(e)) => return Err(vec![unreadable(&e, &mut lines)]),
        Some(Ok(heading)) => heading,
    };
    let columns = columns(&heading, needed, others)?;
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in records {
        let read = record.map_err(|e| unreadable(&e, &mut lines));
        match read.and_then(|r| row(&r, lines.of(r.position()), &columns)) {
            Ok(row) if row.cells.is_empty() => {}
            Ok(row) => rows.push(row),
            Err(problem) => problems.push(problem),
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(Problem { line: 1, problem: "there is nothing below the names of the columns".to_owned() });
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

fn columns(
    heading: &StringRecord,
    needed: &[&'static str],
    others: &[&'static str],
) -> Result<Vec<&'static str>, Vec<Problem>> {
    let known = || needed.iter().chain(others);
    let list = || known().copied().collect::<Vec<_>>().join(", ");
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut wrong = |problem: String| problems.push(Problem { line: 1, problem });
    for name in heading {
        match known().find(|k| k.eq_ignore_ascii_case(name)) {
            Some(column) if found.contains(column) => wrong(format!("the column {column} is there twice")),
            Some(column) => found.push(*column),
            None => wrong(format!("there is no column {name:?}; a sheet of this kind has {}", list())),
        }
    }
    for missing in needed.iter().filter(|n| !found.contains(n)) {
        wrong(format!("the column {missing} is missing"));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// The lines that rows begin on. The reader knows the byte where it began to look for a row, which may be in the middle of a
/// line's end or before empty lines; so lines are counted here, once over the file.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let begun = position.map_or(0, |p| usize::try_from(p.byte()).unwrap_or(usize::MAX));
        while let Some(byte) = self.bytes.get(self.at)
            && (self.at < begun || matches!(byte, b'\r' | b'\n'))
        {
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

fn row(record: &StringRecord, line: u64, columns: &[&'static str]) -> Result<Row, Problem> {
    let wrong = |problem: String| Err(Problem { line, problem });
    if record.len() != columns.len() && record.iter().any(|cell| !cell.is_empty()) {
        let (here, heading) = (record.len(), columns.len());
        return wrong(format!("the row has {here} cells, the first row names {heading} columns"));
    }
    if record.iter().any(|cell| cell.len() > CELL_BYTES) {
        return wrong(format!("a cell has more than {CELL_BYTES} bytes"));
    }
    // PostgreSQL keeps no NUL, and nobody means one.
    if record.iter().any(|cell| cell.contains('\0')) {
        return wrong("a cell has a NUL sign in it".to_owned());
    }
    let cells = columns.iter().copied().zip(record.iter()).filter(|(_, cell)| !cell.is_empty());
    Ok(Row { line, cells: cells.map(|(column, cell)| (column, cell.to_owned())).collect() })
}

fn unreadable(e: &csv::Error, lines: &mut Lines<'_>) -> Problem {
    let line = lines.of(e.position());
    let problem = match e.kind() {
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8; save the sheet as \"CSV UTF-8\"".to_owned(),
        _ => format!("the row cannot be read: {e}"),
    };
    Problem { line, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|r| format!("{} {:?} {:?}", r.line, r.get("a"), r.get("b"))).collect()
    }

    fn problems(bytes: &[u8]) -> Vec<String> {
        read(bytes, &["a"], &["b"]).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commas_semicolons_and_tabs_part_cells() {
        for (text, parted) in [("a,b\n1,x;y\n", "x;y"), ("b;a\r\nx,y; 1 \r\n", "x,y"), ("a\tb\n1\tx y\n", "x y")] {
            let rows = read(text.as_bytes(), &["a"], &["b"]).unwrap();
            assert_eq!(texts(&rows), [format!("2 Some(\"1\") Some({parted:?})")], "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_quotes_and_empty_rows_are_understood() {
        let text = "\u{feff}a,b\n\"1 \"\"x\"\"\",\n,\n\n\"two\nlines\",z\n";
        let rows = read(text.as_bytes(), &["a"], &["b"]).unwrap();
        assert_eq!(texts(&rows), ["2 Some(\"1 \\\"x\\\"\") None", "5 Some(\"two\\nlines\") Some(\"z\")"]);
    }

    #[test]
    fn every_problem_has_its_line() {
        assert_eq!(problems(b""), ["line 1: the file is empty"]);
        assert_eq!(problems(b"a,b\n"), ["line 1: there is nothing below the names of the columns"]);
        let [unknown, twice, missing] = problems(b"b,c,b\n").try_into().unwrap();
        assert_eq!(unknown, "line 1: there is no column \"c\"; a sheet of this kind has a, b");
        assert_eq!(
            (twice.as_str(), missing.as_str()),
            ("line 1: the column b is there twice", "line 1: the column a is missing")
        );
        assert_eq!(problems(b"a,b\n1\n1,2,3\n").len(), 2);
        assert_eq!(problems(b"a,b\n1,2\n\xff,2\n"), ["line 3: the text is not UTF-8; save the sheet as \"CSV UTF-8\""]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let _ = read(&bytes, &["a"], &["b"]);
            let _ = read(&[b"a,b\n".as_slice(), &bytes].concat(), &["a"], &["b"]);
        });
    }
}
