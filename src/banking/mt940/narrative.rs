//! The narrative `:86:`: German subfields behind a GVC code, slash codes, or plain text.
//!
//! The dialect is told by the text itself, entry by entry, because one statement mixes them. Lines and subfields break words
//! at a fixed width; a part that is not full ended on its own, so the blank that its bank dropped there is put back.

use super::value::{amount_of, shortened};
use crate::banking::Detail;
use crate::money::{Currency, Minor};

/// Columns of a line of `:86:`, and of a subfield in it.
const LINE_FULL: usize = 65;
const SUBFIELD_FULL: usize = 27;

/// What a narrative tells.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) detail: Detail,
    /// The German business transaction code (GVC).
    pub(super) code: Option<String>,
    /// The booking text.
    pub(super) info: Option<String>,
    /// The addition to the text key, which on a return is its reason.
    pub(super) text_key: Option<String>,
}

/// Reads the lines of an entry's narrative.
pub(super) fn read(lines: &[String], currency: Currency) -> Story {
    let glued: String = lines.concat();
    let glued = glued.trim_start();
    if let Some((code, separator, rest)) = german(glued) {
        return subfields(code, separator, rest, currency);
    }
    let joined = joined(lines);
    if let Some(story) = slash_codes(&joined, currency) {
        return story;
    }
    plain(glued, lines)
}

/// The lines as one text, with a line end where a line was not full. A code that is cut by a line end is put together.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    let mut full = true;
    for line in lines {
        let cut_code = text.ends_with('/') && KNOWN.iter().any(|code| starts_code(line, code));
        if !full && !cut_code {
            text.push('\n');
        }
        text.push_str(if line.chars().count() >= LINE_FULL { line } else { line.trim_end() });
        full = line.chars().count() >= LINE_FULL;
    }
    text
}

fn starts_code(line: &str, code: &str) -> bool {
    line.strip_prefix(code).is_some_and(|rest| rest.starts_with('/'))
}

/// A GVC code of three digits, then the separator that each subfield begins with; a bare code has none.
fn german(text: &str) -> Option<(Option<&str>, char, &str)> {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (code, rest) = match digits {
        3 => text.split_at(3),
        0 => ("", text),
        _ => return None,
    };
    let code = (!code.is_empty()).then_some(code);
    if rest.trim().is_empty() {
        return code.map(|code| (Some(code), '?', ""));
    }
    let separator = rest.chars().next().filter(|c| "?><^~+@|;#$%&!*=`".contains(*c) || *c == '\u{a7}')?;
    next_subfield(rest, separator).filter(|(at, _)| *at == 0)?;
    Some((code, separator, rest))
}

/// The place and number of the next subfield.
fn next_subfield(text: &str, separator: char) -> Option<(usize, u8)> {
    text.match_indices(separator).find_map(|(at, mark)| {
        let digits = text.get(at + mark.len()..at + mark.len() + 2)?;
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u8>().ok()).flatten()?;
        matches!(number, 0 | 10 | 20..=38 | 60..=65).then_some((at, number))
    })
}

fn subfields(code: Option<&str>, separator: char, mut rest: &str, currency: Currency) -> Story {
    let mut story = Story { code: code.map(str::to_owned), ..Story::default() };
    let mut purpose = Parts::default();
    let mut name = Parts::default();
    let (mut account, mut iban) = (None, None);
    while let Some((at, number)) = next_subfield(rest, separator) {
        let body = rest.get(at + separator.len_utf8() + 2..).unwrap_or_default();
        let end = next_subfield(body, separator).map_or(body.len(), |(end, _)| end);
        let (value, after) = body.split_at(end);
        rest = after;
        match number {
            0 => story.info = text(value),
            20..=29 | 60..=65 => purpose.add(value),
            30 => story.detail.counterparty_bank = compact(value),
            31 => account = compact(value),
            32 | 33 => name.add(value),
            34 => story.text_key = text(value),
            38 => iban = compact(value),
            _ => {}
        }
    }
    story.detail.counterparty_account = iban.or(account);
    story.detail.counterparty_name = text(&name.with_blanks(0, name.text.len()));
    purpose.into_detail(&mut story.detail, currency);
    if story.detail.return_reason.is_none() && code.is_some_and(is_return) {
        story.detail.return_reason = Some(story.text_key.clone().unwrap_or_else(|| "unspecified".to_owned()));
    }
    story
}

