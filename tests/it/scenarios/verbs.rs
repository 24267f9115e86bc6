//! The table of verbs: what each is called, what it understands, and what it does.

use super::script::{Outcome, Step};
use super::world::{Verb, World};
use super::{access, announced, approvals, bank, chart, folders, healing, journal, questions, reference, rules};

struct Entry {
    verb: &'static str,
    /// Whether its first bare word is a name.
    named: bool,
    keys: &'static [&'static str],
    flags: &'static [&'static str],
    run: Verb,
}

const fn verb(
    verb: &'static str,
    named: bool,
    keys: &'static [&'static str],
    flags: &'static [&'static str],
    run: Verb,
) -> Entry {
    Entry { verb, named, keys, flags, run }
}

/// What a line of a statement understands, and so do `inflow` and `outflow`.
pub const LINE_KEYS: [&str; 18] = [
    "label",
    "on",
    "value",
    "from",
    "to",
    "account",
    "text",
    "ref",
    "va",
    "owner-ref",
    "bank-ref",
    "creditor-ref",
    "code",
    "info",
    "return",
    "details",
    "ultimate",
    "charges",
];

/// The words that stand by themselves in a line of a statement.
pub const LINE_FLAGS: [&str; 3] = ["reversal", "pending", "info-only"];

const FLOW_KEYS: &[&str] = &[
    "master",
    "amount",
    "format",
    "on",
    "value",
    "from",
    "to",
    "account",
    "text",
    "ref",
    "va",
    "owner-ref",
    "bank-ref",
    "creditor-ref",
    "code",
    "info",
    "return",
    "details",
    "ultimate",
    "charges",
];

const PROPOSE_KEYS: &[&str] = &[
    "what",
    "by",
    "reason",
    "retire",
    "from",
    "until",
    "to",
    "role",
    "scope",
    "allows",
    "leaf",
    "floor",
    "ceiling",
    "movement",
    "expires",
    "line",
    "settlement",
    "master",
    "platform",
    "account",
    "ref",
    "currency",
    "total",
    "paid-on",
    "receipt",
    "amount",
    "note",
    "metadata",
    "kind",
    "needs",
    "days",
    "person",
    "subject",
];

