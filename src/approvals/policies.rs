//! The policies of a treasury: versioned data, from a TOML file; a kind that no file names has what comes with Tributary.

use super::policy::{Needs, Policy, Whom};
use super::store::{self, PolicyRow};
use super::{Kind, Refusal, to_text};
use crate::access;
use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::time::stored;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

pub mod api;

/// How long a proposal waits, where nothing else is said.
const EXPIRES_DAYS: i64 = 14;
/// And at most.
const MOST_DAYS: i64 = 366;

/// The policy of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Of which kind.
    pub kind: Kind,
    /// 0: it comes with Tributary.
    pub version: i64,
    /// Who approves.
    pub policy: Policy,
    /// A proposal waits so long.
    pub expires_days: i64,
    /// Who has made this version.
    pub made_by: Option<String>,
}

/// `[[policy]]` of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// The kind's code.
    pub kind: String,
    /// Who approves.
    pub needs: Needs,
    /// A proposal waits so many days; 14 where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<i64>,
}

/// A file of policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoliciesFile {
    /// `[[policy]]`
    pub policy: Vec<PolicyFile>,
}

impl PoliciesFile {
    /// Reads the file's form; what it says is judged by [`plan_policies`].
    pub fn parse(text: &str) -> Result<PoliciesFile> {
        let unreadable = |e: toml::de::Error| {
            Refusal::BadPolicies(vec![format!(
                "the file is no TOML with [[policy]] tables: {}",
                e.to_string().trim_end()
            )])
        };
        toml::from_str(text).map_err(|e| unreadable(e).into())
    }
}

/// A kind whose policy changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// The kind's code.
    pub kind: String,
    /// Its new version.
    pub version: i64,
    /// Who approves now.
    pub before: String,
    /// Who approves then.
    pub after: String,
    /// A proposal waits so long now.
    pub days_before: i64,
    /// And then.
    pub days_after: i64,
    #[serde(skip)]
    needs: String,
}

/// The policy that is in force for a kind. One that cannot be read is met by nobody.
pub fn policy_of(conn: &mut Conn, kind: Kind) -> Result<InForce> {
    Ok(match store::newest_policy(conn, kind.code())? {
        None => InForce { kind, version: 0, policy: kind.built_in(), expires_days: EXPIRES_DAYS, made_by: None },
        Some(row) => InForce {
            kind,
            version: row.version,
            policy: Policy::from_json(&row.needs),
            expires_days: row.expires_days.clamp(1, MOST_DAYS),
            made_by: Some(row.made_by),
        },
    })
}

/// All policies in force.
pub fn policies(conn: &mut Conn) -> Result<Vec<InForce>> {
    Kind::ALL.into_iter().map(|kind| policy_of(conn, kind)).collect()
}

/// Judges a change of policies: what becomes another, or every problem.
pub fn plan_policies(conn: &mut Conn, file: &PoliciesFile) -> Result<Vec<PolicyChange>> {
    let roles: BTreeSet<String> = access::roles(conn)?.into_iter().map(|r| r.code).collect();
    let (mut changes, mut problems, mut kinds) = (Vec::new(), Vec::new(), BTreeSet::new());
    if file.policy.is_empty() {
        problems.push("there is no [[policy]] in it".to_owned());
    }
    for table in &file.policy {
        let mut wrong = |what: String| problems.push(format!("policy \"{}\": {what}", table.kind));
        let kind: Kind = match table.kind.parse() {
            Ok(kind) => kind,
            Err(what) => {
                wrong(what);
                continue;
            }
        };
        if !kinds.insert(kind) {
            wrong("it is there twice".to_owned());
            continue;
        }
        let days = table.expires_days.unwrap_or(EXPIRES_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            wrong(format!("expires_days is 1 to {MOST_DAYS}"));
        }
        match table.needs.read() {
            Err(what) => wrong(format!("needs: {what}")),
            Ok(policy) => {
                for whom in policy.names() {
                    if let Whom::Role(code) = whom
                        && !roles.contains(code)
                    {
                        wrong(format!("needs: there is no role \"{code}\"; `tributary roles list` lists them"));
                    }
                }
                let before = policy_of(conn, kind)?;
                if before.policy != policy || before.expires_days != days {
                    changes.push(PolicyChange {
                        kind: kind.code().to_owned(),
                        version: before.version + 1,
                        before: before.policy.to_string(),
                        after: policy.to_string(),
                        days_before: before.expires_days,
                        days_after: days,
                        needs: to_text(&policy.needs())?,
                    });
                }
            }
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(Refusal::BadPolicies(problems).into()) }
}

/// Puts a file of policies in force for proposals to come, all or nothing; those that are open keep theirs.
pub fn apply_policies(tx: &mut Tx<'_>, file: &PoliciesFile) -> Result<Vec<PolicyChange>> {
    let changes = plan_policies(tx.conn(), file)?;
    for change in &changes {
        let row = PolicyRow {
            kind: change.kind.clone(),
            version: change.version,
            needs: change.needs.clone(),
            expires_days: change.days_after,
            made_by: tx.actor().to_string(),
            made_at: stored(tx.now()),
        };
        store::insert_policy(tx.conn(), &row)?;
        let before = json!({ "needs": change.before, "expires_days": change.days_before });
        tx.event("policy.version", &subject(&row), Some(before.to_string()), Some(told(&row)));
    }
    Ok(changes)
}

/// How the event of a version names it.
pub(super) fn subject(row: &PolicyRow) -> String {
    format!("{} v{}", row.kind, row.version)
}

/// What the event of a version says.
pub(super) fn told(row: &PolicyRow) -> String {
    json!({ "needs": row.needs, "expires_days": row.expires_days }).to_string()
}
