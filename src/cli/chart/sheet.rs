//! `tributary chart import | export`: many sub-accounts at once, as CSV.

use crate::chart;
use crate::cli::table::table;
use crate::cli::{Context, print_json};
use crate::error::{Error, Result};
use crate::four_eyes;
use serde_json::json;
use std::path::PathBuf;

/// How many codes are listed for people; with --json all are.
const LISTED: usize = 20;

/// A sheet of sub-accounts to be taken in.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// CSV with a column code and any of name, kind, product, market, owner, floor, ceiling, movement_limit, expires_on,
    /// virtual_number, metadata.KEY
    file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    plan: bool,
}

/// Sub-accounts to be written as a sheet.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// As CSV, the columns that import reads; the only form there is
    #[arg(long)]
    csv: bool,
    /// Only this master
    #[arg(long, value_name = "CODE")]
    master: Option<String>,
}

/// Makes the leaves of a sheet, all or nothing.
pub fn import(context: &Context, args: &Import) -> Result<()> {
    let path = args.file.display();
    let bytes = std::fs::read(&args.file).map_err(|e| Error::NotFound(format!("cannot read {path}: {e}")))?;
    let not_utf8 = |_| {
        chart::Refusal::Sheet(vec![chart::LineProblem { line: 0, problem: "it is not UTF-8; save it so".to_owned() }])
    };
    let text = String::from_utf8(bytes).map_err(|e| Error::from(not_utf8(e)).within(&path))?;
    let sheet = chart::read_sheet(&text).map_err(|p| Error::from(chart::Refusal::Sheet(p)).within(&path))?;
    if args.plan {
        return plan(context, &args.file, &sheet);
    }
    let db = context.open_treasury()?;
    let applied = db.write("chart.import", &context.who, move |tx| four_eyes::import_sheet(tx, &sheet));
    let applied = applied.map_err(|e| e.within(&path))?;
    if context.json {
        let mut shown = serde_json::to_value(&applied).map_err(|e| Error::Broken(e.to_string()))?;
        shown["nothing_new"] = json!(applied.nothing_new());
        return print_json(&shown);
    }
    if applied.nothing_new() {
        say!("{path}: nothing new: the chart has all of it already");
        return Ok(());
    }
    let mut lines = table(&["new leaf", "virtual account number"]);
    for leaf in applied.leaves.iter().take(LISTED) {
        lines.add_row([&leaf.code, &leaf.virtual_number]);
    }
    if !applied.leaves.is_empty() {
        say!("{lines}");
    }
    if applied.leaves.len() > LISTED {
        say!("and {} more; `tributary chart export --csv` has all numbers", applied.leaves.len() - LISTED);
    }
    list("changed", &applied.updated);
    Ok(())
}

fn plan(context: &Context, path: &std::path::Path, sheet: &chart::Sheet) -> Result<()> {
    let planned = context.open_to_read()?.read(|conn| chart::plan_import(conn, sheet));
    let planned = planned.map_err(|e| e.within(path.display()))?;
    if context.json {
        return print_json(&planned);
    }
    say!("nothing was changed; importing it would leave {} as they are", planned.unchanged);
    list("new", &planned.new);
    list("other names or metadata", &planned.relabelled);
    list("other limits", &planned.limited);
    Ok(())
}

fn list(what: &str, codes: &[String]) {
    if !codes.is_empty() {
        let more = if codes.len() > LISTED { format!(" and {} more", codes.len() - LISTED) } else { String::new() };
        let listed: Vec<&str> = codes.iter().take(LISTED).map(String::as_str).collect();
        say!("{what} ({}): {}{more}", codes.len(), listed.join(", "));
    }
}

/// Writes the leaves as CSV.
pub fn export(context: &Context, args: &Export) -> Result<()> {
    let csv = context.open_to_read()?.read(|conn| chart::export(conn, args.master.as_deref()))?;
    if context.json {
        return print_json(&json!({ "csv": csv }));
    }
    say!("{}", csv.trim_end_matches('\n'));
    Ok(())
}
