//! BAI2, OFX and CSV against the corpus of real files: each is read as its people meant it, or refused for the reason that
//! it has. The corpus has no expectations beside these files, so they stand here, file by file.
//!
//! `TRIBUTARY_CORPUS` says where the corpus is; see `formats.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tributary::banking::inspect::{Inspection, Statement, inspect_with};
use tributary::banking::{Profile, Profiles};

/// A file: what its statements say (account, currency, opening, closing, lines, credits, debits), and what is told of it.
type Expected = (&'static str, &'static [&'static str], &'static [&'static str]);

const BAI2: [Expected; 8] = [
    (
        "eonx--sample.BAI",
        &[
            "430573570 AUD - 4328.68 1 0.00 0.00",
            "739790442 AUD - 410.25 0 0.00 0.00",
            "739813974 AUD - 41.00 0 0.00 0.00",
            "739827524 AUD - 41.00 4 0.00 8.05",
            "739827524 AUD - 41.00 1 0.00 4.03",
        ],
        &[
            "no version",
            "the type 920 is this bank's own",
            "\"34,error1\" is no record",
            "no 49",
            "the control total of the 98",
        ],
    ),
    (
        "eonx--sample.NAI",
        &[
            "430573570 AUD - 4328.68 1 0.00 0.00",
            "739790442 AUD - 410.25 0 0.00 0.00",
            "739813974 AUD - 41.00 0 0.00 0.00",
            "739827524 AUD - 41.00 4 0.00 8.05",
            "739827524 AUD - 41.00 1 0.00 4.03",
        ],
        &["no version", "the type 920 is this bank's own", "no 49"],
    ),
    ("eonx--structure_errors.NAI", &["430573570 AUD - - 0 0.00 0.00"], &["a 16 stands in no account"]),
    (
        "moj--svb_us_example.bai2",
        &["1234567890 USD 347269.79 352171.75 1 4901.96 0.00", "1234567890 USD 352171.75 361229.75 1 9058.00 0.00"],
        &[],
    ),
    ("moov--sample-parseError.txt", &[], &["no bank file that is known"]),
    (
        "moov--sample1.txt",
        &["10200123456 CAD - - 11 2085.00 2085.00", "10200123456 CAD - - 6 1115.00 1115.00"],
        &["no opening booked balance", "no closing booked balance"],
    ),
    (
        "moov--sample2.txt",
        &[
            "0123456789 USD 43500.00 - 1 4500.00 0.00",
            "9876543210 USD -5000.00 - 1 5000.00 0.00",
            "4589761203 USD 100000.00 - 2 300000.00 0.00",
            "0975312468 USD 5000.00 - 0 0.00 0.00",
            "7890654321 USD 8000.00 - 0 0.00 0.00",
        ],
        &[
            "by the standard that is USD",
            "it declares 10000.00 USD as the sum of its credit entries",
            "the bank corrects",
        ],
    ),
    (
        "moov--sample3.txt",
        &[
            "1111111 USD -35.00 -36.00 6 31.00 32.00",
            "1111111 USD 0.00 0.00 0 0.00 0.00",
            "1111111 USD 0.00 0.00 0 0.00 0.00",
            "1111111 USD -557.03 -864.06 2 0.00 307.03",
            "1111111 USD 985.47 985.47 0 0.00 0.00",
            "1111111 USD 0.00 0.00 0 0.00 0.00",
            "1111111 USD 0.00 0.00 0 0.00 0.00",
            "11111111 USD 6252.66 6103.15 6 37.00 186.51",
            "11111111 USD -731.35 -787.59 4 3.20 59.44",
            "11111111 USD -40.78 275.95 8 325.93 9.20",
            "11111111 USD 0.00 0.00 0 0.00 0.00",
            "11111111 USD 0.00 0.00 0 0.00 0.00",
            "11111111 USD 0.00 0.00 0 0.00 0.00",
            "11111111 USD 0.00 0.00 0 0.00 0.00",
            "11111111 USD 0.00 0.00 0 0.00 0.00",
        ],
        &["no record code"],
    ),
];

const OFX: [Expected; 17] = [
    ("oca--10.0_test_ofx_iban.ofx", &["12345678901 USD - 2156.56 4 0.00 360.00", CARD], &[UNPROVED]),
    (
        "oca--10.0_test_ofx_wrong.ofx",
        &["- - - - 4 - -", CARD],
        &["CURDEF is missing", "DTPOSTED is missing", "TRNAMT is missing"],
    ),
    ("oca--14.0_test_ofx.ofx", &["223456-X USD - 2156.56 4 0.00 360.00", CARD], &[UNPROVED]),
    ("oca--14.0_test_ofx_iban.ofx", &["22345678901 USD - 2156.56 4 0.00 360.00", CARD], &[UNPROVED]),
    ("oca--14.0_test_ofx_wrong.ofx", &["- - - - 4 - -", CARD], &["CURDEF is missing", "ACCTID is missing"]),
    ("oca--8.0_test_ofx.ofx", &["123456 USD - 2156.56 4 0.00 360.00", CARD], &[UNPROVED]),
    ("ofxparse--bank_medium.ofx", &["12300000012345678 CAD - 382.34 3 0.00 345.27"], &[UNPROVED]),
    ("ofxparse--bank_small.ofx", &[], &["holds no statement of an account"]),
    ("ofxparse--checking.ofx", &["1452687~7 USD - 100.99 3 0.01 59.51"], &[UNPROVED]),
    ("ofxparse--error_message.ofx", &[], &["error 2000: General Server Error"]),
    (
        "ofxparse--fidelity-savings.ofx",
        &["X0000001 USD - - 4 0.00 1500.00"],
        &["investment account", "more decimals than USD has"],
    ),
    (
        "ofxparse--investment_medium.ofx",
        &["ABC123 CAD - - 3 0.00 0.00"],
        &["investment account", "the amount is in USD, the account in CAD"],
    ),
    (
        "ofxparse--multiple_accounts.ofx",
        &["9100 USD - 111.00 0 0.00 0.00", "9200 USD - 222.00 0 0.00 0.00"],
        &[UNPROVED],
    ),
    (
        "ofxparse--ofx-v102-empty-tags.ofx",
        &["12345678 AUD - - 1 12.34 0.00"],
        &["CURDEF is missing; its first entry is in AUD"],
    ),
    ("ofxparse--signon_fail.ofx", &[], &["error 15500: Your request could not be processed"]),
    ("ofxparse--signon_success.ofx", &[], &["holds no statement of an account"]),
    ("ofxparse--suncorp.ofx", &["123456789 AUD - 1234.12 1 0.00 16.85"], &[UNPROVED]),
];

const CARD: &str = "123412341234 USD - -562.00 0 0.00 0.00";
const UNPROVED: &str = "no opening booked balance";

const CSV: [Expected; 14] = [
    (
        "oca--11.0_paypal_activity_en.csv",
        &[
            "me USD 0.00 1.90 45 71482.14 71480.24",
            "me EUR 0.00 43.34 29 59427.02 59383.68",
            "me AUD 0.00 0.00 2 100.00 100.00",
        ],
        &[],
    ),
    ("oca--11.0_paypal_empty_activity.csv", &[], &["a header and no lines"]),
    (
        "oca--11.0_paypal_statement_en.csv",
        &["me EUR 0.75 0.75 8 17346.31 17346.31", "me USD 0.89 281.19 11 21194.30 20914.00"],
        &[],
    ),
    ("oca--12.0_balance.csv", &["me EUR 10.00 1510.00 2 1533.50 33.50"], &[]),
    ("oca--12.0_debit_credit.csv", &["me EUR 10.00 1510.00 2 1533.50 33.50"], &[]),
    ("oca--13.0_adyen_adyen_test.xlsx", &[], &["this is a workbook"]),
    ("oca--13.0_adyen_adyen_test_credit_fees.xlsx", &[], &["this is a workbook"]),
    ("oca--13.0_adyen_adyen_test_invalid.xls", &[], &["this is a workbook"]),
    ("oca--13.0_adyen_settlement_detail_report_batch_238.csv", &["me USD - - 3 454331.99 454331.99"], &[]),
    ("oca--13.0_adyen_settlement_detail_report_batch_380.csv", &["me USD - - 228 56438.52 56438.52"], &[]),
    ("oca--14.0_debit_credit_amount.csv", &["me EUR - - 4 33.50 1533.50"], &[]),
    ("oca--14.0_sample_statement_offsets.xlsx", &[], &["this is a workbook"]),
    // Its balances are two cents apart from its lines.
    (
        "oca--16.0_meta_data_separated_credit_debit.csv",
        &["08088804068 EUR - 31070.11 4 1300.00 230.68"],
        &["opening 30000.77 plus booked lines 1069.32 is 31070.09, but it closes at 31070.11"],
    ),
    ("oca--16.0_meta_data_separated_credit_debit.xlsx", &[], &["this is a workbook"]),
];

#[test]
fn every_bai2_file_of_the_corpus_says_what_it_says_or_why_not() {
    check("bai2", &BAI2, &Profiles::default());
}

#[test]
fn every_ofx_file_of_the_corpus_says_what_it_says_or_why_not() {
    check("ofx", &OFX, &Profiles::default());
}

#[test]
fn every_csv_file_of_the_corpus_says_by_a_profile_what_it_says_or_why_not() {
    check("csv", &CSV, &Profiles::declared(corpus_profiles()));
}

#[test]
fn a_csv_file_without_a_profile_is_refused_and_none_is_taken_for_another_format() {
    let Some(folder) = corpus() else { return };
    for file in files(&folder.join("csv")) {
        let found = inspected(&file, &Profiles::default());
        assert!(found.format.is_none() && !found.usable(), "{}", file.display());
    }
    for group in ["bai2", "ofx", "csv"] {
        for file in files(&folder.join(group)) {
            let bytes = fs::read(&file).unwrap();
            let profiles = Profiles::declared(corpus_profiles());
            for cut in 0..100 {
                // No panic, and never a file without statements that passes for good.
                let found = inspect_with(&bytes[..bytes.len() * cut / 100], &profiles);
                assert!(!found.statements.is_empty() || !found.usable(), "{} cut at {cut}%", file.display());
            }
        }
    }
}

fn check(group: &str, expected: &[Expected], profiles: &Profiles) {
    let Some(folder) = corpus() else { return };
    let mut wrong = Vec::new();
    for (name, statements, told) in expected {
        let found = inspected(&folder.join(group).join(name), profiles);
        let said: Vec<String> = found.statements.iter().map(in_short).collect();
        if said != *statements {
            wrong.push(format!("{name}: {said:#?} {:#?}", found.problems));
        }
        for text in *told {
            if !found.problems.iter().any(|p| p.problem.contains(text)) {
                wrong.push(format!("{name}: nothing says \"{text}\": {:#?}", found.problems));
            }
        }
        if told.is_empty() && !found.problems.iter().all(|p| p.problem.contains("booked balance")) {
            wrong.push(format!("{name}: {:#?}", found.problems));
        }
        assert!(found.problems.iter().all(|p| p.at.starts_with("line ")), "{name}: {:?}", found.problems);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed: BTreeSet<String> = expected.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    let there =
        files(&folder.join(group)).iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(listed, there, "each file of the corpus has its row here");
}

fn in_short(s: &Statement) -> String {
    let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{} {} {} {} {} {} {}",
        text(&s.account),
        s.currency.unwrap_or("-"),
        text(&s.opening),
        text(&s.closing),
        s.line_count,
        text(&s.credit_total),
        text(&s.debit_total)
    )
}

fn inspected(file: &Path, profiles: &Profiles) -> Inspection {
    inspect_with(fs::File::open(file).map(std::io::BufReader::new).unwrap(), profiles)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn corpus() -> Option<PathBuf> {
    let found = std::env::var_os("TRIBUTARY_CORPUS").map(PathBuf::from).filter(|path| path.is_dir());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "TRIBUTARY_CORPUS names no folder");
        eprintln!("did not run: TRIBUTARY_CORPUS names no folder");
    }
    found
}

/// A profile for each layout of the corpus, written from its files.
pub(crate) fn corpus_profiles() -> Vec<Profile> {
    let profile = |name: &str, header: &str, rest: &str| {
        let cells: Vec<String> = header.split(',').map(|cell| format!("'{cell}'")).collect();
        let text = format!("format = 'csv'\nname = '{name}'\n[file]\nheader = [{}]\n{rest}", cells.join(", "));
        Profile::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let fixed = "[account]\nnumber = 'me'\ncurrency = 'EUR'\n";
    let american = "[dates]\nformats = ['MM/DD/YYYY']\nbooked_on = 'Date'\n";
    let adyen = "[account]\nnumber = 'me'\ncurrency_column = 'Net Currency'\n[dates]\nformats = ['YYYY-MM-DD hh:mm:ss']\n\
        booked_on = 'Creation Date'\n[amount]\ndecimal = '.'\ndebit = 'Net Debit (NC)'\ncredit = 'Net Credit (NC)'\n\
        [fields]\nbank_ref = 'Psp Reference'\ncode = 'Type'\nremittance = ['Merchant Reference', 'Modification Reference']\n";
    let adyen_head = "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,\
        TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,\
        Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,";
    vec![
        profile(
            "activity",
            "Date,Time,TimeZone,Name,Type,Status,Currency,Gross,Fee,Net,From Email Address,To Email Address,Transaction ID,\
             Address Status,Sales Tax,Reference Txn ID,Invoice Number,Receipt ID,Balance,Contact Phone Number,Subject,Note",
            "mixed_accounts = true\n[account]\nnumber = 'me'\ncurrency_column = 'Currency'\n[dates]\nformats = ['DD/MM/YYYY']\n\
             booked_on = 'Date'\n[amount]\ndecimal = '.'\nthousands = ','\ncolumn = 'Net'\nbalance = 'Balance'\n\
             [status]\ncolumn = 'Status'\nbooked = ['Completed', 'Pending']\n",
        ),
        profile(
            "report",
            "Date,Time,Time Zone,Description,Currency,Gross,Fee,Net,Balance,Transaction ID,From Email Address,Name,Bank Name,\
             Bank Account,Shipping and Handling Amount,Sales Tax,Invoice ID,Reference Txn ID",
            &format!(
                "[account]\nnumber = 'me'\ncurrency_column = 'Currency'\n{american}\
                 [amount]\ndecimal = '.'\nthousands = ','\ncolumn = 'Net'\nbalance = 'Balance'\n"
            ),
        ),
        profile(
            "balance",
            "Date,Label,Amount,Balance,Partner Name,Bank Account",
            &format!(
                "{fixed}{american}[amount]\ndecimal = '.'\nthousands = ','\ncolumn = 'Amount'\nbalance = 'Balance'\n"
            ),
        ),
        profile(
            "mark",
            "Date,Label,Amount,D/C,Balance,Partner Name,Bank Account",
            &format!(
                "{fixed}{american}[amount]\ndecimal = '.'\nthousands = ','\ncolumn = 'Amount'\nmark = 'D/C'\n\
                 credit_marks = ['C']\ndebit_marks = ['D']\nsigns = 'ignored'\nbalance = 'Balance'\n"
            ),
        ),
        // The balance in its rows is the one before them, which is no proof.
        profile(
            "pair",
            "Date,Label,Debit,Credit,Balance,Partner Name,Bank Account",
            &format!(
                "order = 'newest_first'\n{fixed}{american}[amount]\ndecimal = '.'\nthousands = ','\ndebit = 'Debit'\n\
                 credit = 'Credit'\nsigns = 'ignored'\n"
            ),
        ),
        profile(
            "old settlement",
            &format!(
                "{adyen_head}Modification Merchant Reference,Batch Number,Reserved4,Reserved5,Reserved6,Reserved7,Reserved8,Reserved9,Reserved10"
            ),
            adyen,
        ),
        profile(
            "settlement",
            &format!(
                "{adyen_head}Batch Number,Reserved4,Reserved5,Reserved6,Reserved7,Reserved8,Reserved9,Reserved10,Modification Merchant Reference,Booking Date,Booking Date TimeZone"
            ),
            adyen,
        ),
        profile(
            "cells",
            "Date,Operation Number,Label,Debit,Credit,Detail",
            "skip_rows = 3\n[account]\nnumber_cell = { row = 'Account Number', column = 1, after = ':' }\n\
             currency_cell = { row = 'Account Number', column = 3, after = ':' }\n[dates]\nformats = ['DD/MM/YY']\n\
             booked_on = 'Date'\n[amount]\ndecimal = ','\ndebit = 'Debit'\ncredit = 'Credit'\nsigns = 'debits_negative'\n\
             closing_cell = { row = 'Balance at end', column = 5 }\nopening_cell = { row = 'Balance at start', column = 5 }\n",
        ),
    ]
}
