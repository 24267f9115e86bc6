//! Grants together: what somebody may do, and in which scope. Pure.

use super::permission::{Permission, Permissions};
use crate::actor::Scope;
use crate::error::{Error, Result};
use crate::scope::Part;

/// What somebody may do, each thing in its scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Vec<(Permissions, Part)>);

impl Rights {
    /// What an operator of the database file may do: all, everywhere.
    pub fn everything() -> Self {
        Rights(vec![(Permissions::all(), Part::default())])
    }

    /// Of some grants: what each role allows, and where.
    pub fn of(grants: impl IntoIterator<Item = (Permissions, Part)>) -> Self {
        Rights(grants.into_iter().collect())
    }

    /// Without what only a person may do: keys never approve, whatever a role has come to allow.
    pub(super) fn without_people_only(self) -> Self {
        let allowed = |held: Permissions| held.iter().filter(|p| !p.people_only()).collect();
        Rights(self.0.into_iter().map(|(held, part)| (allowed(held), part)).collect())
    }

    /// All permissions, wherever they hold.
    pub fn permissions(&self) -> Permissions {
        self.0.iter().fold(Permissions::default(), |all, (held, _)| all.with(*held))
    }

    /// Where any of it holds.
    pub fn reach(&self) -> Scope {
        self.0.iter().map(|(_, part)| part.clone()).collect()
    }

    /// Where this may be done; nothing covers no target.
    pub fn scope(&self, permission: Permission) -> Scope {
        self.0.iter().filter(|(held, _)| held.has(permission)).map(|(_, part)| part.clone()).collect()
    }

    /// Where this may be done; refused when it may be done nowhere. What lies outside of the scope is then as if it were not there.
    pub fn need(&self, permission: Permission) -> Result<Scope> {
        let scope = self.scope(permission);
        if scope == Scope::nothing() {
            return Err(Error::Forbidden(format!(
                "this needs the permission {permission}, which none of your roles has; ask an administrator"
            )));
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::role::built_in;
    use crate::scope::Target;

    #[test]
    fn each_permission_holds_only_where_its_own_grant_does() {
        let grant = |role: &str, part: &str| (built_in(role).unwrap(), part.parse().unwrap());
        let rights = Rights::of([grant("product-viewer", "product:tiktok"), grant("treasurer", "master:jp-jpy")]);
        let tiktok = Target { product: Some("tiktok"), master: Some("de-eur"), ..Target::default() };
        let tokyo = Target::master("jp-jpy", "bd-jp");
        assert!(rights.scope(Permission::PositionsRead).covers(&tiktok));
        assert!(rights.scope(Permission::PositionsRead).covers(&tokyo));
        assert!(
            rights.scope(Permission::LinesRoute).covers(&tokyo)
                && !rights.scope(Permission::LinesRoute).covers(&tiktok)
        );
        assert_eq!(rights.need(Permission::RequestsApprove).unwrap_err().code(), "forbidden");
        assert!(Rights::everything().scope(Permission::RequestsApprove).covers(&Target::treasury()));
    }

    #[test]
    fn a_key_keeps_nothing_that_is_for_people() {
        let all = Rights::everything().without_people_only();
        assert!(all.permissions().iter().all(|p| !p.people_only()));
        assert!(all.permissions().has(Permission::RequestsMake));
    }
}
