//! The verbs of the bank: statements as it would send them, written to bytes and taken in as any file is, and the placing
//! of what they bring.

use super::script::{Outcome, Step, Words};
use super::verbs::{LINE_FLAGS, LINE_KEYS};
use super::world::{World, Written, answer, day, list, text};
use chrono::NaiveDate;
use std::io::{Cursor, Read};
use tributary::allocation::RouteRow;
use tributary::allocation::intake::{self, TakenIn};
use tributary::banking::write::{Camt, Camt053, Dialect, Entry, Statement, Totals, Version, mt940};
use tributary::banking::{Balance, Detail, Direction, Role, Status};
use tributary::ledger::AccountRow;
use tributary::money::{Currency, Minor};
use tributary::statements::{Remark, StatementRow};
use tributary::{allocation, chart, ledger, statements};

/// `statement S1 master=de-eur day=2026-03-02`, its lines below: `+250.00 from="Apple Inc" va=tiktok label=L1`.
pub fn statement(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = write(world, &step.words, step.name(), &step.body)?;
    if step.words.has("later") {
        return Ok(Outcome::Done(Vec::new()));
    }
    let file = world.written.get(&name).map(|w| w.file.clone()).unwrap_or_default();
    send_file(world, &[name], &file)
}

/// `report R1 master=de-eur`: the day so far, as a camt.052; its lines below.
pub fn report(world: &mut World, step: &Step) -> Result<Outcome, String> {
    early(world, step, "camt.052")
}

/// `notification N1 master=de-eur`: single bookings as they happen, as a camt.054; its lines below.
pub fn notification(world: &mut World, step: &Step) -> Result<Outcome, String> {
    early(world, step, "camt.054")
}

fn early(world: &mut World, step: &Step, format: &str) -> Result<Outcome, String> {
    let mut head = step.words.clone();
    head.pairs.push(("format".to_owned(), format.to_owned()));
    let master = head.need("master")?.to_owned();
    // Messages during the day have numbers of their own, and move no balance of the bank's books.
    let before = world.accounts.get(&master).map(|a| (a.balance, a.statements));
    if head.get("number").is_none() {
        head.pairs.push(("number".to_owned(), (1_000 + world.written.len()).to_string()));
    }
    if head.get("id").is_none() {
        head.pairs.push(("id".to_owned(), step.need_name()?.to_owned()));
    }
    let name = write(world, &head, step.name(), &step.body)?;
    if let (Some(account), Some((balance, statements))) = (world.accounts.get_mut(&master), before) {
        (account.balance, account.statements) = (balance, statements);
    }
    if step.words.has("later") {
        return Ok(Outcome::Done(Vec::new()));
    }
    let file = world.written.get(&name).map(|w| w.file.clone()).unwrap_or_default();
    send_file(world, &[name], &file)
}

/// Names the lines of a statement that was accepted after it waited.
pub fn label_all(world: &mut World, name: &str, row: &StatementRow) -> Result<(), String> {
    let written = world.written.get(name).cloned().ok_or_else(|| format!("there is no statement {name}"))?;
    label(world, row, &written)
}

/// `send S1`: the same bytes again; `send S1,S2`: both in one file.
pub fn send(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let names: Vec<String> = step.need_name()?.split(',').map(str::to_owned).collect();
    let file = step.words.get("file").map_or_else(|| names.join("+"), str::to_owned);
    send_file(world, &names, &file)
}

/// `inflow I1 master=de-eur amount=250.00 va=tiktok`: the master's next statement, of this line alone.
pub fn inflow(world: &mut World, step: &Step) -> Result<Outcome, String> {
    one_line(world, step, '+')
}

/// `outflow O1 master=de-eur amount=5.00 code=ACMT/MDOP/CHRG`: the same, for money that goes.
pub fn outflow(world: &mut World, step: &Step) -> Result<Outcome, String> {
    one_line(world, step, '-')
}

