//! How the treasury stands, for a monitoring system: text as Prometheus reads it (exposition format 0.0.4).
//!
//! What needs no look at money is told to whoever may see the machines; amounts only to who sees all positions as well. Everything is read when
//! it is asked for, so no number is older than the question.

use crate::access::{self, Permission};
use crate::allocation;
use crate::approvals;
use crate::db::{self, Conn, jobs};
use crate::error::Result;
use crate::http::{Call, Operation, get};
use crate::positions::{Amount, Moment, positions};
use crate::scope::Scope;
use crate::statements;
use crate::time::{Instant, day_of};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// What the format calls itself.
const MEDIA: &str = "text/plain; version=0.0.4";

/// The row of metrics.
pub(super) fn operations() -> Vec<Operation> {
    let says = "How the treasury stands, as Prometheus reads it; amounts only for who sees all positions";
    vec![get("/metrics", "metrics", says).may(Permission::OperationsRead).tells(MEDIA, metrics)]
}

/// The text, metric by metric.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    /// A metric with its values, each by its labels.
    fn gauge<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Vec<(&'static str, String)>, V)>,
    ) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP tributary_{name} {help}\n# TYPE tributary_{name} gauge");
        for (labels, value) in values {
            let labels: Vec<String> =
                labels.into_iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(&value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "tributary_{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help, [(Vec::new(), value)]);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn metrics(call: &Call) -> Result<String> {
    call.scope().need_everything("what machines watch")?;
    let now = call.db().clock().now();
    call.read(|conn| {
        let mut told = Metrics::default();
        journal(conn, now, &mut told)?;
        open_ends(conn, now, &mut told)?;
        let rights = access::rights_now(conn, &call.who().actor, now)?;
        if rights.scope(Permission::PositionsRead).is_everything() {
            money(conn, &mut told)?;
        }
        Ok(told.0)
    })
}

fn journal(conn: &mut Conn, now: Instant, told: &mut Metrics) -> Result<()> {
    let head = db::head(conn)?;
    told.gauge("build_info", "Which Tributary this is", [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1)]);
    told.one("seals", "Commits that added to the journal", head.seal);
    told.one("entries", "Entries of the journal", head.entry);
    told.one("events", "Events of the feed", head.event);
    let age = head.recorded_at.map(|at| (now - at).num_seconds().max(0));
    told.gauge("head_age_seconds", "How long ago the newest seal was made", age.map(|age| (Vec::new(), age)));
    Ok(())
}

/// What waits for somebody.
fn open_ends(conn: &mut Conn, now: Instant, told: &mut Metrics) -> Result<()> {
    let mut breaks: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut oldest: BTreeMap<String, i64> = BTreeMap::new();
    for found in statements::breaks(conn)? {
        let age = found.day.map_or(0, |day| (day_of(now) - day).num_days().max(0));
        let of_master = oldest.entry(found.master.clone()).or_default();
        *of_master = (*of_master).max(age);
        *breaks.entry((found.master, found.kind)).or_default() += 1;
    }
    let missing: usize = breaks.iter().filter(|((_, kind), _)| *kind == "not_here").map(|(_, count)| count).sum();
    told.one("missing_statements", "Statements that should be here by now and are not", missing);
    let of = |((master, kind), count)| (vec![("master", master), ("kind", String::from(kind))], count);
    told.gauge("open_breaks", "What the bank's messages leave open, by kind", breaks.into_iter().map(of));
    let oldest = oldest.into_iter().map(|(master, days)| (vec![("master", master)], days));
    told.gauge("open_break_oldest_days", "Days since the day of the oldest of them", oldest);
    let mut waiting: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    for line in allocation::waiting(conn, None)? {
        let (count, oldest) = waiting.entry(line.master).or_default();
        *count += 1;
        *oldest = (*oldest).max((day_of(now) - line.booked_on).num_days());
    }
    let each = |of: fn(&(usize, i64)) -> i64| {
        waiting.iter().map(|(master, waits)| (vec![("master", master.clone())], of(waits))).collect::<Vec<_>>()
    };
    told.gauge("suspense_lines", "Lines that wait for an owner", each(|w| i64::try_from(w.0).unwrap_or(i64::MAX)));
    told.gauge("suspense_oldest_days", "Days that the oldest of them has waited", each(|w| w.1));
    told.one("proposals_waiting", "Changes that wait for approval", approvals::waiting(conn, now)?);
    let idle = jobs::not_done(conn, now - TimeDelta::minutes(10))?.len();
    told.one("jobs_interrupted", "Work that failed, or that nobody goes on with", idle);
    Ok(())
}

/// Amounts of each master, in its currency.
fn money(conn: &mut Conn, told: &mut Metrics) -> Result<()> {
    let masters = positions(conn, &Scope::everything(), Moment::default())?.masters;
    let labels =
        |m: &crate::positions::MasterLine| vec![("master", m.master.clone()), ("currency", m.currency.clone())];
    let differences = masters.iter().filter_map(|m| m.difference.map(|d| (labels(m), d.to_string())));
    told.gauge("unexplained_amount", "The bank's closing balance less the book of that day", differences);
    let amounts =
        |of: fn(&crate::positions::MasterLine) -> Amount| masters.iter().map(move |m| (labels(m), of(m).to_string()));
    told.gauge("book_amount", "What is booked on the master", amounts(|m| m.book));
    told.gauge("suspense_amount", "Of it: of no known owner", amounts(|m| m.suspense));
    told.gauge("in_transit_amount", "Sent, and not yet debited by the bank", amounts(|m| m.in_transit));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_metric_without_values_is_still_named() {
        let mut told = Metrics::default();
        told.gauge("x", "Of x", [(vec![("master", "a\"b\\c".to_owned())], "1.50")]);
        told.gauge("none", "Of nothing", Vec::<(Vec<(&str, String)>, i64)>::new());
        assert_eq!(
            told.0,
            "# HELP tributary_x Of x\n# TYPE tributary_x gauge\ntributary_x{master=\"a\\\"b\\\\c\"} 1.50\n\
             # HELP tributary_none Of nothing\n# TYPE tributary_none gauge\n"
        );
    }
}
