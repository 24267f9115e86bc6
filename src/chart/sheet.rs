//! Sub-accounts as a sheet: a CSV in and out, the same columns both ways. Pure.
//!
//! Columns, by their headings, in any order; only `code` must be there. A column that is not there leaves its field as it is.
//!
//! | Column | Means | Empty |
//! | --- | --- | --- |
//! | `code` | the path: `de-eur/tiktok/de/operating` (master, product, market, purpose) | refused |
//! | `name` | for people | stays, or is made of product, market and purpose |
//! | `kind` | `leaf` | `leaf` |
//! | `product`, `market` | as in the path | taken from it |
//! | `owner` | code of an entity | stays, or is the master's |
//! | `floor` | an amount of the master's currency, `none` for no floor | zero |
//! | `ceiling`, `movement_limit` | an amount | no limit |
//! | `expires_on` | the last day, `2026-12-31` | never |
//! | `virtual_number` | given by the treasury: written, and only compared when read | not compared |
//! | `metadata.KEY` | a text | no such key |
//!
//! Spreadsheets take a text that begins with `=`, `+`, `-`, `@`, a tab or a line end for a formula. Such texts are written with
//! a `'` before them, which reading takes away again; so are texts that begin with `'` themselves. Numbers stay numbers.

use super::file::{Metadata, SubAccountTable};
use std::collections::BTreeMap;
use std::fmt;

/// What begins a formula somewhere, and what guards from it.
const GUARDED: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', GUARD];
const GUARD: char = '\'';

const METADATA: &str = "metadata.";

/// The columns besides metadata, in the order of writing.
const COLUMNS: [&str; 11] = [
    "code",
    "name",
    "kind",
    "product",
    "market",
    "owner",
    "floor",
    "ceiling",
    "movement_limit",
    "expires_on",
    "virtual_number",
];

/// What is wrong in which line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LineProblem {
    /// From 1, the headings; 0: the file as a whole.
    pub line: u64,
    /// A sentence.
    pub problem: String,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.problem)
    }
}

/// A row as a sheet has it: a leaf, and what is only compared or merged.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Where in the file.
    pub line: u64,
    /// The path.
    pub code: String,
    /// Everything but metadata.
    pub table: SubAccountTable,
    /// Of the keys that have a column; `None`: not this key.
    pub metadata: BTreeMap<String, Option<String>>,
    /// To be compared.
    pub virtual_number: Option<String>,
}

/// A sheet as read: the rows whose form is right, and what is wrong with the others, so that all problems are told at once.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// Problems of form.
    pub problems: Vec<LineProblem>,
}

/// Reads a sheet; the error is about the file as a whole.
pub fn read(text: &str) -> Result<Sheet, Vec<LineProblem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    // Where the comma is the decimal sign, spreadsheets put semicolons between cells.
    let semicolons = first.matches(';').count() > first.matches(',').count();
    let mut reader =
        csv::ReaderBuilder::new().delimiter(if semicolons { b';' } else { b',' }).from_reader(text.as_bytes());
    let headings: Vec<String> =
        reader.headers().map(|h| h.iter().map(|c| c.trim().to_owned()).collect()).unwrap_or_default();
    let wrong = check_headings(&headings);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                problems.push(LineProblem { line, problem: in_words(&e) });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cells = headings.iter().map(String::as_str).zip(record.iter());
        match row(line, cells) {
            Err(wrong) => problems.extend(wrong.into_iter().map(|problem| LineProblem { line, problem })),
            Ok(row) => match seen.insert(row.code.clone(), line) {
                Some(other) => {
                    let problem = format!("{} is in line {other} already", row.code);
                    problems.push(LineProblem { line, problem });
                }
                None => rows.push(row),
            },
        }
    }
    if rows.is_empty() && problems.is_empty() {
        return Err(vec![LineProblem { line: 0, problem: "the file has no rows".to_owned() }]);
    }
    Ok(Sheet { rows, problems })
}

