//! The verbs of rates, of one currency for all, and of statements that are due.

use super::script::{Outcome, Step};
use super::world::{World, answer, day, instant};
use tributary::db::seal::{hex, sha256};
use tributary::positions::positions_in;
use tributary::rates::{self, Asked};
use tributary::scope::Scope;
use tributary::statements::due;
use tributary::time::Clock;

/// `rates 2026-03-02 source=house base=EUR of="USD:1.08,JPY:160.25"`: takes a file of rates in.
pub fn rates(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let on = step.need_name()?;
    let (base, source) =
        (step.words.get("base").unwrap_or("EUR"), step.words.get("source").unwrap_or("house").to_owned());
    let mut csv = "date,base,currency,rate\n".to_owned();
    for (currency, rate) in super::world::list(step.words.need("of")?) {
        csv.push_str(&format!("{on},{base},{currency},{}\n", rate.unwrap_or_default()));
    }
    let file = match rates::read(csv.as_bytes()) {
        Ok(file) => file,
        Err(problems) => {
            return answer(Err::<(), _>(rates::Refusal::Problems(problems).into()), |()| Outcome::said(""));
        }
    };
    let digest = hex(&sha256(csv.as_bytes()));
    let done =
        world.db.write("rates.import", &World::who(&step.words), move |tx| rates::import(tx, &source, &file, &digest));
    answer(done, |d| Outcome::said(format!("new={} corrected={} unchanged={}", d.new, d.corrected.len(), d.unchanged)))
}

/// `total in=EUR as-of=2026-03-02 product=tiktok`: what is booked in one currency, and by which rates.
pub fn total(world: &mut World, step: &Step) -> Result<Outcome, String> {
    let into = step.words.need("in")?.parse().map_err(|e| format!("{e}"))?;
    let as_of = day(&step.words, "as-of")?;
    let known_at = step.words.get("known-at").map(instant).transpose()?;
    let asked = Asked { source: None, on: as_of.unwrap_or_else(|| world.today()), known_at };
    let report = world
        .db
        .read(|conn| positions_in(conn, &Scope::everything(), as_of, into, &asked))
        .map_err(|e| e.to_string())?;
    let reporting = report.reporting.ok_or("a report without its currency")?;
    let totals = reporting.totals;
    let found = match step.words.get("product") {
        Some(product) => totals.by_product.iter().find(|t| t.of == product).ok_or("there is no such product")?,
        None => &totals.all,
    };
    let booked = found.booked.map_or_else(|| "missing".to_owned(), |amount| amount.to_string());
    let used = reporting.rates.iter().map(|q| format!("{}{}", q.id, if q.stale { " (stale)" } else { "" }));
    let used: Vec<String> = used.collect();
    let missing = reporting.missing_rates;
    let mut said = format!("booked={booked}");
    if !used.is_empty() {
        said.push_str(&format!(" rates={}", used.join(",")));
    }
    if !missing.is_empty() {
        said.push_str(&format!(" without={}", missing.join(",")));
    }
    Ok(Outcome::said(said))
}

/// `due`: statements that should be here by now and are not.
pub fn due(world: &mut World, _: &Step) -> Result<Outcome, String> {
    let now = world.clock.now();
    let list = world.db.read(|conn| due::due_list(conn, None, None, now)).map_err(|e| e.to_string())?;
    let said: Vec<String> = list.missing.iter().map(|m| format!("{} {} of {}", m.master, m.role, m.due.day)).collect();
    Ok(if said.is_empty() { Outcome::said("none") } else { Outcome::Done(said) })
}
