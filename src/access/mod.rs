//! Who may do what: people and machines, how they prove who they are, their roles, and where these hold.
//!
//! A request brings a secret (a session's or a key's); [`admit`] says whose it is and what they may do *now*: it reads the
//! grants on every request, so that a revocation or a changed role counts from the next one on. For the permission that a surface
//! names it gives a [`Who`](crate::db::Who) with the scope in which it holds, and reads and writes take no less than that.
//!
//! | File | What |
//! | --- | --- |
//! | `permission.rs`, `role.rs`, `segregation.rs` | what can be done, sets of it, and what must be in different hands (pure) |
//! | `rights.rs` | grants together: in which scope something may be done (pure) |
//! | `secret.rs`, `password.rs`, `totp.rs`, `throttle.rs` | the parts of proving who one is (pure but for chance) |
//! | `people.rs` | people: added, joined, reset, disabled; the first administrator |
//! | `sign_in.rs`, `sessions.rs`, `keys.rs` | signing in, sessions, API keys |
//! | `oidc/` | signing in by a provider |
//! | `grants.rs`, `custom.rs` | who gets which role, and what is refused; a treasury's own roles |
//! | `standing.rs` | what a person is at this moment, for those who ask others to decide, and for what works in their name while they are away |
//! | `api.rs` | all of it over HTTP |
//! | `check.rs` | the proof |
//!
//! A person's states:
//!
//! | state | join (by invitation) | reset | disable |
//! |---|---|---|---|
//! | invited | active | invited, by another invitation | disabled |
//! | active | refused | invited, all sessions ended | disabled, all sessions ended |
//! | disabled | refused | invited | as it is |

use crate::config;
use crate::error::Result;
use crate::time::{Instant, rfc3339};
use chrono::TimeDelta;
use std::fmt;

pub mod api;
pub mod check;
mod custom;
mod grants;
mod keys;
pub mod oidc;
mod password;
mod people;
pub mod permission;
mod rights;
pub mod role;
pub mod secret;
pub mod segregation;
mod sessions;
mod sign_in;
mod standing;
mod store;
mod throttle;
pub mod totp;

pub use custom::{AppliedRoles, apply_roles, roles};
pub use grants::{Holder, grant, grants_of, revoke};
pub use keys::{KeyView, NewKey, create_key, keys, next_key, revoke_key};
pub use password::Cost;
pub use people::{
    Invited, Joined, Joining, NewPerson, PersonView, add, disable, first, invitation, invited, join, never_joined,
    new_totp_secret, people, people_seen, person_by_login, reset,
};
pub use permission::{Duty, Permission, Permissions};
pub use rights::Rights;
pub use secret::Secret;
pub use sessions::{Admitted, SessionView, admit, admit_all, end_session, end_sessions, sessions, touch, touch_in};
pub use sign_in::{Opened, SignIn, sign_in};
pub use standing::{Standing, covers_all, person_of, rights_now, scope_of, standing, standings};
pub use store::{GrantRow, anybody};

/// The cookie that a session travels in: `__Host-` binds it to this host, to all paths and to TLS.
pub const SESSION_COOKIE: &str = "__Host-tributary";

/// What is set for the whole treasury, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How costly passwords are to try.
    pub cost: Cost,
    /// Characters of the shortest password.
    pub shortest_password: usize,
    /// A session that is not used ends.
    pub idle: TimeDelta,
    /// A session ends.
    pub longest: TimeDelta,
}

impl Settings {
    /// From the configuration, which cannot weaken what protects everybody.
    pub fn of(access: &config::Access) -> Result<Settings> {
        let bad = |what: String| Refusal::BadSetting { what };
        let minutes = |name: &str, value: i64, most: i64| {
            let fits = (1..=most).contains(&value);
            fits.then(|| TimeDelta::minutes(value))
                .ok_or_else(|| bad(format!("[access] {name} = {value} is not from 1 to {most} minutes")))
        };
        let cost = Cost::new(access.argon2_memory_kib, access.argon2_passes, access.argon2_lanes)?;
        let shortest = usize::try_from(access.shortest_password).unwrap_or(0);
        if !(8..=64).contains(&shortest) {
            return Err(bad(format!("[access] shortest_password = {shortest} is not from 8 to 64")).into());
        }
        Ok(Settings {
            cost,
            shortest_password: shortest,
            idle: minutes("session_idle_minutes", access.session_idle_minutes, 24 * 60)?,
            longest: minutes("session_minutes", access.session_minutes, 7 * 24 * 60)?,
        })
    }
}

