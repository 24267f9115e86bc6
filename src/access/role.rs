//! Roles: named sets of permissions. The built-in ones follow the field's terms and grow with Tributary; a treasury adds its own
//! from a TOML file. Who has a role and where is a grant (`grants.rs`). Pure.

use super::permission::{Permission, Permissions};
use super::segregation;
use serde::Deserialize;

pub mod api;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its stable code.
    pub code: String,
    /// What it is for, for people.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Whether it comes with Tributary and cannot be changed.
    pub built_in: bool,
}

/// The code of the role that says who may do what; there is always somebody who has it everywhere.
pub const ADMINISTRATOR: &str = "administrator";

const PRODUCT: &[Permission] = &[
    Permission::PositionsRead,
    Permission::AccountsRead,
    Permission::ChartRead,
    Permission::ExpectationsRead,
    Permission::SettlementsRead,
    Permission::RequestsRead,
    Permission::RatesRead,
];

const TREASURY: &[Permission] = &[
    Permission::PositionsRead,
    Permission::AccountsRead,
    Permission::JournalRead,
    Permission::ChartRead,
    Permission::RatesRead,
    Permission::StatementsRead,
    Permission::SuspenseRead,
    Permission::RulesRead,
    Permission::ExpectationsRead,
    Permission::SettlementsRead,
    Permission::RequestsRead,
    Permission::PoliciesRead,
    Permission::PayeesRead,
    Permission::PaymentsRead,
    Permission::SweepsRead,
    Permission::ReconciliationRead,
];

/// Code, purpose, what it reads, what it does.
type BuiltIn = (&'static str, &'static str, &'static [Permission], &'static [Permission]);

const BUILT_IN: &[BuiltIn] = &[
    ("product-viewer", "Sees what a product has", PRODUCT, &[]),
    (
        "product-client",
        "A product's system: reads, announces, requests",
        PRODUCT,
        &[
            Permission::RequestsMake,
            Permission::ExpectationsChange,
            Permission::EventsRead,
            Permission::EventsSubscribe,
        ],
    ),
    (
        "requester",
        "Asks for a product's money to move",
        PRODUCT,
        &[Permission::PayeesRead, Permission::RequestsMake, Permission::ExpectationsChange],
    ),
    (
        "approver",
        "Decides on what others have asked for",
        TREASURY,
        &[
            Permission::RequestsApprove,
            Permission::ChangesApprove,
            Permission::PayeesApprove,
            Permission::LeavesFreeze,
            Permission::PaymentsStop,
        ],
    ),
    (
        "treasurer",
        "Runs the day: statements, suspense, settlements, sweeps, drawdowns",
        TREASURY,
        &[
            Permission::RatesImport,
            Permission::StatementsImport,
            Permission::StatementsDecide,
            Permission::LinesRoute,
            Permission::ExpectationsChange,
            Permission::ExpectationsMeet,
            Permission::SettlementsImport,
            Permission::SettlementsApply,
            Permission::TransfersPost,
            Permission::RequestsMake,
            Permission::SweepsRun,
            Permission::LeavesFreeze,
            Permission::PaymentsStop,
        ],
    ),
    (
        "rule-keeper",
        "Keeps the chart, rules, limits, policies and sweeps",
        TREASURY,
        &[
            Permission::ChartChange,
            Permission::LeavesFreeze,
            Permission::LeavesChange,
            Permission::RatesImport,
            Permission::ProfilesChange,
            Permission::RulesChange,
            Permission::PoliciesChange,
            Permission::SweepsChange,
        ],
    ),
    (
        "payee-admin",
        "Keeps payees",
        &[Permission::PayeesRead, Permission::ChartRead, Permission::RequestsRead],
        &[Permission::PayeesChange],
    ),
    (
        "releaser",
        "Releases payments to the bank",
        TREASURY,
        &[Permission::PaymentsRelease, Permission::PaymentsStop, Permission::PaymentsRestart],
    ),
    (
        "reconciler",
        "Matches, explains breaks, prepares and signs days",
        TREASURY,
        &[Permission::ReconciliationPrepare, Permission::ReconciliationSign, Permission::ProofRun],
    ),
    (
        "auditor",
        "Reads all and writes nothing; proves it",
        TREASURY,
        &[Permission::EventsRead, Permission::PeopleRead, Permission::OperationsRead, Permission::ProofRun],
    ),
    (
        "bank-gateway",
        "A machine that brings bank files and rates",
        &[Permission::StatementsRead],
        &[Permission::StatementsImport, Permission::RatesImport],
    ),
    (
        "ledger-client",
        "A machine that moves money between leaves of one master",
        &[Permission::PositionsRead, Permission::AccountsRead, Permission::ChartRead],
        &[Permission::TransfersPost, Permission::EventsRead, Permission::EventsSubscribe],
    ),
    ("monitor", "For keys of what gathers metrics: sees health, no money", &[Permission::OperationsRead], &[]),
    (
        "operator",
        "Keeps the machines running, sees no money",
        &[Permission::OperationsRead],
        &[Permission::OperationsRun, Permission::ProofRun],
    ),
    (
        ADMINISTRATOR,
        "Says who may do what, and does nothing else",
        &[Permission::PeopleRead, Permission::OperationsRead],
        &[Permission::PeopleManage, Permission::KeysManage, Permission::RolesChange],
    ),
];

/// The roles that come with Tributary.
pub fn built_in_roles() -> impl Iterator<Item = Role> {
    BUILT_IN.iter().map(|(code, name, reads, does)| Role {
        code: (*code).to_owned(),
        name: (*name).to_owned(),
        permissions: reads.iter().chain(*does).copied().collect(),
        built_in: true,
    })
}

