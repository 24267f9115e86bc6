//! Statements of the corpus against what other projects' parsers made of them, which lies beside the files: accounts, balances,
//! signed amounts, days, references, parties and codes, as far as their models have them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use crate::formats::{Read, files_below, folder};
use base64::Engine;
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use tributary::banking::{Detail, Direction, Line};
use tributary::money::{Currency, Minor};

fn minor(text: &str, currency: &str) -> i64 {
    let currency: Currency = currency.parse().unwrap();
    Minor::parse(text, currency).unwrap_or_else(|e| panic!("{text}: {e}")).0
}

/// A literal of Python, as far as these files use them: lists and tuples alike, strings that stand side by side as one.
struct Literal<'t>(&'t str);

impl Literal<'_> {
    fn read(text: &str) -> Value {
        Literal(text).value()
    }

    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn takes(&mut self, sign: char) -> bool {
        self.skip();
        match self.0.strip_prefix(sign) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Value {
        self.skip();
        match self.0.chars().next().unwrap() {
            open @ ('(' | '[') => {
                self.takes(open);
                let (mut all, close) = (Vec::new(), if open == '(' { ')' } else { ']' });
                while !self.takes(close) {
                    all.push(self.value());
                    self.takes(',');
                }
                Value::Array(all)
            }
            '{' => {
                self.takes('{');
                let mut all = Map::new();
                while !self.takes('}') {
                    let name = self.value().as_str().unwrap().to_owned();
                    assert!(self.takes(':'), "{}", &self.0[..20]);
                    all.insert(name, self.value());
                    self.takes(',');
                }
                Value::Object(all)
            }
            '\'' | '"' => {
                let mut text = String::new();
                while let Some(quote) = ['\'', '"'].into_iter().find(|quote| self.takes(*quote)) {
                    let mut signs = self.0.char_indices();
                    let end = loop {
                        match signs.next().unwrap() {
                            (at, sign) if sign == quote => break at + 1,
                            (_, '\\') => text.push(match signs.next().unwrap().1 {
                                'n' => '\n',
                                other => other,
                            }),
                            (_, sign) => text.push(sign),
                        }
                    };
                    self.0 = &self.0[end..];
                }
                Value::String(text)
            }
            _ => {
                let end = self.0.find([',', ')', ']', '}']).unwrap();
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                json!(word.trim())
            }
        }
    }
}

#[test]
fn a_literal_of_another_language_is_read_as_it_means() {
    let read = Literal::read("('EUR',\n [{'a': 1.5, 'b': 'x\\'y'\n   \"z\", 'c': []}])");
    assert_eq!(read, json!(["EUR", [{ "a": "1.5", "b": "x'yz", "c": [] }]]));
}

/// What a line says to whoever takes its details one by one.
fn flat(lines: &[Line]) -> Vec<(&Line, &Detail, i64)> {
    let of = |line: &'_ Line, detail: &Detail| {
        let amount = if line.details.len() == 1 { line.amount } else { detail.amount.unwrap_or(line.amount) };
        let debit = detail.direction.unwrap_or(line.direction) == Direction::Debit;
        if debit { -amount.0 } else { amount.0 }
    };
    lines.iter().flat_map(|line| line.details.iter().map(move |d| (line, d, of(line, d)))).collect()
}

