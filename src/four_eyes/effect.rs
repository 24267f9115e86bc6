//! What a change would do, before and after, for who decides on it: found by doing it and undoing it again, in the commit that
//! asks. It holds what must still be so when the change is carried out, and nothing that may become otherwise meanwhile.

use super::change::{Change, Done, Grant, carry_out};
use super::places::routes;
use crate::access::{self, Permission};
use crate::allocation::backtest::{self, Report};
use crate::allocation::changes::Version;
use crate::allocation::{RouteRow, settlement, settlement_file};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::expectations;
use crate::ledger::{self, AccountRow, Terms};
use crate::money::{Currency, Minor};
use crate::time::rfc3339;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What it would do, or the answer where everything is so already.
pub(super) enum Effect {
    /// Before and after.
    Changes(Value),
    /// Nothing would change.
    Nothing(Done),
}

/// What a change would do; what it would refuse it refuses now.
pub(super) fn effect(tx: &mut Tx<'_>, change: &Change) -> Result<Effect> {
    if let Change::BackTest { file, bounds, digest } = change {
        let report = backtest::run(tx.conn(), file, bounds, &mut |_| Ok(()))?;
        report.refuse_other(digest)?;
        report.refuse_too_many()?;
        if report.versions.is_empty() && report.moved == 0 {
            let applied = backtest::Applied { report, moved: 0, refused: Vec::new() };
            return Ok(Effect::Nothing(Done::BackTest(Box::new(applied))));
        }
        return Ok(Effect::Changes(of_report(&report)?));
    }
    let before = stands(tx.conn(), change)?;
    let (answer, recorded) = tx.rehearse(|tx| {
        let done = carry_out(tx, change)?;
        let after = stands(tx.conn(), change)?;
        Ok((done, after))
    })?;
    let (done, after) = answer?;
    if !recorded {
        return Ok(Effect::Nothing(done));
    }
    Ok(Effect::Changes(match (change, &done) {
        (_, Done::Rules(versions)) => json!({ "rules": of_versions(versions) }),
        (Change::Grant(grant), _) => of_grant(tx.conn(), grant)?,
        (_, Done::Policies(changes)) => json!({ "policies": changes }),
        (_, Done::Expectations(announced)) => json!({ "new": announced.new, "known": announced.known }),
        // What is new is all there is to see: a settlement may find its line before it is approved.
        (Change::Settlement { line: None, .. }, _) => json!({ "settlements": after }),
        (Change::Settlement { .. } | Change::SettlementLine { .. }, _) => {
            json!({ "settlements": after, "before": before })
        }
        (Change::Meeting { expectation, .. }, _) => {
            let met = expectations::find(tx.conn(), expectation)?;
            json!({ "receipt": met.key, "id": met.id, "before": before, "after": after })
        }
        _ => json!({ "before": before, "after": after }),
    }))
}

/// What a change is about, as it stands.
fn stands(conn: &mut Conn, change: &Change) -> Result<Value> {
    Ok(match change {
        Change::Roles { file } => {
            let (read, retired) = access::role::read(file).map_err(access::Refusal::BadRoles)?;
            let named = |code: &str| read.iter().any(|r| r.code == code) || retired.iter().any(|r| r == code);
            let all = access::roles(conn)?.into_iter().filter(|r| named(&r.code));
            let one = |r: access::role::Role| {
                let permissions: Vec<&str> = r.permissions.iter().map(Permission::code).collect();
                (r.code, json!({ "name": r.name, "permissions": permissions }))
            };
            all.map(one).collect::<serde_json::Map<String, Value>>().into()
        }
        Change::Reset { person, .. } | Change::Identity { person, .. } => of_person(conn, person)?,
        Change::Limits(limits) => of_terms(&ledger::account(conn, &limits.leaf)?),
        Change::Settlement { name, sheet, line } => {
            let read = settlement_file::read(name, sheet.as_bytes())?;
            let mut all = Vec::new();
            for s in &read {
                match settlement::show(conn, &s.code) {
                    Ok(shown) => all.push(of_settlement(&shown, line.is_some())),
                    Err(Error::NotFound(_)) => {}
                    Err(e) => return Err(e),
                }
            }
            Value::Array(all)
        }
        Change::SettlementLine { settlement, .. } => {
            Value::Array(vec![of_settlement(&settlement::show(conn, settlement)?, true)])
        }
        Change::Meeting { line, .. } | Change::Reroute { line, .. } if !line.starts_with("opening:") => {
            let routes = routes(conn, line)?;
            of_routes(conn, &routes)?
        }
        _ => Value::Null,
    })
}

