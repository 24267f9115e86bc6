//! Settlements: how a lump is shared out among products, as the platform's file says.
//!
//! | state | event | next | function |
//! |---|---|---|---|
//! | - | its file is imported before the cash, or the line cannot be told for sure | waiting | [`import`] |
//! | - | its file is imported, and one line that waits is corroborated | carried_out | [`import`] |
//! | waiting | its line comes | carried_out | [`carry_out_at_once`] |
//! | waiting | a person names the line | carried_out | [`apply`] |
//! | waiting | a person gives it up | cancelled | [`cancel`] |
//!
//! A settlement is known by the platform's own name for it: the same content again changes nothing, other content is a
//! conflict. It is carried out at most once, on exactly its amount: Dr suspense, Cr each leaf its net, with the bank's value
//! date. Amount and day alone never find a line; see [`super::announced::Lump`].

pub mod api;

use super::announced::{Lump, last_day, name_key};
use super::moves::{Move, move_line_with};
use super::place::{self, Decision, Evidence, Placement};
use super::settlement_file::{Of, Settlement};
use super::store::settlements::{self as rows, SettlementRow, ShareRow, WaitingLine};
use super::{Refusal, store};
use crate::db::{Conn, Tx};
use crate::error::{Error, Result};
use crate::expectations::matching::{Told, key};
use crate::ledger::{self, AccountId, Posted};
use crate::money::Minor;
use crate::statements;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of a settlement of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The platform's name for it.
    pub settlement: String,
    /// `waiting` or `carried_out`; `cancelled` when it was before.
    pub state: String,
    /// The same settlement came before; nothing was changed now.
    pub known: bool,
    /// The line that it shares out.
    pub line: Option<String>,
    /// The entry that carried it out.
    pub entry: Option<i64>,
    /// Why it waits.
    pub why: Option<String>,
}

/// Takes settlements in, all or none; each whose lump waits already, corroborated and unique, is carried out.
pub fn import(tx: &mut Tx<'_>, name: &str, settlements: &[Settlement]) -> Result<Vec<Imported>> {
    let mut done = take_in(tx, name, settlements)?;
    for one in done.iter_mut().filter(|one| !one.known) {
        let row = rows::need(tx.conn(), &one.settlement)?;
        *one = find_its_line(tx, row)?;
    }
    Ok(done)
}

/// Takes settlements in, and carries each out on the line that a person names.
pub fn import_and_apply(tx: &mut Tx<'_>, name: &str, settlements: &[Settlement], line: &str) -> Result<()> {
    for one in take_in(tx, name, settlements)? {
        apply(tx, &one.settlement, line)?;
    }
    Ok(())
}

fn take_in(tx: &mut Tx<'_>, name: &str, settlements: &[Settlement]) -> Result<Vec<Imported>> {
    let (mut problems, mut judged) = (Vec::new(), Vec::with_capacity(settlements.len()));
    for s in settlements {
        match judge(tx.conn(), s)? {
            Ok(row) => judged.push(row),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Refusal::SettlementProblems { name: name.to_owned(), problems }.into());
    }
    let mut done = Vec::with_capacity(judged.len());
    for (mut row, shares) in judged {
        if let Some(before) = rows::find(tx.conn(), &row.code)? {
            let content = before.content(&rows::shares(tx.conn(), &before.id)?);
            if content != row.content(&shares) {
                return Err(Error::Conflict(format!(
                    "settlement {} was imported with other content from {} by {}; nothing was changed. A correction needs a name of its own, \
                     and the first one cancelled while it waits",
                    row.code, before.file_name, before.made_by
                )));
            }
            done.push(Imported { known: true, ..imported(&before, None) });
            continue;
        }
        name.clone_into(&mut row.file_name);
        rows::insert(tx, &mut row, &shares)?;
        tx.event("settlement.imported", &row.id, None, Some(row.imported(&shares)));
        done.push(imported(&row, None));
    }
    Ok(done)
}