fn one_line(world: &mut World, step: &Step, sign: char) -> Result<Outcome, String> {
    let (head, line): (Vec<_>, Vec<_>) =
        step.words.pairs.iter().cloned().partition(|(key, _)| matches!(key.as_str(), "master" | "format"));
    let first = format!("{sign}{}", step.words.need("amount")?);
    let mut line = Words { first, bare: step.words.bare.clone(), pairs: line };
    line.pairs.retain(|(key, _)| key != "amount");
    if let Some(name) = step.name().filter(|name| !LINE_FLAGS.contains(name)) {
        line.bare.retain(|word| word != name);
        line.pairs.push(("label".to_owned(), name.to_owned()));
    }
    let on = line.get("on").map_or_else(|| world.today().to_string(), str::to_owned);
    let head = Words { pairs: head.into_iter().chain([("day".to_owned(), on)]).collect(), ..step.words.clone() };
    let name = write(world, &head, None, &[line])?;
    let label = world.written.get(&name).and_then(|w| w.lines.first()).map(|(l, _)| l.clone()).unwrap_or_default();
    let file = name.clone();
    match send_file(world, &[name], &file)? {
        Outcome::Done(said) if said == ["posted new=1 known=0"] => routed(world, &label),
        other => Ok(other),
    }
}

/// `route L1 to=tiktok reason="the payer has told us"`: a person places a line. Without `to=`: where it is, and why.
pub fn route(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let label = step.need_name()?;
    let Some(to) = step.words.get("to") else { return routed(world, label) };
    let (line, leaf) = (world.line(label)?, world.code(to));
    let reason = step.words.get("reason").unwrap_or_default().to_owned();
    let who = World::who(&step.words);
    let placed = world.db.write("allocation.reroute", &who, move |tx| allocation::reroute(tx, &line, &leaf, &reason));
    answer(placed, |_| Outcome::said(format!("placed leaf={to}")))
}

/// Where a line is, and by what; of a batch that is placed payment by payment, where each payment is.
pub fn routed(world: &World, label: &str) -> Result<Outcome, String> {
    let named = world.line(label)?;
    let (id, payment) = named.split_once('/').map_or((named.as_str(), None), |(line, n)| (line, n.parse::<i64>().ok()));
    let (line, routes, accounts) = world
        .db
        .read(|conn| Ok((statements::line(conn, id)?, allocation::routes_of(conn, id)?, ledger::accounts(conn)?)))
        .map_err(|e| e.to_string())?;
    let mut in_force = allocation::in_force(&routes);
    in_force.retain(|r| payment.is_none_or(|n| r.detail == Some(n - 1)));
    let route = match in_force.as_slice() {
        [] => return Ok(Outcome::said(if line.posting == "history" { "history" } else { "nothing posted" })),
        [route] => *route,
        several => {
            let parts = several.iter().map(|r| {
                let leaf = if r.suspense { "waits".to_owned() } else { leaves(world, r, &accounts)? };
                Ok(format!("{}={leaf}:{}", r.detail.unwrap_or(0) + 1, amount_of(r, &accounts)?))
            });
            return Ok(Outcome::said(format!("split {}", parts.collect::<Result<Vec<_>, String>>()?.join(" "))));
        }
    };
    if route.suspense {
        return Ok(Outcome::said(format!("waits why=\"{}\"", world.named(&route.sentence))));
    }
    let leaf = leaves(world, route, &accounts)?;
    let by = match (&route.rule, route.version) {
        (Some(rule), Some(version)) => format!("rule rule={rule} version={version}"),
        _ => route.evidence.clone(),
    };
    Ok(Outcome::said(format!("routed leaf={leaf} by={by}")))
}

/// The leaf of a route, or its leaves with what each has of it.
fn leaves(world: &World, route: &RouteRow, accounts: &[AccountRow]) -> Result<String, String> {
    let mut shares = Vec::new();
    for (account, amount) in route.shares().map_err(|e| e.to_string())? {
        let on = accounts.iter().find(|a| a.id == account.0).ok_or("a share without an account")?;
        shares.push((world.named(&on.code), text(-amount, on)));
    }
    Ok(match shares.as_slice() {
        [(leaf, _)] => leaf.clone(),
        several => several.iter().map(|(leaf, amount)| format!("{leaf}:{amount}")).collect::<Vec<_>>().join(","),
    })
}

fn amount_of(route: &RouteRow, accounts: &[AccountRow]) -> Result<String, String> {
    let shares = route.shares().map_err(|e| e.to_string())?;
    let first = shares.first().and_then(|(account, _)| accounts.iter().find(|a| a.id == account.0));
    first.map(|on| text(route.amount, on)).ok_or_else(|| "a route of nothing".to_owned())
}

