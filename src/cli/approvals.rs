//! `tributary approvals`: what waits for others to decide, what it would change, and deciding on it as a person who signs in.

use super::table::{grouped, table};
use super::{Context, people, print_json, prompt, rules};
use crate::access::{self, SignIn};
use crate::actor::Actor;
use crate::approvals::{self, Filter, Kind, PoliciesFile, Shown, State};
use crate::db::{Db, Who};
use crate::error::{Error, Result};
use crate::four_eyes::{self, Approved, Came, Change, Done};
use crate::scope::Scope;
use crate::time::{Clock, SystemClock, rfc3339};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be done with what waits for approval.
#[derive(Debug, clap::Subcommand)]
pub enum Approvals {
    /// List what waits, newest first
    List {
        /// What has ended too
        #[arg(long)]
        all: bool,
        /// Only of one kind, such as rules or limits
        #[arg(long)]
        kind: Option<Kind>,
        /// How many to list
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Show one: what it would change, before and after, and who has decided
    Show {
        /// The proposal, such as pr_01k9...
        id: String,
    },
    /// Approve one, as a person: asks for login, password and code. The approval that suffices carries it out
    Approve(Decision),
    /// Reject one, as a person, for a reason: it ends
    Reject(Decision),
    /// Take a proposal back that was made at this machine; with --login one of your own
    Withdraw {
        /// The proposal
        id: String,
        /// Your login, when you have made it as a person
        #[arg(long)]
        login: Option<String>,
        /// Why, in a few words
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// End those whose time is over
    Expire,
    /// Who has to approve what; with a file, change that
    Policies {
        /// TOML with [[policy]] tables (docs/approvals.md)
        file: Option<PathBuf>,
    },
}

/// A person's decision.
#[derive(Debug, clap::Args)]
pub struct Decision {
    /// The proposal
    id: String,
    /// What `approvals show` has shown: its first 12 digits are enough
    #[arg(long)]
    digest: String,
    /// Your login; asked for where it is not given
    #[arg(long)]
    login: Option<String>,
    /// Why, in a few words
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Approvals) -> Result<()> {
    match command {
        Approvals::List { all, kind, limit } => {
            list(context, &Filter { all: *all, kind: *kind, before: None, limit: *limit })
        }
        Approvals::Show { id } => {
            let db = context.open_to_read()?;
            let shown = read(&db, &context.who.actor, id)?;
            print(context, &db, &shown)
        }
        Approvals::Approve(decision) => approve(context, decision),
        Approvals::Reject(decision) => reject(context, decision),
        Approvals::Withdraw { id, login, reason } => withdraw(context, id, login.as_deref(), reason),
        Approvals::Expire => expire(context),
        Approvals::Policies { file: None } => policies(context),
        Approvals::Policies { file: Some(file) } => apply_policies(context, file),
    }
}

/// Says that a change waits, and for whom.
pub(super) fn print_waits(context: &Context, db: &Db, id: &str) -> Result<()> {
    let shown = read(db, &context.who.actor, id)?;
    if context.json {
        return print_json(&json!({ "waiting_for_approval": shown }));
    }
    say!("waiting for approval {id}: needs {}", shown.needs.as_deref().unwrap_or("nobody"));
    say!("Nothing has changed yet; `tributary approvals show {id}` shows what would.");
    Ok(())
}

/// Asks for a change; `None` when it waits, which is said then.
pub(super) fn submit(context: &Context, db: &Db, change: Change) -> Result<Option<Done>> {
    match four_eyes::submit(db, &context.who, change)? {
        Came::Done(done) => Ok(Some(done)),
        Came::Waits(id) => print_waits(context, db, &id).map(|()| None),
    }
}

/// A change that has done something of another kind: a fault of ours.
pub(super) fn other(done: &Done) -> Error {
    Error::Broken(format!("another kind of change was carried out: {done:?}"))
}

fn read(db: &Db, actor: &Actor, id: &str) -> Result<Shown> {
    db.read(|conn| approvals::show(conn, actor, id, SystemClock.now()))
}

fn logins(db: &Db) -> Result<BTreeMap<String, String>> {
    Ok(db.read(access::people)?.into_iter().map(|p| (p.id, p.login)).collect())
}

/// `alice` for `person:ps_...`, else as it is recorded.
fn called(logins: &BTreeMap<String, String>, actor: &str) -> String {
    let id = actor.strip_prefix("person:").unwrap_or(actor);
    logins.get(id).cloned().unwrap_or_else(|| actor.to_owned())
}

fn list(context: &Context, filter: &Filter) -> Result<()> {
    let db = context.open_to_read()?;
    let all = db.read(|conn| approvals::list(conn, &context.who.actor, filter, SystemClock.now()))?;
    if context.json {
        return print_json(&json!({ "proposals": all }));
    }
    if all.is_empty() {
        say!("Nothing waits for approval{}.", if filter.all { ", and nothing has" } else { "" });
        return Ok(());
    }
    let logins = logins(&db)?;
    let mut lines = table(&["proposal", "kind", "~about", "state", "by", "until", "~needs"]);
    for s in &all {
        let needs = s.needs.clone().or_else(|| s.why.clone()).unwrap_or_default();
        let (by, state) = (called(&logins, &s.maker), state(s));
        lines.add_row([&s.proposal, &s.kind, &s.subject, &state, &by, &s.expires_at, &needs]);
    }
    say!("{lines}");
    Ok(())
}

fn state(s: &Shown) -> String {
    s.state.to_string()
}

fn print(context: &Context, db: &Db, s: &Shown) -> Result<()> {
    if context.json {
        return print_json(s);
    }
    let logins = logins(db)?;
    let kind: Result<Kind, String> = s.kind.parse();
    say!("{}: {} ({})", s.proposal, s.subject, kind.map_or_else(|_| s.kind.clone(), |k| k.says().to_lowercase()));
    say!("proposed by {} at {}; {}", called(&logins, &s.maker), s.made_at, state(s));
    match (&s.needs, &s.why, &s.ended_at) {
        (Some(needs), ..) => say!("until {}; needs {needs}", s.expires_at),
        (None, Some(why), Some(at)) => say!("since {at}: {why}"),
        (None, _, at) => say!("since {}", at.as_deref().unwrap_or(&s.expires_at)),
    }
    say!("policy: {}", s.policy);
    match s.deciders {
        Some(0) => say!(
            "Nobody can decide on it now: nobody but who has made or decided it has what the policy names, everywhere where it acts."
        ),
        Some(1) => say!("1 person can decide on it now"),
        Some(n) => say!("{n} people can decide on it now"),
        None => {}
    }
    say!("digest {}", s.digest);
    for d in &s.decisions {
        let reason = d.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
        let counts = if d.counts == Some(false) { ", which no longer counts: the rights for it are gone" } else { "" };
        say!("{} {}s at {}{reason}{counts}", called(&logins, &d.person), d.decision, d.at);
    }
    say!("\nWhat it {}:", if s.state == State::Open { "would change" } else { "was about" });
    print_effect(s)?;
    if s.state == State::Open {
        let short = s.digest.get(..16).unwrap_or(&s.digest);
        say!("\n`tributary approvals approve {} --digest {short}` approves exactly this.", s.proposal);
    }
    Ok(())
}

fn print_effect(s: &Shown) -> Result<()> {
    let effect = &s.effect;
    if let Some(changed) = effect["rules"].as_array() {
        rules::print_versions(changed);
    }
    if let Some(totals) = effect["totals"].as_array() {
        print_totals(effect, totals);
    } else if effect["rules"].is_null() {
        let (before, after) = (&effect["before"], &effect["after"]);
        let mut lines = table(&["field", "~before", "~after"]);
        if before.is_object() && after.is_object() {
            let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
            flatten("", before, &mut left);
            flatten("", after, &mut right);
            let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                let cell = |side: &BTreeMap<String, String>| side.get(name).cloned().unwrap_or_else(|| "-".to_owned());
                lines.add_row([name.clone(), cell(&left), cell(&right)]);
            }
            say!("{lines}");
        } else {
            let mut all = BTreeMap::new();
            flatten("", effect, &mut all);
            print_fields(&all);
        }
    }
    // What is given as it stands needs no other words: receipts, reasons, the line and the leaf.
    if !["rules", "back_test", "grant", "roles", "policies", "settlement"].contains(&s.kind.as_str()) {
        let mut all = BTreeMap::new();
        flatten("", &s.content, &mut all);
        say!("\nAs proposed:");
        print_fields(&all);
    }
    Ok(())
}

fn print_fields(fields: &BTreeMap<String, String>) {
    let mut lines = table(&["field", "~value"]);
    for (name, value) in fields {
        lines.add_row([name, value]);
    }
    say!("{lines}");
}

/// What a back-test moves in all.
fn print_totals(effect: &Value, totals: &[Value]) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = table(&["master", "from", "to", ">moves", ">amount", ""]);
    for t in totals {
        let amount = grouped(text(&t["amount"]));
        let [master, from, to, moves, currency] =
            ["master", "from", "to", "moves", "currency"].map(|field| text(&t[field]));
        lines.add_row([master, from, to, moves, amount, currency]);
    }
    if !totals.is_empty() {
        say!("\n{lines}");
    }
    let products = effect["products"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines = table(&["from product", "to product", ">moves", ">amount", ""]);
    for p in products {
        let amount = grouped(text(&p["amount"]));
        let [from, to, moves, currency] = ["from", "to", "moves", "currency"].map(|field| text(&p[field]));
        lines.add_row([from, to, moves, amount, currency]);
    }
    if !products.is_empty() {
        say!("\n{lines}");
    }
    say!(
        "{} stored lines move; {} of them wait now and are placed, {} are placed now and wait",
        effect["moved"],
        effect["newly_placed"],
        effect["newly_waiting"]
    );
}

/// Fields by their path; a list of words in one line.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) if items.iter().any(|i| i.is_object() || i.is_array()) => {
            for (item, number) in items.iter().zip(1u64..) {
                flatten(&below(&number.to_string()), item, into);
            }
        }
        Value::Array(items) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            into.insert(path.to_owned(), words.join(", "));
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
        other => drop(into.insert(path.to_owned(), other.to_string())),
    }
}

