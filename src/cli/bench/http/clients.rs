//! The clients of `tributary bench http`: connections that are kept, one request after the other on each, all on one thread, with
//! no more HTTP than it takes to know whether a transfer was acknowledged.

use super::{Order, Seen};
use crate::error::{Error, Result};
use std::io::{ErrorKind, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What is told of an answer that should not have been.
const TOLD: usize = 400;

/// Does what standard input says, and prints what came of it.
pub(super) fn run() -> Result<()> {
    let broken = |e: std::io::Error| Error::Broken(format!("the benchmark's clients: {e}"));
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(broken)?;
    let order: Order = serde_json::from_slice(&text).map_err(|e| Error::Broken(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(broken)?;
    let order = Rc::new(order);
    let begin = Instant::now() + Duration::from_secs(1);
    let end = begin + Duration::from_secs(u64::from(order.seconds));
    let all = tokio::task::LocalSet::new();
    let clients: Vec<_> =
        (0..order.clients).map(|n| all.spawn_local(client(Rc::clone(&order), n, begin, end))).collect();
    let mut seen = Seen { made: 0, measured: 0, others: 0, other: None, p50_us: 0, p99_us: 0, cpu_ms: None };
    let mut times = Vec::new();
    runtime
        .block_on(all.run_until(async {
            for client in clients {
                let client = client.await.map_err(std::io::Error::other)??;
                seen.made += client.made;
                seen.others += client.others;
                seen.other = seen.other.take().or(client.other);
                times.extend(client.times);
            }
            Ok::<(), std::io::Error>(())
        }))
        .map_err(broken)?;
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0);
    (seen.measured, seen.p50_us, seen.p99_us, seen.cpu_ms) = (times.len() as u64, at(50), at(99), cpu_ms());
    crate::cli::print_json(&serde_json::json!(seen))
}

/// What one client has seen.
#[derive(Default)]
struct Client {
    made: i64,
    others: u64,
    other: Option<String>,
    /// Microseconds of each answer that came while it was measured.
    times: Vec<u64>,
}

/// One client, until the end: an answer that was being waited for then is waited for.
async fn client(order: Rc<Order>, n: u16, begin: Instant, end: Instant) -> std::io::Result<Client> {
    let mut seen = Client::default();
    let mut socket = TcpStream::connect(order.address).await?;
    socket.set_nodelay(true)?;
    let key = order.keys.get(usize::from(n) % order.keys.len().max(1)).map_or("", String::as_str);
    let head = format!(
        "POST /v1/transfers{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n",
        order.query, order.address
    );
    let mut answer = Vec::with_capacity(4_096);
    for number in 0u64.. {
        let asked = Instant::now();
        if asked >= end {
            break;
        }
        send(&mut socket, request(&order, &head, n, number).as_bytes()).await?;
        receive(&mut socket, &mut answer).await?;
        let answered = Instant::now();
        if answer.starts_with(b"HTTP/1.1 200 ") {
            seen.made += 1;
            if (begin..end).contains(&answered) {
                seen.times.push(u64::try_from((answered - asked).as_micros()).unwrap_or(u64::MAX));
            }
        } else {
            seen.others += 1;
            seen.other
                .get_or_insert_with(|| String::from_utf8_lossy(answer.get(..TOLD).unwrap_or(&answer)).into_owned());
        }
    }
    Ok(seen)
}

fn request(order: &Order, head: &str, n: u16, number: u64) -> String {
    // Leaves do not come in an order that an index would like; nor do keys, if they are to be so.
    let mixed = (u64::from(n) << 40 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let to = usize::try_from(mixed >> 20).unwrap_or(0) % order.to.len().max(1);
    let to = order.to.get(to).map_or("", String::as_str);
    let cents = 1 + mixed % 99;
    let body = format!(
        r#"{{"from":"{}","to":"{to}","amount":{{"amount":"0.{cents:02}","currency":"EUR"}},"reference":"order {number}"}}"#,
        order.from
    );
    let key = match order.random_keys {
        true => format!("{mixed:016x}-{}-{n}-{number}", order.run),
        false => format!("{}-{number:08}-{n}", order.run),
    };
    format!("{head}Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn send(socket: &mut TcpStream, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match socket.try_write(rest) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => socket.writable().await?,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One answer, whole.
async fn receive(socket: &mut TcpStream, answer: &mut Vec<u8>) -> std::io::Result<()> {
    answer.clear();
    loop {
        socket.readable().await?;
        match socket.try_read_buf(answer) {
            Ok(0) => return Err(std::io::Error::other("the server has ended a connection")),
            Ok(_) if is_whole(answer) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default());
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| answer.len() >= head + 4 + length)
}

/// What this process has used of the processors, where the system tells.
pub(super) fn cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may have blanks: state, and eleven numbers before the two that count, in hundredths of a second.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut numbers = rest.split_whitespace().skip(11).map_while(|n| n.parse::<u64>().ok());
    Some((numbers.next()? + numbers.next()?) * 10)
}
