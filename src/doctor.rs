//! What an operator should know before others notice: one look at configuration, database, work and access, each with what
//! mends it. Nothing is changed by it.

use crate::access::{self, oidc};
use crate::allocation;
use crate::config::Config;
use crate::db::{Conn, Db, Url, head, health, jobs};
use crate::error::Result;
use crate::statements;
use crate::time::{Clock, Instant, rfc3339};
use crate::traces;
use chrono::TimeDelta;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Well,
    /// It works, and somebody should look at it.
    Look,
    /// It does not work, or money may be at stake.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, for people.
    pub found: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

fn well(about: &'static str, found: impl Into<String>) -> Finding {
    Finding { about, state: State::Well, found: found.into(), mend: None }
}

fn look(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, state: State::Look, found: found.into(), mend: Some(mend.into()) }
}

fn wrong(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, state: State::Wrong, found: found.into(), mend: Some(mend.into()) }
}

/// A disk with less than this left is soon full.
const LEAST_FREE: u64 = 1 << 30;
/// A log that has grown beyond this is not brought over.
const LONGEST_LOG: u64 = 1 << 30;
/// A clock that is behind the journal by more than this is wrong.
const CLOCK_BEHIND: TimeDelta = TimeDelta::seconds(60);
/// A key that ends within this should be rotated.
const KEY_ENDS: TimeDelta = TimeDelta::days(14);
/// Work that has waited for so long waits for nobody.
const WORK_WAITS: TimeDelta = TimeDelta::minutes(10);

/// Looks at everything. What cannot be looked at because of something before it is left out.
pub fn examine(config: Result<Config>, url: &Url, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let mut found = vec![match config.as_ref().map_err(Clone::clone).and_then(|c| traces::refuse(&c.traces)) {
        Ok(()) => well("configuration", "every setting is known and can be used"),
        Err(e) => wrong("configuration", e.to_string(), "mend the file or variable that is named"),
    }];
    if let Ok(config) = &config {
        found.extend(provider(config));
    }
    if let Url::Lite(path) = url {
        found.extend(files(path));
    }
    let db = match Db::open_to_read(url, Arc::clone(clock)) {
        Ok(db) => db,
        Err(e) => {
            found.push(wrong(
                "database",
                e.to_string(),
                "name another with --database, or mend what it says; the other looks follow when it can be read",
            ));
            return found;
        }
    };
    let asked = [database, journal, work, bank, access_of];
    for ask in asked {
        match ask(&db, clock.now()) {
            Ok(findings) => found.extend(findings),
            Err(e) => {
                found.push(wrong("database", e.to_string(), "run `tributary check`; restore a backup if it is damaged"))
            }
        }
    }
    found
}

/// Whether people can sign in by the provider, where one is configured.
fn provider(config: &Config) -> Option<Finding> {
    const ABOUT: &str = "sign-in";
    let provider = match oidc::Settings::of(&config.oidc) {
        Ok(settings) => oidc::Provider::new(settings?),
        Err(e) => return Some(wrong(ABOUT, e.to_string(), "mend [oidc] of the configuration")),
    };
    let mend =
        "see to it that this machine reaches the provider, and that [oidc] issuer is what the provider calls itself";
    Some(match provider.look() {
        Ok(()) => well(ABOUT, format!("{} answers, with its keys", provider.name())),
        Err(why) => wrong(ABOUT, format!("nobody can sign in by {}: {why}", provider.name()), mend),
    })
}

fn files(path: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let said = format!("{} MiB free where the database lies", free >> 20);
        let mend = "make room: a commit that finds none is refused";
        found.push(if free < LEAST_FREE { wrong("disk", said, mend) } else { well("disk", said) });
    }
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o007 != 0 {
            let mend = format!("chmod o= {}", path.display());
            found.push(look("disk", "everybody on this machine can read the database", mend));
        }
    }
    if let Ok(log) = std::fs::metadata(health::log_path(path))
        && log.len() > LONGEST_LOG
    {
        let mend = "end the command that has been reading for so long: while it reads, nothing is brought over";
        found.push(look("disk", format!("the log beside the database has {} MiB", log.len() >> 20), mend));
    }
    found
}

fn database(db: &Db, _: Instant) -> Result<Vec<Finding>> {
    let engine = db.read(health::engine)?;
    let mut found = vec![well(
        "database",
        format!("{}, {} MiB; its tables are those of this Tributary", engine.version, engine.bytes >> 20),
    )];
    let mut conn = Conn::open(db.url())?;
    found.push(match conn.refuse_unsafe_settings() {
        Ok(()) => well("database", "no setting could lose an acknowledged commit"),
        Err(e) => wrong("database", e.to_string(), "change the setting that is named"),
    });
    if engine.encrypted == Some(false) && !is_local(db.url()) {
        let mend = "add sslmode=verify-full to the URL (a build with `--features tls`)";
        found.push(look("database", "what travels to PostgreSQL is not encrypted", mend));
    }
    if health::is_written(db.url()) == Some(true) {
        found.push(well("database", "another process has it open for writing"));
    }
    Ok(found)
}

