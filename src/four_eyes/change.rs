//! What can be proposed, each kind with what it is carried out with; as JSON, the content of a proposal.

use crate::access::{self, AppliedRoles, Holder};
use crate::allocation::backtest::{self, Bounds};
use crate::allocation::changes::{self, RulesFile, Version};
use crate::allocation::settlement::{self, Imported};
use crate::allocation::{self, announced, settlement_file};
use crate::approvals::{self, Kind, PoliciesFile, PolicyChange};
use crate::chart::{self, LimitChange};
use crate::db::Tx;
use crate::db::seal::{hex, sha256, unhex};
use crate::error::{Error, Result};
use crate::expectations::{self, Announced, Announcement};
use crate::ledger::{Posted, Terms};
use crate::scope::Part;
use crate::time::Instant;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A change that takes four eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Rules for lines to come.
    Rules(RulesFile),
    /// Rules, and moving stored lines as a back-test has shown.
    BackTest {
        /// The rules.
        file: RulesFile,
        /// Which stored lines.
        bounds: Bounds,
        /// What was shown.
        digest: String,
    },
    /// A role.
    Grant(Grant),
    /// The treasury's own roles.
    Roles {
        /// TOML, as it was given.
        file: String,
    },
    /// A new way in for a person.
    Reset {
        /// The person's id.
        person: String,
        /// SHA-256 of the invitation, in hexadecimal digits: who has asked for it holds it, and it counts once this is carried out.
        invitation: String,
    },
    /// An identity for a person.
    Identity {
        /// The person's id.
        person: String,
        /// The provider.
        issuer: String,
        /// The person, as it names them.
        subject: String,
    },
    /// Limits of a leaf.
    Limits(Limits),
    /// A settlement file.
    Settlement {
        /// Its name.
        name: String,
        /// CSV, as it was given.
        sheet: String,
        /// The line that it is carried out on, where a person names it.
        line: Option<String>,
    },
    /// A settlement that waits, on a line that a person names.
    SettlementLine {
        /// The platform's name for it.
        settlement: String,
        /// `LINE` or `LINE/3`.
        line: String,
    },
    /// Expected receipts.
    Expectations {
        /// Each as it is announced.
        receipts: Vec<Announcement>,
    },
    /// What has met an expected receipt.
    Meeting {
        /// The expectation's id.
        expectation: String,
        /// `LINE` or `LINE/3`.
        line: String,
        /// Why.
        reason: String,
    },
    /// A line's money.
    Reroute {
        /// `LINE` or `LINE/3`.
        line: String,
        /// The leaf that it goes to.
        leaf: String,
        /// Why.
        reason: String,
    },
    /// Who has to approve what.
    Policies(PoliciesFile),
}

/// A role for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The id of the person who gets it,
    pub person: Option<String>,
    /// or of the key.
    pub key: Option<String>,
    /// The role's code.
    pub role: String,
    /// Where: `all`, or bounds.
    pub scope: String,
}

impl Grant {
    /// To a person or key.
    pub fn to(holder: Holder<'_>, role: &str, scope: &Part) -> Grant {
        let (person, key) = match holder {
            Holder::Person(id) => (Some(id.to_owned()), None),
            Holder::Key(id) => (None, Some(id.to_owned())),
        };
        Grant { person, key, role: role.to_owned(), scope: scope.to_string() }
    }

    pub(super) fn part(&self) -> Result<Part> {
        self.scope.parse().map_err(|e: String| access::Refusal::UnknownScope { what: e }.into())
    }

    fn holder(&self) -> Result<Holder<'_>> {
        match (&self.person, &self.key) {
            (Some(id), None) => Ok(Holder::Person(id)),
            (None, Some(id)) => Ok(Holder::Key(id)),
            _ => Err(Error::NotFound("a role is given to a person or to a key".to_owned())),
        }
    }
}

