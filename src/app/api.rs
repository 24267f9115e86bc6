//! What is of no single feature, over HTTP: the treasury file, seals, and jobs.

use super::TreasuryFile;
use crate::access::Permission;
use crate::chart;
use crate::db::jobs::{self, Job};
use crate::db::seal::hex;
use crate::db::{SealView, Tx, seals_page};
use crate::doctor;
use crate::error::{Error, Result};
use crate::four_eyes;
use crate::http::{Asked, Call, Limit, Nothing, Operation, Page, Paging, get, post};
use crate::ledger::check::Violation;
use crate::time::{from_stored, rfc3339};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of the treasury as a whole.
pub fn operations() -> Vec<Operation> {
    vec![
        post("/v1/chart", "chart.apply", "Make what a treasury file describes and is not there yet, all or nothing")
            .may(Permission::ChartChange)
            .dry_runs()
            .writes(apply),
        get(
            "/v1/chart/sheet",
            "chart.export",
            "The products' sub-accounts as CSV, with the columns that importing reads",
        )
        .may(Permission::ChartRead)
        .tells("text/csv; charset=utf-8", export),
        post(
            "/v1/chart/sheet",
            "chart.import",
            "Make and change many sub-accounts from a CSV, all or nothing; the same again changes nothing",
        )
        .may(Permission::ChartChange)
        .dry_runs()
        .takes(import),
        get("/v1/seals", "seals.list", "Seals of the journal, the newest first").may(Permission::ProofRun).reads(seals),
        get("/v1/seals/{number}", "seals.show", "One seal").may(Permission::ProofRun).reads(seal),
        get("/v1/jobs", "jobs.list", "Long work, the newest first").may(Permission::StatementsRead).reads(all_jobs),
        get("/v1/jobs/{job}", "jobs.show", "One piece of long work").may(Permission::StatementsRead).reads(one_job),
    ]
}

/// A treasury file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChartText {
    /// The text of the TOML file.
    toml: String,
}

/// What applying it has made. All empty: there was nothing new.
#[derive(Serialize, JsonSchema)]
struct AppliedChart {
    /// Whether everything was there already.
    nothing_new: bool,
    /// Codes of new entities.
    entities: Vec<String>,
    /// Codes of new banks.
    banks: Vec<String>,
    /// Codes of new products.
    products: Vec<String>,
    /// Codes of new markets.
    markets: Vec<String>,
    /// Codes of new masters.
    masters: Vec<String>,
    /// New leaves.
    leaves: Vec<MadeLeaf>,
    /// What has another name or other metadata now.
    updated: Vec<String>,
    /// New versions of rules.
    rules: usize,
    /// Codes of calendars that are new or have other days.
    calendars: Vec<String>,
    /// Names of settings that have another value.
    settings: Vec<String>,
}

/// A leaf that was made.
#[derive(Serialize, JsonSchema)]
struct MadeLeaf {
    /// Its path.
    code: String,
    /// What payers write.
    virtual_number: String,
}

fn apply(tx: &mut Tx<'_>, asked: &Asked<Nothing, ChartText>) -> Result<AppliedChart> {
    tx.scope().need_everything("a treasury file")?;
    let file = TreasuryFile::parse(&asked.body.toml)?;
    if !file.rule.is_empty() {
        return Err(Error::Forbidden(
            "the chart is not the place for rules: whoever may change them does so by POST /v1/rules; leave [[rule]] out".to_owned(),
        ));
    }
    let applied = super::apply_in(tx, file)?;
    let nothing_new = applied.nothing_new();
    let leaf = |l: crate::chart::NewLeaf| MadeLeaf { code: l.code, virtual_number: l.virtual_number };
    Ok(AppliedChart {
        nothing_new,
        entities: applied.chart.entities,
        banks: applied.chart.banks,
        products: applied.chart.products,
        markets: applied.chart.markets,
        masters: applied.chart.masters,
        leaves: applied.chart.leaves.into_iter().map(leaf).collect(),
        updated: applied.chart.updated,
        rules: applied.rules,
        calendars: applied.calendars,
        settings: applied.settings,
    })
}

/// What importing a sheet has made. All empty: there was nothing new.
#[derive(Serialize, JsonSchema)]
struct ImportedSheet {
    /// Whether everything was there already.
    nothing_new: bool,
    /// New leaves.
    leaves: Vec<MadeLeaf>,
    /// What has another name, other metadata or other limits now.
    updated: Vec<String>,
}