/// Signs a person in for one thing that they do, and out again whatever comes of it.
fn as_person<A>(
    context: &Context,
    db: &Db,
    login: Option<&str>,
    act: impl FnOnce(&Arc<Who>) -> Result<A>,
) -> Result<A> {
    let settings = people::settings(context)?;
    let asked = SignIn {
        login: login.map_or_else(|| prompt::line("login"), |login| Ok(login.to_owned()))?,
        password: prompt::secret("password")?,
        code: prompt::secret("code")?,
        place: "command line".to_owned(),
        device: "command line".to_owned(),
    };
    let opened = access::sign_in(db, &settings, &asked)?;
    if let Some(left) = opened.recovery_codes_left {
        eprintln!("That was a recovery code, which counts no longer; {left} are left.");
    }
    // What a person may see here follows from the proposal and their roles, not from one permission.
    let who = Arc::new(Who { actor: Actor::person(&opened.person), scope: Scope::nothing() });
    let done = act(&who);
    let session = opened.session;
    db.write("session.end", &who, move |tx| access::end_session(tx, &session))?;
    done
}

fn approve(context: &Context, decision: &Decision) -> Result<()> {
    let db = context.open_treasury()?;
    let Decision { id, digest, login, reason } = decision;
    read(&db, &context.who.actor, id)?.refuse_other(digest)?;
    let came = as_person(context, &db, login.as_deref(), |who| four_eyes::approve(&db, who, id, digest, reason))?;
    let shown = read(&db, &context.who.actor, id)?;
    if context.json {
        print_json(&shown)?;
    }
    match came {
        Approved::Void { code, why } => Err(Error::Refused {
            // The code is the refusal's own, which is documented where it is given.
            code,
            message: format!("{id} was approved and could not be carried out, so it is void now: {why}"),
        }),
        _ if context.json => Ok(()),
        Approved::Waits => {
            say!("approved; {id} still needs {}", shown.needs.as_deref().unwrap_or("nobody"));
            Ok(())
        }
        Approved::CarriedOut(done) => {
            say!("approved, and {id} is carried out");
            print_done(&done)
        }
    }
}

