//! Traces through the real program: a collector of the test's own hears of a request as part of the trace that it came from; one that
//! is away harms nobody; and a build that sends none says so. And a server's log.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server on a new database.
struct Server {
    child: Child,
    base: String,
}

/// With traces to this collector.
fn serve(folder: &Path, collector: &str) -> Command {
    // Nobody reads what it says, so it must not say much.
    configured(folder, &format!("[log]\nlevel = \"warn\"\n[traces]\nendpoint = \"{collector}\"\nservice = \"desk\"\n"))
}

fn configured(folder: &Path, text: &str) -> Command {
    let file = folder.join("tributary.toml");
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(["--json", "--config"]).arg(&file).arg("--database");
    command.arg(format!("sqlite://{}", folder.join("t.sqlite").display())).args(["serve", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    fn start(folder: &Path, collector: &str) -> Server {
        Server::of(serve(folder, collector))
    }

    fn of(mut command: Command) -> Server {
        let mut child = command.env_remove("TRIBUTARY_LOG").spawn().expect("it starts");
        let output = serde_json::Deserializer::from_reader(child.stdout.take().expect("its output"));
        let said = output.into_iter::<serde_json::Value>().next().expect("a document").expect("JSON");
        Server { child, base: said["listening"].as_str().expect("where it listens").to_owned() }
    }

    /// Asks; answers the status.
    fn ask(&self, path: &str, traceparent: &str) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}{path}", self.base)).header("traceparent", traceparent);
        request.header("x-request-id", "req-of-the-test").call().expect("an answer").status().as_u16()
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success(), "it ends in peace");
    }
}

#[test]
fn each_request_is_a_line_of_a_servers_log_in_text_or_json_with_the_id_of_its_answer() {
    for (format, is_json) in [("", false), ("format = \"json\"", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::of(configured(folder.path(), &format!("[log]\n{format}\n")));
        let log = BufReader::new(server.child.stderr.take().expect("its log"));
        assert_eq!(server.ask("/livez", ""), 200);
        let line = log.lines().map(|l| l.expect("text")).find(|l| l.contains("req-of-the-test")).expect("a line");
        if is_json {
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!((&line["path"], &line["status"]), (&"/livez".into(), &200.into()), "{line}");
            assert_eq!((&line["request_id"], &line["level"]), (&"req-of-the-test".into(), &"INFO".into()), "{line}");
        } else {
            assert!(line.contains("INFO") && line.contains("/livez") && line.contains("200"), "{line}");
        }
        server.stop();
    }
}

#[cfg(feature = "otel")]
mod sent {
    use super::Server;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    /// A collector: what is posted to it, until what stops it comes.
    fn collector() -> (String, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
        let hears = move || {
            let mut heard = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                loop {
                    let (mut length, mut line, mut first) = (0, String::new(), String::new());
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        break;
                    }
                    if first.starts_with("GET /stop ") {
                        return heard;
                    }
                    assert!(first.starts_with("POST /v1/traces "), "{first}");
                    while reader.read_line(&mut line).unwrap_or(0) > 0 && line.trim_end() != "" {
                        let (name, value) = line.split_once(':').expect("a header");
                        if name.eq_ignore_ascii_case("content-length") {
                            length = value.trim().parse().expect("a number");
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).expect("a body");
                    heard.extend(body);
                    let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            }
            heard
        };
        (url, std::thread::spawn(hears))
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    fn has(heard: &[u8], what: &[u8]) -> bool {
        heard.windows(what.len()).any(|part| part == what)
    }

    #[test]
    fn a_collector_hears_of_a_request_as_part_of_the_trace_that_it_came_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let (url, collector) = collector();
        let server = Server::start(folder.path(), &url);
        assert_eq!(server.ask("/v1/people/ps_somebody/identities", &format!("00-{TRACE}-{PARENT}-01")), 401);
        assert_eq!(server.ask("/readyz", "not a traceparent"), 200);
        // What waits is sent before it ends.
        server.stop();
        drop(ureq::get(url.replace("/v1/traces", "/stop")).call());
        let heard = collector.join().expect("it has heard");
        assert!(has(&heard, &bytes(TRACE)), "the trace goes on");
        assert!(has(&heard, &bytes(PARENT)), "behind the span that has asked");
        let said =
            ["GET /v1/people/{person}/identities", "GET /readyz", "req-of-the-test", "desk", "commit", "http.route"];
        for said in said {
            assert!(has(&heard, said.as_bytes()), "{said} is not told");
        }
        for secret in ["ps_somebody", "127.0.0.1", &folder.path().display().to_string()] {
            assert!(!has(&heard, secret.as_bytes()), "{secret} is told");
        }
    }

    #[test]
    fn a_collector_that_is_away_or_silent_harms_nobody() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        for at in [silent.local_addr().expect("an address"), nobody] {
            let folder = tempfile::tempdir().expect("a folder");
            let server = Server::start(folder.path(), &format!("http://{at}/v1/traces"));
            let begun = Instant::now();
            for _ in 0..200 {
                assert_eq!(server.ask("/livez", &format!("00-{TRACE}-{PARENT}-01")), 200);
            }
            server.stop();
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(30), "it took {took:?}");
        }
    }
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_that_sends_no_traces_says_so_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = serve(folder.path(), "http://127.0.0.1:4318/v1/traces").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("traces_not_built"), "{said}");
    assert!(!folder.path().join("t.sqlite").exists(), "nothing is made");
}

#[test]
fn a_server_without_a_collector_answers_whoever_sends_a_traceparent() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "");
    assert_eq!(server.ask("/livez", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), 200);
    server.stop();
}
