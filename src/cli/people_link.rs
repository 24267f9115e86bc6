//! `tributary people link` and `unlink`: who of the configured provider is who here.

use super::people::done;
use super::{Context, approvals};
use crate::access::{self, oidc};
use crate::config;
use crate::error::{Error, Result};
use crate::four_eyes::{Change, Done};
use serde_json::json;

/// The provider that the configuration names.
fn issuer(context: &Context) -> Result<String> {
    let settings = oidc::Settings::of(&config::load(context.config.as_deref())?.oidc)?;
    Ok(settings.ok_or(oidc::Refusal::Off)?.issuer().to_owned())
}

/// Links somebody.
pub fn link(context: &Context, login: &str, subject: &str) -> Result<()> {
    let issuer = issuer(context)?;
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let change = Change::Identity { person: person.id.clone(), issuer: issuer.clone(), subject: subject.to_owned() };
    let Some(did) = approvals::submit(context, &db, change)? else { return Ok(()) };
    let Done::Identity(id) = did else { return Err(approvals::other(&did)) };
    let what = json!({ "identity": id, "person": person.id, "issuer": issuer, "subject": subject });
    done(context, what, &format!("{login} signs in as {subject} of {issuer} from now on; all sessions have ended."))
}

/// Ends all links of somebody.
pub fn unlink(context: &Context, login: &str) -> Result<()> {
    let db = context.open_treasury()?;
    let person = db.read(|conn| access::person_by_login(conn, login))?;
    let linked = db.read(|conn| oidc::identities(conn, &person.id))?;
    if linked.is_empty() {
        return Err(Error::NotFound(format!("{login} is linked to no identity of a provider")));
    }
    let ids: Vec<String> = linked.iter().map(|identity| identity.id.clone()).collect();
    db.write("identity.unlink", &context.who, {
        let (ids, id) = (ids.clone(), person.id.clone());
        move |tx| ids.iter().try_for_each(|identity| oidc::unlink(tx, &id, identity))
    })?;
    done(
        context,
        json!({ "person": person.id, "unlinked": ids }),
        &format!("{login} is linked to nobody of a provider."),
    )
}
