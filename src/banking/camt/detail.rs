//! One `TxDtls`: references, parties, texts, and whose name is the counterparty's.
//!
//! That depends on the direction and on whether the money comes back, both of which may stand behind the names; so the
//! sides are kept until the entry ends.

use super::statement::servicer_rank;
use super::tag::Tag;
use super::value::{self, Amount, CurrencyMark};
use crate::banking::{Detail, Direction};
use crate::money::{Currency, Minor};

/// The length of an unstructured text that is full, so that the next part continues it without a blank.
const FULL: usize = 140;

/// A bank transaction code in both of its spellings.
#[derive(Debug, Default)]
pub(super) struct Code {
    domain: Option<String>,
    family: Option<String>,
    sub_family: Option<String>,
    proprietary: Option<String>,
}

impl Code {
    pub(super) fn take(&mut self, path: &[Tag], text: &str) {
        let slot = match path {
            [Tag::Domn, Tag::Cd] => &mut self.domain,
            [Tag::Domn, Tag::Fmly, Tag::Cd] => &mut self.family,
            [Tag::Domn, Tag::Fmly, Tag::SubFmlyCd] => &mut self.sub_family,
            [Tag::Prtry, Tag::Cd] => &mut self.proprietary,
            _ => return,
        };
        *slot = (!text.is_empty()).then(|| text.to_owned());
    }

    /// `PMNT/RCDT/ESCT`, else the bank's own.
    pub(super) fn text(&self) -> Option<String> {
        let Some(domain) = &self.domain else {
            return self.proprietary.clone();
        };
        let parts = [Some(domain.as_str()), self.family.as_deref(), self.sub_family.as_deref()];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
    }
}

/// Charges, of which version 02 repeats records and later ones give a total beside them.
#[derive(Debug, Default)]
pub(super) struct Charges {
    total: Option<Amount>,
    amount: Option<Amount>,
    refund: bool,
    records: Vec<(Minor, Currency, bool)>,
}

impl Charges {
    pub(super) fn take(&mut self, path: &[Tag], text: &str, mark: &CurrencyMark) {
        match path {
            [Tag::TtlChrgsAndTaxAmt] => self.total = Some(value::amount(text, mark)),
            [Tag::Amt] | [Tag::Rcrd, Tag::Amt] => self.amount = Some(value::amount(text, mark)),
            [Tag::CdtDbtInd] | [Tag::Rcrd, Tag::CdtDbtInd] => self.refund = text == "CRDT",
            _ => {}
        }
    }

    pub(super) fn end_record(&mut self) {
        if let Some(Ok((minor, currency))) = self.amount.take()
            && self.records.len() < 1000
        {
            self.records.push((minor, currency, self.refund));
        }
        self.refund = false;
    }

    /// In the account's currency, unsigned; what the bank refunds lowers it, and a refund as a whole is no charge.
    pub(super) fn total(self, currency: Currency) -> Option<Minor> {
        if let Some(Ok((minor, own))) = self.total
            && own == currency
        {
            return Some(minor);
        }
        let mine = self.records.iter().filter(|(_, own, _)| *own == currency);
        let sum: i128 = mine.map(|(m, _, refund)| if *refund { -i128::from(m.0) } else { i128::from(m.0) }).sum();
        (sum > 0).then(|| Minor::from_sum(sum).ok()).flatten()
    }
}

/// One side of a payment as it came by.
#[derive(Debug, Default)]
struct Side {
    name: Option<String>,
    account: Option<String>,
    bank: [Option<String>; 3],
    ultimate: Option<String>,
}

