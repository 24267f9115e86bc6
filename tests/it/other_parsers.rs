//! Messages of the corpus of every kind of camt, and an interim report, against what other projects' parsers made of them, which lies
//! beside the files: counts, amounts, states, days, references and parties, as far as their model has them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use crate::formats::{Read, files_below, folder};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tributary::banking::{Detail, Line, Status};
use tributary::money::{Currency, Minor};

#[test]
fn camt_of_every_kind_says_what_another_parser_read() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else {
        return;
    };
    let mut compared = 0;
    for group in ["camt052", "camt053", "camt054"] {
        for file in files_below(&corpus.join(group)) {
            let Ok(text) = fs::read_to_string(file.with_extension("json")) else { continue };
            if file.extension().is_none_or(|e| e != "xml") {
                continue;
            }
            let expected: Value = serde_json::from_str(&text).unwrap();
            let read = Read::of(&fs::read(&file).unwrap());
            let lines: Vec<&Line> = read.statements.iter().flat_map(|(_, lines, _)| lines).collect();
            // Another parser's document has its own test.
            let Some(entries) = expected["getEntries"].as_array() else { continue };
            // Of several statements theirs gives the entries of the last.
            let several = read.statements.len() > 1;
            let skipped = if several { lines.len() - entries.len().min(lines.len()) } else { 0 };
            assert_eq!(lines.len(), entries.len() + skipped, "{}: {:?}", file.display(), read.problems);
            for (line, entry) in lines.iter().skip(skipped).zip(entries) {
                assert_same_line(line, entry, &file);
            }
            let accounts = read.statements.iter().map(|(head, ..)| head.account.clone());
            let record = &entries[0]["getRecord"]["getAccount"]["getIdentification"];
            assert!(accounts.into_iter().all(|account| account.as_deref() == record.as_str()), "{}", file.display());
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} files have expectations beside them");
}

fn assert_same_line(line: &Line, entry: &Value, file: &Path) {
    let place = format!("{}, {}", file.display(), line.at);
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let amount: i64 = entry["getAmount"]["getAmount"].as_str().unwrap().parse().unwrap();
    assert_eq!(line.signed(), Minor(amount), "{place}");
    assert_eq!(Some(line.currency.code().to_owned()), text(&entry["getAmount"]["getCurrency"]["getCode"]), "{place}");
    assert_eq!(line.bank_ref, text(&entry["getAccountServicerReference"]), "{place}");
    assert_eq!(line.reversal, entry["getReversalIndicator"].as_bool().unwrap_or(false), "{place}");
    let status = match entry["getStatus"].as_str() {
        Some("BOOK") => Status::Booked,
        Some("INFO") => Status::Info,
        _ => Status::Pending,
    };
    assert_eq!(line.status, status, "{place}");
    for (ours, theirs) in [(line.booked_on, "getBookingDate"), (line.valued_on, "getValueDate")] {
        // Theirs is an instant in the zone of their machine.
        if let (Some(ours), Some(theirs)) = (ours, text(&entry[theirs]["0"])) {
            assert!(theirs.starts_with(&ours.to_string()), "{place}: {ours} instead of {theirs}");
        }
    }
    let first = &entry["getTransactionDetail"];
    let rest = entry["getTransactionDetails"].as_array().into_iter().flatten().filter(|d| d.is_object());
    let details: Vec<&Value> = std::iter::once(first).filter(|d| d.is_object()).chain(rest).collect();
    // A detail that was printed before is not printed again.
    let count = entry["getTransactionDetails"].as_array().map_or(0, Vec::len);
    assert_eq!(line.details.len(), count.max(1), "{place}");
    for (ours, theirs) in line.details.iter().zip(details) {
        assert_same_detail(ours, theirs, &place);
    }
}