/// Other limits for a leaf; what is not named stays, and `none` takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The leaf's path.
    pub leaf: String,
    /// An amount of its currency.
    pub floor: Option<String>,
    /// An amount of its currency.
    pub ceiling: Option<String>,
    /// An amount of its currency.
    pub movement_limit: Option<String>,
    /// A day.
    pub expires_on: Option<String>,
    /// Why.
    pub reason: String,
}

impl Limits {
    /// What is to change.
    pub fn change(&self) -> Result<LimitChange> {
        let or_none = |text: &Option<String>| text.clone().map(|t| (t != "none").then_some(t));
        let expires_on = match or_none(&self.expires_on) {
            Some(Some(text)) => {
                let bad = || {
                    let what = format!("expires: {text:?} is not a day such as 2026-12-31");
                    chart::Refusal::BadLimit { code: self.leaf.clone(), what }
                };
                Some(Some(text.parse::<NaiveDate>().map_err(|_| bad())?))
            }
            Some(None) => Some(None),
            None => None,
        };
        Ok(LimitChange {
            floor: or_none(&self.floor),
            ceiling: or_none(&self.ceiling),
            movement_limit: or_none(&self.movement_limit),
            expires_on,
        })
    }
}

/// What carrying a change out has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The versions that it made.
    Rules(Vec<Version>),
    /// What was tested and moved.
    BackTest(Box<backtest::Applied>),
    /// Whether the holder has it only now.
    Grant(bool),
    /// Roles that are others now.
    Roles(AppliedRoles),
    /// The invitation waits until then.
    Reset(Instant),
    /// The link's id.
    Identity(String),
    /// The limits, and whether they are new.
    Limits(Terms, bool),
    /// What became of each settlement; nothing where a line was named.
    Settlement(Vec<Imported>),
    /// The entry that carries it out.
    SettlementLine(Posted),
    /// How many are new.
    Expectations(Announced),
    /// It is met.
    Meeting,
    /// The entry that moves it.
    Reroute(Posted),
    /// Policies that are others now.
    Policies(Vec<PolicyChange>),
}

