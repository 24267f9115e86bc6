//! `tributary statement`: look into bank files, take them in, and see what became of them.

use super::profile::ProfileArgs;
use super::table::{grouped, table};
use super::{Context, print_json};
use crate::allocation::{self, intake};
use crate::banking::{Profiles, inspect};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::money::Minor;
use crate::statements::{self, Remark, StatementRow};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// What is to be done with statements.
#[derive(Debug, clap::Subcommand)]
pub enum Statement {
    /// Parse bank files and print what they say, without a database; with --json one document for each file
    Inspect {
        /// Bank files: camt.052, .053, .054, MT940, MT942, BAI2 or OFX, also in zip or gzip, recognised by their content,
        /// and CSV by a profile
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        profiles: ProfileArgs,
    },
    /// Take bank files in: every line becomes somebody's money, or waits in suspense
    Import {
        /// Bank files, or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        profiles: ProfileArgs,
    },
    /// Accept a statement that waits, because it contradicts itself or restates another
    Accept(super::healing::Decide),
    /// Reject a statement that waits: nothing of it is ever posted
    Reject(super::healing::Decide),
    /// Take back a line that was notified as booked and that no statement has
    Withdraw(super::healing::Withdraw),
    /// What the bank's messages leave open, each by its name
    Breaks,
    /// How a bank reports on a master: shown, or set
    Profile(super::healing::SetProfile),
    /// List statements that should be here by now and are not
    Due(super::statement_due::Due),
    /// List the statements that came, or show one with its lines and where each went
    Show {
        /// A statement's id; left out: the newest files and their statements
        id: Option<String>,
        /// How many files to list
        #[arg(long, default_value_t = 20)]
        limit: i64,
    },
}

/// Runs a subcommand.
pub fn run(context: &Context, command: &Statement) -> Result<()> {
    match command {
        Statement::Inspect { files, profiles } => inspect_files(context, files, &profiles.read(context)?),
        Statement::Import { files, profiles } => import(context, files, &profiles.read(context)?),
        Statement::Accept(decide) => super::healing::accept(context, decide),
        Statement::Reject(decide) => super::healing::reject(context, decide),
        Statement::Withdraw(asked) => super::healing::withdraw(context, asked),
        Statement::Breaks => super::healing::breaks(context),
        Statement::Profile(profile) => super::healing::profile(context, profile),
        Statement::Due(due) => super::statement_due::run(context, due),
        Statement::Show { id: Some(id), .. } => show(context, id),
        Statement::Show { id: None, limit } => list(context, *limit),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::NotFound(format!("cannot open {}: {e}", path.display())))
}

fn inspect_files(context: &Context, files: &[PathBuf], profiles: &Profiles) -> Result<()> {
    let mut unusable = 0;
    for path in files {
        let found = match open(path) {
            Ok(file) => inspect::inspect_with(BufReader::new(file), profiles),
            Err(e) if files.len() > 1 => {
                eprintln!("tributary: {e}");
                unusable += 1;
                continue;
            }
            Err(e) => return Err(e),
        };
        unusable += usize::from(!found.usable());
        if context.json {
            print_json(&found)?;
        } else {
            print_inspection(path, &found);
        }
    }
    if unusable > 0 {
        return Err(Error::Refused {
            code: "unreadable_file",
            message: format!(
                "{unusable} of {} files would not be taken in whole; the reasons stand above",
                files.len()
            ),
        });
    }
    Ok(())
}

fn print_inspection(path: &Path, found: &inspect::Inspection) {
    say!("{}: {}", path.display(), found.format.unwrap_or("not a statement that can be read"));
    let mut shown =
        table(&["role", "account", "currency", "id", ">opening", ">credits", ">debits", ">closing", ">lines"]);
    for s in &found.statements {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        let figure = |t: &Option<String>| t.as_ref().map(grouped).unwrap_or_default();
        shown.add_row([
            s.role.to_owned(),
            text(&s.account),
            s.currency.unwrap_or_default().to_owned(),
            text(&s.id),
            figure(&s.opening),
            figure(&s.credit_total),
            figure(&s.debit_total),
            figure(&s.closing),
            s.line_count.to_string(),
        ]);
    }
    if !found.statements.is_empty() {
        say!("{shown}");
    }
    for p in &found.problems {
        say!("  {}: {}", p.at, p.problem);
    }
}

