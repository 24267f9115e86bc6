//! The command line: thin subcommands that call the same commands as every other surface.
//!
//! Data goes to standard output, progress and notes to standard error. Exit codes: 0 done, 1 error or refused, 2 usage.

use crate::config;
use crate::db::{Db, Options, Url, Who};
use crate::error::{Error, Result};
use crate::time::SystemClock;
use crate::traces;
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints a line to standard output. Whoever reads it may stop doing so (`| head`): that ends the program, it is no fault.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::print_line(format_args!($($text)*))
    };
}

mod accounts;
mod approvals;
mod backup;
mod bench;
mod bench_access;
mod calendar;
mod chart;
mod check;
mod demo;
mod doctor;
mod events;
mod expect;
mod folder;
mod folder_watch;
mod healing;
mod journal;
mod keys;
mod people;
mod people_link;
mod positions;
mod profile;
mod prompt;
mod rates;
mod remote;
mod roles;
mod rounds;
mod route;
mod rules;
mod serve;
mod settlement;
mod statement;
mod statement_due;
mod table;
mod webhooks;

/// Tributary: one bank account per bank and currency, every product's balance to the cent
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// The database: sqlite://path/to/file.sqlite or postgres://user@host/name [default: the configuration's]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// A configuration file [default: tributary.toml in the current folder, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a treasury to look at: 14 products, 24 markets, 90 days of bank statements
    Demo(demo::Demo),
    /// Entities, banks, masters and their virtual accounts
    #[command(subcommand)]
    Chart(chart::Chart),
    /// Business days: on which days a bank works
    #[command(subcommand)]
    Calendar(calendar::Calendar),
    /// Rates between currencies, with source, day and age
    #[command(subcommand)]
    Rates(rates::Rates),
    /// Ledger accounts and their postings
    Accounts(accounts::Accounts),
    /// What each product has, and how each master stands against its bank
    Positions(positions::Positions),
    /// Bank statements: look into files, take them in, see what became of them
    #[command(subcommand)]
    Statement(statement::Statement),
    /// Folders that banks drop files into: what lies there, take it in once, keep watching
    #[command(subcommand)]
    Folder(folder::Folder),
    /// What waits in suspense and why; place a line on a leaf
    Route(route::Route),
    /// What should come, before the bank tells of it
    #[command(subcommand)]
    Expect(expect::Expect),
    /// Settlement files: how much of a lump each product gets
    #[command(subcommand)]
    Settlement(settlement::Settlement),
    /// The rules that place lines: their versions, what a change would move, and putting it in force
    #[command(subcommand)]
    Rules(rules::Rules),
    /// The journal, entry by entry
    #[command(subcommand)]
    Journal(journal::Journal),
    /// The feed of events: who did what to what, and when
    Events(events::Events),
    /// Webhooks: have events sent to another system
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// People: who they are, how they sign in, and what they may do
    #[command(subcommand)]
    People(people::People),
    /// API keys, for machines that read and ask
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Roles: what each allows
    #[command(subcommand)]
    Roles(roles::Roles),
    /// What takes four eyes: what waits, what it would change, and deciding on it
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Sign in at a server as a person; what `call` and `route --server` do is done as that person
    Login(remote::Login),
    /// End the session that `login` has opened
    Logout,
    /// Ask a server for an operation of its API, as the person who has signed in
    Call(remote::Call),
    /// Answer over HTTP until it is stopped: /docs shows what can be asked for
    Serve(serve::Serve),
    /// Prove that every stored number follows from what it was made of
    Check,
    /// Look at configuration, database, work and access, and say what mends what is not well
    Doctor,
    /// The whole treasury as one file, made beside a working server and proved
    Backup(backup::Backup),
    /// Make a database, SQLite or PostgreSQL, from such a file
    Restore(backup::Restore),
    /// Measure on the given database
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// What every subcommand is given.
pub struct Context {
    json: bool,
    database: Option<String>,
    config: Option<PathBuf>,
    who: Arc<Who>,
}

impl Context {
    /// The database that was asked for, else the configured one.
    fn url(&self) -> Result<Url> {
        match &self.database {
            Some(url) => url.parse(),
            None => config::load(self.config.as_deref())?.database.url.parse(),
        }
    }