/// Returned direct debits and transfers.
fn is_return(code: &str) -> bool {
    matches!(code, "108" | "109" | "159") || (code.len() == 3 && code.starts_with("18"))
}

/// Subfields joined without blanks, and where a blank was dropped.
#[derive(Debug, Default)]
struct Parts {
    text: String,
    /// Where a part begins.
    starts: Vec<usize>,
    /// Where a part begins behind one that was not full.
    gaps: Vec<usize>,
    full: bool,
}

impl Parts {
    fn add(&mut self, part: &str) {
        if !self.text.is_empty() && !self.full {
            self.gaps.push(self.text.len());
        }
        self.starts.push(self.text.len());
        self.text.push_str(part);
        self.full = part.chars().count() >= SUBFIELD_FULL;
    }

    /// The text from `start` to `end` with the dropped blanks put back.
    fn with_blanks(&self, start: usize, end: usize) -> String {
        let mut out = String::new();
        let mut from = start;
        for gap in self.gaps.iter().filter(|gap| **gap > start && **gap < end) {
            out.push_str(self.text.get(from..*gap).unwrap_or_default());
            out.push(' ');
            from = *gap;
        }
        out.push_str(self.text.get(from..end).unwrap_or_default());
        single_blanks(&out)
    }

    /// SEPA tags in the text, with their places: `EREF+` anywhere; `EREF:` when there is no plus anywhere.
    fn tags(&self) -> Vec<(usize, usize, &'static str)> {
        for sign in ['+', ':'] {
            let mut found: Vec<(usize, usize, &'static str)> = SEPA
                .iter()
                .flat_map(|tag| self.text.match_indices(tag).map(move |(at, _)| (at, at + tag.len() + 1, *tag)))
                .filter(|(at, end, _)| self.text.get(end - 1..*end) == Some(&sign.to_string()) && self.begins_word(*at))
                .collect();
            found.sort_unstable();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn begins_word(&self, at: usize) -> bool {
        let before = self.text.get(..at).and_then(|text| text.chars().last());
        self.starts.contains(&at) || before.is_none_or(|c| !c.is_alphanumeric())
    }

    fn into_detail(self, detail: &mut Detail, currency: Currency) {
        let tags = self.tags();
        let first = tags.first().map_or(self.text.len(), |(at, _, _)| *at);
        let mut remittance = self.with_blanks(0, first);
        for (i, (_, start, tag)) in tags.iter().enumerate() {
            let end = tags.get(i + 1).map_or(self.text.len(), |(at, _, _)| *at);
            let value = self.text.get(*start..end).unwrap_or_default().trim();
            match *tag {
                "EREF" => detail.end_to_end_id = reference(value),
                "KREF" => detail.instruction_id = reference(value),
                "MREF" => detail.mandate_id = reference(value),
                "SVWZ" => {
                    if !remittance.is_empty() {
                        remittance.push(' ');
                    }
                    remittance.push_str(&self.with_blanks(*start, end));
                }
                "ABWA" | "ABWE" => detail.ultimate_name = text(&self.with_blanks(*start, end)),
                "COAM" => detail.charges = charge(value, currency),
                "IBAN" if detail.counterparty_account.is_none() => detail.counterparty_account = compact(value),
                "BIC" if detail.counterparty_bank.is_none() => detail.counterparty_bank = compact(value),
                "PURP" => detail.purpose = text(value),
                _ => {}
            }
        }
        detail.remittance = text(&single_blanks(&remittance));
    }
}

const SEPA: [&str; 13] =
    ["EREF", "KREF", "MREF", "CRED", "DEBT", "SVWZ", "ABWA", "ABWE", "COAM", "OAMT", "IBAN", "BIC", "PURP"];

/// Codes between slashes that end the value before them; any other slash belongs to the value.
pub(in crate::banking) const KNOWN: [&str; 29] = [
    "TRTP", "TRCD", "IBAN", "BIC", "NAME", "REMI", "EREF", "KREF", "PREF", "MARF", "MREF", "CSID", "RTRN", "ORDP",
    "BENM", "ULTC", "ULTD", "ULTB", "OCMT", "CHGS", "EXCH", "VA", "ISDT", "ADDR", "CNTP", "PURP", "SVCL", "OGB",
    "OSDR",
];

/// The place of the next known code at or behind `from`, and of its value.
fn next_code(text: &str, from: usize) -> Option<(usize, usize, &'static str)> {
    let rest = text.get(from..)?;
    rest.match_indices('/').find_map(|(at, _)| {
        let behind = rest.get(at + 1..)?;
        let code = KNOWN.iter().find(|code| starts_code(behind, code))?;
        Some((from + at, from + at + code.len() + 2, *code))
    })
}

fn slash_codes(text: &str, currency: Currency) -> Option<Story> {
    let (first, ..) = next_code(text, 0)?;
    // A single code deep in a text is text.
    if !text.get(..first)?.trim().is_empty() && next_code(text, first + 1).is_none() {
        return None;
    }
    let mut story = Story::default();
    let mut free = vec![text.get(..first)?.to_owned()];
    let mut ultimate = false;
    let mut from = first;
    while let Some((_, start, code)) = next_code(text, from) {
        // The slash that ends one code may begin the next, as in `/BENM//NAME/`.
        let end =
            next_code(text, start - 1).or_else(|| next_code(text, start)).map_or(text.len(), |(at, ..)| at.max(start));
        let value = text.get(start..end).unwrap_or_default();
        from = if next_code(text, start - 1).is_some_and(|(at, ..)| at == start - 1) { start - 1 } else { end };
        let value = if from < start { "" } else { value };
        match code {
            "ULTC" | "ULTD" | "ULTB" => ultimate = true,
            "ORDP" | "BENM" | "CNTP" => ultimate = false,
            _ => {}
        }
        take_code(&mut story, code, value, ultimate, &mut free, currency);
    }
    let free = single_blanks(&free.join(" "));
    match &mut story.detail.remittance {
        Some(_) => story.detail.info = self::text(&free),
        slot => *slot = self::text(&free),
    }
    Some(story)
}

fn take_code(story: &mut Story, code: &str, value: &str, ultimate: bool, free: &mut Vec<String>, currency: Currency) {
    let detail = &mut story.detail;
    let line = single_blanks(&value.replace('\n', " "));
    let line = line.strip_suffix('/').unwrap_or(&line).trim();
    let mut first_of = |value: &str| {
        let (first, rest) = value.split_once(['\n', '/']).unwrap_or((value, ""));
        free.push(rest.replace('\n', " ").trim_matches('/').to_owned());
        first.trim().to_owned()
    };
    match code {
        "EREF" => detail.end_to_end_id = reference(line),
        "KREF" => detail.instruction_id = reference(line),
        "PREF" => detail.payment_info_id = reference(line),
        "MARF" | "MREF" => detail.mandate_id = reference(line),
        "IBAN" => detail.counterparty_account = compact(line),
        "BIC" => detail.counterparty_bank = compact(line),
        "NAME" | "ULTC" | "ULTD" | "ULTB" if ultimate => {
            if let Some(name) = text(line.trim_matches('/')) {
                detail.ultimate_name = Some(name);
            }
        }
        "NAME" => detail.counterparty_name = text(line),
        "ORDP" | "BENM" => party(detail, value, free),
        "CNTP" => counterparty(detail, line),
        "REMI" => remittance(detail, line),
        "RTRN" => detail.return_reason = text(line.trim_matches('/')).or_else(|| Some("unspecified".to_owned())),
        "TRTP" => story.info = text(line),
        "PURP" => detail.purpose = line.rsplit('/').next().and_then(text),
        "VA" => detail.own_account = compact(&first_of(value)),
        "CHGS" => detail.charges = charge(&first_of(value), currency),
        "OCMT" | "EXCH" => {
            first_of(value);
        }
        _ => {}
    }
}

/// `/BENM/account` with the name and a text on lines of their own, as banks without subcodes write it.
fn party(detail: &mut Detail, value: &str, free: &mut Vec<String>) {
    let mut lines = value.split('\n').map(|line| line.trim().trim_start_matches('/')).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return };
    let is_account = first.bytes().any(|b| b.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_alphanumeric());
    let name = if is_account {
        detail.counterparty_account = compact(first);
        lines.next()
    } else {
        Some(first)
    };
    detail.counterparty_name = name.and_then(text);
    free.extend(lines.map(str::to_owned));
}

/// `account/BIC/name/city`.
fn counterparty(detail: &mut Detail, value: &str) {
    let mut parts = value.split('/');
    detail.counterparty_account = parts.next().and_then(compact);
    detail.counterparty_bank = parts.next().and_then(compact);
    detail.counterparty_name = parts.next().and_then(text);
}

/// `USTD//text`, `STRD/CUR/reference`, or the text itself.
fn remittance(detail: &mut Detail, value: &str) {
    if let Some(structured) = value.strip_prefix("STRD/") {
        detail.creditor_reference = structured.rsplit('/').find(|part| !part.is_empty()).and_then(compact);
        return;
    }
    let plain = value.strip_prefix("USTD/").map_or(value, |rest| rest.trim_start_matches('/'));
    detail.remittance = text(plain);
}

/// Plain text. Some banks begin it with the other party's IBAN and name on the first line.
fn plain(glued: &str, lines: &[String]) -> Story {
    let mut story = Story::default();
    let unstructured = glued.strip_prefix("999").filter(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
    let mut lines = lines.to_vec();
    if unstructured.is_some()
        && let Some(first) = lines.first_mut()
    {
        story.code = Some("999".to_owned());
        *first = first.trim_start().trim_start_matches("999").to_owned();
    }
    let first = lines.first().map_or("", |line| line.trim());
    let (word, name) = first.split_once(' ').unwrap_or((first, ""));
    if is_iban(word) {
        story.detail.counterparty_account = Some(word.to_owned());
        story.detail.counterparty_name = text(name);
        lines.remove(0);
    }
    story.detail.remittance = text(&single_blanks(&joined(&lines)));
    story
}

/// Whether a word has the shape of an IBAN. Its check digits do not matter here: what the bank puts in the place of an
/// account is one.
pub(super) fn is_iban(word: &str) -> bool {
    (15..=34).contains(&word.len())
        && word.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && word.bytes().skip(2).take(2).all(|b| b.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && word.bytes().skip(4).filter(u8::is_ascii_digit).count() >= 7
}

/// `EUR0,50`, or an amount without a currency; in the account's currency only.
pub(super) fn charge(value: &str, currency: Currency) -> Option<Minor> {
    let digits = value.trim().trim_end_matches('/');
    let digits = digits.strip_prefix(currency.code()).unwrap_or(digits);
    amount_of(digits, currency).ok()
}

pub(super) fn reference(value: &str) -> Option<String> {
    let value = value.trim();
    let none = value.is_empty() || shortened(value).eq_ignore_ascii_case("NOTPROVIDED") || value == "NONREF";
    (!none).then(|| value.to_owned())
}

pub(super) fn compact(value: &str) -> Option<String> {
    let kept: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    (!kept.is_empty()).then_some(kept)
}

fn text(value: &str) -> Option<String> {
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Runs of blanks are padding.
pub(super) fn single_blanks(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