fn of_versions(versions: &[Version]) -> Vec<Value> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let one = |v: &Version| {
        let after = (v.state == "active").then(|| read(&v.definition));
        json!({ "rule": v.code, "version": v.version, "state": v.state, "before": v.before.as_deref().map(read), "after": after })
    };
    versions.iter().map(one).collect()
}

/// Without the lines that were looked at: those that come and do not move change nothing of what is decided on.
fn of_report(report: &Report) -> Result<Value> {
    let amount = |code: &str, minor: i128| -> Result<String> {
        let currency: Currency = code.parse().map_err(|e: crate::money::Problem| Error::Broken(e.to_string()))?;
        Ok(Minor::from_sum(minor).map_err(|e| Error::Broken(e.to_string()))?.to_text(currency))
    };
    let mut products = Vec::new();
    for ((from, to, currency), (moves, minor)) in report.by_product() {
        let sum = amount(&currency, minor)?;
        products.push(json!({ "from": from, "to": to, "moves": moves, "amount": sum, "currency": currency }));
    }
    let mut totals = Vec::with_capacity(report.totals.len());
    for t in &report.totals {
        totals.push(json!({
            "master": t.master, "currency": t.currency, "from": t.from.0, "from_product": t.from.1, "to": t.to.0,
            "to_product": t.to.1, "moves": t.moves, "amount": amount(&t.currency, t.minor)?,
        }));
    }
    Ok(json!({
        "rules": of_versions(&report.versions), "moved": report.moved, "newly_placed": report.newly_placed,
        "newly_waiting": report.newly_waiting, "stuck": report.stuck, "totals": totals, "products": products, "back_test": report.digest,
    }))
}

/// What the role allows now is part of it: a role that comes to allow more is another thing to give.
fn of_grant(conn: &mut Conn, grant: &Grant) -> Result<Value> {
    let role = access::roles(conn)?.into_iter().find(|r| r.code == grant.role);
    let permissions: Vec<&str> = role.iter().flat_map(|r| r.permissions.iter()).map(Permission::code).collect();
    Ok(
        json!({ "person": grant.person, "key": grant.key, "role": grant.role, "scope": grant.scope, "permissions": permissions }),
    )
}

/// How a person comes in, and what for. Who that is by name stands elsewhere, where it can be erased.
fn of_person(conn: &mut Conn, id: &str) -> Result<Value> {
    let person = access::people(conn)?.into_iter().find(|p| p.id == id);
    let own = access::grants_of(conn)?.into_iter().filter(|g| g.person.as_deref() == Some(id));
    let mut roles: Vec<String> = own.map(|g| format!("{}@{}", g.role, g.scope)).collect();
    roles.sort_unstable();
    // As what a link is to: its id is another one each time that it is tried.
    let identities = access::oidc::identities(conn, id)?.into_iter();
    let identities: Vec<Value> = identities.map(|i| json!({ "issuer": i.issuer, "subject": i.subject })).collect();
    Ok(json!({
        "person": id, "state": person.as_ref().map(|p| &p.state), "roles": roles, "identities": identities,
    }))
}

fn of_terms(account: &AccountRow) -> Value {
    let terms = Terms::of(account);
    let exponent = u8::try_from(account.exponent).unwrap_or(0);
    let text = |minor: Option<i64>| minor.map(|m| Minor(m).to_text_with(exponent));
    json!({
        "currency": account.currency, "floor": text(terms.floor), "ceiling": text(terms.ceiling),
        "movement_limit": text(terms.movement_limit), "expires_at": terms.expires_at.map(rfc3339),
    })
}

fn of_settlement(s: &settlement::Shown, with_line: bool) -> Value {
    let mut shown = json!({
        "settlement": s.settlement, "platform": s.platform, "master": s.master, "currency": s.currency, "total": s.total,
        "paid_on": s.paid_on, "lines": s.lines,
    });
    if with_line {
        shown["state"] = json!(s.state);
        shown["line"] = json!(s.line);
    }
    shown
}

/// Whose a line's money is: leaves with their amounts, and the newest route, so that no other one comes between.
fn of_routes(conn: &mut Conn, routes: &[RouteRow]) -> Result<Value> {
    let accounts: BTreeMap<i64, AccountRow> = ledger::accounts(conn)?.into_iter().map(|a| (a.id, a)).collect();
    let mut shares = Vec::new();
    for route in routes {
        for (account, amount) in route.shares()? {
            if let Some(a) = accounts.get(&account.0) {
                let exponent = u8::try_from(a.exponent).unwrap_or(0);
                let amount = Minor(a.kind().natural(amount)).to_text_with(exponent);
                shares.push(json!({ "leaf": a.code, "amount": amount, "currency": a.currency }));
            }
        }
    }
    Ok(json!({ "shares": shares, "route": routes.iter().map(|r| r.seq).max() }))
}