impl Side {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.account.is_none()
    }

    fn take_party(&mut self, path: &[Tag], text: &str) {
        match path {
            [Tag::Nm] | [Tag::Pty, Tag::Nm] => self.name = named(text),
            // A bank as a party has no name of its own in the usual place.
            [Tag::Agt, Tag::FinInstnId, Tag::Nm | Tag::BIC | Tag::BICFI] if self.name.is_none() => {
                self.name = named(text)
            }
            _ => {}
        }
    }

    fn take_account(&mut self, path: &[Tag], text: &str) {
        match path {
            [Tag::Id, Tag::IBAN] => self.account = value::compact(text),
            [Tag::Id, Tag::BBAN | Tag::UPIC] | [Tag::Id, Tag::Othr | Tag::PrtryAcct, Tag::Id]
                if self.account.is_none() =>
            {
                self.account = value::compact(text);
            }
            _ => {}
        }
    }

    fn take_agent(&mut self, path: &[Tag], text: &str) {
        if let Some(slot) = servicer_rank(path).and_then(|rank| self.bank.get_mut(rank)) {
            *slot = named(text);
        }
    }
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What the line says that decides about its details.
pub(super) struct Context<'a> {
    pub(super) currency: Currency,
    pub(super) direction: Direction,
    pub(super) code: Option<&'a str>,
    pub(super) reversal: bool,
    /// The account of the statement.
    pub(super) account: Option<&'a str>,
}

/// A `TxDtls` that is being read.
#[derive(Debug, Default)]
pub(super) struct DetailDraft {
    pub(super) detail: Detail,
    amount: Option<Amount>,
    transaction_amount: Option<Amount>,
    instructed_amount: Option<Amount>,
    debtor: Side,
    creditor: Side,
    pub(super) code: Code,
    pub(super) charges: Charges,
    remittance_is_full: bool,
}

impl DetailDraft {
    /// A detail of the batch that the company sent under `payment_info_id`, where the bank names it.
    pub(super) fn new(payment_info_id: Option<String>) -> Self {
        DetailDraft { detail: Detail { payment_info_id, ..Detail::default() }, ..DetailDraft::default() }
    }

    pub(super) fn take(&mut self, path: &[Tag], text: &str, mark: &CurrencyMark) {
        let detail = &mut self.detail;
        match path {
            [Tag::Refs, rest @ ..] => take_reference(detail, rest, text),
            [Tag::Amt] => self.amount = Some(value::amount(text, mark)),
            [Tag::CdtDbtInd] => detail.direction = value::direction(text),
            [Tag::AmtDtls, Tag::TxAmt, Tag::Amt] => self.transaction_amount = Some(value::amount(text, mark)),
            [Tag::AmtDtls, Tag::InstdAmt, Tag::Amt] => self.instructed_amount = Some(value::amount(text, mark)),
            [Tag::BkTxCd, rest @ ..] => self.code.take(rest, text),
            [Tag::Chrgs, rest @ ..] => self.charges.take(rest, text, mark),
            [Tag::RltdPties, Tag::UltmtDbtr, Tag::Nm] | [Tag::RltdPties, Tag::UltmtDbtr, Tag::Pty, Tag::Nm] => {
                self.debtor.ultimate = named(text);
            }
            [Tag::RltdPties, Tag::UltmtCdtr, Tag::Nm] | [Tag::RltdPties, Tag::UltmtCdtr, Tag::Pty, Tag::Nm] => {
                self.creditor.ultimate = named(text);
            }
            [Tag::RltdPties, Tag::Dbtr, rest @ ..] => self.debtor.take_party(rest, text),
            [Tag::RltdPties, Tag::DbtrAcct, rest @ ..] => self.debtor.take_account(rest, text),
            [Tag::RltdPties, Tag::Cdtr, rest @ ..] => self.creditor.take_party(rest, text),
            [Tag::RltdPties, Tag::CdtrAcct, rest @ ..] => self.creditor.take_account(rest, text),
            [Tag::RltdAgts, Tag::DbtrAgt, Tag::FinInstnId, rest @ ..] => self.debtor.take_agent(rest, text),
            [Tag::RltdAgts, Tag::CdtrAgt, Tag::FinInstnId, rest @ ..] => self.creditor.take_agent(rest, text),
            [Tag::RmtInf, Tag::Ustrd] => self.add_remittance(text),
            [Tag::RmtInf, Tag::Strd, rest @ ..] => take_structured(detail, rest, text),
            [Tag::RtrInf, Tag::Rsn | Tag::RtrRsn, Tag::Cd | Tag::Prtry] => {
                detail.return_reason = detail.return_reason.take().or_else(|| named(text));
            }
            [Tag::RtrInf, Tag::AddtlInf] => add_with_blank(&mut detail.info, text),
            [Tag::Purp, Tag::Cd | Tag::Prtry] => detail.purpose = named(text),
            [Tag::AddtlTxInf] => add_with_blank(&mut detail.info, text),
            _ => {}
        }
    }

