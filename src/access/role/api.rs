//! Roles over HTTP: what each allows, the treasury's own, and which roles keys have. A change waits for others to approve it.

use super::Role;
use crate::access::{self, Holder, Permission};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::four_eyes::{self, Change, Done, Grant};
use crate::http::{Asked, Call, Nothing, Operation, Page, Paging, Refusal, get, post};
use crate::scope::{Part, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The rows of roles.
pub fn operations() -> Vec<Operation> {
    vec![
        get("/v1/roles", "roles.list", "Roles, and what each allows").may(Permission::PeopleRead).reads(roles),
        get("/v1/roles/{role}", "roles.show", "One role").may(Permission::PeopleRead).reads(role),
        get("/v1/permissions", "permissions.list", "What roles are made of").signed_in().reads(permissions),
        post("/v1/roles", "roles.apply", "Make, change and retire roles of the treasury's own, all or nothing")
            .may(Permission::RolesChange)
            .dry_runs()
            .writes(apply),
        post("/v1/keys/{key}/grants", "key_grants.make", "Give a key one more role, and where it holds")
            .may(Permission::KeysManage)
            .dry_runs()
            .writes(grant),
        post("/v1/keys/{key}/grants/revoke", "key_grants.revoke", "Take a role away from a key")
            .may(Permission::KeysManage)
            .dry_runs()
            .writes(revoke),
    ]
}

/// A role.
#[derive(Serialize, JsonSchema)]
struct RoleShown {
    /// Its code.
    code: String,
    /// What it is for.
    name: String,
    /// Whether it comes with Tributary.
    built_in: bool,
    /// Codes of what it allows.
    permissions: Vec<String>,
}

fn shown(r: Role) -> RoleShown {
    RoleShown {
        permissions: r.permissions.iter().map(|p| p.code().to_owned()).collect(),
        code: r.code,
        name: r.name,
        built_in: r.built_in,
    }
}

fn roles(call: &Call, paging: &Paging) -> Result<Page<RoleShown>> {
    let mut all: Vec<RoleShown> = call.read(access::roles)?.into_iter().map(shown).collect();
    all.sort_unstable_by(|a, b| a.code.cmp(&b.code));
    Ok(call.page_of(all, paging.limit, |r| r.code.clone()))
}

fn role(call: &Call, _: &Nothing) -> Result<RoleShown> {
    let code = call.path("role");
    let found = call.read(access::roles)?.into_iter().find(|r| r.code == code).map(shown);
    found.ok_or_else(|| Error::NotFound(format!("there is no role {code}")))
}

/// One thing that can be done.
#[derive(Serialize, JsonSchema)]
struct PermissionShown {
    /// Its code.
    code: String,
    /// For people.
    says: String,
    /// The duty that it is part of: duties that are apart are not in one person's hands.
    duty: Option<String>,
    /// Whether only a person may hold it, and no key.
    people_only: bool,
}

fn permissions(call: &Call, paging: &Paging) -> Result<Page<PermissionShown>> {
    let one = |p: &Permission| PermissionShown {
        code: p.code().to_owned(),
        says: p.says().to_owned(),
        duty: p.duty().map(|d| d.code().to_owned()),
        people_only: p.people_only(),
    };
    let mut all: Vec<PermissionShown> = Permission::ALL.iter().map(one).collect();
    all.sort_unstable_by(|a, b| a.code.cmp(&b.code));
    Ok(call.page_of(all, paging.limit, |p| p.code.clone()))
}

/// Roles of the treasury's own that are to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RolesToApply {
    /// Those that are new, or allow something else.
    #[serde(default)]
    roles: Vec<RoleToApply>,
    /// Codes of those that nobody may be given any more; they must be nobody's.
    #[serde(default)]
    retire: Vec<String>,
}

/// A role that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleToApply {
    /// Its code: letters a to z, digits and -.
    code: String,
    /// What it is for.
    name: String,
    /// Codes of permissions.
    permissions: Vec<String>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct AppliedRoles {
    /// Codes of roles that are new or allow something else.
    changed: Vec<String>,
    /// Codes of roles that are gone.
    retired: Vec<String>,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

/// As people write it, which is how a proposal keeps it. Texts and lists of texts are the same in JSON and TOML.
fn file_of(body: &RolesToApply) -> String {
    let mut file = format!("retire = {}\n", json!(body.retire));
    for RoleToApply { code, name, permissions } in &body.roles {
        let (code, name, permissions) = (json!(code), json!(name), json!(permissions));
        file += &format!("[[role]]\ncode = {code}\nname = {name}\npermissions = {permissions}\n");
    }
    file
}

fn apply(tx: &mut Tx<'_>, asked: &Asked<Nothing, RolesToApply>) -> Result<AppliedRoles> {
    tx.scope().need_everything("roles, which hold anywhere,")?;
    let file = file_of(&asked.body);
    let (done, proposal) = four_eyes::submit_in(tx, &Change::Roles { file })?.parts();
    let applied = match done {
        Some(Done::Roles(applied)) => applied,
        _ => access::AppliedRoles::default(),
    };
    Ok(AppliedRoles { changed: applied.changed, retired: applied.retired, proposal })
}

/// A role for a key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyRole {
    /// The role's code.
    role: String,
    /// `all`, or bounds that must all hold, such as `product:tiktok+entity:bd-de`.
    scope: String,
}

impl KeyRole {
    fn part(&self) -> Result<Part> {
        self.scope.parse().map_err(|why: String| Refusal::BadBody { why }.into())
    }
}

/// A key whose rights lie within one's own; others are as if they were not there.
fn key_seen(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let (scope, now) = (tx.scope().clone(), tx.now());
    let is_there = access::keys(tx.conn(), now)?.iter().any(|k| k.id == id);
    let own: Vec<String> = access::grants_of(tx.conn())?
        .into_iter()
        .filter(|g| g.api_key.as_deref() == Some(id))
        .map(|g| g.scope)
        .collect();
    let within = |text: &String| text.parse::<Part>().is_ok_and(|part| Scope::from(part).is_within(&scope));
    let is_seen = is_there && (scope.is_everything() || (!own.is_empty() && own.iter().all(within)));
    if is_seen { Ok(()) } else { Err(Error::NotFound(format!("there is no key {id}"))) }
}

/// A role that is to be a key's.
#[derive(Serialize, JsonSchema)]
struct KeyGranted {
    /// Whether it has it only now.
    changed: bool,
    /// The proposal that waits for approval; null where it is done.
    proposal: Option<String>,
}

fn grant(tx: &mut Tx<'_>, asked: &Asked<Nothing, KeyRole>) -> Result<KeyGranted> {
    let key = asked.path("key");
    key_seen(tx, key)?;
    let grant = Grant::to(Holder::Key(key), &asked.body.role, &asked.body.part()?);
    let (done, proposal) = four_eyes::submit_in(tx, &Change::Grant(grant))?.parts();
    Ok(KeyGranted { changed: matches!(done, Some(Done::Grant(true))), proposal })
}

fn revoke(tx: &mut Tx<'_>, asked: &Asked<Nothing, KeyRole>) -> Result<KeyGranted> {
    let key = asked.path("key");
    key_seen(tx, key)?;
    let part = asked.body.part()?;
    let revoked = access::revoke(tx, Holder::Key(key), &asked.body.role, Some(&part))?;
    Ok(KeyGranted { changed: revoked > 0, proposal: None })
}
