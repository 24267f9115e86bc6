//! The verbs of what is announced: expected receipts, and settlement files written as a platform would.

use super::script::{Outcome, Step, Words};
use super::world::{World, answer, day};
use tributary::allocation::settlement::{self, Imported};
use tributary::allocation::{announced, settlement_file};
use tributary::db::Tx;
use tributary::error::Result;
use tributary::expectations::{self, Announcement, Shown};
use tributary::scope::Scope;

/// `expect E1 leaf=tiktok amount=250.00 from=2026-03-02 until=2026-03-10 ref=INV-1 account=DE89`
pub fn expect(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let asked = announcement(world, &step.words, step.need_name()?)?;
    let who = World::who(&step.words);
    let added = world.db.write("expectation.add", &who, move |tx| expectations::add(tx, std::slice::from_ref(&asked)));
    answer(added, |added| Outcome::said(if added.new == 1 { "open" } else { "known already" }))
}

/// A receipt, as its words say it.
pub fn announcement(world: &World, words: &Words, key: &str) -> Result<Announcement, String> {
    let get = |key: &str| words.get(key).map(str::to_owned);
    let today = world.today();
    Ok(Announcement {
        at: String::new(),
        key: key.to_owned(),
        leaf: world.code(words.need("leaf")?),
        amount: words.need("amount")?.to_owned(),
        currency: get("currency"),
        days: (day(words, "from")?.unwrap_or(today), day(words, "until")?.unwrap_or(today)),
        reference: get("ref"),
        account: get("account"),
        note: get("note"),
        metadata: get("metadata"),
    })
}

/// `expected E1 -> met line=I1`: where it stands.
pub fn expected(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?;
    let found = world.db.read(|conn| expectations::show_seen(conn, &Scope::everything(), name));
    let Shown { state, line, since, .. } = found.map_err(|e| e.to_string())?;
    let mut said = state;
    if let Some(line) = line {
        said.push_str(&format!(" line={}", world.named(&line)));
    }
    if let Some(since) = since {
        said.push_str(&format!(" since=\"{}\"", world.named(&since)));
    }
    Ok(Outcome::said(said))
}

/// `meet E1 line=I1 reason="the payer called"`: a person says which line it was.
pub fn meet(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (key, line) = (step.need_name()?.to_owned(), world.line(step.words.need("line")?)?);
    let reason = step.words.get("reason").unwrap_or_default().to_owned();
    let who = World::who(&step.words);
    let met = world.db.write("expectation.meet", &who, move |tx| announced::meet(tx, &key, &line, &reason));
    answer(met, |()| Outcome::said("met"))
}

/// `cancel E1 reason="they have paid by card"`: an expected receipt, or a settlement that waits.
pub fn cancel(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let name = step.need_name()?;
    let is_settlement = world.db.read(|conn| settlement::show(conn, name)).is_ok();
    let command = if is_settlement { settlement::cancel } else { expectations::cancel };
    decide(world, step, command, "cancelled")
}

/// `reopen E1 reason="it was another invoice"`
pub fn reopen(world: &mut World, step: &Step) -> Result<Outcome, String> {
    decide(world, step, expectations::reopen, "open")
}

