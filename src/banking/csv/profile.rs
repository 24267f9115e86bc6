//! What a bank's CSV files look like: one TOML file, checked when it is read so that a mistake in it is told at once and by
//! its key. `docs/csv-profiles.md` explains every key.

use super::value::{DateFormat, Numbers};
use crate::money::Currency;
use encoding_rs::Encoding;
use serde::Deserialize;
use std::fmt;

/// A CSV profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Always `csv`.
    #[serde(rename = "format")]
    _format: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    pub(super) file: FileLayout,
    pub(super) account: AccountOf,
    pub(super) dates: Dates,
    pub(super) amount: Amounts,
    pub(super) status: Option<Statuses>,
    #[serde(default)]
    pub(super) fields: Fields,
}

/// `[file]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLayout {
    #[serde(default = "utf_8")]
    pub(super) encoding: String,
    #[serde(default = "comma")]
    pub(super) delimiter: String,
    #[serde(default = "double_quote")]
    pub(super) quote: String,
    #[serde(default)]
    pub(super) skip_rows: usize,
    /// The header row, cell by cell: the fingerprint.
    pub(super) header: Option<Vec<String>>,
    /// How many columns a file without a header has.
    pub(super) columns: Option<usize>,
    #[serde(default)]
    pub(super) footer: Vec<String>,
    #[serde(default)]
    pub(super) order: Order,
    #[serde(default)]
    pub(super) mixed_accounts: bool,
    #[serde(default)]
    pub(super) last_row_unterminated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// `[account]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountOf {
    pub(super) number: Option<String>,
    pub(super) number_column: Option<Column>,
    pub(super) number_cell: Option<Cell>,
    pub(super) currency: Option<String>,
    pub(super) currency_column: Option<Column>,
    pub(super) currency_cell: Option<Cell>,
    pub(super) bank: Option<String>,
}

/// `[dates]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dates {
    pub(super) formats: Vec<String>,
    pub(super) booked_on: Column,
    pub(super) valued_on: Option<Column>,
    /// The formats, taken apart when the profile is checked.
    #[serde(skip)]
    pub(super) parsed: Vec<DateFormat>,
}

/// `[amount]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amounts {
    pub(super) decimal: String,
    pub(super) thousands: Option<String>,
    pub(super) column: Option<Column>,
    pub(super) mark: Option<Column>,
    #[serde(default)]
    pub(super) credit_marks: Vec<String>,
    #[serde(default)]
    pub(super) debit_marks: Vec<String>,
    pub(super) credit: Option<Column>,
    pub(super) debit: Option<Column>,
    #[serde(default)]
    pub(super) signs: Signs,
    #[serde(default)]
    pub(super) inverse: bool,
    pub(super) balance: Option<Column>,
    pub(super) charges: Option<Column>,
    pub(super) opening_cell: Option<Cell>,
    pub(super) closing_cell: Option<Cell>,
    /// `decimal` and `thousands`, taken apart when the profile is checked.
    #[serde(skip)]
    pub(super) numbers: Numbers,
}

/// What signs mean where something else says the direction: a mark, or the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signs {
    /// There are none.
    #[default]
    Refused,
    /// The debit column has a minus.
    DebitsNegative,
    /// There are some that mean nothing.
    Ignored,
}

/// `[status]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statuses {
    pub(super) column: Column,
    #[serde(default)]
    pub(super) booked: Vec<String>,
    #[serde(default)]
    pub(super) pending: Vec<String>,
    #[serde(default)]
    pub(super) information: Vec<String>,
    #[serde(default)]
    pub(super) leave_out: Vec<String>,
}

/// `[fields]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) bank_ref: Option<Column>,
    pub(super) owner_ref: Option<Column>,
    pub(super) end_to_end_id: Option<Column>,
    pub(super) instruction_id: Option<Column>,
    pub(super) mandate_id: Option<Column>,
    pub(super) counterparty_name: Option<Column>,
    pub(super) counterparty_account: Option<Column>,
    pub(super) counterparty_bank: Option<Column>,
    pub(super) own_account: Option<Column>,
    pub(super) creditor_reference: Option<Column>,
    pub(super) invoice: Option<Column>,
    pub(super) code: Option<Column>,
    pub(super) info: Option<Column>,
    #[serde(default)]
    pub(super) remittance: Vec<Column>,
}

/// A cell outside of the lines: in the first row whose first cell begins with `row`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    pub(super) row: String,
    /// From 1.
    pub(super) column: usize,
    /// The value stands behind this text.
    pub(super) after: Option<String>,
}