/// What a person has to know besides that it is done.
fn print_done(done: &Done) -> Result<()> {
    match done {
        Done::Rules(versions) => rules::say_versions(versions, "in force"),
        Done::BackTest(applied) => rules::say_applied(applied)?,
        Done::Reroute(posted) | Done::SettlementLine(posted) => say!("by entry {}", posted.number),
        Done::Settlement(all) => {
            for s in all {
                let why = s.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                say!("settlement {} is {}{why}", s.settlement, s.state.replace('_', " "));
            }
        }
        Done::Expectations(announced) => say!("{} expected", announced.new),
        Done::Reset(until) => say!("the invitation waits until {}", rfc3339(*until)),
        Done::Identity(_) | Done::Grant(_) | Done::Roles(_) | Done::Limits(..) | Done::Meeting | Done::Policies(_) => {}
    }
    Ok(())
}

fn reject(context: &Context, decision: &Decision) -> Result<()> {
    let db = context.open_treasury()?;
    let Decision { id, digest, login, reason } = decision;
    read(&db, &context.who.actor, id)?.refuse_other(digest)?;
    as_person(context, &db, login.as_deref(), |who| four_eyes::reject(&db, who, id, digest, reason))?;
    ended(context, &db, id, "rejected")
}

fn withdraw(context: &Context, id: &str, login: Option<&str>, reason: &str) -> Result<()> {
    let db = context.open_treasury()?;
    match login {
        Some(_) => as_person(context, &db, login, |who| four_eyes::withdraw(&db, who, id, reason))?,
        None => four_eyes::withdraw(&db, &context.who, id, reason)?,
    }
    ended(context, &db, id, "withdrawn")
}