fn imported(row: &SettlementRow, why: Option<String>) -> Imported {
    Imported {
        settlement: row.code.clone(),
        state: row.state.clone(),
        known: false,
        line: row.place(),
        entry: row.entry,
        why,
    }
}

/// The rows of a settlement, or everything that is wrong with it.
type Judged = Result<(SettlementRow, Vec<ShareRow>), Vec<String>>;

fn judge(conn: &mut Conn, s: &Settlement) -> Result<Judged> {
    let at = |line: u64, problem: String| format!("line {line}: {problem}");
    let master = match crate::chart::master(conn, &s.master) {
        Ok(master) => master,
        Err(Error::NotFound(why)) => return Ok(Err(vec![at(s.at, why)])),
        Err(e) => return Err(e),
    };
    let mut problems = Vec::new();
    if master.currency != s.currency.code() {
        let (code, its, said) = (&master.code, &master.currency, s.currency.code());
        problems.push(at(s.at, format!("{code} is kept in {its}, but settlement {} is in {said}", s.code)));
    }
    let leaves = rows::leaves(conn, &master.id)?;
    let mut shares = Vec::with_capacity(s.lines.len());
    for (line, place) in s.lines.iter().zip(0i64..) {
        let found = match &line.of {
            Of::Leaf(code) => {
                leaves.iter().find(|l| l.code == *code).ok_or_else(|| format!("{code} is not a leaf of {}", s.master))
            }
            Of::Product(product, market) => of_product(&leaves, product, market)
                .map_err(|why| format!("{why} of product {product} and market {market} in {}", s.master)),
        };
        match found {
            Err(problem) => problems.push(at(line.at, format!("{problem}; `tributary chart show` lists them"))),
            Ok(leaf) if leaf.state == "closed" => problems.push(at(line.at, format!("{} is closed", leaf.code))),
            Ok(leaf) => shares.push(ShareRow {
                settlement: String::new(),
                place,
                account: leaf.account,
                gross: line.gross,
                commission: line.commission,
                tax: line.tax,
                net: line.net,
                reference: line.item.clone(),
                happened_on: line.item_date,
            }),
        }
    }
    Ok(if problems.is_empty() { Ok((SettlementRow::new(s, &master.id), shares)) } else { Err(problems) })
}

/// The leaf of a product and market: the only one, else the one for its daily business.
fn of_product<'a>(leaves: &'a [rows::LeafRow], product: &str, market: &str) -> Result<&'a rows::LeafRow, String> {
    let of_both = |l: &&rows::LeafRow| l.product.as_deref() == Some(product) && l.market.as_deref() == Some(market);
    let found: Vec<&rows::LeafRow> = leaves.iter().filter(of_both).collect();
    match found.as_slice() {
        [] => Err("there is no leaf".to_owned()),
        [only] => Ok(*only),
        several => {
            let operating: Vec<_> = several.iter().filter(|l| l.code.ends_with("/operating")).collect();
            if let [only] = operating.as_slice() {
                return Ok(**only);
            }
            let codes: Vec<&str> = several.iter().map(|l| l.code.as_str()).collect();
            Err(format!("name one leaf: {} are", codes.join(", ")))
        }
    }
}

