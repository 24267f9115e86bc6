//! The element names of camt.052, .053 and .054 that carry something, as numbers, so that a path is matched without comparing text.

/// Makes the enum and the function that finds a name in it.
macro_rules! tags {
    ($($name:ident)*) => {
        /// A local element name; [`Tag::Other`] for every name that nothing is taken from.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(clippy::upper_case_acronyms, reason = "they are the names of the elements")]
        pub(super) enum Tag {
            Other,
            $($name,)*
        }

        impl Tag {
            pub(super) fn of(local_name: &[u8]) -> Tag {
                match packed(local_name) {
                    $(keys::$name => Tag::$name,)*
                    _ => Tag::Other,
                }
            }
        }

        #[expect(non_upper_case_globals, reason = "they are the names of the elements")]
        mod keys {
            $(pub(super) const $name: u128 = super::packed(stringify!($name).as_bytes());)*
        }
    };
}

tags! {
    Acct AcctSvcrRef AddtlInf AddtlNtryInf AddtlRmtInf AddtlTxInf Agt Amt AmtDtls AnyBIC AppHdr
    BBAN BIC BICFI Bal BkToCstmrAcctRpt BkToCstmrAcctRptV01 BkToCstmrDbtCdtNtfctn BkToCstmrDbtCdtNtfctnV01
    BkToCstmrStmt BkToCstmrStmtV01 BkTxCd BookgDt Btch
    Ccy Cd CdOrPrtry CdtDbtInd Cdtr CdtrAcct CdtrAgt CdtrRef CdtrRefInf Chrgs ClrSysMmbId CmbndId CpyDplct CpyDplctInd CreDtTm
    Dbtr DbtrAcct DbtrAgt Document Domn Dt DtTm
    ElctrncSeqNb EndToEndId FinInstnId Fmly FrDt FrDtTm FrToDt GrpHdr IBAN Id InstdAmt InstrId
    LastPgInd LglSeqNb MmbId MndtId MsgDefIdr MsgId MsgPgntn Nb NbOfNtries Nm NmAndAdr Ntfctn NtfctnPgntn Ntry NtryDtls NtryRef
    Othr PgNb PmtInfId Prtry PrtryAcct Pty Purp Rcrd Ref Refs RfrdDocInf RfrdDocNb RltdAcct RltdAgts RltdPties RmtInf
    Rpt RptPgntn Rsn RtrInf RtrRsn RvslInd Stmt StmtPgntn Strd Sts SubFmlyCd Sum Svcr
    ToDt ToDtTm Tp TtlCdtNtries TtlChrgsAndTaxAmt TtlDbtNtries TtlNtries TxAmt TxDtls TxId TxsSummry
    UETR UPIC UltmtCdtr UltmtDbtr Ustrd ValDt
}

/// The name in one number: its first fifteen bytes and its length, which together tell the names above apart from all
/// others of the standard.
const fn packed(name: &[u8]) -> u128 {
    let mut key: u128 = 0;
    let mut i = 0;
    while i < name.len() && i < 15 {
        key = (key << 8) | widened(name[i]);
        i += 1;
    }
    let length = if name.len() < 255 { name.len() } else { 255 };
    (key << 8) | (length as u128)
}

const fn widened(byte: u8) -> u128 {
    byte as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_other() {
        for (name, tag) in [("Amt", Tag::Amt), ("TtlChrgsAndTaxAmt", Tag::TtlChrgsAndTaxAmt), ("Bal", Tag::Bal)] {
            assert_eq!(Tag::of(name.as_bytes()), tag);
        }
        for name in ["", "amt", "Amt2", "AmtX", "TtlChrgsAndTaxAmtX", "XtlChrgsAndTaxAmt", &"A".repeat(300)] {
            assert_eq!(Tag::of(name.as_bytes()), Tag::Other, "{name}");
        }
    }
}