fn import(tx: &mut Tx<'_>, asked: &Asked<Nothing, Vec<u8>>) -> Result<ImportedSheet> {
    tx.scope().need_everything("a sheet of sub-accounts")?;
    let wrong = |problems: Vec<chart::LineProblem>| Error::from(chart::Refusal::Sheet(problems));
    let not_utf8 = || chart::LineProblem { line: 0, problem: "it is not UTF-8; save it so".to_owned() };
    let text = std::str::from_utf8(&asked.body).map_err(|_| wrong(vec![not_utf8()]))?;
    let sheet = chart::read_sheet(text).map_err(wrong)?;
    let applied = four_eyes::import_sheet(tx, &sheet)?;
    let leaf = |l: chart::NewLeaf| MadeLeaf { code: l.code, virtual_number: l.virtual_number };
    Ok(ImportedSheet {
        nothing_new: applied.nothing_new(),
        leaves: applied.leaves.into_iter().map(leaf).collect(),
        updated: applied.updated,
    })
}

fn export(call: &Call) -> Result<String> {
    call.scope().need_everything("the sheet of all sub-accounts")?;
    call.read(|conn| chart::export(conn, None))
}

/// What one commit added, hashed onto the seal before it.
#[derive(Serialize, JsonSchema)]
struct Seal {
    /// Its number.
    number: i64,
    /// When it was recorded; RFC 3339.
    recorded_at: String,
    /// Its first entry; none where the last one is smaller.
    first_entry: i64,
    /// Its last entry.
    last_entry: i64,
    /// Its first event; none where the last one is smaller.
    first_event: i64,
    /// Its last event.
    last_event: i64,
    /// The Merkle root over them; hexadecimal.
    root: String,
    /// Its hash, which the next one carries; hexadecimal.
    hash: String,
}

fn seal_of(s: SealView) -> Seal {
    Seal {
        number: s.number,
        recorded_at: rfc3339(s.recorded_at),
        first_entry: s.entries.0,
        last_entry: s.entries.1,
        first_event: s.events.0,
        last_event: s.events.1,
        root: hex(&s.root),
        hash: hex(&s.hash),
    }
}

fn seals(call: &Call, paging: &Paging) -> Result<Page<Seal>> {
    let (before, limit) = (call.position_number()?.unwrap_or(i64::MAX), Limit::of(paging.limit));
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut found = match call.scope().is_everything() {
        true => call.read(|conn| seals_page(conn, before, most))?,
        false => Vec::new(),
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|s| s.number.to_string());
    Ok(call.page(found.into_iter().map(seal_of).collect(), next))
}

fn seal(call: &Call, _: &Nothing) -> Result<Seal> {
    let text = call.path("number");
    let absent = || Error::NotFound(format!("there is no seal {text}"));
    let number: i64 = text.parse().map_err(|_| absent())?;
    if !call.scope().is_everything() {
        return Err(absent());
    }
    let found = call.read(|conn| seals_page(conn, number.saturating_add(1), 1))?;
    found.into_iter().find(|s| s.number == number).map(seal_of).ok_or_else(absent)
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Violated {
    /// Its number, such as `I3`.
    invariant: String,
    /// For people.
    what: String,
}

impl From<Violation> for Violated {
    fn from(v: Violation) -> Violated {
        Violated { invariant: v.invariant.to_owned(), what: v.what }
    }
}

/// A piece of long work.
#[derive(Serialize, JsonSchema)]
struct LongWork {
    /// Its id.
    id: String,
    /// What is done: `statement.post` posts the lines of a bank file, `check` proves everything.
    kind: String,
    /// To what: the file's id.
    subject: String,
    /// `ready` (also while it is worked on), `done` or `failed`.
    state: String,
    /// How far it is; of a proof, what it has found is at /v1/check.
    progress: Option<serde_json::Value>,
    /// When it was accepted; RFC 3339.
    created_at: String,
    /// Why it failed, and what to do.
    problem: Option<String>,
}

fn job_of(j: Job) -> LongWork {
    let mut progress: Option<serde_json::Value> = serde_json::from_str(&j.cursor).ok();
    if j.kind == super::proof::JOB
        && let Some(found) = progress.as_mut().and_then(|p| p.as_object_mut())
    {
        // Whoever may see jobs need not see what a proof has found.
        found.retain(|name, _| ["entries", "entries_of"].contains(&name.as_str()));
    }
    let mend = doctor::mend_of(&j.kind);
    LongWork {
        progress,
        created_at: rfc3339(from_stored(j.created_at)),
        id: j.id,
        kind: j.kind,
        subject: j.subject,
        state: j.state,
        problem: j.problem.map(|why| format!("{why}; {mend}")),
    }
}

fn all_jobs(call: &Call, paging: &Paging) -> Result<Page<LongWork>> {
    let limit = Limit::of(paging.limit);
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut found = match call.scope().is_everything() {
        true => call.read(|conn| jobs::page(conn, call.position(), most))?,
        false => Vec::new(),
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|j| j.id.clone());
    Ok(call.page(found.into_iter().map(job_of).collect(), next))
}

fn one_job(call: &Call, _: &Nothing) -> Result<LongWork> {
    let id = call.path("job");
    if !call.scope().is_everything() {
        return Err(Error::NotFound(format!("there is no job {id}")));
    }
    call.read(|conn| jobs::job(conn, id)).map(job_of)
}