/// Carries a new settlement out if its lump waits already, and only if there is no doubt which line it is.
fn find_its_line(tx: &mut Tx<'_>, row: SettlementRow) -> Result<Imported> {
    let lump = row.lump();
    let waiting = rows::waiting_lines(tx.conn(), &row.master, row.total, (row.paid_on, last_day(row.paid_on)))?;
    let corroborated = |w: &&WaitingLine| lump.corroborated_by(&w.told(), w.counterparty_name.as_deref()).is_some();
    let found: Vec<&WaitingLine> = waiting.iter().filter(corroborated).collect();
    let names = |all: &[&WaitingLine]| all.iter().map(|w| w.name()).collect::<Vec<_>>().join(", ");
    let why = match found.as_slice() {
        [only] => {
            // What else says to be this lump speaks against it.
            let rivals = rows::lumps(tx.conn(), &row.master)?.into_iter().filter(|other| other.code != row.code);
            let told = only.told();
            let rivals =
                rivals.filter(|other| other.corroborated_by(&told, only.counterparty_name.as_deref()).is_some());
            let rivals: Vec<String> = rivals.map(|other| other.code).collect();
            if rivals.is_empty() {
                let (field, value) =
                    lump.corroborated_by(&told, only.counterparty_name.as_deref()).unwrap_or(("amount", ""));
                let matched = vec![(field, value.to_owned())];
                carry_out(tx, &row, &only.line, only.detail, matched)?;
                return Ok(imported(&rows::need(tx.conn(), &row.code)?, None));
            }
            format!("{} fits it, but fits {} as well", only.name(), rivals.join(", "))
        }
        [] if waiting.is_empty() => "no line of its amount waits; it is carried out when its lump comes".to_owned(),
        [] => {
            let all: Vec<&WaitingLine> = waiting.iter().collect();
            format!(
                "of its amount {} waits, but neither reference, account nor name is what the file says",
                names(&all)
            )
        }
        several => format!("several lines fit it: {}", names(several)),
    };
    Ok(imported(&row, Some(why)))
}