    fn open_to_write(&self, url: &Url) -> Result<Db> {
        Db::open(url, Options::default())
    }

    /// For commands that work on a treasury: one that is not there is a mistyped name, and is not made.
    fn open_treasury(&self) -> Result<Db> {
        let url = self.url()?;
        drop(Db::open_to_read(&url, Arc::new(SystemClock))?);
        self.open_to_write(&url)
    }

    fn open_to_read(&self) -> Result<Db> {
        Db::open_to_read(&self.url()?, Arc::new(SystemClock))
    }

    /// A progress bar on standard error: rate and time left for people; nothing where no terminal is.
    fn progress(&self, total: u64, unit: &str) -> ProgressBar {
        let target = if self.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = format!("{{bar:32}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left");
        bar.with_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let name = operator();
    let context = Context { json: cli.json, database: cli.database, config: cli.config, who: Who::operator(&name) };
    match begin(&context, &cli.command).and_then(|_exporting| run(&context, &cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report(&context, &e);
            ExitCode::FAILURE
        }
    }
}

/// The log, and traces of a server: they end with what is answered.
fn begin(context: &Context, command: &Command) -> Result<traces::Exporting> {
    match command {
        Command::Serve(_) => {
            let config = config::load(context.config.as_deref())?;
            traces::start(Some((&config.log, &config.traces)))
        }
        _ => traces::start(None),
    }
}

/// Who sits at the machine: the login name, else the number that the system knows the user by (containers, timers).
fn operator() -> String {
    let number = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
        line.split_whitespace().next().map(|uid| format!("uid-{uid}"))
    };
    std::env::var("USER").ok().filter(|name| !name.is_empty()).or_else(number).unwrap_or_else(|| "unknown".to_owned())
}

fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Demo(demo) => demo::run(context, demo),
        Command::Chart(chart) => chart::run(context, chart),
        Command::Calendar(calendar) => calendar::run(context, calendar),
        Command::Rates(rates) => rates::run(context, rates),
        Command::Accounts(accounts) => accounts::run(context, accounts),
        Command::Positions(positions) => positions::run(context, positions),
        Command::Statement(statement) => statement::run(context, statement),
        Command::Folder(folder) => folder::run(context, folder),
        Command::Route(route) => route::run(context, route),
        Command::Expect(expect) => expect::run(context, expect),
        Command::Settlement(settlement) => settlement::run(context, settlement),
        Command::Rules(rules) => rules::run(context, rules),
        Command::Journal(journal) => journal::run(context, journal),
        Command::Events(events) => events::run(context, events),
        Command::Webhooks(webhooks) => webhooks::run(context, webhooks),
        Command::People(people) => people::run(context, people),
        Command::Keys(keys) => keys::run(context, keys),
        Command::Roles(roles) => roles::run(context, roles),
        Command::Approvals(approvals) => approvals::run(context, approvals),
        Command::Login(login) => remote::login(context, login),
        Command::Logout => remote::logout(context),
        Command::Call(call) => remote::call(context, call),
        Command::Serve(serve) => serve::run(context, serve),
        Command::Check => check::run(context),
        Command::Doctor => doctor::run(context),
        Command::Backup(args) => backup::back_up(context, args),
        Command::Restore(args) => backup::restore(context, args),
        Command::Bench(bench) => bench::run(context, bench),
    }
}

/// What went wrong: a sentence for people; with `--json` also the stable code, on standard output.
fn report(context: &Context, e: &Error) {
    eprintln!("tributary: {e}");
    // Standard output is one document: a command that has printed its result has said there what is wrong.
    if context.json && !PRINTED.load(Ordering::Relaxed) {
        say!("{}", serde_json::json!({ "error": { "code": e.code(), "message": e.to_string() } }));
    }
}

/// Whether a result was printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

fn print_line(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    if let Err(e) = writeln!(std::io::stdout(), "{text}") {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        // What was asked for did not arrive: a full disk must not look like success.
        eprintln!("tributary: cannot write the output: {e}");
        std::process::exit(1);
    }
}

/// Prints a document, indented.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Broken(e.to_string()))?;
    PRINTED.store(true, Ordering::Relaxed);
    say!("{text}");
    Ok(())
}