fn check_headings(headings: &[String]) -> Vec<LineProblem> {
    let mut wrong = Vec::new();
    for (place, heading) in headings.iter().enumerate() {
        let known =
            COLUMNS.contains(&heading.as_str()) || heading.strip_prefix(METADATA).is_some_and(|k| !k.is_empty());
        if !known {
            let columns = COLUMNS.join(", ");
            wrong.push(format!("there is no column \"{heading}\"; there are {columns} and {METADATA}KEY"));
        } else if headings.iter().take(place).any(|h| h == heading) {
            wrong.push(format!("the column {heading} is there twice"));
        }
    }
    if !headings.iter().any(|h| h == "code") {
        wrong.push("there must be a column code".to_owned());
    }
    wrong.into_iter().map(|problem| LineProblem { line: 1, problem }).collect()
}

fn row<'c>(line: u64, cells: impl Iterator<Item = (&'c str, &'c str)>) -> Result<Row, Vec<String>> {
    let mut row = Row { line, ..Row::default() };
    let (mut product, mut market) = (None, None);
    let mut wrong = Vec::new();
    for (heading, cell) in cells {
        let plain = cell.trim();
        let filled = || (!plain.is_empty()).then(|| plain.to_owned());
        // An empty cell of a limit takes it away.
        let limit = |empty: &str| Some(filled().unwrap_or_else(|| empty.to_owned()));
        match heading {
            "code" => row.code = plain.to_owned(),
            "name" => row.table.name = (!plain.is_empty()).then(|| unguarded(cell).to_owned()),
            "kind" if plain.is_empty() || plain == "leaf" => {}
            "kind" => {
                wrong.push(format!("kind: \"{plain}\" cannot be made; only a leaf can, the rest comes with its master"))
            }
            "product" => product = filled(),
            "market" => market = filled(),
            "owner" => row.table.owner = filled(),
            "floor" => row.table.floor = limit("0"),
            "ceiling" => row.table.ceiling = limit("none"),
            "movement_limit" => row.table.movement_limit = limit("none"),
            "expires_on" => row.table.expires_on = limit("none"),
            "virtual_number" => row.virtual_number = filled(),
            _ => {
                let key = heading.strip_prefix(METADATA).unwrap_or(heading).to_owned();
                row.metadata.insert(key, (!cell.is_empty()).then(|| unguarded(cell).to_owned()));
            }
        }
    }
    let parts: Vec<&str> = row.code.split('/').collect();
    let &[master, of_product, of_market, purpose] = parts.as_slice() else {
        wrong.push(format!("code: \"{}\" is not a path of master/product/market/purpose", row.code));
        return Err(wrong);
    };
    if of_market.chars().any(|c| c.is_ascii_uppercase()) {
        wrong.push(format!("code: the market stands in small letters in a path, not as in \"{}\"", row.code));
    }
    let of_market = of_market.to_ascii_uppercase();
    if product.as_deref().is_some_and(|p| p != of_product) {
        wrong.push(format!("product: it is not {of_product}, as the code says"));
    }
    if market.as_deref().is_some_and(|m| m != of_market) {
        wrong.push(format!("market: it is not {of_market}, as the code says"));
    }
    row.table.master = master.to_owned();
    row.table.product = of_product.to_owned();
    row.table.market = of_market;
    row.table.purpose = Some(purpose.to_owned());
    if wrong.is_empty() { Ok(row) } else { Err(wrong) }
}

fn in_words(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} cells, and the headings are {expected_len}")
        }
        _ => e.to_string(),
    }
}

/// A leaf to be written: amounts as exact decimals, `None` of the floor is no floor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub code: String,
    pub name: String,
    pub product: String,
    pub market: String,
    pub owner: String,
    pub floor: Option<String>,
    pub ceiling: Option<String>,
    pub movement_limit: Option<String>,
    pub expires_on: Option<String>,
    pub virtual_number: Option<String>,
    pub metadata: Metadata,
}