impl Change {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Change::Rules(_) => Kind::Rules,
            Change::BackTest { .. } => Kind::BackTest,
            Change::Grant(_) => Kind::Grant,
            Change::Roles { .. } => Kind::Roles,
            Change::Reset { .. } => Kind::Reset,
            Change::Identity { .. } => Kind::Identity,
            Change::Limits(_) => Kind::Limits,
            Change::Settlement { .. } => Kind::Settlement,
            Change::SettlementLine { .. } => Kind::SettlementLine,
            Change::Expectations { .. } => Kind::Expectations,
            Change::Meeting { .. } => Kind::Meeting,
            Change::Reroute { .. } => Kind::Reroute,
            Change::Policies(_) => Kind::Policies,
        }
    }

    /// The command's name, under which a refusal is recorded.
    pub fn command(&self) -> &'static str {
        match self {
            Change::Rules(_) => "rules.apply",
            Change::BackTest { .. } => "rules.reroute",
            Change::Grant(_) => "role.grant",
            Change::Roles { .. } => "roles.apply",
            Change::Reset { .. } => "person.reset",
            Change::Identity { .. } => "identity.link",
            Change::Limits(_) => "chart.change_limits",
            Change::Settlement { line: None, .. } => "settlement.import",
            Change::Settlement { .. } | Change::SettlementLine { .. } => "settlement.apply",
            Change::Expectations { .. } => "expectation.add",
            Change::Meeting { .. } => "expectation.meet",
            Change::Reroute { .. } => "allocation.reroute",
            Change::Policies(_) => "policies.apply",
        }
    }

    /// As a proposal keeps it.
    pub fn content(&self) -> Result<Value> {
        let mut both = serde_json::to_value(self).map_err(|e| Error::Broken(e.to_string()))?;
        Ok(both["content"].take())
    }

    /// From a proposal.
    pub fn of(kind: Kind, content: &Value) -> Result<Change> {
        let both = json!({ "kind": kind.code(), "content": content });
        serde_json::from_value(both).map_err(|e| Error::Broken(format!("a proposal of the kind {kind}: {e}")))
    }

    /// What it is about, in codes and ids: it stands in events.
    pub fn subject(&self) -> String {
        let rules = |file: &RulesFile| {
            let changed = file.rule.iter().map(|r| r.code.as_str());
            listed("rule", changed.chain(file.retire.iter().map(String::as_str)))
        };
        match self {
            Change::Rules(file) | Change::BackTest { file, .. } => rules(file),
            Change::Grant(Grant { person: Some(id), role, scope, .. }) => format!("{role}@{scope} for person {id}"),
            Change::Grant(Grant { key, role, scope, .. }) => {
                format!("{role}@{scope} for key {}", key.as_deref().unwrap_or_default())
            }
            Change::Roles { file } => {
                let (roles, retired) = access::role::read(file).unwrap_or_default();
                listed("role", roles.iter().map(|r| r.code.as_str()).chain(retired.iter().map(String::as_str)))
            }
            Change::Reset { person, .. } | Change::Identity { person, .. } => format!("person {person}"),
            Change::Limits(limits) => format!("leaf {}", limits.leaf),
            Change::Settlement { name, sheet, .. } => {
                let read = settlement_file::read(name, sheet.as_bytes()).unwrap_or_default();
                listed("settlement", read.iter().map(|s| s.code.as_str()))
            }
            Change::SettlementLine { settlement, line } => format!("settlement {settlement} on line {line}"),
            Change::Expectations { receipts } => receipts_named(receipts),
            Change::Meeting { expectation, line, .. } => format!("receipt {expectation} by line {line}"),
            Change::Reroute { line, .. } => format!("line {line}"),
            Change::Policies(file) => listed("policy", file.policy.iter().map(|p| p.kind.as_str())),
        }
    }

    /// What its maker reads when it acts where they see nothing: the same as of what is not there.
    pub(super) fn absent(&self) -> String {
        match self {
            Change::Reset { person, .. } | Change::Identity { person, .. } => format!("there is no person {person}"),
            Change::Limits(limits) => {
                format!("there is no account {}; `tributary accounts` lists them", limits.leaf)
            }
            Change::Meeting { line, .. } | Change::Reroute { line, .. } => {
                let id = line.split('/').next().unwrap_or(line);
                format!(
                    "there is no line {id}; `tributary route` lists those that wait, `tributary statement show ID` those of a statement"
                )
            }
            other => format!("there is nothing of the name {}", other.subject()),
        }
    }
}

/// Receipts by key and leaf; of many not all are named, and a digest stands for the rest: others are about something else.
fn receipts_named(receipts: &[Announcement]) -> String {
    const NAMED: usize = 3;
    let mut all: Vec<String> = receipts.iter().map(|r| format!("{} of {}", r.key, r.leaf)).collect();
    let named = listed("receipt", all.iter().map(String::as_str));
    if all.len() <= NAMED {
        return named;
    }
    all.sort_unstable();
    let digest = hex(&sha256(all.join("\0").as_bytes()));
    format!("{named} ({})", digest.get(..12).unwrap_or_default())
}

/// The digest of an invitation.
fn digest_of(text: &str) -> Result<[u8; 32]> {
    let bad = || Error::Broken(format!("{text:?} is no digest of an invitation"));
    unhex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(bad)
}

/// `rule apple`, `rules apple, fees and 3 more`.
fn listed<'a>(what: &str, codes: impl Iterator<Item = &'a str>) -> String {
    const LISTED: usize = 3;
    let mut all: Vec<&str> = codes.collect();
    all.sort_unstable();
    match all.as_slice() {
        [one] => format!("{what} {one}"),
        few if few.len() <= LISTED => format!("{what}s {}", few.join(", ")),
        [first, second, third, more @ ..] => format!("{what}s {first}, {second}, {third} and {} more", more.len()),
        _ => format!("{what}s"),
    }
}

