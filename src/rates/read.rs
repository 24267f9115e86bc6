//! Files of rates: CSV, and the XML of the European Central Bank's reference rates. Pure, and names every problem with its line.
//!
//! A CSV has the headings `date,base,currency,rate` in any order: one unit of `base` buys `rate` units of `currency`. In the
//! ECB's files (of a day, of 90 days, of all days) that is a `Cube` with a `time` and in it one per `currency` with its `rate`;
//! the base is the euro. A DOCTYPE is refused unread, nothing is expanded, and depth and size are bounded.

use crate::money::Currency;
use chrono::NaiveDate;
use quick_xml::events::{BytesStart, Event};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The source of the ECB's files.
pub const ECB: &str = "ecb";

const BYTES_LIMIT: usize = 64 << 20;
const DEPTH_LIMIT: usize = 16;
const ATTRIBUTE_LIMIT: usize = 16;

/// More digits than any published rate has, and few enough that an amount times a rate keeps all of its own.
const DIGITS: usize = 15;

/// A rate as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where in the file.
    pub line: u64,
    /// The day that it is of.
    pub date: NaiveDate,
    /// ISO 4217.
    pub currency: String,
    /// Units of it for one unit of the file's base.
    pub rate: Decimal,
}

/// A file without problems: each currency and day once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOfRates {
    /// Whose rates they are, where the file's form says so.
    pub source: Option<&'static str>,
    /// ISO 4217.
    pub base: String,
    /// In the order of the file.
    pub rates: Vec<Published>,
    /// Currencies of the ECB's file that no longer exist or have no minor units: passed over.
    pub passed_over: BTreeSet<String>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// From 1; 0: the file as a whole.
    pub line: u64,
    /// A sentence.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.problem)
    }
}