/// Writes a statement down under its name, as the bank would.
fn write(world: &mut World, head: &Words, name: Option<&str>, body: &[Words]) -> Result<String, String> {
    let master = head.get("master");
    let known = master.map(|m| world.accounts.get(m).ok_or_else(|| format!("there is no master {m}"))).transpose()?;
    let currency: Currency = match (known, head.get("currency")) {
        (_, Some(code)) => code.parse().map_err(|e| format!("{e}"))?,
        (Some(account), None) => account.currency,
        (None, None) => return Err("a statement needs master=, or account= and currency=".to_owned()),
    };
    let number =
        head.get("account").or(known.map(|a| a.number.as_str())).ok_or("a statement needs account=")?.to_owned();
    let page = head.get("page").map(page).transpose()?;
    let last = known.map_or(0, |a| a.statements);
    let following = if page.is_some_and(|(page, _)| page > 1) { last } else { last + 1 };
    let serial = head.get("number").map_or(Ok(following), |n| n.parse().map_err(|_| format!("number={n}")))?;
    let closing_on = day(head, "day")?.unwrap_or(world.today());
    let from = day(head, "from")?.unwrap_or(closing_on);
    let amount = |key: &str| {
        head.get(key).map(|t| Minor::parse(t, currency).map(|m| m.0).map_err(|e| e.to_string())).transpose()
    };
    let opening = amount("opening")?.unwrap_or(known.map_or(0, |a| a.balance));
    let name = name.filter(|n| !["copy", "later"].contains(n)).map_or_else(
        || format!("{}-{serial}{}", master.unwrap_or("other"), page.map_or_else(String::new, |(p, _)| format!("-{p}"))),
        str::to_owned,
    );
    let format = head.get("format").unwrap_or("camt").to_owned();
    let is_swift = format.starts_with("mt940");
    let mut lines = Vec::with_capacity(body.len());
    for (place, words) in (1..).zip(body) {
        let label = words.get("label").map_or_else(|| format!("{name}.{place}"), str::to_owned);
        lines.push((label, entry(world, words, currency, closing_on, is_swift)?));
    }
    let (totals, moved) = sums(&lines);
    let closing = amount("closing")?.unwrap_or(opening + moved);
    if let Some(account) = master.and_then(|m| world.accounts.get_mut(m)) {
        (account.balance, account.statements) = (closing, serial);
    }
    let declared = closing + amount("wrong")?.unwrap_or(0);
    let balance = |amount, on, carried| Some(Balance { amount: Minor(amount), currency, on, intermediate: carried });
    let statement = Statement {
        id: head
            .get("id")
            .map_or_else(|| format!("{}-{serial}", master.unwrap_or("OTHER")).to_uppercase(), str::to_owned),
        number: serial,
        page,
        created: closing_on.and_hms_opt(18, 0, 0).ok_or("no such time")?,
        account: number,
        servicer: None,
        related_account: None,
        currency,
        period: Some((from, closing_on)),
        copy: head.has("copy"),
        opening: balance(opening, from, page.is_some_and(|(page, _)| page > 1)),
        closing: balance(declared, closing_on, page.is_some_and(|(_, last)| !last)),
        totals: Some(totals),
    };
    let file = head.get("file").unwrap_or(&name).to_owned();
    if world.written.insert(name.clone(), Written { format, file, head: statement, lines }).is_some() {
        return Err(format!("there is a statement {name} already; give this one a name of its own"));
    }
    Ok(name)
}

/// The totals over all lines, and what the booked ones move.
fn sums(lines: &[(String, Entry)]) -> (Totals, i64) {
    let (mut totals, mut moved) = (Totals::default(), 0);
    for (_, entry) in lines {
        totals.add(entry);
        if entry.status == Status::Booked {
            moved += if entry.direction == Direction::Credit { entry.amount.0 } else { -entry.amount.0 };
        }
    }
    (totals, moved)
}

/// `1/2`: the page, and whether it is the last.
fn page(text: &str) -> Result<(u32, bool), String> {
    let wrong = || format!("page={text} is not of the kind 1/2");
    let (page, of) = text.split_once('/').ok_or_else(wrong)?;
    let page: u32 = page.parse().map_err(|_| wrong())?;
    Ok((page, of.parse() == Ok(page)))
}

