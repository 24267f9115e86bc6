//! The SQL of access. What is housekeeping (last used, failures) is written without an event, and so without a seal.

use crate::db::schema::{
    api_keys, entities, events, grants, invitations, masters, people, products, recovery_codes, roles, sessions,
    sign_in_failures, sub_accounts,
};
use crate::db::seal::Hash;
use crate::db::{Conn, broken};
use crate::error::Result;
use crate::time::{Instant, from_stored, stored};
use chrono::NaiveDateTime;
use diesel::prelude::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel::{RunQueryDsl, delete, insert_into, update};
use std::collections::HashMap;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = people, treat_none_as_default_value = false)]
pub(super) struct PersonRow {
    pub(super) id: String,
    pub(super) login: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) password: Option<String>,
    pub(super) totp: Option<Vec<u8>>,
    pub(super) totp_step: Option<i64>,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations, treat_none_as_default_value = false)]
pub(super) struct InvitationRow {
    pub(super) hash: Vec<u8>,
    pub(super) person: Option<String>,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
    pub(super) expires_at: NaiveDateTime,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, treat_none_as_default_value = false)]
pub(super) struct SessionRow {
    pub(super) id: String,
    pub(super) hash: Vec<u8>,
    pub(super) person: String,
    pub(super) device: String,
    pub(super) made_at: NaiveDateTime,
    pub(super) last_used_at: NaiveDateTime,
    pub(super) idle_seconds: i64,
    pub(super) expires_at: NaiveDateTime,
    pub(super) ended_at: Option<NaiveDateTime>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys, treat_none_as_default_value = false)]
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) hash: Vec<u8>,
    pub(super) made_by: String,
    pub(super) made_at: NaiveDateTime,
    pub(super) expires_at: NaiveDateTime,
    pub(super) last_used_at: Option<NaiveDateTime>,
    pub(super) revoked_at: Option<NaiveDateTime>,
}

/// A role that somebody has, and where.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = grants, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns; the migration says what they mean")]
pub struct GrantRow {
    pub id: String,
    pub person: Option<String>,
    pub api_key: Option<String>,
    pub role: String,
    pub scope: String,
    pub made_by: String,
    pub(super) made_at: NaiveDateTime,
    pub revoked_by: Option<String>,
    pub(super) revoked_at: Option<NaiveDateTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = roles)]
pub(super) struct RoleRow {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) permissions: String,
}

// People and invitations.

pub(super) fn people_by_login(conn: &mut Conn) -> Result<Vec<PersonRow>> {
    people::table.select(PersonRow::as_select()).order(people::login).load(conn).map_err(broken)
}

/// Whether there is anybody, perhaps invited only.
pub fn anybody(conn: &mut Conn) -> Result<bool> {
    let first: Option<String> = people::table.select(people::id).first(conn).optional().map_err(broken)?;
    Ok(first.is_some())
}

pub(super) fn person(conn: &mut Conn, id: &str) -> Result<Option<PersonRow>> {
    people::table.find(id).select(PersonRow::as_select()).first(conn).optional().map_err(broken)
}

pub(super) fn person_by_login(conn: &mut Conn, login: &str) -> Result<Option<PersonRow>> {
    let found = people::table.filter(people::login.eq(login)).select(PersonRow::as_select());
    found.first(conn).optional().map_err(broken)
}