/// Why access is not given or changed, in the order of checking. Nothing here names a person but by id: refusals are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A setting that cannot be.
    BadSetting { what: String },
    /// A cost of passwords below the minimum.
    WeakHashing { memory_kib: u32, passes: u32, lanes: u32 },
    /// The secret is none of ours, or counts no longer.
    NotSignedIn,
    /// Too many failures.
    SignInWaits { until: Instant },
    /// Login, password or code is wrong; which one is not said.
    SignInRefused,
    /// There are people already.
    NotFirst,
    /// No such invitation, or one that was used, replaced or has expired.
    BadInvitation,
    /// A login or name that cannot be.
    BadPerson { why: &'static str },
    /// Somebody else has that login.
    LoginTaken,
    /// A password that cannot be used.
    WeakPassword { why: String },
    /// The code is not of this second factor.
    WrongCode,
    /// What is asked for cannot happen to a disabled person.
    PersonDisabled { person: String },
    /// There is no such role.
    UnknownRole { role: String },
    /// The scope names what is not there.
    UnknownScope { what: String },
    /// Nobody changes their own rights.
    OwnRights,
    /// Nobody gives or takes beyond their own scope.
    AboveOwn { own: String },
    /// A key would hold what only a person may.
    PeopleOnly { role: String, permission: Permission },
    /// One person would hold two duties that are apart.
    ConflictingDuties { holder: String, conflict: segregation::Conflict },
    /// Nobody would be left to say who may do what.
    LastAdministrator,
    /// A key's name that cannot be.
    BadKeyName,
    /// A key's end that cannot be.
    BadExpiry { most: i64 },
    /// Two keys of that name are live.
    TwoKeysLive { name: String },
    /// A file of roles has problems.
    BadRoles(Vec<String>),
    /// Somebody has that role.
    RoleHeld { role: String, holders: usize },
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadSetting { .. } => "bad_access_setting",
            Refusal::WeakHashing { .. } => "weak_hashing",
            Refusal::NotSignedIn => "not_signed_in",
            Refusal::SignInWaits { .. } => "sign_in_waits",
            Refusal::SignInRefused => "sign_in_refused",
            Refusal::NotFirst => "not_first",
            Refusal::BadInvitation => "bad_invitation",
            Refusal::BadPerson { .. } => "bad_person",
            Refusal::LoginTaken => "login_taken",
            Refusal::WeakPassword { .. } => "weak_password",
            Refusal::WrongCode => "wrong_code",
            Refusal::PersonDisabled { .. } => "person_disabled",
            Refusal::UnknownRole { .. } => "unknown_role",
            Refusal::UnknownScope { .. } => "unknown_scope",
            Refusal::OwnRights => "own_rights",
            Refusal::AboveOwn { .. } => "above_own_rights",
            Refusal::PeopleOnly { .. } => "people_only",
            Refusal::ConflictingDuties { .. } => "conflicting_duties",
            Refusal::LastAdministrator => "last_administrator",
            Refusal::BadKeyName => "bad_key_name",
            Refusal::BadExpiry { .. } => "bad_expiry",
            Refusal::TwoKeysLive { .. } => "two_keys_live",
            Refusal::BadRoles(_) => "bad_roles",
            Refusal::RoleHeld { .. } => "role_held",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadSetting { what } => f.write_str(what),
            Refusal::WeakHashing { memory_kib, passes, lanes } => write!(
                f,
                "argon2 with {memory_kib} KiB, {passes} passes and {lanes} lanes is below the minimum of OWASP (such as 19456 KiB and 2 passes) or beyond reason; mend [access] of the configuration"
            ),
            Refusal::NotSignedIn => f.write_str("this session or key is none, or counts no longer; sign in again"),
            Refusal::SignInWaits { until } => write!(
                f,
                "too many failed attempts from here; the next one counts from {} on (attempts before that are not looked at)",
                rfc3339(*until)
            ),
            Refusal::SignInRefused => f.write_str("login, password or code is wrong (which of them is not said); a code counts once, so wait for the next one"),
            Refusal::NotFirst => f.write_str("there are people already; `tributary people add` adds one"),
            Refusal::BadInvitation => f.write_str("this invitation is none, or was used, replaced or has expired; ask for another one (`tributary people reset`)"),
            Refusal::BadPerson { why } => f.write_str(why),
            Refusal::LoginTaken => f.write_str("somebody has that login already; choose another one"),
            Refusal::WeakPassword { why } => write!(f, "this password cannot be used: {why}"),
            Refusal::WrongCode => f.write_str("this code is not the one that an app with this secret shows now; check the clock of the device, and give the next one"),
            Refusal::PersonDisabled { person } => write!(f, "person {person} is disabled; `tributary people reset` lets them come back"),
            Refusal::UnknownRole { role } => write!(f, "there is no role \"{role}\"; `tributary roles list` lists them"),
            Refusal::UnknownScope { what } => write!(f, "there is no {what}; `tributary chart show` lists what a scope can name"),
            Refusal::OwnRights => f.write_str("nobody changes their own rights; ask another administrator"),
            Refusal::AboveOwn { own } => write!(f, "this reaches beyond your own scope ({own}); ask an administrator whose scope is wide enough"),
            Refusal::PeopleOnly { role, permission } => write!(f, "the role {role} allows {permission}, which only a person may do: keys never approve, and never change payees, rules, limits or rights"),
            Refusal::ConflictingDuties { holder, conflict } => write!(f, "{holder} would hold two duties that must be in different hands; {conflict}"),
            Refusal::LastAdministrator => f.write_str("nobody would be left who may say who may do what in the whole treasury; make another administrator first, and let them join"),
            Refusal::BadKeyName => f.write_str("a key is named for the machine that holds it: letters a to z, digits and -, 40 at most"),
            Refusal::BadExpiry { most } => write!(f, "a key lasts from 1 to {most} days"),
            Refusal::TwoKeysLive { name } => write!(f, "two keys of the name {name} are live, which is what rotation needs; revoke the older one first"),
            Refusal::BadRoles(problems) => {
                f.write_str("the file of roles cannot be used, and nothing was changed:")?;
                problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
            Refusal::RoleHeld { role, holders } => write!(f, "{holders} still have the role {role}; revoke it first"),
        }
    }
}