#[test]
fn statements_say_what_a_third_parser_read_of_them() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else { return };
    let folder = corpus.join("camt053");
    let mut compared = 0;
    for (golden, file) in [
        ("oca--16.0_golden-camt053.pydata", "oca--10.0_test-camt053.xml"),
        ("oca--16.0_golden-camt053-no-ntry.pydata", "oca--10.0_test-camt053-no-ntry.xml"),
        ("oca--16.0_golden-camt053-txdtls.pydata", "oca--9.0_test-camt053-txdtls.xml"),
    ] {
        let expected = Literal::read(&fs::read_to_string(folder.join(golden)).unwrap());
        let (currency, account) = (expected[0].as_str().unwrap(), expected[1].as_str().unwrap());
        let read = Read::of(&fs::read(folder.join(file)).unwrap());
        let statements = expected[2].as_array().unwrap();
        if statements.is_empty() {
            // Theirs says nothing of a statement without entries.
            assert!(read.statements.iter().all(|(_, lines, _)| lines.is_empty()), "{file}");
            continue;
        }
        assert_eq!(read.statements.len(), statements.len(), "{file}: {:?}", read.problems);
        for ((head, lines, foot), theirs) in read.statements.iter().zip(statements) {
            assert_eq!(head.account.as_deref(), Some(account), "{file}");
            assert_eq!(head.currency.map(|c| c.code().to_owned()).as_deref(), Some(currency), "{file}");
            let cents = |name: &str| theirs[name].as_str().map(|text| minor(text, currency));
            let closing = foot.as_ref().unwrap().closing.map(|b| b.amount.0);
            assert_eq!(
                (head.opening.map(|b| b.amount.0), closing),
                (cents("balance_start"), cents("balance_end_real"))
            );
            let (ours, theirs) = (flat(lines), theirs["transactions"].as_array().unwrap());
            assert_eq!(ours.len(), theirs.len(), "{file}");
            for ((line, detail, amount), theirs) in ours.into_iter().zip(theirs) {
                assert_eq!(amount, minor(theirs["amount"].as_str().unwrap(), currency), "{file}, {}", line.at);
                assert_same_transaction(line, detail, theirs, &format!("{file}, {}", line.at));
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 6);
}

fn assert_same_transaction(line: &Line, detail: &Detail, theirs: &Value, place: &str) {
    let said = |name: &str| theirs[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    assert_eq!(line.booked_on.map(|on| on.to_string()), said("date"), "{place}");
    assert_eq!(line.code.as_ref().map(|code| code.replace('/', "-")), said("transaction_type"), "{place}");
    let narration = said("narration").unwrap_or_default();
    let narrated = |name: &str| {
        let line = narration.lines().find_map(|line| line.split_once(&format!("{name}): ")));
        line.map(|(_, text)| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    for (ours, theirs) in [
        (&detail.counterparty_name, said("partner_name")),
        (&detail.counterparty_account, said("account_number")),
        (&detail.end_to_end_id, narrated("Refs/EndToEndId")),
        (&detail.instruction_id, narrated("Refs/InstrId")),
        (&detail.bank_ref, narrated("Refs/AcctSvcrRef")),
        (&detail.creditor_reference, narrated("RmtInf/Strd/CdtrRefInf/Ref")),
        (&detail.return_reason, narrated("RtrInf/Rsn/Cd")),
    ] {
        assert!(theirs.is_none() || *ours == theirs, "{place}: {ours:?} instead of {theirs:?}");
    }
    assert_eq!(line.reversal, narrated("RvslInd").as_deref() == Some("true"), "{place}");
}

#[test]
fn a_statement_says_what_stands_in_its_document() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else { return };
    let file = corpus.join("camt053/iso20022js--goldman_sachs_camt_053_us_v2_sample.xml");
    let document: Value = serde_json::from_str(&fs::read_to_string(file.with_extension("json")).unwrap()).unwrap();
    let read = Read::of(&fs::read(&file).unwrap());
    let statements = document["Document"]["BkToCstmrStmt"]["Stmt"].as_array().unwrap();
    assert_eq!(read.statements.len(), statements.len());
    let signed = |of: &Value| {
        let amount = minor(of["Amt"]["#text"].as_str().unwrap(), of["Amt"]["@_Ccy"].as_str().unwrap());
        if of["CdtDbtInd"] == "DBIT" { -amount } else { amount }
    };
    let one = |of: &Value| if let Some(all) = of.as_array() { all[0].clone() } else { of.clone() };
    for ((head, lines, foot), theirs) in read.statements.iter().zip(statements) {
        assert_eq!(head.message_id.is_some(), document["Document"]["BkToCstmrStmt"]["GrpHdr"]["MsgId"].is_string());
        let account = one(&theirs["Acct"]["Id"]);
        assert_eq!(head.account.as_deref(), account["Othr"]["Id"].as_str().or(account["IBAN"].as_str()));
        let balance = |code: &str| {
            let all = theirs["Bal"].as_array().unwrap();
            all.iter().find(|b| b["Tp"]["CdOrPrtry"]["Cd"] == code).map(signed)
        };
        let closing = foot.as_ref().unwrap().closing.map(|b| b.amount.0);
        assert_eq!((head.opening.map(|b| b.amount.0), closing), (balance("OPBD"), balance("CLBD")));
        let entries = theirs["Ntry"].as_array().unwrap();
        assert_eq!(lines.len(), entries.len(), "{:?}", read.problems);
        for (line, entry) in lines.iter().zip(entries) {
            assert_eq!(line.signed().0, signed(entry), "{}", line.at);
            assert_eq!(line.reversal, entry["RvslInd"] == true, "{}", line.at);
            assert_eq!(line.owner_ref.as_deref(), entry["NtryRef"].as_str(), "{}", line.at);
            let day = entry["BookgDt"]["DtTm"].as_str().or(entry["BookgDt"]["Dt"].as_str()).unwrap();
            assert!(day.starts_with(&line.booked_on.unwrap().to_string()), "{}", line.at);
            let details = one(&one(&entry["NtryDtls"])["TxDtls"]);
            let (ours, refs) = (&line.details[0], &details["Refs"]);
            for (ours, theirs) in [
                (&ours.end_to_end_id, &refs["EndToEndId"]),
                (&ours.payment_info_id, &refs["PmtInfId"]),
                (&ours.bank_ref, &refs["AcctSvcrRef"]),
                (&ours.instruction_id, &refs["InstrId"]),
            ] {
                // What looks like a number they have made one, without its zeros before.
                if let Some(number) = theirs.as_i64() {
                    assert_eq!(ours.as_ref().and_then(|text| text.parse().ok()), Some(number), "{}", line.at);
                    continue;
                }
                assert_eq!(ours.as_deref(), theirs.as_str().filter(|t| *t != "NOTPROVIDED"), "{}", line.at);
            }
            let parties = &details["RltdPties"];
            let other = if line.direction == Direction::Debit { &parties["Cdtr"] } else { &parties["Dbtr"] };
            assert!(other["Nm"].is_null() || ours.counterparty_name.as_deref() == other["Nm"].as_str(), "{}", line.at);
        }
    }
}

/// The scalars that stand behind a key in a YAML dump, in order; `None` for one that goes over several lines or is null.
fn scalars(text: &str, key: &str) -> Vec<Option<String>> {
    let of = |line: &str| {
        let said = line.trim().strip_prefix(key)?.strip_prefix(": ")?.trim();
        let whole = said.strip_prefix('\'').map_or(Some(said), |rest| rest.strip_suffix('\''));
        Some(whole.filter(|text| *text != "null" && !text.is_empty()).map(|text| text.replace("''", "'")))
    };
    text.lines().filter_map(of).collect()
}

/// The days behind a key: four bytes each, the year, the month, the day.
fn days(text: &str, key: &str) -> Vec<NaiveDate> {
    let (mut found, mut lines) = (Vec::new(), text.lines().map(str::trim));
    while let Some(line) = lines.next() {
        if line.starts_with(&format!("{key}: !!python/object/apply:mt940.models.Date"))
            && lines.next() == Some("- !!binary |")
        {
            let bytes = base64::engine::general_purpose::STANDARD.decode(lines.next().unwrap()).unwrap();
            let year = i32::from(bytes[0]) * 256 + i32::from(bytes[1]);
            found.push(NaiveDate::from_ymd_opt(year, bytes[2].into(), bytes[3].into()).unwrap());
        }
    }
    found
}

#[test]
fn mt940_says_whose_it_is_and_on_which_days_as_another_parser_read() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else { return };
    let (mut files, mut lines_compared) = (0, 0);
    for file in files_below(&corpus.join("mt940")) {
        let Ok(text) = fs::read_to_string(file.with_extension("yml")) else { continue };
        if file.extension().is_none_or(|e| e != "sta") {
            continue;
        }
        let read = Read::of(&fs::read(&file).unwrap());
        let (data, transactions) = text.split_once("\ntransactions:").unwrap_or((&text, ""));
        // Theirs keeps what the last of several statements says.
        if let (Some((head, ..)), Some(Some(account))) =
            (read.statements.last(), scalars(data, "account_identification").last())
        {
            let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
            let ours = plain(head.account.as_deref().unwrap_or_default());
            assert!(plain(account).contains(&ours) && !ours.is_empty(), "{}: {ours} of {account}", file.display());
            files += 1;
        }
        let lines: Vec<&Line> = read.statements.iter().flat_map(|(_, lines, _)| lines).collect();
        if read.is_refused() || lines.is_empty() {
            continue;
        }
        lines_compared += assert_same_days(&lines, transactions, &file);
    }
    assert!(files >= 10 && lines_compared >= 39, "{files} files, {lines_compared} lines");
}

fn assert_same_days(lines: &[&Line], theirs: &str, file: &Path) -> usize {
    let all = theirs.split("!!python/object:mt940.models.Transaction\n").skip(1);
    let all: Vec<&str> = all.collect();
    assert_eq!(all.len(), lines.len(), "{}", file.display());
    for (line, theirs) in lines.iter().zip(&all) {
        let place = format!("{}, {}", file.display(), line.at);
        assert_eq!(line.valued_on, days(theirs, "date").first().copied(), "{place}");
        if let Some(on) = days(theirs, "entry_date").first() {
            assert_eq!(line.booked_on, Some(*on), "{place}");
        }
        if let Some(Some(reference)) = scalars(theirs, "bank_reference").first() {
            assert_eq!(line.bank_ref.as_deref().map(str::trim), Some(reference.trim()), "{place}");
        }
        if let Some(Some(id)) = scalars(theirs, "id").first() {
            assert!(line.code.as_deref().is_some_and(|code| code.starts_with(id.trim())), "{place}: {:?}", line.code);
        }
    }
    all.len()
}
