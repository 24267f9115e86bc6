//! Policies over HTTP: who has to approve what, as it is in force, and proposing other ones.

use super::{PoliciesFile, policies};
use crate::access::Permission;
use crate::db::Tx;
use crate::error::Result;
use crate::four_eyes::{self, Change, Done};
use crate::http::{Asked, Call, Nothing, Operation, Page, Paging, Refusal, get, post};
use schemars::JsonSchema;
use serde::Serialize;

/// The rows of policies.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/policies", "policies.list", "Who has to approve what, by kind")
            .may(Permission::PoliciesRead)
            .reads(list),
        post(
            "/v1/policies",
            "policies.apply",
            "Put a file of policies (TOML) in force, all or nothing; four eyes again",
        )
        .may(Permission::PoliciesChange)
        .dry_runs()
        .takes(apply),
    ]
}

/// The policy of a kind of changes.
#[derive(Serialize, JsonSchema)]
struct PolicyInForce {
    /// Of which kind of changes, such as `rules`.
    kind: String,
    /// 0: it comes with Tributary.
    version: i64,
    /// Who approves.
    policy: String,
    /// A proposal waits so long.
    expires_days: i64,
    /// Who has made this version.
    made_by: Option<String>,
}

fn list(call: &Call, paging: &Paging) -> Result<Page<PolicyInForce>> {
    let one = |p: super::InForce| PolicyInForce {
        kind: p.kind.code().to_owned(),
        version: p.version,
        policy: p.policy.to_string(),
        expires_days: p.expires_days,
        made_by: p.made_by,
    };
    let mut all: Vec<PolicyInForce> = call.read(policies)?.into_iter().map(one).collect();
    all.sort_unstable_by(|a, b| a.kind.cmp(&b.kind));
    Ok(call.page_of(all, paging.limit, |p| p.kind.clone()))
}

/// What came of a file of policies.
#[derive(Serialize, JsonSchema)]
struct AppliedPolicies {
    /// Those that are others now; empty where they wait for approval.
    changed: Vec<ChangedPolicy>,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

/// A policy that is another one now.
#[derive(Serialize, JsonSchema)]
struct ChangedPolicy {
    /// Of which kind of changes.
    kind: String,
    /// Its version.
    version: i64,
    /// Who approved before.
    before: String,
    /// Who approves now.
    after: String,
}

fn apply(tx: &mut Tx<'_>, asked: &Asked<Nothing, Vec<u8>>) -> Result<AppliedPolicies> {
    tx.scope().need_everything("policies, which hold anywhere,")?;
    let not_utf8 = || Refusal::BadBody { why: "the file is not UTF-8; save it so".to_owned() };
    let text = std::str::from_utf8(&asked.body).map_err(|_| not_utf8())?;
    let change = Change::Policies(PoliciesFile::parse(text)?);
    let (done, proposal) = four_eyes::submit_in(tx, &change)?.parts();
    let changes = if let Some(Done::Policies(changes)) = done { changes } else { Vec::new() };
    let one =
        |c: super::PolicyChange| ChangedPolicy { kind: c.kind, version: c.version, before: c.before, after: c.after };
    Ok(AppliedPolicies { changed: changes.into_iter().map(one).collect(), proposal })
}