fn ended(context: &Context, db: &Db, id: &str, how: &str) -> Result<()> {
    if context.json {
        return print_json(&read(db, &context.who.actor, id)?);
    }
    say!("{id} is {how}");
    Ok(())
}

fn expire(context: &Context) -> Result<()> {
    let db = context.open_treasury()?;
    let ids = db.write("proposal.expire", &context.who, approvals::expire)?;
    if context.json {
        return print_json(&json!({ "expired": ids }));
    }
    ids.iter().for_each(|id| say!("{id} has expired"));
    if ids.is_empty() {
        say!("Nothing has expired.");
    }
    Ok(())
}

fn policies(context: &Context) -> Result<()> {
    let all = match context.open_to_read() {
        Ok(db) => db.read(approvals::policies)?,
        Err(e) => return Err(e),
    };
    if context.json {
        let one = |p: &approvals::InForce| {
            json!({
                "kind": p.kind.code(), "says": p.kind.says(), "version": p.version, "needs": p.policy.needs(),
                "approved_by": p.policy.to_string(), "expires_days": p.expires_days, "made_by": p.made_by,
            })
        };
        return print_json(&json!({ "policies": all.iter().map(one).collect::<Vec<_>>() }));
    }
    let mut lines = table(&["kind", "~what", "~approved by", ">days", "since"]);
    for p in &all {
        let since = if p.version == 0 { "built in".to_owned() } else { format!("v{}", p.version) };
        let (by, days) = (p.policy.to_string(), p.expires_days.to_string());
        lines.add_row([p.kind.code(), p.kind.says(), &by, &days, &since]);
    }
    say!("{lines}");
    Ok(())
}

fn apply_policies(context: &Context, path: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::NotFound(format!("cannot read {}: {e}", path.display())))?;
    let file = PoliciesFile::parse(&text).map_err(|e| e.within(path.display()))?;
    let db = context.open_treasury()?;
    let Some(done) = submit(context, &db, Change::Policies(file))? else { return Ok(()) };
    let Done::Policies(changes) = done else { return Err(other(&done)) };
    if context.json {
        return print_json(&json!({ "policies": changes }));
    }
    for c in &changes {
        say!("{}: approved by {} (before: {})", c.kind, c.after, c.before);
    }
    if changes.is_empty() {
        say!("Everything was so already.");
    }
    Ok(())
}