/// A line of a statement.
fn entry(world: &World, words: &Words, currency: Currency, on: NaiveDate, swift: bool) -> Result<Entry, String> {
    words.only(&LINE_KEYS, &LINE_FLAGS)?;
    let unsigned = words.first.trim_start_matches(['+', '-']);
    let amount = Minor::parse(unsigned, currency).map_err(|e| e.to_string())?;
    let direction = if words.first.starts_with('-') { Direction::Debit } else { Direction::Credit };
    let get = |key: &str| words.get(key).map(str::to_owned);
    let mut detail = Detail {
        amount: Some(amount),
        end_to_end_id: get("ref"),
        counterparty_name: get("from").or(get("to")),
        counterparty_account: get("account"),
        ultimate_name: get("ultimate"),
        creditor_reference: get("creditor-ref").map(|r| reference(world, &r)).transpose()?,
        remittance: get("text"),
        return_reason: get("return"),
        charges: get("charges").map(|c| Minor::parse(&c, currency)).transpose().map_err(|e| e.to_string())?,
        ..Detail::default()
    };
    if let Some(va) = words.get("va") {
        fill_in(world, &mut detail, va)?;
    }
    let mut details = Vec::new();
    for (amount, va) in words.get("details").map(list).into_iter().flatten() {
        let amount = Minor::parse(amount, currency).map_err(|e| e.to_string())?;
        let mut one = Detail { amount: Some(amount), ..detail.clone() };
        if let Some(va) = va {
            fill_in(world, &mut one, va)?;
        }
        details.push(one);
    }
    let code = match (words.get("code"), swift, direction) {
        (Some(code), ..) => code,
        (None, true, _) => "NTRF",
        (None, false, Direction::Credit) => "PMNT/RCDT/ESCT",
        (None, false, Direction::Debit) => "PMNT/ICDT/ESCT",
    };
    let booked_on = day(words, "on")?.unwrap_or(on);
    Ok(Entry {
        status: match () {
            () if words.has("pending") => Status::Pending,
            () if words.has("info-only") => Status::Info,
            () => Status::Booked,
        },
        reversal: words.has("reversal"),
        valued_on: day(words, "value")?.unwrap_or(booked_on),
        bank_ref: get("bank-ref"),
        owner_ref: get("owner-ref"),
        info: get("info"),
        details: if details.is_empty() { vec![detail.clone()] } else { details },
        ..Entry::of(amount, direction, booked_on, code, detail)
    })
}

/// A creditor reference as it is, or (`va:tiktok`) the virtual account number of a leaf in its place.
fn reference(world: &World, text: &str) -> Result<String, String> {
    match text.strip_prefix("va:") {
        None => Ok(text.to_owned()),
        Some(leaf) => number_of(world, leaf),
    }
}

fn number_of(world: &World, leaf: &str) -> Result<String, String> {
    let Some(code) = world.leaves.get(leaf) else { return Ok(leaf.to_owned()) };
    let found = world.db.read(|conn| chart::sub_account(conn, code)).map_err(|e| e.to_string())?;
    found.virtual_number.ok_or_else(|| format!("{leaf} has no virtual account number"))
}

/// The bank writes the virtual account number of a leaf into the field that is its own; a number that is no name goes there
/// as it is.
fn fill_in(world: &World, detail: &mut Detail, va: &str) -> Result<(), String> {
    let number = number_of(world, va)?;
    if number.starts_with("RF") {
        detail.creditor_reference = Some(number);
    } else {
        detail.own_account = Some(number);
    }
    Ok(())
}

fn send_file(world: &mut World, names: &[String], file: &str) -> Result<Outcome, String> {
    let mut written = Vec::new();
    for name in names {
        written.push(world.written.get(name).cloned().ok_or_else(|| format!("there is no statement {name}"))?);
    }
    let bytes = render(&written)?;
    let who = World::who(&Words::default());
    let open = || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read>);
    match intake::take_in(&world.db, &who, (file, "story"), &open, &mut |_, _| {}) {
        Ok(taken) => {
            for ((row, name), written) in taken.statements.iter().zip(names).zip(&written) {
                world.call(&row.id, name);
                label(world, row, written)?;
            }
            told(world, &taken, names)
        }
        Err(no) => answer(Err::<(), _>(no), |()| Outcome::Done(Vec::new())),
    }
}

/// Statements as the bytes of one file, as the bank would send it.
pub fn bytes_of(world: &World, names: &[String]) -> Result<Vec<u8>, String> {
    let written =
        names.iter().map(|n| world.written.get(n).cloned().ok_or_else(|| format!("there is no statement {n}")));
    render(&written.collect::<Result<Vec<_>, _>>()?)
}