/// Carries a change out, whatever it took: the one place where each kind is what it does.
pub fn carry_out(tx: &mut Tx<'_>, change: &Change) -> Result<Done> {
    Ok(match change {
        Change::Rules(file) => Done::Rules(changes::apply(tx, file)?),
        Change::BackTest { file, bounds, digest } => {
            Done::BackTest(Box::new(backtest::apply(tx, file, bounds, digest)?))
        }
        Change::Grant(grant) => Done::Grant(access::grant(tx, grant.holder()?, &grant.role, &grant.part()?)?),
        Change::Roles { file } => Done::Roles(access::apply_roles(tx, file)?),
        Change::Reset { person, invitation } => Done::Reset(access::reset(tx, person, &digest_of(invitation)?)?),
        Change::Identity { person, issuer, subject } => {
            Done::Identity(access::oidc::link(tx, issuer, subject, person)?)
        }
        Change::Limits(limits) => {
            let (terms, changed) = chart::change_limits(tx, &limits.leaf, &limits.change()?, &limits.reason)?;
            Done::Limits(terms, changed)
        }
        Change::Settlement { name, sheet, line } => {
            let read = settlement_file::read(name, sheet.as_bytes())?;
            Done::Settlement(match line {
                None => settlement::import(tx, name, &read)?,
                Some(line) => {
                    settlement::import_and_apply(tx, name, &read, line)?;
                    Vec::new()
                }
            })
        }
        Change::SettlementLine { settlement, line } => Done::SettlementLine(settlement::apply(tx, settlement, line)?),
        Change::Expectations { receipts } => Done::Expectations(expectations::add(tx, receipts)?),
        Change::Meeting { expectation, line, reason } => {
            announced::meet(tx, expectation, line, reason)?;
            Done::Meeting
        }
        Change::Reroute { line, leaf, reason } => Done::Reroute(allocation::reroute(tx, line, leaf, reason)?),
        Change::Policies(file) => Done::Policies(approvals::apply_policies(tx, file)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_back_from_a_proposal_as_it_was() {
        let rules = "retire = [\"b\"]\n[[rule]]\ncode = \"a\"\npriority = 1\nto = [{ leaf = \"x/y\", percent = \"12.5\" }, { leaf = \"x/z\", rest = true }]\n[rule.when]\ncounterparty = \"A\"\n";
        let file = RulesFile::parse(rules).unwrap();
        let all = [
            Change::Rules(file.clone()),
            Change::BackTest { file, bounds: Bounds::default(), digest: "d".to_owned() },
            Change::Grant(Grant::to(Holder::Key("k"), "treasurer", &"product:a".parse().unwrap())),
            Change::Limits(Limits { leaf: "x/y".to_owned(), ceiling: Some("none".to_owned()), ..Limits::default() }),
            Change::Reset { person: "ps_1".to_owned(), invitation: "00".repeat(32) },
            Change::Settlement { name: "n".to_owned(), sheet: "s".to_owned(), line: None },
            Change::Policies(
                PoliciesFile::parse("[[policy]]\nkind = \"rules\"\nneeds = { role = \"approver\" }\n").unwrap(),
            ),
        ];
        for change in all {
            assert_eq!(Change::of(change.kind(), &change.content().unwrap()), Ok(change));
        }
        assert!(Change::of(Kind::Limits, &json!({ "leaf": "x", "gold": 1 })).is_err());
    }

    #[test]
    fn a_subject_names_what_is_changed() {
        let all = |codes: &[&str]| listed("rule", codes.iter().copied());
        assert_eq!(all(&["b"]), "rule b");
        assert_eq!(all(&["b", "a"]), "rules a, b");
        assert_eq!(all(&["e", "d", "c", "b", "a"]), "rules a, b, c and 2 more");
    }
}