/// Carries out a settlement whose line has just been posted and waits. What the world refuses (a leaf that was closed since
/// the file came) must not stop the bank's file: then both wait, and an event says why.
pub(super) fn carry_out_at_once(tx: &mut Tx<'_>, code: &str, line: &str, detail: Option<i64>) -> Result<()> {
    let row = rows::need(tx.conn(), code)?;
    match carry_out(tx, &row, line, detail, Vec::new()) {
        Ok(_) => Ok(()),
        Err(no @ Error::Refused { .. }) => {
            let after = serde_json::json!({ "line": line, "code": no.code() });
            tx.event("settlement.held_back", &row.id, None, Some(after.to_string()));
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// A person names the line that a settlement shares out, `LINE/3` for the third payment of one.
pub fn apply(tx: &mut Tx<'_>, code: &str, line: &str) -> Result<Posted> {
    let row = rows::need(tx.conn(), code)?;
    let (line, detail) = super::line_and_payment(line)?;
    carry_out(tx, &row, line, detail, vec![("person", tx.actor().to_string())])
}

/// Dr suspense, Cr each leaf its net, in one linked entry.
fn carry_out(
    tx: &mut Tx<'_>,
    row: &SettlementRow,
    line: &str,
    detail: Option<i64>,
    mut matched: Vec<(&'static str, String)>,
) -> Result<Posted> {
    let code = &row.code;
    if row.state != "waiting" {
        return Err(Refusal::SettlementState { code: code.clone(), state: row.state.clone() }.into());
    }
    let line_row = statements::line(tx.conn(), line)?;
    if line_row.master != row.master {
        let what = format!("line {line} is of another master than settlement {code}");
        return Err(Error::NotFound(what));
    }
    let routes = store::routes_of(tx.conn(), line)?;
    let mut in_force = store::in_force(&routes);
    in_force.retain(|r| detail.is_none() || r.detail == detail);
    if in_force.is_empty() || in_force.iter().any(|r| !r.suspense) {
        return Err(Refusal::NotWaiting { line: line.to_owned() }.into());
    }
    let amount: i64 = in_force.iter().map(|r| r.amount).sum();
    if amount != row.total {
        let currency = rows::currency(tx.conn(), &row.master)?;
        let text = |minor: i64| format!("{} {currency}", Minor(minor).to_text(currency));
        let (line, amount, total) = (line.to_owned(), text(amount), text(row.total));
        return Err(Refusal::OtherAmount { line, amount, code: code.clone(), total }.into());
    }
    let shares = rows::shares(tx.conn(), &row.id)?;
    if let Some(account) = rows::closed(tx.conn(), &shares)?.into_iter().next() {
        return Err(ledger::Refusal::AccountClosed { account }.into());
    }
    matched.insert(0, ("settlement", code.clone()));
    let metadata = metadata(tx.conn(), row, &shares)?;
    let postings: Vec<(AccountId, i64)> = shares.iter().map(|s| (AccountId(s.account), -s.net)).collect();
    let decision = Decision {
        evidence: Evidence::Settlement,
        rule: None,
        matched,
        sentence: format!(
            "settlement {code} of {} says how it is shared out, imported by {}",
            row.platform, row.made_by
        ),
        shares: place::merged(&postings),
        suspense: false,
    };
    let how = format!("by settlement {code}");
    let moved = Move { line: &line_row, detail, how: &how, no_change: "its leaves" };
    let posted = move_line_with(tx, &moved, Some(metadata), |_, _| vec![Placement { detail, amount, decision }])?;
    let route = store::routes_of(tx.conn(), line)?.last().map(|r| r.seq);
    let carried_out = rows::Fate {
        state: "carried_out",
        at: Some((line, detail, route.unwrap_or_default(), posted.number)),
        reason: None,
    };
    change(tx, row, "settlement.carried_out", &carried_out)?;
    Ok(posted)
}

/// A person gives up a settlement that waits, with a reason.
pub fn cancel(tx: &mut Tx<'_>, code: &str, reason: &str) -> Result<()> {
    if reason.trim().chars().count() < 3 {
        return Err(Refusal::NoReason.into());
    }
    let row = rows::need(tx.conn(), code)?;
    if row.state != "waiting" {
        return Err(Refusal::SettlementState { code: row.code, state: row.state }.into());
    }
    change(tx, &row, "settlement.cancelled", &rows::Fate { state: "cancelled", at: None, reason: Some(reason.trim()) })
}

fn change(tx: &mut Tx<'_>, row: &SettlementRow, event: &'static str, fate: &rows::Fate<'_>) -> Result<()> {
    let before = row.standing();
    let after = rows::change(tx, row, fate)?;
    tx.event(event, &row.id, Some(before), Some(after.standing()));
    Ok(())
}

/// What the general ledger wants to know: gross, commission, tax and net in all and of each leaf.
fn metadata(conn: &mut Conn, row: &SettlementRow, shares: &[ShareRow]) -> Result<serde_json::Value> {
    let currency = rows::currency(conn, &row.master)?;
    let codes = rows::codes(conn, shares)?;
    let mut by_leaf: BTreeMap<&str, [i128; 4]> = BTreeMap::new();
    let mut all = [0; 4];
    for s in shares {
        let leaf = codes.get(&s.account).map_or("", String::as_str);
        let sums = by_leaf.entry(leaf).or_default();
        for ((sum, total), part) in sums.iter_mut().zip(&mut all).zip([s.gross, s.commission, s.tax, s.net]) {
            *sum += i128::from(part);
            *total += i128::from(part);
        }
    }
    let text = |sum: i128| Minor::from_sum(sum).map(|m| m.to_text(currency)).map_err(|e| Error::Broken(e.to_string()));
    let json = |sums: [i128; 4]| -> Result<serde_json::Value> {
        let [gross, commission, tax, net] = sums.map(text);
        Ok(serde_json::json!({ "gross": gross?, "commission": commission?, "tax": tax?, "net": net? }))
    };
    let mut leaves = serde_json::Map::new();
    for (leaf, sums) in by_leaf {
        leaves.insert(leaf.to_owned(), json(sums)?);
    }
    let all = json(all)?;
    Ok(serde_json::json!({ "settlement": row.code, "currency": currency.code(), "total": all, "leaves": leaves }))
}

/// A settlement as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The platform's name for it.
    pub settlement: String,
    /// `waiting`, `carried_out` or `cancelled`.
    pub state: String,
    /// Who pays.
    pub platform: String,
    /// Code of the master.
    pub master: String,
    /// ISO 4217.
    pub currency: String,
    /// The lump.
    pub total: String,
    /// When the platform has paid it.
    pub paid_on: NaiveDate,
    /// The reference that the payment carries.
    pub reference: Option<String>,
    /// The account that it comes from.
    pub payer_account: Option<String>,
    /// The line that it shares out.
    pub line: Option<String>,
    /// The entry that carried it out.
    pub entry: Option<i64>,
    /// What became of the line since, when it was moved again.
    pub since: Option<String>,
    /// The file that it came in, and who imported it.
    pub file: String,
    /// Who imported it.
    pub made_by: String,
    /// Who carried it out or cancelled it.
    pub decided_by: Option<String>,
    /// Why it was cancelled.
    pub reason: Option<String>,
    /// Its lines; left out in a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ShownShare>,
}

/// What a leaf gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the file")]
pub struct ShownShare {
    pub leaf: String,
    pub gross: String,
    pub commission: String,
    pub tax: String,
    pub net: String,
    pub item: Option<String>,
    pub item_date: Option<NaiveDate>,
}

/// Settlements, newest payment first.
pub fn list(conn: &mut Conn, master: Option<&str>, state: Option<&str>) -> Result<Vec<Shown>> {
    let master = master.map(|code| crate::chart::master(conn, code)).transpose()?;
    let found = rows::list(conn, master.as_ref().map(|m| m.id.as_str()), state)?;
    found.into_iter().map(|row| shown(conn, row)).collect()
}

/// One settlement with its lines.
pub fn show(conn: &mut Conn, code: &str) -> Result<Shown> {
    let row = rows::need(conn, code)?;
    let shares = rows::shares(conn, &row.id)?;
    let codes = rows::codes(conn, &shares)?;
    let currency = rows::currency(conn, &row.master)?;
    let text = |minor: i64| Minor(minor).to_text(currency);
    let lines = shares.iter().map(|s| ShownShare {
        leaf: codes.get(&s.account).cloned().unwrap_or_default(),
        gross: text(s.gross),
        commission: text(s.commission),
        tax: text(s.tax),
        net: text(s.net),
        item: s.reference.clone(),
        item_date: s.happened_on,
    });
    let lines = lines.collect();
    Ok(Shown { lines, ..shown(conn, row)? })
}

fn shown(conn: &mut Conn, row: SettlementRow) -> Result<Shown> {
    let currency = rows::currency(conn, &row.master)?;
    let mut since = None;
    if let (Some(line), Some(route)) = (&row.line, row.route) {
        let routes = store::routes_of(conn, line)?;
        let touches = |d: Option<i64>| d.is_none() || row.detail.is_none() || d == row.detail;
        let newest = routes.iter().rev().find(|r| r.seq > route && touches(r.detail));
        since = newest.map(|r| format!("the line was moved since ({}): {}", r.evidence, r.sentence));
    }
    Ok(Shown {
        line: row.place(),
        master: rows::master_code(conn, &row.master)?,
        currency: currency.code().to_owned(),
        total: Minor(row.total).to_text(currency),
        since,
        settlement: row.code,
        state: row.state,
        platform: row.platform,
        paid_on: row.paid_on,
        reference: row.reference,
        payer_account: row.payer_account,
        entry: row.entry,
        file: row.file_name,
        made_by: row.made_by,
        decided_by: row.decided_by,
        reason: row.reason,
        lines: Vec::new(),
    })
}

impl SettlementRow {
    /// As matching needs it.
    pub(super) fn lump(&self) -> Lump {
        Lump {
            code: self.code.clone(),
            total: self.total,
            paid_on: self.paid_on,
            platform: name_key(&self.platform),
            payer: self.payer_account.as_deref().and_then(key),
            reference: self.reference.as_deref().and_then(key),
        }
    }

    /// The line that it shares out, as people name it.
    fn place(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        Some(self.detail.map_or_else(|| line.clone(), |d| format!("{line}/{}", d + 1)))
    }
}

impl WaitingLine {
    fn told(&self) -> Told<'_> {
        let references = [
            ("end_to_end_id", self.end_to_end_id.as_deref()),
            ("creditor_reference", self.creditor_reference.as_deref()),
            ("remittance", self.remittance.as_deref()),
        ];
        Told::new((self.amount, self.booked_on), &references, self.counterparty_account.as_deref())
    }

    fn name(&self) -> String {
        self.detail.map_or_else(|| self.line.clone(), |d| format!("{}/{}", self.line, d + 1))
    }
}