fn import(context: &Context, paths: &[PathBuf], profiles: &Profiles) -> Result<()> {
    let db = context.open_treasury()?;
    let mut skipped = 0;
    let files = files_in(paths, profiles, &mut skipped)?;
    if skipped > 0 {
        eprintln!("tributary: {skipped} files in those folders are no bank files and were left out");
    }
    intake::resume(&db, &context.who, &mut |_, _| {})?;
    let bar = context.progress(0, "lines");
    let (mut results, mut failed) = (Vec::new(), 0);
    for path in &files {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        bar.set_message(name.clone());
        let open_again = || File::open(path).map(|f| Box::new(f) as Box<dyn Read>);
        let taken = open(path).and_then(|_| {
            let arrival = intake::Arrival { name: &name, channel: "cli", profiles };
            intake::take_in_by(&db, &context.who, &arrival, &open_again, &mut |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            })
        });
        let result = match taken {
            Ok(taken) => taken_json(path, &taken),
            Err(e @ (Error::Refused { .. } | Error::NotFound(_))) => {
                json!({ "file": path.display().to_string(), "outcome": "refused", "code": e.code(), "problem": e.to_string() })
            }
            // Not this file's fault: the rest would meet it too.
            Err(e) => return Err(e.within(path.display())),
        };
        failed += usize::from(
            result["outcome"] == "refused" || result["statements"].as_array().is_some_and(|s| s.iter().any(held_back)),
        );
        if !context.json {
            bar.suspend(|| print_taken(&result));
        }
        results.push(result);
    }
    bar.finish_and_clear();
    if context.json {
        print_json(&json!({ "files": results }))?;
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Error::Refused {
        code: "not_all_taken_in",
        message: format!("{failed} of {} files were not taken in whole; the reasons stand above", files.len()),
    })
}

fn held_back(statement: &Value) -> bool {
    ["refused", "quarantined", "restated"].iter().any(|s| statement["state"] == *s)
}

/// The files that are named, and the bank files in folders that are named, by name; hidden ones are left out.
fn files_in(paths: &[PathBuf], profiles: &Profiles, skipped: &mut u64) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |e: std::io::Error| Error::NotFound(format!("cannot read {}: {e}", path.display()));
        let inside = std::fs::read_dir(path).map_err(failed)?.map(|e| e.map(|e| e.path()));
        let mut inside = inside.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        inside.sort();
        for entry in inside {
            let hidden = entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if entry.is_dir() && !hidden {
                files.extend(files_in(&[entry], profiles, skipped)?);
            } else if !hidden && looks_like_a_statement(&entry, profiles) {
                files.push(entry);
            } else {
                *skipped += 1;
            }
        }
    }
    Ok(files)
}

/// Whether the first bytes of a file are those of a format that is read. A file that is named is taken as it is; one that
/// merely lies in a folder may be anything.
fn looks_like_a_statement(path: &Path, profiles: &Profiles) -> bool {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|f| f.take(8 * 1024).read_to_end(&mut first));
    read.is_ok() && (profiles.detect(&first).is_some() || crate::banking::may_hold_statements(&first))
}

fn remarks(json: &str) -> Vec<Remark> {
    serde_json::from_str(json).unwrap_or_default()
}

fn taken_json(path: &Path, taken: &intake::TakenIn) -> Value {
    let statement = |s: &StatementRow| {
        json!({
            "id": s.id, "state": s.state, "account": s.account_number, "currency": s.currency, "number": s.number,
            "closing_on": s.closing_on, "lines": s.line_count, "same_as": s.same_as, "problems": remarks(&s.problems),
        })
    };
    json!({
        "file": path.display().to_string(),
        "id": taken.file.id,
        "outcome": if taken.already { "already_imported" } else { "imported" },
        "new_lines": taken.new_lines,
        "known_lines": taken.known_lines,
        "statements": taken.statements.iter().map(statement).collect::<Vec<_>>(),
    })
}