fn decide(
    world: &mut World,
    step: &Step,
    command: fn(&mut Tx<'_>, &str, &str) -> Result<()>,
    became: &str,
) -> Result<Outcome, String> {
    let key = step.need_name()?.to_owned();
    let reason = step.words.get("reason").unwrap_or_default().to_owned();
    let who = World::who(&step.words);
    let done = world.db.write("announced.decide", &who, move |tx| command(tx, &key, &reason));
    answer(done, |()| Outcome::said(became))
}

/// `expire -> E1`: ends those whose last day is over.
pub fn expire(world: &mut World, _: &Step) -> Result<Outcome, String> {
    let expired = world.db.write("expectation.expire", &World::who(&Words::default()), expectations::expire);
    answer(expired, |keys| Outcome::said(if keys.is_empty() { "nothing".to_owned() } else { keys.join(" ") }))
}

/// `settlement S1 master=us-usd platform="Apple Inc." total=60.00`, its lines below: `tiktok gross=100.00 commission=30.00
/// net=70.00`. Written as a CSV file and imported as any is.
pub fn settlement(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = step.need_name()?;
    let (name, text) = (format!("{code}.csv"), sheet(world, step, code)?);
    let read = match settlement_file::read(&name, text.as_bytes()) {
        Ok(read) => read,
        Err(no) => return answer(Err::<(), _>(no), |()| Outcome::Done(Vec::new())),
    };
    let who = World::who(&step.words);
    let imported = world.db.write("settlement.import", &who, move |tx| settlement::import(tx, &name, &read));
    match imported {
        Ok(all) => {
            let all: Vec<String> = all.iter().map(|one| told(world, one)).collect();
            Ok(Outcome::Done(all))
        }
        Err(no) => answer(Err::<(), _>(no), |()| Outcome::Done(Vec::new())),
    }
}

/// The CSV of a settlement with its lines below.
pub fn sheet(world: &World, step: &Step, code: &str) -> Result<String, String> {
    let (words, today) = (&step.words, world.today());
    let mut text =
        "settlement,master,platform,payer_account,reference,currency,total,paid_on,leaf,product,market,gross,commission,tax,net,item\n".to_owned();
    let head = [
        code,
        words.need("master")?,
        words.need("platform")?,
        words.get("account").unwrap_or_default(),
        words.get("ref").unwrap_or_default(),
        words.get("currency").unwrap_or("USD"),
        words.need("total")?,
        &day(words, "paid-on")?.unwrap_or(today).to_string(),
    ]
    .map(|cell| format!("\"{cell}\""))
    .join(",");
    for line in &step.body {
        line.only(&["gross", "commission", "tax", "net", "market", "item"], &[])?;
        let get = |key: &str| line.get(key).unwrap_or_default();
        // With a market the first word is a product, else a leaf.
        let of = match line.get("market") {
            Some(market) => format!(",{},{market}", line.first),
            None => format!("{},,", world.code(&line.first)),
        };
        let amounts = ["gross", "commission", "tax", "net"].map(get).join(",");
        text.push_str(&format!("{head},{of},{amounts},{}\n", get("item")));
    }
    Ok(text)
}

fn told(world: &mut World, one: &Imported) -> String {
    if let Some(entry) = one.entry {
        world.entries.insert(one.settlement.clone(), entry);
    }
    let known = if one.known { "known already: " } else { "" };
    let line = one.line.as_ref().map_or_else(String::new, |line| format!(" line={line}"));
    let why = one.why.as_ref().map_or_else(String::new, |why| format!(" why=\"{why}\""));
    world.named(&format!("{known}{}{line}{why}", one.state))
}

/// `settled S1 -> carried_out line=I1`: where it stands.
pub fn settled(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let code = step.need_name()?;
    let shown = world.db.read(|conn| settlement::show(conn, code)).map_err(|e| e.to_string())?;
    if let Some(entry) = shown.entry {
        world.entries.insert(code.to_owned(), entry);
    }
    let line =
        shown.line.map_or_else(String::new, |line| format!(" line={line} by={}", shown.decided_by.unwrap_or_default()));
    let since = shown.since.map_or_else(String::new, |since| format!(" since=\"{since}\""));
    Ok(Outcome::said(world.named(&format!("{}{line}{since}", shown.state))))
}

/// `apply S1 line=I1`: a person names the line.
pub fn apply(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let (code, line) = (step.need_name()?.to_owned(), world.line(step.words.need("line")?)?);
    let who = World::who(&step.words);
    let of = code.clone();
    let applied = world.db.write("settlement.apply", &who, move |tx| settlement::apply(tx, &of, &line));
    if let Ok(posted) = &applied {
        world.entries.insert(code, posted.number);
    }
    answer(applied, |_| Outcome::said("carried out"))
}
