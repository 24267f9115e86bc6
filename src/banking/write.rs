//! Statements as banks send them: camt.052, .053 and .054 in two versions and MT940 in two dialects, written as a stream.
//!
//! For the demo's files and the simulated bank. What is written is valid by the schema as long as ids keep to 35 characters,
//! and what [`super::Reader`] makes of it is what was written, for every field that the format carries: an MT940 has one
//! detail for each line and no pending ones.

mod camt;
mod mt940;
mod xml;

pub use camt::{Camt, Camt053, Version};
pub use mt940::{Dialect, mt940};

use super::{Balance, Detail, Direction, Status};
use crate::money::{Currency, Minor};
use chrono::{NaiveDate, NaiveDateTime};

/// What a statement says of itself. Closing balance and totals stand before the lines in camt, so they must be known.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `Stmt/Id`; `:20:`, cut to its 16 places.
    pub id: String,
    /// `ElctrncSeqNb`; the number of `:28C:`.
    pub number: u64,
    /// Page and whether it is the last; `None` for a statement of one page.
    pub page: Option<(u32, bool)>,
    /// When the bank made it.
    pub created: NaiveDateTime,
    /// IBAN, or another number.
    pub account: String,
    /// BIC, or a clearing number.
    pub servicer: Option<String>,
    /// The physical account when this is of a virtual one.
    pub related_account: Option<String>,
    /// The account's.
    pub currency: Currency,
    /// First and last day.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// Marked as a duplicate.
    pub copy: bool,
    /// Opening booked balance.
    pub opening: Option<Balance>,
    /// Closing booked balance.
    pub closing: Option<Balance>,
    /// Declared totals.
    pub totals: Option<Totals>,
}

/// Totals over all lines of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many credits.
    pub credit_count: u64,
    /// Their sum, unsigned.
    pub credit_sum: i128,
    /// How many debits.
    pub debit_count: u64,
    /// Their sum, unsigned.
    pub debit_sum: i128,
}

impl Totals {
    /// Adds a line.
    pub fn add(&mut self, entry: &Entry) {
        let amount = i128::from(entry.amount.0);
        match entry.direction {
            Direction::Credit => {
                self.credit_count += 1;
                self.credit_sum += amount;
            }
            Direction::Debit => {
                self.debit_count += 1;
                self.debit_sum += amount;
            }
        }
    }
}

/// A line. One detail makes an ordinary payment, more a batch, none a batch without details.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Unsigned.
    pub amount: Minor,
    /// The effective direction, reversals included.
    pub direction: Direction,
    /// Booked or not.
    pub status: Status,
    /// The bank takes back an earlier line.
    pub reversal: bool,
    /// Booking day.
    pub booked_on: NaiveDate,
    /// Value date.
    pub valued_on: NaiveDate,
    /// The bank's reference.
    pub bank_ref: Option<String>,
    /// The owner's reference.
    pub owner_ref: Option<String>,
    /// `PMNT/RCDT/ESCT`, or the bank's own code; in MT940 `NTRF`, with a GVC `NTRF/166`.
    pub code: Option<String>,
    /// Booking text.
    pub info: Option<String>,
    /// The payments in it.
    pub details: Vec<Detail>,
}

impl Entry {
    /// A booked line of one payment, valued on its booking day.
    pub fn of(amount: Minor, direction: Direction, on: NaiveDate, code: &str, detail: Detail) -> Self {
        Entry {
            amount,
            direction,
            status: Status::Booked,
            reversal: false,
            booked_on: on,
            valued_on: on,
            bank_ref: None,
            owner_ref: None,
            code: Some(code.to_owned()),
            info: None,
            details: vec![detail],
        }
    }
}