/// Whether PostgreSQL is on this machine, by what its URL says.
fn is_local(url: &Url) -> bool {
    let Url::Pg(url) = url else { return true };
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let address = rest.split(['/', '?']).next().unwrap_or_default();
    let host = address.rsplit('@').next().unwrap_or_default();
    let host = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    host.is_empty() || host == "localhost" || host.starts_with("127.") || host.starts_with("[::1]")
}

fn journal(db: &Db, now: Instant) -> Result<Vec<Finding>> {
    let head = db.read(head)?;
    let Some(recorded_at) = head.recorded_at else { return Ok(vec![well("journal", "nothing is recorded yet")]) };
    let said = format!("{} seals, {} entries, the newest of {}", head.seal, head.entry, rfc3339(recorded_at));
    if recorded_at - now > CLOCK_BEHIND {
        let mend = "set this machine's clock (NTP): time of the journal never goes back, so it stands still until then";
        return Ok(vec![wrong(
            "journal",
            format!("{said}, which is later than this machine's clock ({})", rfc3339(now)),
            mend,
        )]);
    }
    Ok(vec![well("journal", format!("{said}; `tributary check` proves them"))])
}

fn work(db: &Db, now: Instant) -> Result<Vec<Finding>> {
    let waiting = db.read(|conn| jobs::not_done(conn, now - WORK_WAITS))?;
    if waiting.is_empty() {
        return Ok(vec![well("work", "nothing is interrupted")]);
    }
    let of = |job: jobs::Job| {
        let why = job.problem.unwrap_or_else(|| "it was interrupted, and nobody works on it".to_owned());
        look("work", format!("{} of {} is not done: {why}", job.kind, job.subject), mend_of(&job.kind))
    };
    Ok(waiting.into_iter().map(of).collect())
}

/// What to do about work of this kind that was interrupted.
pub(crate) fn mend_of(kind: &str) -> &'static str {
    match kind {
        "statement.post" => "import the file again: it goes on where it was (so it does when `tributary serve` starts)",
        "check" => "start it again (`POST /v1/check`), or run `tributary check`: it begins anew",
        _ => "ask again for what it was to do",
    }
}

fn bank(db: &Db, _: Instant) -> Result<Vec<Finding>> {
    let (breaks, waiting) =
        db.read(|conn| Ok((statements::breaks(conn)?.len(), allocation::waiting(conn, None)?.len())))?;
    Ok(vec![
        match breaks {
            0 => well("bank", "what the bank has sent leaves nothing open"),
            n => look(
                "bank",
                format!("{n} open breaks between the bank and the books"),
                "`tributary statement breaks` names them",
            ),
        },
        match waiting {
            0 => well("bank", "nothing waits in suspense"),
            n => look("bank", format!("{n} lines wait in suspense"), "`tributary route` lists them with what may fit"),
        },
    ])
}

fn access_of(db: &Db, now: Instant) -> Result<Vec<Finding>> {
    let (people, keys, linked) =
        db.read(|conn| Ok((access::people(conn)?, access::keys(conn, now)?, oidc::people_with_identity(conn)?)))?;
    let active = people.iter().filter(|p| p.state == "active").count();
    let mut found = vec![match (people.len(), active) {
        (0, _) => look("access", "there is nobody yet", "`tributary people first` invites the first administrator"),
        (_, 0) => wrong("access", "nobody can sign in", "`tributary people reset LOGIN` invites somebody again"),
        (_, 1) => {
            look("access", "one person can sign in, so nothing can be approved by another", "`tributary people add`")
        }
        (_, n) => well("access", format!("{n} people can sign in")),
    }];
    let spent = people.iter().filter(|p| p.state == "active" && p.recovery_codes == 0 && !linked.contains(&p.id));
    found.extend(spent.map(|p| {
        look("access", format!("{} has no recovery code left", p.login), "`tributary people reset` gives new ones")
    }));
    let ending = keys.iter().filter(|k| k.state == "live" && k.expires_at - now < KEY_ENDS);
    found.extend(ending.map(|k| {
        let mend = format!("`tributary keys rotate {}`", k.name);
        look("access", format!("the key {} of {} ends at {}", k.id, k.name, rfc3339(k.expires_at)), mend)
    }));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_postgres_is_on_this_machine_is_read_from_its_url() {
        for local in [
            "postgres:///db",
            "postgres://localhost/db",
            "postgres://me@127.0.0.1:5433/db",
            "postgres://me:pw@[::1]:5433/db",
        ] {
            assert!(is_local(&local.parse().expect("a URL")), "{local}");
        }
        for far in ["postgres://db.example.com/db", "postgres://localhost@db.example.com:5432/db?host=x"] {
            assert!(!is_local(&far.parse().expect("a URL")), "{far}");
        }
    }
}