fn print_taken(result: &Value) {
    let file = result["file"].as_str().unwrap_or_default();
    match result["outcome"].as_str() {
        Some("refused") => say!("{file}: refused: {}", result["problem"].as_str().unwrap_or_default()),
        Some("already_imported") => {
            say!("{file}: already imported as {}; nothing changed", result["id"].as_str().unwrap_or_default())
        }
        _ => say!("{file}: {} new lines, {} known from other files", result["new_lines"], result["known_lines"]),
    }
    for s in result["statements"].as_array().into_iter().flatten() {
        let state = s["state"].as_str().unwrap_or_default();
        let account = s["account"].as_str().unwrap_or("an account without a number");
        match state {
            "posted" | "posting" => {}
            "already_imported" => {
                say!("  {account}: already imported as {}", s["same_as"].as_str().unwrap_or_default())
            }
            "copy" => say!("  {account}: marked by the bank as a copy; nothing posted"),
            "restated" => say!(
                "  {account}: restates {} with other content; nothing posted until a person decides (see `tributary statement show {}`)",
                s["same_as"].as_str().unwrap_or_default(),
                s["id"].as_str().unwrap_or_default()
            ),
            state => say!("  {account}: {state}; nothing posted"),
        }
        for p in s["problems"].as_array().into_iter().flatten().filter(|_| held_back(s)) {
            say!("    {}: {}", p["at"].as_str().unwrap_or_default(), p["problem"].as_str().unwrap_or_default());
        }
    }
}

fn list(context: &Context, limit: i64) -> Result<()> {
    let db = context.open_to_read()?;
    let (found, gaps) = db.read(|conn| {
        let files = statements::files(conn, limit)?.into_iter();
        let found = files.map(|f| Ok((statements::statements_of_file(conn, &f.id)?, f))).collect::<Result<Vec<_>>>()?;
        Ok((found, statements::all_gaps(conn)?))
    })?;
    if context.json {
        let all: Vec<Value> = found
            .iter()
            .map(|(statements, f)| {
                json!({
                    "id": f.id, "name": f.name, "format": f.format, "channel": f.channel, "origin": f.origin, "sha256": f.sha256,
                    "size": f.size, "received_at": crate::time::rfc3339(crate::time::from_stored(f.received_at)), "state": f.state,
                    "problems": remarks(&f.problems), "statements": statements.iter().map(statement_json).collect::<Vec<_>>(),
                })
            })
            .collect();
        return print_json(&json!({ "files": all, "gaps": gaps }));
    }
    let mut shown = table(&["statement", "file", "account", "closing", ">balance", ">lines", "state"]);
    for (statements, file) in &found {
        for s in statements {
            let closing = s.closing_on.map(|d| d.to_string()).unwrap_or_default();
            let balance = amount(s.closing, s.currency.as_deref());
            let account = s.account_number.clone().unwrap_or_default();
            shown.add_row([
                s.id.clone(),
                file.name.clone(),
                account,
                closing,
                balance.unwrap_or_default(),
                s.line_count.to_string(),
                s.state.clone(),
            ]);
        }
        if statements.is_empty() {
            let why = remarks(&file.problems).first().map(|r| r.problem.clone()).unwrap_or_default();
            shown.add_row([
                String::new(),
                file.name.clone(),
                why,
                String::new(),
                String::new(),
                String::new(),
                file.state.clone(),
            ]);
        }
    }
    if found.is_empty() {
        say!("No statement has come yet; `tributary statement import FILE` takes one in.");
        return Ok(());
    }
    say!("{shown}");
    for gap in &gaps {
        say!("{gap}");
    }
    Ok(())
}

fn amount(minor: Option<i64>, currency: Option<&str>) -> Option<String> {
    let currency = currency?.parse().ok()?;
    minor.map(|m| Minor(m).to_text(currency))
}

