//! What a story has made so far: a database of its own, a clock, and its names for leaves, statements, lines and entries.

use super::access::Known;
use super::folders::Folders;
use super::script::{Outcome, Step, Words};
use crate::databases::{Engine, TestDb};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary::access::Secret;
use tributary::allocation::changes::RulesFile;
use tributary::banking::write;
use tributary::db::{Db, Options, Who};
use tributary::error::{Error, Result};
use tributary::ids::Ids;
use tributary::ledger::{self, AccountRow};
use tributary::money::{Currency, Minor};
use tributary::time::{Clock, Instant, SetClock, day_of};

/// When a story begins that does not say so: a Monday.
const BEGIN: &str = "2026-03-02T09:00:00Z";

/// A bank account, as the bank of the story has it.
#[derive(Debug, Clone)]
pub struct BankAccount {
    /// Its number.
    pub number: String,
    /// Its currency.
    pub currency: Currency,
    /// The closing balance of the statement that was written last.
    pub balance: i64,
    /// The number of the statement that was written last.
    pub statements: u64,
}

/// A statement, as the bank of the story has written it.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its format.
    pub format: String,
    /// The name of its file.
    pub file: String,
    /// Its head.
    pub head: write::Statement,
    /// Its lines, and the story's names for them.
    pub lines: Vec<(String, write::Entry)>,
}

/// A story in progress.
pub struct World {
    // Before the database itself: PostgreSQL throws out who is still connected.
    /// The treasury.
    pub db: Db,
    /// What it takes the time from.
    pub clock: Arc<SetClock>,
    /// Bank accounts by the master's code.
    pub accounts: BTreeMap<String, BankAccount>,
    /// Statements by name.
    pub written: BTreeMap<String, Written>,
    /// Entries by name.
    pub entries: BTreeMap<String, i64>,
    /// Ids of lines by name.
    pub lines: BTreeMap<String, String>,
    /// Codes of leaves by name.
    pub leaves: BTreeMap<String, String>,
    /// Rules that are written and not yet in force, and the digest of the back-test that was shown last.
    pub drafts: (RulesFile, String),
    /// Folders that its bank drops files into.
    pub folders: Folders,
    /// People by login, with what they know.
    pub people: BTreeMap<String, Known>,
    /// Secrets of sessions and keys by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Proposals by name: id, and the digest that was shown.
    pub proposals: BTreeMap<String, (String, String)>,
    /// What results call by a name: code or id, and the name.
    called: Vec<(String, String)>,
    /// Numbers for what has no name.
    count: usize,
    _database: TestDb,
}

impl World {
    /// An empty treasury.
    pub fn new(engine: Engine) -> World {
        let database = TestDb::new(engine);
        let begin: Instant = BEGIN.parse().expect("an instant");
        let clock = Arc::new(SetClock::at(begin));
        let options = Options {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(Ids::seeded(1)),
            ..Options::default()
        };
        World {
            db: database.open(options),
            clock,
            accounts: BTreeMap::new(),
            written: BTreeMap::new(),
            entries: BTreeMap::new(),
            lines: BTreeMap::new(),
            leaves: BTreeMap::new(),
            drafts: Default::default(),
            folders: Folders::default(),
            people: BTreeMap::new(),
            secrets: BTreeMap::new(),
            proposals: BTreeMap::new(),
            called: Vec::new(),
            count: 0,
            _database: database,
        }
    }

    /// Who acts: `by=`, else the treasury's desk.
    pub fn who(words: &Words) -> Arc<Who> {
        Who::operator(words.get("by").unwrap_or("desk"))
    }

    /// The day of the story's clock.
    pub fn today(&self) -> NaiveDate {
        day_of(self.clock.now())
    }

    /// A number that was not used before, for what has no name.
    pub fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    /// From now on results say the name in place of the code or id.
    pub fn call(&mut self, code: &str, name: &str) {
        if code != name && !self.called.iter().any(|(c, _)| c == code) {
            self.called.push((code.to_owned(), name.to_owned()));
            // A code may begin with another one.
            self.called.sort_by_key(|(code, _)| std::cmp::Reverse(code.len()));
        }
    }

    /// A text with the story's names in it.
    pub fn named(&self, text: &str) -> String {
        self.called.iter().fold(text.to_owned(), |text, (code, name)| text.replace(code, name))
    }

    /// The code of what the story calls so: a leaf's name, or a code.
    pub fn code(&self, name: &str) -> String {
        self.leaves.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// The account of a name or code.
    pub fn account(&self, name: &str) -> Result<AccountRow, String> {
        let code = self.code(name);
        self.db.read(|conn| ledger::account(conn, &code)).map_err(|e| e.to_string())
    }

    /// The id of what the story calls so.
    pub fn id(&self, name: &str) -> Option<String> {
        self.called.iter().find(|(_, called)| called == name).map(|(id, _)| id.clone())
    }

    /// The id of a line.
    pub fn line(&self, name: &str) -> Result<String, String> {
        // What an opening left in suspense has a name of its own.
        let opening = name.starts_with("opening:").then(|| name.to_owned());
        if let Some((line, payment)) = name.split_once('/') {
            return Ok(format!("{}/{payment}", self.line(line)?));
        }
        let named = self.lines.get(name).cloned().or(opening);
        named.ok_or_else(|| {
            format!("there is no line {name}: the statement that tells of it first names it with label=")
        })
    }
}

/// A day, as all steps write it.
pub fn day(words: &Words, key: &str) -> Result<Option<NaiveDate>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("{key}={text} is not a day such as 2026-03-02"));
    words.get(key).map(parse).transpose()
}

/// An instant: `2026-03-02T09:00Z`, with seconds or without.
pub fn instant(text: &str) -> Result<Instant, String> {
    let with_seconds = text.replace('Z', ":00Z");
    text.parse()
        .or_else(|_| with_seconds.parse())
        .map_err(|_| format!("{text} is not an instant such as 2026-03-02T09:00Z"))
}

/// Minor units of an amount on some account.
pub fn minor(text: &str, account: &AccountRow) -> Result<i64, String> {
    let currency: Currency = account.currency.parse().map_err(|e| format!("{}: {e}", account.code))?;
    Minor::parse(text, currency).map(|m| m.0).map_err(|e| e.to_string())
}

/// An amount on its account's normal side, as text.
pub fn natural(debit_positive: i64, account: &AccountRow) -> String {
    text(account.kind().natural(debit_positive), account)
}

/// Minor units as text.
pub fn text(minor: i64, account: &AccountRow) -> String {
    Minor(minor).to_text_with(u8::try_from(account.exponent).unwrap_or(0))
}

/// What a command of the library answered, as the outcome of a step. A fault is a failure of the story.
pub fn answer<T>(result: Result<T>, done: impl FnOnce(T) -> Outcome) -> Result<Outcome, String> {
    match result {
        Ok(value) => Ok(done(value)),
        Err(Error::Broken(fault) | Error::Busy(fault)) => Err(fault),
        Err(no) => Ok(Outcome::Refused(no.code().to_owned(), no.to_string())),
    }
}

/// `a:60,b:40`
pub fn list(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    items.map(|item| item.rsplit_once(':').map_or((item, None), |(name, value)| (name, Some(value))))
}

/// What every verb is.
pub type Verb = fn(&mut World, &Step) -> Result<Outcome, String>;