/// A column by its header or by its number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Name(String),
    Number(usize),
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl serde::de::Visitor<'_> for Seen {
            type Value = Column;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the header of a column, or its number from 1")
            }
            fn visit_str<E>(self, text: &str) -> Result<Column, E> {
                Ok(Column::Name(text.trim().to_owned()))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Column, E> {
                match usize::try_from(number) {
                    Ok(number) if number > 0 => Ok(Column::Number(number)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

fn utf_8() -> String {
    "utf-8".to_owned()
}

fn comma() -> String {
    ",".to_owned()
}

fn double_quote() -> String {
    "\"".to_owned()
}

impl Profile {
    /// Reads and checks a profile.
    pub(in crate::banking) fn parse(text: &str) -> Result<Profile, String> {
        let mut profile: Profile = toml::from_str(text).map_err(|e| e.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    /// Takes apart what is written as text, and refuses what cannot be meant. Each sentence begins with the key.
    fn check(&mut self) -> Result<(), String> {
        self.check_file()?;
        let numbers = Numbers::new(&self.amount.decimal, self.amount.thousands.as_deref());
        self.amount.numbers = numbers.map_err(|e| format!("amount.{e}"))?;
        if self.dates.formats.is_empty() {
            return Err("dates.formats: name at least one, such as \"DD.MM.YYYY\"".to_owned());
        }
        let formats = self.dates.formats.iter().map(|f| DateFormat::new(f).map_err(|e| format!("dates.formats: {e}")));
        self.dates.parsed = formats.collect::<Result<_, _>>()?;
        self.check_account()?;
        self.check_amount()?;
        if let Some(status) = &self.status {
            if status.booked.is_empty() {
                return Err("status.booked: name the texts that mean booked".to_owned());
            }
            let all = [&status.booked, &status.pending, &status.information, &status.leave_out];
            let mut texts: Vec<&String> = all.into_iter().flatten().collect();
            texts.sort();
            if let Some([twice, _]) = texts.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
                return Err(format!("status: \"{twice}\" stands in two lists"));
            }
        }
        for (key, column) in self.columns() {
            self.place(column).map_err(|e| format!("{key}: {e}"))?;
        }
        Ok(())
    }

    fn check_file(&self) -> Result<(), String> {
        let file = &self.file;
        if Encoding::for_label(file.encoding.as_bytes()).is_none() {
            return Err(format!("file.encoding: \"{}\" is not known; utf-8 and windows-1252 are", file.encoding));
        }
        if self.delimiter().is_none() {
            return Err("file.delimiter: one sign of ASCII is meant, such as \",\" or \";\" or \"\\t\"".to_owned());
        }
        if !file.quote.is_empty() && self.quote().is_none() {
            return Err("file.quote: one sign of ASCII is meant, or \"\" where nothing is quoted".to_owned());
        }
        if self.quote().is_some() && self.quote() == self.delimiter() {
            return Err("file.quote: it is the same as file.delimiter".to_owned());
        }
        match (&file.header, file.columns) {
            (Some(header), None) if header.len() >= 2 => {}
            (None, Some(columns)) if columns >= 2 => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err("file: a file of lines has at least two columns".to_owned());
            }
            _ => {
                return Err(
                    "file: give either header, the header row as it stands in the file, or columns, the number of columns of a file without one"
                        .to_owned(),
                );
            }
        }
        if file.footer.iter().any(|f| f.trim().is_empty()) {
            return Err("file.footer: an empty text would leave every row out".to_owned());
        }
        Ok(())
    }

    fn check_account(&self) -> Result<(), String> {
        let account = &self.account;
        let given = |fixed: bool, column: bool, cell: bool| [fixed, column, cell].iter().filter(|g| **g).count();
        let numbers = given(account.number.is_some(), account.number_column.is_some(), account.number_cell.is_some());
        if numbers != 1 {
            return Err("account: give one of number, number_column and number_cell".to_owned());
        }
        let currencies =
            given(account.currency.is_some(), account.currency_column.is_some(), account.currency_cell.is_some());
        if currencies != 1 {
            return Err("account: give one of currency, currency_column and currency_cell".to_owned());
        }
        if let Some(code) = &account.currency {
            code.parse::<Currency>().map_err(|e| format!("account.currency: {e}"))?;
        }
        Ok(())
    }

    fn check_amount(&self) -> Result<(), String> {
        let amount = &self.amount;
        let by_column = amount.column.is_some();
        if by_column == (amount.credit.is_some() || amount.debit.is_some())
            || amount.credit.is_some() != amount.debit.is_some()
        {
            return Err("amount: give either column (with or without mark), or both credit and debit".to_owned());
        }
        if amount.mark.is_some() {
            if !by_column {
                return Err("amount.mark: it belongs to column".to_owned());
            }
            if amount.credit_marks.is_empty() || amount.debit_marks.is_empty() {
                return Err("amount.mark: say by credit_marks and debit_marks what the marks mean".to_owned());
            }
            if amount.credit_marks.iter().any(|m| amount.debit_marks.contains(m)) {
                return Err("amount.credit_marks: a mark stands in debit_marks too".to_owned());
            }
        } else if !amount.credit_marks.is_empty() || !amount.debit_marks.is_empty() {
            return Err("amount.mark: name the column that the marks stand in".to_owned());
        }
        if amount.signs != Signs::Refused && by_column && amount.mark.is_none() {
            return Err("amount.signs: the sign of a single column is its direction".to_owned());
        }
        if amount.signs == Signs::DebitsNegative && by_column {
            return Err("amount.signs: debits_negative is for a column of debits".to_owned());
        }
        if amount.balance.is_some() && (amount.opening_cell.is_some() || amount.closing_cell.is_some()) {
            return Err(
                "amount.balance: a column of balances gives opening and closing; leave the cells out".to_owned()
            );
        }
        Ok(())
    }

    /// All columns that are named, with their keys.
    fn columns(&self) -> Vec<(&'static str, &Column)> {
        let (account, dates, amount, fields) = (&self.account, &self.dates, &self.amount, &self.fields);
        let optional = [
            ("account.number_column", &account.number_column),
            ("account.currency_column", &account.currency_column),
            ("dates.valued_on", &dates.valued_on),
            ("amount.column", &amount.column),
            ("amount.mark", &amount.mark),
            ("amount.credit", &amount.credit),
            ("amount.debit", &amount.debit),
            ("amount.balance", &amount.balance),
            ("amount.charges", &amount.charges),
            ("fields.bank_ref", &fields.bank_ref),
            ("fields.owner_ref", &fields.owner_ref),
            ("fields.end_to_end_id", &fields.end_to_end_id),
            ("fields.instruction_id", &fields.instruction_id),
            ("fields.mandate_id", &fields.mandate_id),
            ("fields.counterparty_name", &fields.counterparty_name),
            ("fields.counterparty_account", &fields.counterparty_account),
            ("fields.counterparty_bank", &fields.counterparty_bank),
            ("fields.own_account", &fields.own_account),
            ("fields.creditor_reference", &fields.creditor_reference),
            ("fields.invoice", &fields.invoice),
            ("fields.code", &fields.code),
            ("fields.info", &fields.info),
        ];
        let mut all = vec![("dates.booked_on", &dates.booked_on)];
        all.extend(optional.into_iter().filter_map(|(key, column)| Some((key, column.as_ref()?))));
        all.extend(fields.remittance.iter().map(|column| ("fields.remittance", column)));
        all.extend(self.status.iter().map(|status| ("status.column", &status.column)));
        all
    }

    /// How many cells a row has.
    pub(super) fn width(&self) -> usize {
        self.file.header.as_ref().map_or(self.file.columns.unwrap_or(0), Vec::len)
    }

    /// Where a column stands, from 0.
    pub(super) fn place(&self, column: &Column) -> Result<usize, String> {
        match column {
            Column::Number(number) if *number <= self.width() => Ok(number - 1),
            Column::Number(number) => Err(format!("there are {} columns and no column {number}", self.width())),
            Column::Name(name) => {
                let header =
                    self.file.header.as_deref().ok_or_else(|| {
                        format!("the file has no header, so \"{name}\" names no column: give its number")
                    })?;
                let mut places = header.iter().enumerate().filter(|(_, cell)| cell.trim() == name).map(|(at, _)| at);
                match (places.next(), places.next()) {
                    (Some(at), None) => Ok(at),
                    (Some(_), Some(_)) => {
                        Err(format!("the header has \"{name}\" twice: give the number of the column"))
                    }
                    (None, _) => Err(format!("the header has no \"{name}\"")),
                }
            }
        }
    }

    pub(super) fn delimiter(&self) -> Option<u8> {
        single(&self.file.delimiter)
    }

    pub(super) fn quote(&self) -> Option<u8> {
        single(&self.file.quote)
    }

    pub(super) fn encoding(&self) -> &'static Encoding {
        Encoding::for_label(self.file.encoding.as_bytes()).unwrap_or(encoding_rs::UTF_8)
    }
}

fn single(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => None,
    }
}