/// The first characters of a text.
fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::banking::{Event, Foot, Format, Head, Line, Problem, Reader, Role, Severity, findings};
    use proptest::option::of as maybe;
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    type Read = Vec<(Head, Vec<Line>, Option<Foot>)>;

    fn read(bytes: &[u8]) -> (Read, Vec<Problem>) {
        let (mut statements, mut problems) = (Read::new(), Vec::new());
        for event in Reader::new(bytes) {
            match event {
                Event::Begin(head) => statements.push((*head, Vec::new(), None)),
                Event::Line(line) => statements.last_mut().unwrap().1.push(*line),
                Event::End(foot) => {
                    let (head, _, end) = statements.last_mut().unwrap();
                    problems.extend(findings(head, &foot));
                    *end = Some(*foot);
                }
                Event::Problem(problem) => problems.push(problem),
            }
        }
        (statements, problems)
    }

    fn day() -> impl Strategy<Value = NaiveDate> {
        (0u64..700).prop_map(|days| NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + chrono::Days::new(days))
    }

    /// Words with one blank between them, as texts are after the padding of formats is gone.
    fn text(words: usize) -> impl Strategy<Value = String> {
        prop::collection::vec("[A-Za-z0-9&<>.,'\"äöüßé€()]{1,30}", 1..=words).prop_map(|words| words.join(" "))
    }

    fn id() -> impl Strategy<Value = String> {
        "[A-Z0-9]{1,16}"
    }

    fn account() -> impl Strategy<Value = String> {
        prop_oneof!["[A-Z]{2}[0-9]{18}", "[0-9]{6,12}"]
    }

    fn currency() -> impl Strategy<Value = Currency> {
        prop_oneof![Just("EUR"), Just("JPY"), Just("KWD"), Just("USD")].prop_map(|code| code.parse().unwrap())
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Direction::Credit), Just(Direction::Debit)]
    }

    fn detail() -> impl Strategy<Value = Detail> {
        let references = (maybe(id()), maybe(id()), maybe(id()), maybe(id()));
        let parties = (text(3), account(), maybe("[A-Z]{6}[A-Z0-9]{2}"), maybe(text(2)), maybe(account()));
        let texts = (maybe("RF[0-9]{5,18}"), maybe(text(12)), maybe(text(4)), maybe(id()));
        let rest = (maybe(prop_oneof![Just("AC04"), Just("unspecified"), Just("KONTO ERLOSCHEN")]), maybe(1i64..9999));
        (references, parties, texts, rest).prop_map(|(references, parties, texts, rest)| Detail {
            end_to_end_id: references.0,
            instruction_id: references.1,
            payment_info_id: references.2,
            mandate_id: references.3,
            counterparty_name: Some(parties.0),
            counterparty_account: Some(parties.1),
            counterparty_bank: parties.2,
            ultimate_name: parties.3,
            own_account: parties.4,
            creditor_reference: texts.0,
            remittance: texts.1,
            info: texts.2,
            invoice: texts.3,
            return_reason: rest.0.map(str::to_owned),
            charges: rest.1.map(Minor),
            ..Detail::default()
        })
    }

    fn entry(details: impl Strategy<Value = Vec<Detail>>) -> impl Strategy<Value = Entry> {
        let facts = (0i64..1_000_000_000, direction(), any::<bool>(), day(), day());
        (facts, maybe(id()), maybe(id()), maybe("[A-Z ]{1,20}"), details).prop_map(
            |((amount, direction, reversal, booked_on, valued_on), bank_ref, owner_ref, info, mut details)| {
                let alone = details.len() == 1;
                for detail in &mut details {
                    // A lone detail has the amount of its line.
                    detail.amount = alone.then_some(Minor(amount));
                }
                let info = info.map(|i| i.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|i| !i.is_empty());
                Entry {
                    amount: Minor(amount),
                    direction,
                    status: Status::Booked,
                    reversal,
                    booked_on,
                    valued_on,
                    bank_ref,
                    owner_ref,
                    code: Some("NTRF".to_owned()),
                    info,
                    details,
                }
            },
        )
    }

    fn statement(currency: Currency, account: String, entries: &[Entry]) -> Statement {
        let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let mut totals = Totals::default();
        entries.iter().for_each(|entry| totals.add(entry));
        let sum = totals.credit_sum - totals.debit_sum;
        let balance = |amount| Balance { amount: Minor(amount), currency, on, intermediate: false };
        Statement {
            id: "STMT1".to_owned(),
            number: 7,
            page: None,
            created: on.and_hms_opt(18, 0, 0).unwrap(),
            account,
            servicer: Some("COBADEFFXXX".to_owned()),
            related_account: None,
            currency,
            period: Some((on, on)),
            copy: false,
            opening: Some(balance(-1000)),
            closing: Some(balance(i64::try_from(sum).unwrap() - 1000)),
            totals: Some(totals),
        }
    }

    /// What a reader should make of an entry.
    fn expected(entry: &Entry, read: &Line, currency: Currency) -> Line {
        Line {
            position: read.position,
            at: read.at.clone(),
            amount: entry.amount,
            currency,
            direction: entry.direction,
            status: entry.status,
            reversal: entry.reversal,
            booked_on: Some(entry.booked_on),
            valued_on: Some(entry.valued_on),
            bank_ref: entry.bank_ref.clone(),
            owner_ref: entry.owner_ref.clone(),
            code: entry.code.clone(),
            info: entry.info.clone(),
            details: entry.details.clone(),
        }
    }

    fn camt(version: Version, statement: &Statement, entries: &[Entry]) -> Vec<u8> {
        let mut file = Camt053::begin(Vec::new(), version, "MSG1", statement.created).unwrap();
        file.statement(statement, entries).unwrap();
        file.end().unwrap()
    }

    fn assert_same(bytes: &[u8], statement: &Statement, entries: &[Entry]) {
        let shown = String::from_utf8_lossy(bytes);
        let (read, problems) = read(bytes);
        assert_eq!(problems, [], "{shown}");
        let [(head, lines, Some(foot))] = read.as_slice() else { panic!("{} statements in {shown}", read.len()) };
        assert_eq!(head.account.as_deref(), Some(statement.account.as_str()));
        assert_eq!((head.currency, head.number), (Some(statement.currency), Some(statement.number)));
        assert_eq!((head.opening, foot.closing), (statement.opening, statement.closing));
        assert_eq!(head.servicer, statement.servicer);
        assert_eq!(lines.len(), entries.len());
        for (line, entry) in lines.iter().zip(entries) {
            assert_eq!(line, &expected(entry, line, statement.currency), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn camt_is_read_as_it_was_written(
            currency in currency(),
            account in account(),
            mut entries in prop::collection::vec(entry(prop::collection::vec(detail(), 1..4)), 0..5),
            version in prop_oneof![Just(Version::V02), Just(Version::V08)],
        ) {
            for detail in entries.iter_mut().flat_map(|entry| &mut entry.details) {
                // The account of the statement on a side would tell more than the roles do.
                if detail.counterparty_account.as_deref() == Some(account.as_str()) {
                    detail.counterparty_account = Some("1".to_owned());
                }
            }
            let statement = statement(currency, account, &entries);
            assert_same(&camt(version, &statement, &entries), &statement, &entries);
        }

        #[test]
        fn mt940_is_read_as_it_was_written(
            currency in currency(),
            account in account(),
            mut entries in prop::collection::vec(entry(prop::collection::vec(detail(), 1..=1)), 0..5),
            dialect in prop_oneof![Just(Dialect::German), Just(Dialect::Slash)],
        ) {
            for entry in &mut entries {
                entry.valued_on = entry.booked_on;
                let detail = entry.details.first_mut().unwrap();
                (detail.invoice, detail.info) = (None, None);
                // What banks write when they mean "see the text" or "none" names nothing, on either side of the slashes.
                for reference in [&mut entry.owner_ref, &mut entry.bank_ref].into_iter().flatten() {
                    if ["N", "NONREF", "EREF", "PREF", "MARF", "MREF", "KREF"].contains(&reference.as_str()) {
                        *reference = "R1".to_owned();
                    }
                }
                // A counterparty with the account of the statement would be ourselves.
                if detail.counterparty_account.as_deref() == Some(account.as_str()) {
                    detail.counterparty_account = Some("1".to_owned());
                }
                match dialect {
                    Dialect::German => {
                        entry.code = Some(if detail.return_reason.is_some() { "NRTI/159" } else { "NTRF/166" }.to_owned());
                        entry.info = entry.info.take().map(|info| cut(&info, 27).trim().to_owned());
                        (detail.own_account, detail.creditor_reference, detail.payment_info_id) = (None, None, None);
                        detail.remittance = detail.remittance.take().map(|text| cut(&text, 100).trim().to_owned());
                        detail.ultimate_name = detail.ultimate_name.take().map(|text| cut(&text, 50).trim().to_owned());
                        detail.counterparty_name = detail.counterparty_name.take().map(|text| cut(&text, 54).trim().to_owned());
                    }
                    Dialect::Slash => detail.own_account = detail.own_account.take().map(|va| format!("99{va}")),
                }
            }
            let statement = statement(currency, account, &entries);
            let mut bytes = Vec::new();
            mt940(&mut bytes, dialect, &statement, &entries).unwrap();
            assert_same(&bytes, &statement, &entries);
        }

        #[test]
        fn a_cut_file_never_gives_a_whole_statement_in_silence(
            entries in prop::collection::vec(entry(prop::collection::vec(detail(), 1..=1)), 1..4),
            format in 0..4,
        ) {
            let entries: Vec<Entry> = entries.into_iter().map(|e| Entry { amount: Minor(e.amount.0 + 10), ..e }).collect();
            let statement = statement("EUR".parse().unwrap(), "DE02120300000000202051".to_owned(), &entries);
            let bytes = match format {
                0 => camt(Version::V02, &statement, &entries),
                1 => camt(Version::V08, &statement, &entries),
                other => {
                    let mut bytes = Vec::new();
                    let dialect = if other == 2 { Dialect::German } else { Dialect::Slash };
                    mt940(&mut bytes, dialect, &statement, &entries).unwrap();
                    bytes
                }
            };
            // Behind the closing balance an MT940 has nothing left to lose but its end mark, and "5,00" says what "5," says.
            let whole = if format < 2 {
                bytes.trim_ascii_end().len()
            } else {
                let shown = bytes.len() - "\r\n-\r\n".len();
                shown - bytes[..shown].iter().rev().take_while(|b| **b == b'0').count()
            };
            for percent in 0..100 {
                let end = whole * percent / 100;
                let (read, problems) = read(&bytes[..end]);
                let held_up = problems.iter().any(|p| p.severity >= Severity::Quarantine);
                prop_assert!(held_up, "cut at byte {end} of {whole} nothing is told");
                let cut_short = read.iter().any(|(_, _, foot)| foot.is_none()) || problems.iter().any(|p| p.statement.is_none());
                let contradicts = problems.iter().any(|p| p.severity == Severity::Quarantine);
                prop_assert!(cut_short || contradicts, "cut at byte {end} of {whole}");
            }
        }

        #[test]
        fn texts_of_any_length_come_back(words in text(60)) {
            let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
            let detail = Detail { remittance: Some(words), amount: Some(Minor(5)), ..Detail::default() };
            let entries = [Entry::of(Minor(5), Direction::Credit, on, "NTRF", detail)];
            let statement = statement("EUR".parse().unwrap(), "1".to_owned(), &entries);
            assert_same(&camt(Version::V08, &statement, &entries), &statement, &entries);
            let mut bytes = Vec::new();
            mt940(&mut bytes, Dialect::Slash, &statement, &entries).unwrap();
            let (read, _) = read(&bytes);
            prop_assert_eq!(&read[0].1[0].details, &entries[0].details);
        }
    }

    #[test]
    fn reports_and_notifications_are_read_as_they_were_written() {
        let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let detail = Detail { amount: Some(Minor(5)), return_reason: Some("AC04".to_owned()), ..Detail::default() };
        let mut batch = Entry::of(Minor(10), Direction::Credit, on, "PMNT/RCDT/VCOM", detail.clone());
        batch.details = vec![detail.clone(), detail.clone()];
        let pending = Entry { status: Status::Pending, ..Entry::of(Minor(5), Direction::Debit, on, "X", detail) };
        let entries = [batch, pending];
        let mut statement = statement("EUR".parse().unwrap(), "DE02120300000000202051".to_owned(), &entries);
        statement.page = Some((2, true));
        for version in [Version::V02, Version::V08] {
            for (role, format) in [(Role::Report, Format::Camt052), (Role::Notification, Format::Camt054)] {
                let mut file = Camt::begin_as(role, Vec::new(), version, "MSG1", statement.created).unwrap();
                file.statement(&statement, &entries).unwrap();
                let bytes = file.end().unwrap();
                let (read, problems) = read(&bytes);
                let [(head, lines, Some(foot))] = read.as_slice() else { panic!("{problems:?}") };
                assert_eq!((head.role, head.format), (role, format));
                assert!(head.version.starts_with(format.as_str()), "{}", head.version);
                assert!(problems.iter().all(|p| p.severity == Severity::Note), "{problems:?}");
                assert_eq!(head.page, (version == Version::V08).then_some(2));
                let balances = (head.opening.map(|b| b.amount), foot.closing.map(|b| b.amount));
                let written = (statement.opening.map(|b| b.amount), statement.closing.map(|b| b.amount));
                assert_eq!(balances, if role == Role::Report { written } else { (None, None) });
                for (line, entry) in lines.iter().zip(&entries) {
                    let mut expected = expected(entry, line, statement.currency);
                    for detail in &mut expected.details {
                        detail.direction = line.details[0].direction;
                    }
                    assert_eq!(line, &expected);
                }
            }
        }
    }

    #[test]
    fn a_payer_cannot_write_a_code_of_the_bank() {
        let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let remittance = Some("for you /VA/DE999/EREF/FAKE/IBAN//VA/".to_owned());
        let detail = Detail { remittance, end_to_end_id: Some("TRUE".to_owned()), ..Detail::default() };
        let entries = [Entry::of(Minor(5), Direction::Credit, on, "NTRF", detail)];
        let statement = statement("EUR".parse().unwrap(), "1".to_owned(), &entries);
        let mut bytes = Vec::new();
        mt940(&mut bytes, Dialect::Slash, &statement, &entries).unwrap();
        let (read, _) = read(&bytes);
        let read = &read[0].1[0].details[0];
        assert_eq!((read.own_account.as_deref(), read.end_to_end_id.as_deref()), (None, Some("TRUE")));
    }

    #[test]
    fn pages_pending_lines_and_copies_are_written() {
        let on = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let mut entry = Entry::of(Minor(5), Direction::Debit, on, "PMNT/ICDT/ESCT", Detail::default());
        entry.status = Status::Pending;
        let mut statement = statement("EUR".parse().unwrap(), "DE02120300000000202051".to_owned(), &[]);
        statement.page = Some((2, false));
        statement.copy = true;
        statement.related_account = Some("12345".to_owned());
        statement.totals = None;
        let intermediate = |balance: Option<Balance>| balance.map(|b| Balance { intermediate: true, ..b });
        (statement.opening, statement.closing) = (intermediate(statement.opening), intermediate(statement.closing));
        let (read, problems) = read(&camt(Version::V08, &statement, &[entry]));
        let (head, lines, foot) = &read[0];
        assert_eq!(problems, []);
        assert_eq!((head.page, head.last_page, head.copy), (Some(2), Some(false), true));
        assert_eq!(head.related_account.as_deref(), Some("12345"));
        assert_eq!((head.opening, foot.as_ref().unwrap().closing), (statement.opening, statement.closing));
        assert_eq!((lines[0].status, lines[0].code.as_deref()), (Status::Pending, Some("PMNT/ICDT/ESCT")));
    }
}