pub(super) fn insert_person(conn: &mut Conn, row: &PersonRow) -> Result<()> {
    insert_into(people::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// Gives a person another state and what they prove themselves with.
pub(super) fn set_person(
    conn: &mut Conn,
    id: &str,
    state: &str,
    password: Option<&str>,
    totp: Option<(&[u8], i64)>,
) -> Result<()> {
    let row = (
        people::state.eq(state),
        people::password.eq(password),
        people::totp.eq(totp.map(|(secret, _)| secret)),
        people::totp_step.eq(totp.map(|(_, step)| step)),
    );
    update(people::table.find(id)).set(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn set_totp_step(conn: &mut Conn, id: &str, step: i64) -> Result<()> {
    update(people::table.find(id)).set(people::totp_step.eq(Some(step))).execute(conn).map(drop).map_err(broken)
}

pub(super) fn set_password(conn: &mut Conn, id: &str, password: &str) -> Result<()> {
    update(people::table.find(id)).set(people::password.eq(Some(password))).execute(conn).map(drop).map_err(broken)
}

pub(super) fn invitation(conn: &mut Conn, hash: &[u8]) -> Result<Option<InvitationRow>> {
    invitations::table.find(hash).select(InvitationRow::as_select()).first(conn).optional().map_err(broken)
}

/// Makes an invitation in place of any other for the same person, or of any other first one.
pub(super) fn replace_invitation(conn: &mut Conn, row: &InvitationRow) -> Result<()> {
    end_invitations(conn, row.person.as_deref())?;
    insert_into(invitations::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn end_invitations(conn: &mut Conn, person: Option<&str>) -> Result<()> {
    let done = match person {
        Some(id) => delete(invitations::table.filter(invitations::person.eq(id))).execute(conn),
        None => delete(invitations::table.filter(invitations::person.is_null())).execute(conn),
    };
    done.map(drop).map_err(broken)
}

/// Puts recovery codes in place of all earlier ones.
pub(super) fn replace_recovery_codes(conn: &mut Conn, person: &str, hashes: &[[u8; 32]]) -> Result<()> {
    delete(recovery_codes::table.filter(recovery_codes::person.eq(person))).execute(conn).map_err(broken)?;
    for hash in hashes {
        let row = (recovery_codes::person.eq(person), recovery_codes::hash.eq(hash.as_slice()));
        insert_into(recovery_codes::table).values(row).execute(conn).map_err(broken)?;
    }
    Ok(())
}

/// Uses a recovery code up; whether it was one.
pub(super) fn use_recovery_code(conn: &mut Conn, person: &str, hash: &[u8], now: Instant) -> Result<bool> {
    let unused = recovery_codes::table.find((person, hash)).filter(recovery_codes::used_at.is_null());
    let used = update(unused).set(recovery_codes::used_at.eq(Some(stored(now)))).execute(conn).map_err(broken)?;
    Ok(used == 1)
}

pub(super) fn recovery_codes_left(conn: &mut Conn, person: &str) -> Result<i64> {
    let unused =
        recovery_codes::table.filter(recovery_codes::person.eq(person)).filter(recovery_codes::used_at.is_null());
    unused.count().get_result(conn).map_err(broken)
}

// Failures.

/// Count, when the last one was, whether the place is known.
pub(super) fn failures(conn: &mut Conn, login: &[u8], place: &[u8]) -> Result<Option<(i64, Instant, bool)>> {
    let row = sign_in_failures::table.find((login, place)).select((
        sign_in_failures::count,
        sign_in_failures::last_at,
        sign_in_failures::known,
    ));
    let found: Option<(i64, NaiveDateTime, bool)> = row.first(conn).optional().map_err(broken)?;
    Ok(found.map(|(count, last, known)| (count, from_stored(last), known)))
}

pub(super) fn set_failures(
    conn: &mut Conn,
    login: &[u8],
    place: &[u8],
    count: i64,
    at: Instant,
    known: bool,
) -> Result<()> {
    let set = (
        sign_in_failures::count.eq(count),
        sign_in_failures::last_at.eq(stored(at)),
        sign_in_failures::known.eq(known),
    );
    let changed = update(sign_in_failures::table.find((login, place))).set(set).execute(conn).map_err(broken)?;
    if changed == 0 {
        let row = (sign_in_failures::login.eq(login), sign_in_failures::place.eq(place), set.0, set.1, set.2);
        insert_into(sign_in_failures::table).values(row).execute(conn).map_err(broken)?;
    }
    Ok(())
}

/// Forgets failures from before an instant, and known places from before another.
pub(super) fn forget_failures(conn: &mut Conn, before: Instant, known_before: Instant) -> Result<()> {
    let old = sign_in_failures::table.filter(
        sign_in_failures::last_at
            .lt(stored(known_before))
            .or(sign_in_failures::last_at.lt(stored(before)).and(sign_in_failures::known.eq(false))),
    );
    delete(old).execute(conn).map(drop).map_err(broken)
}

// Sessions.

/// A session, the state of its person, and what they have.
pub(super) type SessionFound = (SessionRow, String, Vec<Held>);

/// A key, the state of its owner, and what it has.
pub(super) type KeyFound = (KeyRow, String, Vec<Held>);

pub(super) fn insert_session(conn: &mut Conn, row: &SessionRow) -> Result<()> {
    insert_into(sessions::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// The session with this digest, the state of its person, and what they have: one statement, for it is asked on every request.
pub(super) fn session_by_hash(conn: &mut Conn, hash: &[u8]) -> Result<Option<SessionFound>> {
    let found = sessions::table
        .inner_join(people::table.on(people::id.eq(sessions::person)))
        .left_join(grants::table.on(grants::person.eq(people::id.nullable()).and(grants::revoked_at.is_null())))
        .left_join(roles::table.on(roles::code.nullable().eq(grants::role.nullable())))
        .filter(sessions::hash.eq(hash))
        .select((
            SessionRow::as_select(),
            people::state,
            (grants::role.nullable(), grants::scope.nullable(), roles::permissions.nullable()),
        ));
    let rows: Vec<(SessionRow, String, MaybeHeld)> = found.load(conn).map_err(broken)?;
    let mut rows = rows.into_iter();
    let Some((session, state, first)) = rows.next() else { return Ok(None) };
    Ok(Some((session, state, std::iter::once(first).chain(rows.map(|(_, _, held)| held)).filter_map(held).collect())))
}

/// As [`session_by_hash`], of many: by their digests.
pub(super) fn sessions_by_hash(conn: &mut Conn, hashes: &[Hash]) -> Result<HashMap<Vec<u8>, SessionFound>> {
    let mut found = HashMap::new();
    if hashes.is_empty() {
        return Ok(found);
    }
    let hashes: Vec<&[u8]> = hashes.iter().map(Hash::as_slice).collect();
    let all = sessions::table
        .inner_join(people::table.on(people::id.eq(sessions::person)))
        .left_join(grants::table.on(grants::person.eq(people::id.nullable()).and(grants::revoked_at.is_null())))
        .left_join(roles::table.on(roles::code.nullable().eq(grants::role.nullable())))
        .filter(sessions::hash.eq_any(hashes))
        .select((
            SessionRow::as_select(),
            people::state,
            (grants::role.nullable(), grants::scope.nullable(), roles::permissions.nullable()),
        ));
    let rows: Vec<(SessionRow, String, MaybeHeld)> = all.load(conn).map_err(broken)?;
    for (session, state, maybe) in rows {
        let (.., all) = found.entry(session.hash.clone()).or_insert((session, state, Vec::new()));
        all.extend(held(maybe));
    }
    Ok(found)
}

/// Role, scope and a custom role's permissions, of a grant that may not be there.
type MaybeHeld = (Option<String>, Option<String>, Option<String>);

fn held((role, scope, custom): MaybeHeld) -> Option<Held> {
    Some((role?, scope?, custom))
}

pub(super) fn session(conn: &mut Conn, id: &str) -> Result<Option<SessionRow>> {
    sessions::table.find(id).select(SessionRow::as_select()).first(conn).optional().map_err(broken)
}

/// Those that were not ended; some may have run out.
pub(super) fn sessions_of(conn: &mut Conn, person: &str) -> Result<Vec<SessionRow>> {
    let open = sessions::table.filter(sessions::person.eq(person)).filter(sessions::ended_at.is_null());
    open.select(SessionRow::as_select()).order(sessions::id).load(conn).map_err(broken)
}

pub(super) fn end_session(conn: &mut Conn, id: &str, now: Instant) -> Result<()> {
    update(sessions::table.find(id))
        .set(sessions::ended_at.eq(Some(stored(now))))
        .execute(conn)
        .map(drop)
        .map_err(broken)
}

/// Ends all of a person's; how many there were.
pub(super) fn end_sessions(conn: &mut Conn, person: &str, now: Instant) -> Result<usize> {
    let open = sessions::table.filter(sessions::person.eq(person)).filter(sessions::ended_at.is_null());
    update(open).set(sessions::ended_at.eq(Some(stored(now)))).execute(conn).map_err(broken)
}

pub(super) fn touch_session(conn: &mut Conn, id: &str, now: Instant) -> Result<()> {
    // Never backwards: two requests may cross.
    let older = sessions::table.find(id).filter(sessions::last_used_at.lt(stored(now)));
    update(older).set(sessions::last_used_at.eq(stored(now))).execute(conn).map(drop).map_err(broken)
}

// Keys.

pub(super) fn insert_key(conn: &mut Conn, row: &KeyRow) -> Result<()> {
    insert_into(api_keys::table).values(row).execute(conn).map(drop).map_err(broken)
}

/// The key, the state of its owner, and what it has: one statement, for it is asked on every request.
pub(super) fn key_with_rights(conn: &mut Conn, id: &str) -> Result<Option<KeyFound>> {
    let found = api_keys::table
        .inner_join(people::table.on(people::id.eq(api_keys::owner)))
        .left_join(grants::table.on(grants::api_key.eq(api_keys::id.nullable()).and(grants::revoked_at.is_null())))
        .left_join(roles::table.on(roles::code.nullable().eq(grants::role.nullable())))
        .filter(api_keys::id.eq(id))
        .select((
            KeyRow::as_select(),
            people::state,
            (grants::role.nullable(), grants::scope.nullable(), roles::permissions.nullable()),
        ));
    let rows: Vec<(KeyRow, String, MaybeHeld)> = found.load(conn).map_err(broken)?;
    let mut rows = rows.into_iter();
    let Some((key, state, first)) = rows.next() else { return Ok(None) };
    Ok(Some((key, state, std::iter::once(first).chain(rows.map(|(_, _, held)| held)).filter_map(held).collect())))
}

/// As [`key_with_rights`], of many: by their ids.
pub(super) fn keys_with_rights(conn: &mut Conn, ids: &[&str]) -> Result<HashMap<String, KeyFound>> {
    let mut found = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let all = api_keys::table
        .inner_join(people::table.on(people::id.eq(api_keys::owner)))
        .left_join(grants::table.on(grants::api_key.eq(api_keys::id.nullable()).and(grants::revoked_at.is_null())))
        .left_join(roles::table.on(roles::code.nullable().eq(grants::role.nullable())))
        .filter(api_keys::id.eq_any(ids))
        .select((
            KeyRow::as_select(),
            people::state,
            (grants::role.nullable(), grants::scope.nullable(), roles::permissions.nullable()),
        ));
    let rows: Vec<(KeyRow, String, MaybeHeld)> = all.load(conn).map_err(broken)?;
    for (key, state, maybe) in rows {
        let (.., all) = found.entry(key.id.clone()).or_insert((key, state, Vec::new()));
        all.extend(held(maybe));
    }
    Ok(found)
}

/// The key.
pub(super) fn key(conn: &mut Conn, id: &str) -> Result<Option<KeyRow>> {
    api_keys::table.find(id).select(KeyRow::as_select()).first(conn).optional().map_err(broken)
}

/// All keys, by name and age; revoked ones too.
pub(super) fn keys(conn: &mut Conn) -> Result<Vec<KeyRow>> {
    api_keys::table.select(KeyRow::as_select()).order((api_keys::name, api_keys::id)).load(conn).map_err(broken)
}

/// Those of a name that were not revoked; some may have expired.
pub(super) fn keys_named(conn: &mut Conn, name: &str) -> Result<Vec<KeyRow>> {
    let open = api_keys::table.filter(api_keys::name.eq(name)).filter(api_keys::revoked_at.is_null());
    open.select(KeyRow::as_select()).order(api_keys::id).load(conn).map_err(broken)
}

pub(super) fn revoke_key(conn: &mut Conn, id: &str, now: Instant) -> Result<()> {
    update(api_keys::table.find(id))
        .set(api_keys::revoked_at.eq(Some(stored(now))))
        .execute(conn)
        .map(drop)
        .map_err(broken)
}

pub(super) fn touch_key(conn: &mut Conn, id: &str, now: Instant) -> Result<()> {
    update(api_keys::table.find(id))
        .set(api_keys::last_used_at.eq(Some(stored(now))))
        .execute(conn)
        .map(drop)
        .map_err(broken)
}

// Roles and grants.

pub(super) fn custom_roles(conn: &mut Conn) -> Result<Vec<RoleRow>> {
    roles::table.select(RoleRow::as_select()).order(roles::code).load(conn).map_err(broken)
}

pub(super) fn custom_role(conn: &mut Conn, code: &str) -> Result<Option<RoleRow>> {
    roles::table.find(code).select(RoleRow::as_select()).first(conn).optional().map_err(broken)
}

pub(super) fn put_role(conn: &mut Conn, row: &RoleRow) -> Result<()> {
    delete(roles::table.find(&row.code)).execute(conn).map_err(broken)?;
    insert_into(roles::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn delete_role(conn: &mut Conn, code: &str) -> Result<()> {
    delete(roles::table.find(code)).execute(conn).map(drop).map_err(broken)
}

/// Role, scope, and what a custom role allows.
pub(super) type Held = (String, String, Option<String>);

/// What somebody has.
pub(super) fn held_by_person(conn: &mut Conn, person: &str) -> Result<Vec<Held>> {
    let open = grants::table
        .left_join(roles::table.on(roles::code.eq(grants::role)))
        .filter(grants::person.eq(person))
        .filter(grants::revoked_at.is_null());
    open.select((grants::role, grants::scope, roles::permissions.nullable())).load(conn).map_err(broken)
}

/// All active people, by login, with what each has.
pub(super) fn active_with_held(conn: &mut Conn) -> Result<Vec<(String, Vec<Held>)>> {
    let all = people::table
        .left_join(grants::table.on(grants::person.eq(people::id.nullable()).and(grants::revoked_at.is_null())))
        .left_join(roles::table.on(roles::code.nullable().eq(grants::role.nullable())))
        .filter(people::state.eq("active"))
        .order((people::login, grants::id))
        .select((people::id, (grants::role.nullable(), grants::scope.nullable(), roles::permissions.nullable())));
    let rows: Vec<(String, MaybeHeld)> = all.load(conn).map_err(broken)?;
    let mut people: Vec<(String, Vec<Held>)> = Vec::new();
    for (id, maybe) in rows {
        if people.last().is_none_or(|(last, _)| *last != id) {
            people.push((id, Vec::new()));
        }
        if let (Some((_, all)), Some(one)) = (people.last_mut(), held(maybe)) {
            all.push(one);
        }
    }
    Ok(people)
}

/// As [`held_by_person`].
pub(super) fn held_by_key(conn: &mut Conn, key: &str) -> Result<Vec<Held>> {
    let open = grants::table
        .left_join(roles::table.on(roles::code.eq(grants::role)))
        .filter(grants::api_key.eq(key))
        .filter(grants::revoked_at.is_null());
    open.select((grants::role, grants::scope, roles::permissions.nullable())).load(conn).map_err(broken)
}

/// What the keys that a person owns have, unless they were revoked.
pub(super) fn held_by_keys_of(conn: &mut Conn, owner: &str) -> Result<Vec<Held>> {
    let open = grants::table
        .inner_join(api_keys::table.on(grants::api_key.eq(api_keys::id.nullable())))
        .left_join(roles::table.on(roles::code.eq(grants::role)))
        .filter(api_keys::owner.eq(owner))
        .filter(api_keys::revoked_at.is_null())
        .filter(grants::revoked_at.is_null());
    open.select((grants::role, grants::scope, roles::permissions.nullable())).load(conn).map_err(broken)
}

/// All grants, revoked ones too, by id.
pub(super) fn grants(conn: &mut Conn) -> Result<Vec<GrantRow>> {
    grants::table.select(GrantRow::as_select()).order(grants::id).load(conn).map_err(broken)
}

/// Those in force.
pub(super) fn open_grants(conn: &mut Conn) -> Result<Vec<GrantRow>> {
    let open = grants::table.filter(grants::revoked_at.is_null());
    open.select(GrantRow::as_select()).order(grants::id).load(conn).map_err(broken)
}

pub(super) fn insert_grant(conn: &mut Conn, row: &GrantRow) -> Result<()> {
    insert_into(grants::table).values(row).execute(conn).map(drop).map_err(broken)
}

pub(super) fn revoke_grant(conn: &mut Conn, id: &str, by: &str, now: Instant) -> Result<()> {
    let set = (grants::revoked_by.eq(Some(by)), grants::revoked_at.eq(Some(stored(now))));
    update(grants::table.find(id)).set(set).execute(conn).map(drop).map_err(broken)
}

/// Whether a bound of a scope names what is not there.
pub(super) fn missing_bound(conn: &mut Conn, kind: &str, code: &str) -> Result<bool> {
    let found: i64 = match kind {
        "product" => products::table.filter(products::code.eq(code)).count().get_result(conn),
        "entity" => entities::table.filter(entities::code.eq(code)).count().get_result(conn),
        "master" => masters::table.filter(masters::code.eq(code)).count().get_result(conn),
        _ => {
            let top: i64 = masters::table.filter(masters::code.eq(code)).count().get_result(conn).map_err(broken)?;
            // What begins with `code/`, as a range of bytes: `0` comes right after `/`.
            let below = sub_accounts::code.ge(format!("{code}/")).and(sub_accounts::code.lt(format!("{code}0")));
            let node = sub_accounts::code.eq(code).or(below);
            let below: Result<i64, _> = sub_accounts::table.filter(node).count().get_result(conn);
            below.map(|below| below + top)
        }
    }
    .map_err(broken)?;
    Ok(found == 0)
}

/// Kind, subject, before and after of each event of these kinds, in their order.
pub(super) fn events(conn: &mut Conn, kinds: &[&str]) -> Result<Vec<(String, String, Option<String>)>> {
    let all = events::table.filter(events::kind.eq_any(kinds)).order(events::number);
    all.select((events::kind, events::subject, events::after)).load(conn).map_err(broken)
}
