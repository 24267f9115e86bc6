//! How each bank names what it books: its codes and its texts.

use super::treasury::{PRODUCTS, Style};
use crate::banking::Direction;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Receipt,
    Paid,
    Salaries,
    Fee,
    Interest,
    /// A receipt that goes back.
    Returned,
    /// A payment of ours that comes back.
    CameBack,
}

impl Kind {
    pub(super) fn direction(self) -> Direction {
        match self {
            Kind::Receipt | Kind::Interest | Kind::CameBack => Direction::Credit,
            Kind::Paid | Kind::Salaries | Kind::Fee | Kind::Returned => Direction::Debit,
        }
    }
}

/// ISO 20022 in camt; the SWIFT type in MT940, with the GVC of German banks.
pub(super) fn code(style: Style, kind: Kind) -> &'static str {
    match (style, kind) {
        (Style::Camt08 | Style::Camt02, kind) => match kind {
            Kind::Receipt => "PMNT/RCDT/DMCT",
            Kind::Paid => "PMNT/ICDT/DMCT",
            Kind::Salaries => "PMNT/ICDT/SALA",
            Kind::Fee => "ACMT/MCOP/CHRG",
            Kind::Interest => "ACMT/MCOP/INTR",
            Kind::Returned => "PMNT/RCDT/RRTN",
            Kind::CameBack => "PMNT/ICDT/RRTN",
        },
        (Style::German, kind) => match kind {
            Kind::Receipt => "NTRF/166",
            Kind::Paid => "NTRF/116",
            Kind::Salaries => "NTRF/191",
            Kind::Fee => "NCHG/808",
            Kind::Interest => "NINT/814",
            Kind::Returned => "NRTI/109",
            Kind::CameBack => "NRTI/159",
        },
        (Style::Slash, kind) => match kind {
            Kind::Receipt | Kind::Paid | Kind::Salaries => "NTRF",
            Kind::Fee => "NCHG",
            Kind::Interest => "NINT",
            Kind::Returned | Kind::CameBack => "NRTI",
        },
    }
}

/// What the bank writes beside the line.
pub(super) fn booking_text(style: Style, kind: Kind) -> Option<&'static str> {
    let (german, english) = match kind {
        Kind::Receipt => ("GUTSCHRIFT", "INWARD CREDIT TRANSFER"),
        Kind::Paid => ("UEBERWEISUNG", "OUTWARD CREDIT TRANSFER"),
        Kind::Salaries => ("SAMMLER GEHALT", "SALARY BATCH"),
        Kind::Fee => ("ENTGELT", "BANK CHARGES"),
        Kind::Interest => ("ZINSEN", "CREDIT INTEREST"),
        Kind::Returned => ("RUECKGABE", "RETURNED PAYMENT"),
        Kind::CameBack => ("RUECKUEBERWEISUNG", "PAYMENT NOT EXECUTED"),
    };
    match style {
        Style::German => Some(german),
        Style::Slash => Some(english),
        // Banks of the camt world leave it to the codes, but for what is their own.
        Style::Camt08 | Style::Camt02 => matches!(kind, Kind::Fee | Kind::Interest).then_some(english),
    }
}

/// The name of a product as payers write it.
pub(super) fn product_name(code: &str) -> &'static str {
    PRODUCTS.iter().find(|p| p.0 == code).map_or("", |p| p.1)
}
