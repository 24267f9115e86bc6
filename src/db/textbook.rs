//! The textbook way to post, for comparison only: two updates under row locks and the inserts, one commit for each entry.
//!
//! `tributary bench --compare` runs it on the same database in the same run, in tables of its own that it drops again.

use super::conn::{Conn, Url, broken};
use crate::error::{Error, Result};
use crate::on;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{RunQueryDsl, sql_query};
use std::time::{Duration, Instant};

const TABLES: &str = "
    CREATE TABLE textbook_balances (account BIGINT NOT NULL PRIMARY KEY, booked BIGINT NOT NULL);
    CREATE TABLE textbook_entries (id BIGINT NOT NULL PRIMARY KEY, key TEXT NOT NULL UNIQUE, description TEXT NOT NULL);
    CREATE TABLE textbook_postings (entry BIGINT NOT NULL, leg BIGINT NOT NULL, account BIGINT NOT NULL, amount BIGINT NOT NULL,
        PRIMARY KEY (entry, leg));";

const DROP: &str = "
    DROP TABLE IF EXISTS textbook_postings; DROP TABLE IF EXISTS textbook_entries; DROP TABLE IF EXISTS textbook_balances;";

/// Entries per second that `clients` reach together within `time`, all of them touching account 1.
pub fn entries_per_second(url: &Url, clients: i64, accounts: i64, time: Duration) -> Result<u64> {
    let mut conn = Conn::open(url)?;
    conn.run(DROP).and_then(|()| conn.run(TABLES)).map_err(broken)?;
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {accounts}) \
         INSERT INTO textbook_balances SELECT i, 0 FROM n"
    );
    conn.run(&fill).map_err(broken)?;
    let begin = Instant::now();
    let done = std::thread::scope(|scope| {
        let work = |client: i64| {
            let mut conn = Conn::open(url)?;
            let mut done: i64 = 0;
            while begin.elapsed() < time {
                let id = client * 1_000_000_000 + done;
                post(&mut conn, id, 2 + (id * 7919) % accounts)?;
                done += 1;
            }
            Ok::<i64, Error>(done)
        };
        let threads: Vec<_> = (0..clients).map(|client| scope.spawn(move || work(client))).collect();
        let join = |t: std::thread::ScopedJoinHandle<'_, Result<i64>>| {
            t.join().unwrap_or_else(|_| Err(Error::Broken("a client panicked".into())))
        };
        threads.into_iter().map(join).sum::<Result<i64>>()
    });
    let micros = begin.elapsed().as_micros().max(1);
    conn.run(DROP).map_err(broken)?;
    Ok(u64::try_from(u128::try_from(done?).unwrap_or(0) * 1_000_000 / micros).unwrap_or(0))
}

fn post(conn: &mut Conn, id: i64, leaf: i64) -> Result<()> {
    let key = format!("key-{id}");
    let begin = match conn {
        Conn::Pg(_) => "BEGIN",
        Conn::Lite(_) => "BEGIN IMMEDIATE",
    };
    conn.run(begin).map_err(broken)?;
    on!(conn, c => {
        let mut post = || -> diesel::QueryResult<()> {
            // In the order of the accounts, so that two clients cannot lock each other out.
            for (account, amount) in [(1, 100i64), (leaf, -100)] {
                let update = sql_query("UPDATE textbook_balances SET booked = booked + $1 WHERE account = $2");
                update.bind::<BigInt, _>(amount).bind::<BigInt, _>(account).execute(c)?;
            }
            let entry = sql_query("INSERT INTO textbook_entries VALUES ($1, $2, $3)");
            entry.bind::<BigInt, _>(id).bind::<Text, _>(&key).bind::<Text, _>("Inflow routed by virtual account number").execute(c)?;
            for (leg, account, amount) in [(0, 1, 100i64), (1, leaf, -100)] {
                let posting = sql_query("INSERT INTO textbook_postings VALUES ($1, $2, $3, $4)");
                let posting = posting.bind::<BigInt, _>(id).bind::<BigInt, _>(leg);
                posting.bind::<BigInt, _>(account).bind::<BigInt, _>(amount).execute(c)?;
            }
            c.batch_execute("COMMIT")
        };
        post()
    })
    .map_err(broken)
}