/// Writes a sheet; every key of metadata has a column.
pub fn write(lines: &[Line]) -> Result<String, String> {
    let mut keys: Vec<&str> = lines.iter().flat_map(|l| l.metadata.keys().map(String::as_str)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let headings = COLUMNS.iter().map(|c| (*c).to_owned()).chain(keys.iter().map(|key| format!("{METADATA}{key}")));
    writer.write_record(headings).map_err(|e| e.to_string())?;
    for l in lines {
        let plain = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut cells = vec![
            l.code.clone(),
            guarded(&l.name),
            "leaf".to_owned(),
            l.product.clone(),
            l.market.clone(),
            l.owner.clone(),
            l.floor.clone().unwrap_or_else(|| "none".to_owned()),
            plain(&l.ceiling),
            plain(&l.movement_limit),
            plain(&l.expires_on),
            plain(&l.virtual_number),
        ];
        cells.extend(keys.iter().map(|key| l.metadata.get(*key).map(|text| guarded(text)).unwrap_or_default()));
        writer.write_record(cells).map_err(|e| e.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

/// A text that no spreadsheet takes for a formula.
fn guarded(text: &str) -> String {
    if text.starts_with(GUARDED) { format!("{GUARD}{text}") } else { text.to_owned() }
}

/// The text that was guarded.
fn unguarded(text: &str) -> &str {
    text.strip_prefix(GUARD).filter(|rest| rest.starts_with(GUARDED)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn said(text: &str) -> String {
        read(text)
            .map_or_else(|whole| whole, |sheet| sheet.problems)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn every_problem_has_its_line() {
        let said = said(
            "code,name,kind,market\nm/p/de/x,A,leaf,DE\nm/p/de/x,B,,\nm/p/DE/y,C,,\nm/p,D,house,\nm/p/de/z,E,,FR\nm/p/de/w,F\n",
        );
        for says in [
            "line 3: m/p/de/x is in line 2 already",
            "line 4: code: the market stands in small letters",
            "line 5: kind: \"house\"",
            "line 5: code: \"m/p\" is not a path",
            "line 6: market: it is not DE",
            "line 7: it has 2 cells, and the headings are 4",
        ] {
            assert!(said.contains(says), "{says} in\n{said}");
        }
    }

    #[test]
    fn headings_are_known_once_and_have_a_code() {
        let wrong = said("name,name,colour,metadata.\nx,y,z,w\n");
        for says in ["name is there twice", "no column \"colour\"", "no column \"metadata.\"", "must be a column code"]
        {
            assert!(wrong.contains(says), "{says} in\n{wrong}");
        }
        assert!(said("code\n").contains("no rows"));
        assert!(said("").contains("code"));
        let semicolons = read("\u{feff}code;name\r\nm/p/de/x;\"A; B\"\r\n").unwrap();
        assert_eq!(semicolons.rows[0].table.name.as_deref(), Some("A; B"));
    }

    #[test]
    fn texts_are_guarded_and_numbers_stay_numbers() {
        let line = Line {
            code: "m/p/de/x".to_owned(),
            name: "=HYPERLINK(\"x\")".to_owned(),
            floor: Some("-100.00".to_owned()),
            metadata: Metadata::from([("note".to_owned(), "-1+2".to_owned()), ("tab".to_owned(), "\t@".to_owned())]),
            ..Line::default()
        };
        let text = write(&[line]).unwrap();
        assert!(
            text.contains("\"'=HYPERLINK(\"\"x\"\")\"") && text.contains(",-100.00,") && text.contains("'-1+2,'\t@"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec("[='+@\\-\t\r\n,;\"a é]{1,8}", 1..12), spare in any::<bool>()) {
            let line = |(n, text): (usize, &String)| Line {
                code: format!("m/p{n}/de/x"),
                name: format!("={text}"),
                product: format!("p{n}"),
                market: "DE".to_owned(),
                owner: "acme".to_owned(),
                floor: spare.then(|| "-5.00".to_owned()),
                metadata: Metadata::from([(format!("k{}", n % 3), text.clone())]),
                ..Line::default()
            };
            let lines: Vec<Line> = texts.iter().enumerate().map(line).collect();
            let text = write(&lines).unwrap();
            let rows = read(&text).unwrap().rows;
            for (row, line) in rows.iter().zip(&lines) {
                prop_assert_eq!(row.table.name.as_deref(), Some(line.name.as_str()));
                prop_assert_eq!(row.table.floor.as_deref(), Some(line.floor.as_deref().unwrap_or("none")));
                let metadata: Metadata = row.metadata.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect();
                prop_assert_eq!(&metadata, &line.metadata);
            }
            // No cell of text begins a formula.
            let mut cells = csv::Reader::from_reader(text.as_bytes());
            for record in cells.records().map(Result::unwrap) {
                let risky = |cell: &str| cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<rust_decimal::Decimal>().is_err();
                prop_assert!(!record.iter().any(risky), "{:?}", record);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}|code[,;a-z\n/\"']{0,100}") {
            let _ = read(&text);
        }
    }
}