fn render(written: &[Written]) -> Result<Vec<u8>, String> {
    let first = written.first().ok_or("a file needs a statement")?;
    let failed = |e: std::io::Error| e.to_string();
    let entries = |w: &Written| w.lines.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>();
    match first.format.as_str() {
        "camt" | "camt-02" => {
            let version = if first.format == "camt" { Version::V08 } else { Version::V02 };
            let id = format!("MSG-{}", first.head.id);
            let mut file = Camt053::begin(Vec::new(), version, &id, first.head.created).map_err(failed)?;
            for one in written {
                file.statement(&one.head, entries(one)).map_err(failed)?;
            }
            file.end().map_err(failed)
        }
        "camt.052" | "camt.054" => {
            let role = if first.format == "camt.052" { Role::Report } else { Role::Notification };
            let id = format!("MSG-{}", first.head.id);
            let mut file = Camt::begin_as(role, Vec::new(), Version::V08, &id, first.head.created).map_err(failed)?;
            for one in written {
                file.statement(&one.head, entries(one)).map_err(failed)?;
            }
            file.end().map_err(failed)
        }
        "mt940" | "mt940-german" => {
            let dialect = if first.format == "mt940" { Dialect::Slash } else { Dialect::German };
            let mut bytes = Vec::new();
            for one in written {
                mt940(&mut bytes, dialect, &one.head, entries(one)).map_err(failed)?;
            }
            Ok(bytes)
        }
        other => Err(format!("format={other} is none of camt, camt-02, mt940, mt940-german")),
    }
}

/// Gives the lines that this statement was the first to tell of their names.
fn label(world: &mut World, row: &StatementRow, written: &Written) -> Result<(), String> {
    let lines = world.db.read(|conn| statements::lines_of(conn, &row.id)).map_err(|e| e.to_string())?;
    // An MT940 has no lines that are not booked.
    let has_all = written.format.starts_with("camt");
    let told: Vec<&String> =
        written.lines.iter().filter(|(_, e)| has_all || e.status == Status::Booked).map(|(label, _)| label).collect();
    for line in lines {
        let place = usize::try_from(line.place).map_err(|e| e.to_string())?;
        let label = told.get(place).ok_or_else(|| format!("line {place} was never written"))?;
        world.call(&line.id, label);
        world.lines.insert((*label).clone(), line.id);
    }
    Ok(())
}

fn told(world: &World, taken: &TakenIn, names: &[String]) -> Result<Outcome, String> {
    if taken.already {
        let others = taken.statements.iter().map(|s| s.state.as_str()).filter(|state| *state != "posted");
        let others: Vec<&str> = others.collect();
        let all = if others.is_empty() { String::new() } else { format!(": {}", others.join(", ")) };
        return Ok(Outcome::said(format!("already imported{all}")));
    }
    let counts = format!("new={} known={}", taken.new_lines, taken.known_lines);
    let mut said = Vec::new();
    for (row, name) in taken.statements.iter().zip(names) {
        let mut verdict = verdict(world, row)?;
        if names.len() > 1 {
            verdict[0] = format!("{name} {}", verdict[0]);
        } else if row.state == "posted" {
            verdict[0] = format!("posted {counts}");
        }
        said.extend(verdict);
    }
    if names.len() > 1 {
        said.push(counts);
    }
    Ok(Outcome::Done(said))
}

/// What became of a statement, and why.
fn verdict(world: &World, row: &StatementRow) -> Result<Vec<String>, String> {
    let problems: Vec<Remark> = serde_json::from_str(&row.problems).map_err(|e| e.to_string())?;
    let problems = problems.iter().map(|p| p.problem.as_str()).collect::<Vec<_>>().join("; ");
    let earlier = row.same_as.as_deref().unwrap_or("(none)");
    Ok(match row.state.as_str() {
        "quarantined" | "refused" => vec![world.named(&format!("{}: {problems}", row.state))],
        "already_imported" => vec![world.named(&format!("already imported as {earlier}"))],
        "restated" => {
            let master = row.master.as_deref().unwrap_or_default();
            let account = account_of(world, master)?;
            let differences = intake::difference(&world.db, row, earlier).map_err(|e| e.to_string())?;
            let mut said = vec![world.named(&format!("restates {earlier}"))];
            said.extend(
                differences.iter().map(|d| format!("{} {} {} {}", d.sign, d.day, text(d.amount, &account), d.text)),
            );
            said
        }
        state => vec![state.to_owned()],
    })
}

fn account_of(world: &World, master: &str) -> Result<AccountRow, String> {
    let masters = world.db.read(chart::masters).map_err(|e| e.to_string())?;
    let code = masters.into_iter().find(|m| m.id == master).ok_or("a statement without a master")?.code;
    world.account(&code)
}