fn statement_json(s: &StatementRow) -> Value {
    let currency = s.currency.as_deref();
    json!({
        "id": s.id, "state": s.state, "account": s.account_number, "currency": s.currency, "format": s.format,
        "message_id": s.message_id, "statement_id": s.statement_id, "number": s.number, "page": s.page,
        "opening": amount(s.opening, currency), "opening_on": s.opening_on, "closing": amount(s.closing, currency),
        "closing_on": s.closing_on, "line_count": s.line_count, "credit_total": amount(Some(s.credit_total), currency),
        "debit_total": amount(Some(s.debit_total), currency), "same_as": s.same_as, "problems": remarks(&s.problems),
    })
}

fn show(context: &Context, id: &str) -> Result<()> {
    let db = context.open_to_read()?;
    let (file, statement, lines, difference) = db.read(|conn| {
        let statement = statements::statement(conn, id)?;
        let lines = lines_json(conn, &statement)?;
        let file = statements::file(conn, &statement.file)?;
        Ok((file, statement_json(&statement), lines, statement))
    })?;
    let difference = match &difference.same_as {
        Some(other) if difference.state == "restated" => Some(intake::difference(&db, &difference, other)?),
        _ => None,
    };
    if context.json {
        let file = json!({ "id": file.id, "name": file.name, "channel": file.channel, "origin": file.origin, "sha256": file.sha256 });
        return print_json(&json!({ "statement": statement, "file": file, "lines": lines, "difference": difference }));
    }
    say!(
        "statement {id} ({}), account {}",
        statement["state"].as_str().unwrap_or_default(),
        text(&statement["account"])
    );
    say!(
        "opening {} on {}, closing {} on {}",
        text(&statement["opening"]),
        text(&statement["opening_on"]),
        text(&statement["closing"]),
        text(&statement["closing_on"])
    );
    say!("from {} by {}, origin: {}", file.name, file.channel, file.origin);
    for p in statement["problems"].as_array().into_iter().flatten() {
        say!("  {}: {}", text(&p["at"]), text(&p["problem"]));
    }
    if let Some(difference) = &difference {
        say!("it differs from {}:", text(&statement["same_as"]));
        for line in difference {
            say!(
                "  {} {} {} {}",
                line.sign,
                line.day,
                amount(Some(line.amount), statement["currency"].as_str()).unwrap_or_default(),
                line.text
            );
        }
    }
    let mut shown = table(&["line", "booked", "valued", ">amount", "~counterparty", "~went to", "~why"]);
    for line in &lines {
        shown.add_row(
            ["id", "booked_on", "valued_on", "amount", "counterparty_name", "to", "why"].map(|f| text(&line[f])),
        );
    }
    say!("{shown}");
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

fn lines_json(conn: &mut Conn, statement: &StatementRow) -> Result<Vec<Value>> {
    let currency = statement.currency.as_deref();
    let codes: std::collections::HashMap<i64, String> =
        crate::ledger::accounts(conn)?.into_iter().map(|a| (a.id, a.code)).collect();
    let mut all = Vec::new();
    for line in statements::lines_of(conn, &statement.id)? {
        let routes = allocation::routes_of(conn, &line.id)?;
        let in_force = allocation::in_force(&routes);
        let shares: Vec<_> = in_force.iter().map(|r| r.shares()).collect::<Result<Vec<_>>>()?.concat();
        let mut to: Vec<String> =
            shares.iter().map(|(account, _)| codes.get(&account.0).cloned().unwrap_or_default()).collect();
        to.dedup();
        let why: Vec<&str> = in_force.iter().map(|r| r.sentence.as_str()).collect();
        all.push(json!({
            "id": line.id, "booked_on": line.booked_on, "valued_on": line.valued_on, "amount": amount(Some(line.amount), currency),
            "reversal": line.reversal, "posting": line.posting, "bank_ref": line.bank_ref, "end_to_end_id": line.end_to_end_id,
            "counterparty_name": line.counterparty_name, "remittance": line.remittance, "code": line.code, "details": line.detail_count,
            "to": to.join(", "), "entry": routes.last().map(|r| r.entry), "why": (!why.is_empty()).then(|| why.join("; ")),
        }));
    }
    Ok(all)
}