/// Reads a file, whichever of the two it is, or says everything that is wrong with it.
pub fn read(bytes: &[u8]) -> Result<FileOfRates, Vec<Problem>> {
    let whole = |problem: String| vec![Problem { line: 0, problem }];
    if bytes.len() > BYTES_LIMIT {
        return Err(whole(format!("the file has more than {} MiB; cut it into years", BYTES_LIMIT >> 20)));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count();
        whole(format!("the file is not UTF-8 from line {line} on; save it as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut gathered = Gathered::default();
    let (source, base) = if text.trim_start().starts_with('<') {
        gathered.xml(text);
        (Some(ECB), Some("EUR".to_owned()))
    } else {
        (None, gathered.csv(text))
    };
    if gathered.rates.is_empty() && gathered.problems.is_empty() {
        gathered.wrong(0, "the file holds no rates");
    }
    let Gathered { rates, problems, passed_over, .. } = gathered;
    if problems.is_empty() {
        Ok(FileOfRates { source, base: base.unwrap_or_default(), rates, passed_over })
    } else {
        Err(problems)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Gathered {
    rates: Vec<Published>,
    /// Line and rate by what must be there once.
    seen: BTreeMap<(NaiveDate, String), (u64, Decimal)>,
    problems: Vec<Problem>,
    passed_over: BTreeSet<String>,
}

impl Gathered {
    fn wrong(&mut self, line: u64, problem: impl Into<String>) {
        self.problems.push(Problem { line, problem: problem.into() });
    }

    fn add(&mut self, line: u64, date: NaiveDate, currency: String, rate: Decimal) {
        match self.seen.get(&(date, currency.clone())) {
            Some((_, same)) if *same == rate => {}
            Some((other, _)) => {
                let what = format!("{currency} of {date} has another rate in line {other}");
                self.wrong(line, what);
            }
            None => {
                self.seen.insert((date, currency.clone()), (line, rate));
                self.rates.push(Published { line, date, currency, rate });
            }
        }
    }

    /// Gives the base.
    fn csv(&mut self, text: &str) -> Option<String> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let headings: Vec<String> = reader.headers().map(|h| h.iter().map(str::to_owned).collect()).unwrap_or_default();
        let place = |name: &str| headings.iter().position(|h| h == name);
        let places = [place("date"), place("base"), place("currency"), place("rate")];
        let (&[Some(date), Some(base), Some(currency), Some(rate)], 4) = (&places, headings.len()) else {
            let said = shortened(&headings.join(","));
            self.wrong(1, format!("the headings are \"{said}\"; they must be date,base,currency,rate"));
            return None;
        };
        let mut bases: BTreeMap<String, u64> = BTreeMap::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(e) => {
                    self.wrong(e.position().map_or(0, csv::Position::line), format!("{e}"));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |place: usize| record.get(place).unwrap_or_default();
            bases.entry(cell(base).to_owned()).or_insert(line);
            for code in [cell(base), cell(currency)] {
                if let Err(e) = code.parse::<Currency>() {
                    self.wrong(line, e.to_string());
                }
            }
            if cell(base) == cell(currency) {
                self.wrong(line, format!("{} against itself is one; leave it out", cell(base)));
            }
            if let (Some(date), Some(rate)) = (self.date(line, cell(date)), self.rate(line, cell(rate))) {
                self.add(line, date, cell(currency).to_owned(), rate);
            }
        }
        if bases.len() > 1 {
            let named: Vec<String> = bases.iter().map(|(base, line)| format!("{base} (line {line})")).collect();
            self.wrong(0, format!("a source has one base, and the file has {}; cut it into several", named.join(", ")));
        }
        bases.into_keys().next()
    }

    fn date(&mut self, line: u64, text: &str) -> Option<NaiveDate> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|d| d.to_string() == text);
        if date.is_none() {
            self.wrong(line, format!("\"{}\" is not a date: write it like 2026-03-02", shortened(text)));
        }
        date
    }

    fn rate(&mut self, line: u64, text: &str) -> Option<Decimal> {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits > 0;
        // Zeros in front are none of the digits that count.
        let counting = text.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
        let rate = Decimal::from_str_exact(text).ok().filter(|r| plain && counting <= DIGITS && r.scale() <= 20);
        let what = match rate {
            Some(rate) if rate.is_zero() => "a rate of zero is none".to_owned(),
            Some(rate) => return Some(rate),
            None => format!(
                "\"{}\" is not a rate: write digits with a decimal point, at most {DIGITS} that count, such as 1.0842",
                shortened(text)
            ),
        };
        self.wrong(line, what);
        None
    }

    fn xml(&mut self, text: &str) {
        let mut reader = quick_xml::Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let (mut depth, mut counted, mut line) = (0usize, 0usize, 1u64);
        let mut day: Option<(usize, NaiveDate)> = None;
        loop {
            let at = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
            let passed = text.as_bytes().get(counted..at).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
            line += u64::try_from(passed).unwrap_or(0);
            counted = at;
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    depth += 1;
                    if depth > DEPTH_LIMIT {
                        return self.wrong(line, format!("elements nest deeper than {DEPTH_LIMIT}"));
                    }
                    if start.local_name().as_ref() == "Cube" {
                        self.cube(line, &start, depth, &mut day);
                    }
                }
                Ok(Event::End(_)) => {
                    depth = depth.saturating_sub(1);
                    day = day.filter(|(of, _)| depth >= *of);
                }
                Ok(Event::DocType(_)) => {
                    return self.wrong(line, "a DOCTYPE is not allowed in a file of rates and was not read");
                }
                Ok(Event::Eof) if depth > 0 => return self.wrong(line, "the file ends in the middle: fetch it again"),
                Ok(Event::Eof) => return,
                Ok(_) => {}
                Err(e) => return self.wrong(line, format!("the file is no well-formed XML from here on: {e}")),
            }
        }
    }

    fn cube(&mut self, line: u64, start: &BytesStart<'_>, depth: usize, day: &mut Option<(usize, NaiveDate)>) {
        let (mut time, mut currency, mut rate) = (None, None, None);
        for attribute in start.attributes().with_checks(false).take(ATTRIBUTE_LIMIT).flatten() {
            let value = attribute.value.trim().to_owned();
            match attribute.key.as_ref() {
                "time" => time = Some(value),
                "currency" => currency = Some(value),
                "rate" => rate = Some(value),
                _ => {}
            }
        }
        if let Some(time) = time {
            *day = self.date(line, &time).map(|date| (depth, date));
        }
        let (Some(currency), Some(rate)) = (&currency, &rate) else {
            if currency.is_some() || rate.is_some() {
                self.wrong(line, "a Cube has a currency and a rate, or neither");
            }
            return;
        };
        let Some((_, date)) = *day else {
            return self.wrong(line, "a rate stands outside a Cube with a time, so its day is not known");
        };
        if currency.parse::<Currency>().is_err()
            && currency.len() == 3
            && currency.bytes().all(|b| b.is_ascii_uppercase())
        {
            // The history reaches back to currencies that are gone.
            self.passed_over.insert(currency.clone());
        } else if let Err(e) = currency.parse::<Currency>() {
            self.wrong(line, e.to_string());
        } else if let Some(rate) = self.rate(line, rate) {
            self.add(line, date, currency.clone(), rate);
        }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    const DAY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
	<gesmes:subject>Reference rates</gesmes:subject>
	<Cube>
		<Cube time="2026-03-03"><Cube currency="USD" rate="1.0800"/><Cube currency="JPY" rate="160.25"/></Cube>
		<Cube time='2026-03-02'>
			<Cube currency='USD' rate='1.0750'/>
			<Cube currency='CYP' rate='0.5853'/>
		</Cube>
	</Cube>
</gesmes:Envelope>"#;

    fn problems(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_banks_xml_is_read_and_currencies_that_are_gone_are_passed_over() {
        let file = read(DAY.as_bytes()).unwrap();
        assert_eq!((file.source, file.base.as_str(), file.rates.len()), (Some("ecb"), "EUR", 3));
        let last = &file.rates[2];
        assert_eq!(
            (last.line, last.date.to_string(), last.rate.to_string()),
            (7, "2026-03-02".into(), "1.0750".into())
        );
        assert_eq!(file.passed_over.iter().collect::<Vec<_>>(), ["CYP"]);
    }

    #[test]
    fn what_is_wrong_with_xml_is_named_and_nothing_is_taken() {
        let hostile = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
        assert!(problems(hostile).contains("DOCTYPE"));
        assert!(problems(&"<a>".repeat(1_000_000)).contains("deeper"));
        assert!(problems(&DAY.replace("</gesmes:Envelope>", "")).contains("ends in the middle"));
        assert!(problems(&DAY.replace("</gesmes:subject>", "</subject>")).contains("well-formed"));
        assert!(problems("<x/>").contains("no rates"));
        for (from, to, says) in [
            ("1.0800", "1,08", "line 5: \"1,08\" is not a rate"),
            ("1.0800", "0.0000", "line 5: a rate of zero"),
            ("1.0800", "-1.08", "line 5: \"-1.08\""),
            ("1.0800", "1e400", "line 5: \"1e400\""),
            ("1.0800", "NaN", "line 5: \"NaN\""),
            ("1.0800", "1.0000000000000001", "line 5: \"1.0000000000000001\""),
            ("rate=\"1.0800\"", "", "line 5: a Cube has a currency and a rate"),
            ("time=\"2026-03-03\"", "", "line 5: a rate stands outside"),
            ("2026-03-03", "2026-02-30", "line 5: \"2026-02-30\" is not a date"),
            ("2026-03-02", "2026-03-03", "line 7: USD of 2026-03-03 has another rate in line 5"),
            ("\"USD\"", "\"usd\"", "line 5: \"usd\" is not a currency"),
        ] {
            let said = problems(&DAY.replacen(from, to, 1));
            assert!(said.contains(says), "{to}: {said}");
        }
    }

    #[test]
    fn a_csv_names_its_columns_and_has_one_base() {
        let file =
            read(b"\xef\xbb\xbfdate,currency,base,rate\r\n2026-03-02, USD ,EUR,1.0750\r\n2026-03-02,USD,EUR,1.075\r\n")
                .unwrap();
        assert_eq!((file.base.as_str(), file.rates.len(), file.source), ("EUR", 1, None));
        assert!(problems("date,currency,rate\n").contains("headings are \"date,currency,rate\""));
        let bad = "date,base,currency,rate\n2026-3-2,EUR,USD,1.1\n2026-03-02,EUR,EUR,1\n2026-03-02,USD,XYZ,0\n2026-03-02,EUR\n";
        let said = problems(bad);
        for says in [
            "line 2: \"2026-3-2\"",
            "line 3: EUR against itself",
            "line 4: \"XYZ\"",
            "line 4: a rate of zero",
            "line 5:",
            "one base",
        ] {
            assert!(said.contains(says), "{says} in {said}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..DAY.len(), at in 0..DAY.len(), byte in any::<u8>()) {
            let _ = read(&bytes);
            let mut damaged = DAY.as_bytes().to_vec();
            damaged[at] = byte;
            let _ = read(&damaged);
            prop_assert!(read(&DAY.as_bytes()[..cut]).is_err());
        }

        #[test]
        fn what_is_written_is_read(rates in prop::collection::btree_map(0u64..900, (1i64..1_000_000_000, 0u32..8), 1..60)) {
            let first: NaiveDate = "2024-01-01".parse().unwrap();
            let day = |n: &u64| first.checked_add_days(chrono::Days::new(*n)).unwrap();
            let rates: Vec<(NaiveDate, Decimal)> = rates.iter().map(|(n, (m, s))| (day(n), Decimal::new(*m, *s))).collect();
            let csv: String = rates.iter().map(|(day, rate)| format!("{day},EUR,USD,{rate}\n")).collect();
            let cubes: String = rates.iter().map(|(day, rate)| format!("<Cube time='{day}'><Cube currency='USD' rate='{rate}'/></Cube>\n")).collect();
            for text in [format!("date,base,currency,rate\n{csv}"), format!("<E><Cube>{cubes}</Cube></E>")] {
                let read = read(text.as_bytes()).unwrap().rates;
                let read: Vec<(NaiveDate, Decimal)> = read.into_iter().map(|p| (p.date, p.rate)).collect();
                prop_assert_eq!(&read, &rates);
            }
        }
    }
}