    /// A `RtrInf` ends: a return without a reason is a return.
    pub(super) fn end_return(&mut self) {
        self.detail.return_reason.get_or_insert_with(|| "unspecified".to_owned());
    }

    /// Parts continue each other without a blank where the part before is full.
    fn add_remittance(&mut self, text: &str) {
        let kept = self.detail.remittance.get_or_insert_default();
        if !kept.is_empty() && !self.remittance_is_full && !text.is_empty() {
            kept.push(' ');
        }
        kept.push_str(text);
        self.remittance_is_full = text.chars().count() >= FULL;
    }

    pub(super) fn end(mut self, line: &Context) -> Detail {
        let direction = self.detail.direction.unwrap_or(line.direction);
        let in_account_currency = |amount: Option<Amount>| match amount {
            Some(Ok((minor, currency))) if currency == line.currency => Some(minor),
            _ => None,
        };
        let amounts = [self.amount, self.transaction_amount, self.instructed_amount];
        let mut detail = self.detail;
        detail.amount = amounts.into_iter().find_map(in_account_currency);
        detail.charges = self.charges.total(line.currency);
        detail.remittance = detail.remittance.filter(|text| !text.is_empty());
        let own_code = self.code.text();
        let is_return = detail.return_reason.is_some() || is_return_code(own_code.as_deref().or(line.code));
        let comes_back = is_return || line.reversal;
        let natural_other_is_debtor = direction == Direction::Credit;
        // On what comes back the parties keep the roles of the original payment, so the other party stands on the other
        // side; yet many banks then name only the other party, on either side, and some turn the roles round.
        let is_ours = |side: &Side| side.account.is_some() && side.account.as_deref() == line.account;
        let other_is_debtor = if !comes_back {
            natural_other_is_debtor
        } else if is_ours(&self.debtor) != is_ours(&self.creditor) {
            is_ours(&self.creditor)
        } else if self.debtor.is_empty() != self.creditor.is_empty() {
            self.creditor.is_empty()
        } else {
            !natural_other_is_debtor
        };
        let (other, ours) = if other_is_debtor {
            (&mut self.debtor, &mut self.creditor)
        } else {
            (&mut self.creditor, &mut self.debtor)
        };
        detail.counterparty_name = other.name.take();
        detail.counterparty_account = other.account.take();
        detail.counterparty_bank = other.bank.iter_mut().find_map(Option::take);
        detail.ultimate_name = other.ultimate.take();
        detail.own_account = ours.account.take();
        detail
    }
}

/// Whether a bank transaction code says that money comes back: returned transfers, unpaid and reversed direct debits.
pub(in crate::banking) fn is_return_code(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    matches!(code.rsplit('/').next(), Some("RRTN" | "ARET" | "UPDD" | "PRDD"))
}

fn take_reference(detail: &mut Detail, path: &[Tag], text: &str) {
    let slot = match path {
        [Tag::EndToEndId] => &mut detail.end_to_end_id,
        [Tag::InstrId] => &mut detail.instruction_id,
        [Tag::TxId] => &mut detail.transaction_id,
        [Tag::UETR] => &mut detail.uetr,
        [Tag::PmtInfId] => &mut detail.payment_info_id,
        [Tag::MndtId] => &mut detail.mandate_id,
        [Tag::AcctSvcrRef] => &mut detail.bank_ref,
        _ => return,
    };
    *slot = value::reference(text);
}

fn take_structured(detail: &mut Detail, path: &[Tag], text: &str) {
    match path {
        [Tag::CdtrRefInf, Tag::Ref | Tag::CdtrRef] if detail.creditor_reference.is_none() => {
            detail.creditor_reference = value::compact(text);
        }
        [Tag::RfrdDocInf, Tag::Nb | Tag::RfrdDocNb] if detail.invoice.is_none() => detail.invoice = named(text),
        [Tag::AddtlRmtInf] => add_with_blank(&mut detail.info, text),
        _ => {}
    }
}

fn add_with_blank(slot: &mut Option<String>, text: &str) {
    if text.is_empty() {
        return;
    }
    let kept = slot.get_or_insert_default();
    if !kept.is_empty() {
        kept.push(' ');
    }
    kept.push_str(text);
}
