//! What takes four eyes: the kinds, what each needs of its maker, and who approves where a treasury says nothing else.

use super::policy::{Policy, Whom};
use crate::access::Permission;
use std::fmt;
use std::str::FromStr;

/// A kind of change that somebody proposes and others approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// New versions of allocation rules, for lines to come.
    Rules,
    /// A change of the rules that moves stored lines too.
    BackTest,
    /// A role for a person or key.
    Grant,
    /// The treasury's own roles.
    Roles,
    /// A new way in for a person: whoever holds its invitation can come to be that person.
    Reset,
    /// An identity at the provider for a person: whoever signs in as it is that person.
    Identity,
    /// A leaf's floor, ceiling, limit per movement, last day.
    Limits,
    /// A settlement file.
    Settlement,
    /// A settlement carried out on a line that a person names.
    SettlementLine,
    /// Expected receipts.
    Expectations,
    /// What a person says has met an expected receipt, where that moves money between owners.
    Meeting,
    /// A line's money from one product or entity to another.
    Reroute,
    /// Who has to approve what.
    Policies,
}

impl Kind {
    /// Every kind, in the order in which tables show them.
    pub const ALL: [Kind; 13] = [
        Kind::Rules,
        Kind::BackTest,
        Kind::Grant,
        Kind::Roles,
        Kind::Reset,
        Kind::Identity,
        Kind::Limits,
        Kind::Settlement,
        Kind::SettlementLine,
        Kind::Expectations,
        Kind::Meeting,
        Kind::Reroute,
        Kind::Policies,
    ];

    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Rules => "rules",
            Kind::BackTest => "back_test",
            Kind::Grant => "grant",
            Kind::Roles => "roles",
            Kind::Reset => "reset",
            Kind::Identity => "identity",
            Kind::Limits => "limits",
            Kind::Settlement => "settlement",
            Kind::SettlementLine => "settlement_line",
            Kind::Expectations => "expectations",
            Kind::Meeting => "meeting",
            Kind::Reroute => "reroute",
            Kind::Policies => "policies",
        }
    }

    /// What it is, for people.
    pub fn says(self) -> &'static str {
        match self {
            Kind::Rules => "New versions of allocation rules",
            Kind::BackTest => "A change of the rules that moves stored lines",
            Kind::Grant => "A role for a person or key",
            Kind::Roles => "The treasury's own roles",
            Kind::Reset => "A new invitation for a person who has come in, or has roles",
            Kind::Identity => "An identity at the provider for a person",
            Kind::Limits => "A leaf's floor, ceiling, limit per movement or last day",
            Kind::Settlement => "A settlement file",
            Kind::SettlementLine => "A settlement carried out on a line that a person names",
            Kind::Expectations => "Expected receipts",
            Kind::Meeting => "What met an expected receipt, where that moves money between owners",
            Kind::Reroute => "A line's money from one product or entity to another",
            Kind::Policies => "Who has to approve what",
        }
    }

    /// What its maker must be allowed to do, when it is proposed and when it is carried out; an operator of the machine may.
    pub fn proposes(self) -> Permission {
        match self {
            Kind::Rules | Kind::BackTest => Permission::RulesChange,
            Kind::Grant | Kind::Reset | Kind::Identity => Permission::PeopleManage,
            Kind::Roles => Permission::RolesChange,
            Kind::Limits => Permission::LeavesChange,
            Kind::Settlement => Permission::SettlementsImport,
            Kind::SettlementLine => Permission::SettlementsApply,
            Kind::Expectations => Permission::ExpectationsChange,
            Kind::Meeting => Permission::ExpectationsMeet,
            Kind::Reroute => Permission::LinesRoute,
            Kind::Policies => Permission::PoliciesChange,
        }
    }

    /// Who approves, unless the treasury says otherwise.
    pub fn built_in(self) -> Policy {
        let one = |permission| Policy::leaf(Whom::Permission(permission), 1);
        match self {
            // Administrators change each other's rights, and who has them, two for each change; an approver may be the second one.
            Kind::Grant | Kind::Roles | Kind::Reset | Kind::Identity => {
                Policy::AnyOf(vec![one(Permission::PeopleManage), one(Permission::ChangesApprove)])
            }
            // Whoever could loosen this alone could loosen all else.
            Kind::Policies => Policy::leaf(Whom::Permission(Permission::ChangesApprove), 2),
            _ => one(Permission::ChangesApprove),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        Kind::ALL.into_iter().find(|k| k.code() == text).ok_or_else(|| {
            let codes = Kind::ALL.map(Kind::code).join(", ");
            format!("there is no kind \"{text}\"; there are {codes}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_show_the_kinds_as_they_are() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/approvals.md");
        let row = |k: Kind| format!("| `{k}` | {} | `{}` | {} |\n", k.says(), k.proposes(), k.built_in());
        let table: String = Kind::ALL.map(row).concat();
        let text = std::fs::read_to_string(&path).unwrap();
        let (begin, rest) = text.split_once("<!-- generated: kinds -->\n").unwrap();
        let (shown, end) = rest.split_once("<!-- end -->").unwrap();
        let head = "| Kind | What | Its maker needs | Who approves |\n| --- | --- | --- | --- |\n";
        let now = format!("{head}{table}");
        if std::env::var("UPDATE").is_ok_and(|u| u == "1") {
            std::fs::write(&path, format!("{begin}<!-- generated: kinds -->\n{now}<!-- end -->{end}")).unwrap();
        } else {
            assert_eq!(shown, now, "UPDATE=1 mends it");
        }
    }

    #[test]
    fn a_kind_is_read_from_its_code() {
        for kind in Kind::ALL {
            assert_eq!(kind.code().parse(), Ok(kind));
        }
        assert!("money".parse::<Kind>().unwrap_err().contains("back_test"));
    }
}