fn assert_same_detail(ours: &Detail, theirs: &Value, place: &str) {
    let reference = &theirs["getReference"];
    let pairs = [
        (&ours.end_to_end_id, "getEndToEndId"),
        (&ours.instruction_id, "getInstructionId"),
        (&ours.transaction_id, "getTransactionId"),
        (&ours.uetr, "getUuidEndToEndReference"),
        (&ours.payment_info_id, "getPaymentInformationId"),
        (&ours.mandate_id, "getMandateId"),
    ];
    for (ours, theirs) in pairs {
        if let Some(theirs) = reference[theirs].as_str().filter(|r| *r != "NOTPROVIDED" && !r.is_empty()) {
            assert_eq!(ours.as_deref(), Some(theirs), "{place}");
        }
    }
    let parties: Vec<&Value> = theirs["getRelatedParties"].as_array().into_iter().flatten().collect();
    let names: Vec<&str> = parties.iter().filter_map(|p| p["getRelatedPartyType"]["getName"].as_str()).collect();
    let accounts: Vec<&str> = parties.iter().filter_map(|p| p["getAccount"]["getIdentification"].as_str()).collect();
    let name = ours.counterparty_name.as_deref();
    assert!(name.is_none_or(|name| names.is_empty() || names.contains(&name)), "{place}: {name:?} of {names:?}");
    for account in [ours.counterparty_account.as_deref(), ours.own_account.as_deref()].into_iter().flatten() {
        assert!(accounts.is_empty() || accounts.contains(&account), "{place}: {account} of {accounts:?}");
    }
    // Ours is the first of several, without blanks; a block that they printed before is not printed again.
    let first = &theirs["getRemittanceInformation"]["getStructuredBlocks"][0];
    if let Some(first) = first["getCreditorReferenceInformation"]["getRef"].as_str().filter(|r| !r.is_empty()) {
        assert_eq!(ours.creditor_reference, Some(first.replace(' ', "")), "{place}");
    }
}

#[test]
fn a_notification_says_what_a_third_parser_read() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else {
        return;
    };
    let folder = corpus.join("camt054");
    let text = fs::read_to_string(folder.join("oca--16.0_golden-camt054.pydata")).unwrap();
    let read = Read::of(&fs::read(folder.join("oca--14.0_test-camt054.xml")).unwrap());
    let [(head, lines, Some(_))] = read.statements.as_slice() else { panic!("{:?}", read.problems) };
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let after = |key: &str| {
        let rest = text.split_once(key).unwrap().1;
        rest.split(['\'', '\\', ',', '\n']).next().unwrap().trim().to_owned()
    };
    let detail = &line.details[0];
    assert_eq!(head.account, Some(after("('EUR',\n '")));
    assert_eq!(format!("{}.0", line.signed().0 / 100), after("'amount': "));
    assert_eq!(line.booked_on.unwrap().to_string(), after("(BookgDt): "));
    assert_eq!(line.code.as_ref().map(|code| code.replace('/', "-")), Some(after("'transaction_type': '")));
    assert_eq!(detail.counterparty_name, Some(after("'partner_name': '")));
    assert_eq!(detail.counterparty_account, Some(after("'account_number': '")));
    assert_eq!(detail.creditor_reference, Some(after("CdtrRefInf/Ref): ")));
    assert_eq!(detail.end_to_end_id, Some(after("(Refs/EndToEndId): ")));
    assert_eq!(detail.bank_ref, Some(after("(Refs/AcctSvcrRef): ")));
}

#[test]
fn an_interim_report_says_what_another_parser_read() {
    let Some(corpus) = folder("TRIBUTARY_CORPUS") else {
        return;
    };
    let file = corpus.join("mt942/wolph--self-provided_mt942.sta");
    let text = fs::read_to_string(file.with_extension("yml")).unwrap();
    let read = Read::of(&fs::read(file).unwrap());
    let [(head, lines, Some(foot))] = read.statements.as_slice() else { panic!("{:?}", read.problems) };
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let field =
        |key: &str| text.split_once(key).unwrap().1.split('\n').next().unwrap().trim().trim_matches('\'').to_owned();
    assert_eq!(head.account, Some(field("account_identification: ")));
    assert_eq!(head.message_id, Some(field("transaction_reference: ")));
    assert_eq!(head.number.map(|n| format!("{n:05}")), Some(field("statement_number: ")));
    assert_eq!(line.bank_ref, Some(field("bank_reference: ")));
    let decimals: Vec<i64> = text
        .match_indices("decimal.Decimal")
        .map(|(at, _)| {
            let digits = text[at..].split('\n').nth(1).unwrap();
            let currency: Currency = "EUR".parse().unwrap();
            Minor::parse(digits.trim().trim_start_matches("- ").trim_matches('\''), currency).unwrap().0
        })
        .collect();
    // Two floor limits, the declared sum, the entry.
    assert_eq!(decimals, [0, 0, -i64::try_from(foot.declared.debit_sum.unwrap()).unwrap(), line.signed().0]);
    assert_eq!(foot.declared.debit_count.map(|n| n.to_string()), Some(field("    number: ")));
}