/// What a built-in role allows.
pub fn built_in(code: &str) -> Option<Permissions> {
    let (_, _, reads, does) = BUILT_IN.iter().find(|(own, ..)| *own == code)?;
    Some(reads.iter().chain(*does).copied().collect())
}

/// The TOML of a treasury's own roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolesFile {
    /// `[[role]]`
    #[serde(default)]
    pub role: Vec<RoleTable>,
    /// Codes of roles that nobody may be given any more; they must be nobody's.
    #[serde(default)]
    pub retire: Vec<String>,
}

/// `[[role]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleTable {
    /// Its code.
    pub code: String,
    /// What it is for.
    pub name: String,
    /// Codes of permissions.
    pub permissions: Vec<String>,
}

/// The roles that a file describes and the codes that it retires, or everything that is wrong with it.
pub fn read(text: &str) -> Result<(Vec<Role>, Vec<String>), Vec<String>> {
    let file: RolesFile = toml::from_str(text).map_err(|e| vec![e.to_string().trim_end().to_owned()])?;
    let mut problems = Vec::new();
    let mut roles: Vec<Role> = Vec::new();
    for table in &file.role {
        let mut wrong = |what: String| problems.push(format!("role \"{}\": {what}", table.code));
        let code = &table.code;
        let letters = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !letters || code.is_empty() || code.len() > 40 {
            wrong("a code is letters a to z, digits and -, 40 at most".to_owned());
        }
        if built_in(code).is_some() {
            wrong("comes with Tributary and cannot be changed; take another code".to_owned());
        }
        if roles.iter().any(|r| r.code == *code) || file.retire.contains(code) {
            wrong("stands in the file twice".to_owned());
        }
        if table.name.trim().is_empty() {
            wrong("has no name, which says what it is for".to_owned());
        }
        let mut permissions = Permissions::default();
        for text in &table.permissions {
            match text.parse::<Permission>() {
                Ok(permission) => permissions = permissions.with(Permissions::from_iter([permission])),
                Err(e) => wrong(e),
            }
        }
        if permissions.is_empty() {
            wrong("allows nothing".to_owned());
        }
        if let Some(conflict) = segregation::conflict(permissions) {
            wrong(format!("nobody could be given it: {conflict}"));
        }
        roles.push(Role { code: code.clone(), name: table.name.trim().to_owned(), permissions, built_in: false });
    }
    if file.role.is_empty() && file.retire.is_empty() {
        problems.push("the file has no [[role]] and nothing to retire".to_owned());
    }
    if problems.is_empty() { Ok((roles, file.retire)) } else { Err(problems) }
}

/// The table of roles and permissions, in Markdown: what `docs/access.md` shows.
pub fn table() -> String {
    let roles: Vec<Role> = built_in_roles().collect();
    let codes: Vec<&str> = roles.iter().map(|r| r.code.as_str()).collect();
    let mut text =
        format!("| Permission | Duty | {} |\n| --- | --- |{}\n", codes.join(" | "), " :-: |".repeat(codes.len()));
    for p in Permission::ALL {
        let has = |role: &Role| if role.permissions.has(*p) { "x" } else { "" };
        let cells: Vec<&str> = roles.iter().map(has).collect();
        let people = if p.people_only() { "" } else { " (k)" };
        let duty = p.duty().map_or("", |d| d.code());
        text.push_str(&format!("| `{p}`{people} {} | {duty} | {} |\n", p.says(), cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_built_in_role_conflicts_with_itself() {
        for role in built_in_roles() {
            assert_eq!(segregation::conflict(role.permissions), None, "{}", role.code);
        }
    }

    #[test]
    fn every_permission_is_in_some_role() {
        for p in Permission::ALL {
            assert!(built_in_roles().any(|r| r.permissions.has(*p)), "{p}");
        }
    }

    #[test]
    fn an_auditor_and_a_viewer_write_nothing() {
        for code in ["auditor", "product-viewer"] {
            let writes: Vec<_> = built_in(code)
                .unwrap()
                .iter()
                .filter(|p| !p.code().ends_with(".read") && *p != Permission::ProofRun)
                .collect();
            assert!(writes.is_empty(), "{code}: {writes:?}");
        }
    }

    #[test]
    fn a_file_of_roles_is_read_or_every_problem_is_named() {
        let good =
            "[[role]]\ncode = \"desk\"\nname = \"The desk\"\npermissions = [\"positions.read\", \"lines.route\"]\n";
        let (roles, retired) = read(good).unwrap();
        assert_eq!((roles[0].permissions.to_text().as_str(), retired.len()), ("positions.read lines.route", 0));
        let bad = "[[role]]\ncode = \"auditor\"\nname = \"\"\npermissions = [\"gold\", \"requests.make\", \"roles.change\"]\n";
        let problems = read(bad).unwrap_err();
        for part in ["comes with Tributary", "no name", "no permission \"gold\"", "request/access-admin"] {
            assert!(problems.iter().any(|p| p.contains(part)), "{part}: {problems:?}");
        }
        assert_eq!(read("").unwrap_err().len(), 1);
        assert_eq!(read("[[role]]\ncode = 1").unwrap_err().len(), 1);
    }

    #[test]
    fn the_docs_show_the_table_as_it_is() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (begin, rest) = text.split_once("<!-- generated: roles -->\n").unwrap();
        let (shown, end) = rest.split_once("<!-- end -->").unwrap();
        if std::env::var("UPDATE").is_ok_and(|u| u == "1") {
            std::fs::write(&path, format!("{begin}<!-- generated: roles -->\n{}<!-- end -->{end}", table())).unwrap();
        } else {
            assert_eq!(shown, table(), "UPDATE=1 mends it");
        }
    }
}
