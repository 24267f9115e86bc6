//! `tributary people link` and `unlink`: who of the configured provider is who here.

use super::Context;
use super::people::done;
use crate::access::{self, oidc};
use crate::config;
use crate::error::{Error, Result};
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
    let id = db.write("identity.link", &context.who, {
        let (issuer, subject, id) = (issuer.clone(), subject.to_owned(), person.id.clone());
        move |tx| oidc::link(tx, &issuer, &subject, &id)
    })?;
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
