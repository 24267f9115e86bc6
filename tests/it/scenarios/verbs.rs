//! The table of verbs: what each is called, what it understands, and what it does.

use super::script::{Outcome, Step};
use super::world::{Verb, World};
use super::{bank, chart, journal, questions, rules};

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

const TABLE: &[Entry] = &[
    verb("at", true, &[], &[], chart::at),
    verb(
        "master",
        true,
        &["currency", "cut-over", "opening", "shares", "account", "entity", "bank", "numbers", "name"],
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
    verb("rules", true, &["retire", "from", "to", "by"], &["people", "lines"], rules::rules),
    verb("suggest", true, &["master"], &[], rules::suggest),
    verb("under-way", false, &[], &[], rules::under_way),
    verb("freeze", true, &["by"], &[], chart::freeze),
    verb("open", true, &["by"], &[], chart::open),
    verb("close", true, &["by"], &[], chart::close),
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
        &["product", "leaf", "currency", "as-of", "booked", "held", "available"],
        &[],
        questions::position,
    ),
    verb("bank", false, &["master", "as-of"], &[], questions::bank),
    verb("balance", false, &["account", "as-of", "basis", "known-at"], &[], questions::balance),
    verb("waiting", false, &["master"], &[], questions::waiting),
    verb("entry", true, &[], &[], questions::entry),
    verb("gaps", false, &["master"], &[], questions::gaps),
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
    if !step.body.is_empty() && said != "statement" {
        return Err(format!("{said} has no lines below it"));
    }
    (entry.run)(world, step)
}