const TABLE: &[Entry] = &[
    verb("at", true, &[], &[], chart::at),
    verb(
        "master",
        true,
        &[
            "currency",
            "cut-over",
            "opening",
            "shares",
            "account",
            "entity",
            "bank",
            "numbers",
            "name",
            "calendar",
            "statement-by",
        ],
        &[],
        chart::master,
    ),
    verb("leaf", true, &["master", "product", "market", "purpose", "owner", "name"], &[], chart::leaf),
    verb(
        "rule",
        true,
        &[
            "priority",
            "masters",
            "direction",
            "counterparty",
            "counterparty-account",
            "text",
            "reference",
            "code",
            "min",
            "max",
            "reversal",
            "return",
            "to",
            "charges",
            "by",
        ],
        &["suggests", "draft"],
        rules::rule,
    ),
    verb("freeze", true, &["reason", "by"], &[], chart::freeze),
    verb("unfreeze", true, &["reason", "by"], &[], chart::unfreeze),
    verb("close", true, &["reason", "by"], &[], chart::close),
    verb("reopen", true, &["reason", "by"], &[], chart::reopen),
    verb("limit", true, &["floor", "ceiling", "movement", "expires", "reason", "by"], &[], chart::limit),
    verb("rates", true, &["source", "base", "of", "by"], &[], reference::rates),
    verb("total", false, &["in", "as-of", "known-at", "product"], &[], reference::total),
    verb("folder", true, &["names", "ready", "checksum", "signature", "kind"], &[], folders::folder),
    verb("drop", true, &["into", "as", "checksum", "signature"], &["half", "marker", "beside"], folders::drop),
    verb("look", true, &["by"], &[], folders::look),
    verb("alarm", false, &["by"], &[], folders::alarm),
    verb("due", false, &[], &[], reference::due),
    verb("rules", true, &["retire", "from", "to", "by"], &["people", "lines"], rules::rules),
    verb("suggest", true, &["master"], &[], rules::suggest),
    verb("under-way", false, &[], &[], rules::under_way),
    verb(
        "statement",
        true,
        &[
            "master", "number", "page", "day", "from", "format", "opening", "closing", "wrong", "account", "currency",
            "file", "id",
        ],
        &["copy", "later"],
        bank::statement,
    ),
    verb("report", true, &["master", "number", "page", "day", "id", "closing"], &["later"], bank::report),
    verb("notification", true, &["master", "number", "day", "id"], &["later"], bank::notification),
    verb("accept", true, &["reason", "by"], &[], healing::accept),
    verb("reject", true, &["reason", "of", "by"], &[], approvals::reject),
    verb("withdraw", true, &["reason", "by"], &[], approvals::withdraw),
    verb("line", true, &[], &[], healing::line),
    verb("pending", false, &["master"], &[], healing::pending),
    verb("breaks", false, &[], &[], healing::breaks),
    verb("profile", true, &["notified", "reports", "contradictions", "by"], &[], healing::profile),
    verb("send", true, &["file"], &[], bank::send),
    verb("inflow", true, FLOW_KEYS, &LINE_FLAGS, bank::inflow),
    verb("outflow", true, FLOW_KEYS, &LINE_FLAGS, bank::outflow),
    verb("route", true, &["to", "reason", "by"], &[], bank::route),
    verb("transfer", true, &["from", "to", "amount", "value", "by"], &[], journal::transfer),
    verb("hold", true, &["leaf", "amount", "by"], &[], journal::hold),
    verb("release", true, &["amount", "by"], &[], journal::release),
    verb("consume", true, &["amount", "by"], &[], journal::consume),
    verb("reverse", true, &["entry", "reason", "by"], &[], journal::reverse),
    verb(
        "position",
        false,
        &["product", "leaf", "currency", "as-of", "booked", "held", "available", "expected"],
        &[],
        questions::position,
    ),
    verb("bank", false, &["master", "as-of"], &[], questions::bank),
    verb("balance", false, &["account", "as-of", "basis", "known-at"], &[], questions::balance),
    verb("waiting", false, &["master"], &[], questions::waiting),
    verb("entry", true, &[], &[], questions::entry),
    verb(
        "expect",
        true,
        &["leaf", "amount", "currency", "from", "until", "ref", "account", "note", "metadata", "by"],
        &[],
        announced::expect,
    ),
    verb("expected", true, &[], &[], announced::expected),
    verb("meet", true, &["line", "reason", "by"], &[], announced::meet),
    verb("cancel", true, &["reason", "by"], &[], announced::cancel),
    verb("expect-again", true, &["reason", "by"], &[], announced::reopen),
    verb("expire", false, &[], &[], announced::expire),
    verb(
        "settlement",
        true,
        &["master", "platform", "account", "ref", "currency", "total", "paid-on", "by"],
        &[],
        announced::settlement,
    ),
    verb("settled", true, &[], &[], announced::settled),
    verb("apply", true, &["line", "by"], &[], announced::apply),
    verb("gaps", false, &["master"], &[], questions::gaps),
    verb("person", true, &["roles", "by"], &["invited"], access::person),
    verb("join", true, &["password"], &[], access::join),
    verb("reset", true, &["by"], &[], access::reset),
    verb("disable", true, &["by"], &[], access::disable),
    verb("grant", true, &["role", "scope", "by"], &[], access::grant),
    verb("revoke", true, &["role", "scope", "by"], &[], access::revoke),
    verb("sign-in", true, &["person", "password", "code", "place"], &["recovery"], access::sign_in),
    verb("end", true, &["by"], &[], access::end),
    verb("may", true, &["do"], &[], access::may),
    verb("sees", true, &["account"], &[], access::sees),
    verb("events", true, &["kind", "subject", "actor"], &[], access::events),
    verb("key", true, &["owner", "machine", "roles", "days", "rotates", "by"], &[], access::key),
    verb("revoke-key", true, &["by"], &[], access::revoke_key),
    verb("role", true, &["allows", "by"], &[], access::role),
    verb("propose", true, PROPOSE_KEYS, &[], approvals::propose),
    verb("approve", true, &["reason", "of", "by"], &[], approvals::approve),
    verb("proposal", true, &["by"], &["effect"], approvals::proposal_shown),
    verb("proposals", false, &["by"], &[], approvals::proposals),
    verb("expire-proposals", false, &[], &[], approvals::expire),
    verb("check", false, &[], &[], questions::check),
];

/// Runs a step. The error is about the story or a fault of ours, never a business "no".
pub fn run(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let said = step.words.first.as_str();
    let Some(entry) = TABLE.iter().find(|e| e.verb == said) else {
        let verbs: Vec<&str> = TABLE.iter().map(|e| e.verb).collect();
        return Err(format!("there is no verb {said}; there are {}", verbs.join(", ")));
    };
    let name = if entry.named { step.name() } else { None };
    let flags: Vec<&str> = entry.flags.iter().copied().chain(name).collect();
    step.words.only(entry.keys, &flags)?;
    if !step.body.is_empty() && !["statement", "report", "notification", "settlement", "propose"].contains(&said) {
        return Err(format!("{said} has no lines below it"));
    }
    (entry.run)(world, step)
}
