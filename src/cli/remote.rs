//! The command line as a client: signing in at a server as a person, and asking it for operations of its API.
//!
//! The session's token is kept in a file that only its owner can read, in the user's folder of settings. Passwords and tokens go over TLS,
//! and over plain HTTP only to this very machine unless it is said otherwise: what travels unprotected is everybody's. Redirects are
//! not followed, since the token would go along.

use super::{Context, print_json, prompt};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::time::{Clock, SystemClock};
use crate::tls;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where to sign in.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The server, such as https://treasury.example.com
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Whom to trust in place of the system's authorities: a file of certificates, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Send the password over plain HTTP to another machine too: everybody on the way can read it
    #[arg(long)]
    allow_plain_http: bool,
    /// By which you sign in; asked for where it is left out
    #[arg(long)]
    login: Option<String>,
}

/// What to ask for.
#[derive(Debug, clap::Args)]
pub struct Call {
    /// GET, POST, PUT or DELETE
    method: String,
    /// The path with its parameters, such as /v1/positions?as_of=2026-07-31
    path: String,
    /// A file with the body, JSON; - for standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// The key under which a request that changes something takes effect once [default: a new one]
    #[arg(long)]
    key: Option<String>,
    /// What was read, for changes of configuration
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
}

/// The session that `login` has opened.
#[derive(Serialize, Deserialize)]
struct Session {
    server: String,
    token: String,
    expires_at: String,
    /// The certificates that were trusted when it was opened, PEM; none: the system's.
    #[serde(default)]
    ca: Option<String>,
}

/// The file that the session is kept in.
fn session_file() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let folder = folder.ok_or_else(|| {
        Error::NotFound("neither XDG_CONFIG_HOME nor HOME says where to keep a session; set one of them".to_owned())
    })?;
    Ok(folder.join("tributary").join("session.json"))
}

fn keep(session: &Session) -> Result<PathBuf> {
    let file = session_file()?;
    let failed = |e: std::io::Error| Error::Broken(format!("cannot keep the session in {}: {e}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // A file that is there keeps its mode, and somebody may have opened it; so it is made anew.
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let mut kept = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
    let text = serde_json::to_string(session).map_err(|e| Error::Broken(e.to_string()))?;
    kept.write_all(text.as_bytes()).map_err(failed)?;
    Ok(file)
}

fn kept() -> Result<Session> {
    let file = session_file()?;
    let absent = || Error::Refused {
        code: "not_signed_in",
        message: "nobody has signed in here; `tributary login --server URL` does".to_owned(),
    };
    let text = std::fs::read_to_string(&file).map_err(|_| absent())?;
    serde_json::from_str(&text).map_err(|_| absent())
}

/// A server's address: with TLS, or on this machine. `plain`: wherever it is.
fn checked(server: &str, plain: bool) -> Result<String> {
    let bad = |why: &str| Error::Refused { code: "bad_server", message: format!("the server {server} {why}") };
    let address = server.trim_end_matches('/');
    let uri = address.parse::<ureq::http::Uri>().ok();
    let is_plain_path = uri.as_ref().is_some_and(|uri| matches!(uri.path(), "" | "/") && uri.query().is_none());
    let host =
        uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?.as_str()))).filter(|_| is_plain_path);
    let host = match host {
        Some((_, authority)) if authority.contains('@') => {
            return Err(bad("carries a name or password; `login` asks for them"));
        }
        Some(("https", _)) => return Ok(address.to_owned()),
        Some(("http", _)) if plain => return Ok(address.to_owned()),
        Some(("http", host)) => host,
        _ => return Err(bad("is no address; write https://treasury.example.com, or http://127.0.0.1:8080")),
    };
    let bare = ["127.0.0.1", "localhost", "[::1]"].iter().find_map(|own| host.strip_prefix(own));
    let is_port =
        |rest: &str| rest.strip_prefix(':').is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if !bare.is_some_and(|rest| rest.is_empty() || is_port(rest)) {
        return Err(bad(
            "is another machine, and plain HTTP would show your password on the way; write https://, or go through a tunnel such as ssh -L 8080:127.0.0.1:8080 (--allow-plain-http sends it all the same)",
        ));
    }
    Ok(address.to_owned())
}

struct Request<'r> {
    server: &'r str,
    ca: Option<&'r str>,
    token: Option<&'r str>,
    method: &'r str,
    path: &'r str,
    body: Option<Vec<u8>>,
    headers: Vec<(&'static str, String)>,
}

/// Status and document.
fn send(request: Request<'_>) -> Result<(u16, Value)> {
    let Request { server, ca, token, method, path, body, headers } = request;
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(120)));
    if server.starts_with("https://") {
        config = config.tls_config(trusted(ca)?);
    } else {
        // A proxy would be another machine.
        config = config.proxy(None);
    }
    let agent: ureq::Agent = config.build().into();
    let mut asked = ureq::http::Request::builder().method(method).uri(format!("{server}{path}"));
    asked = asked.header("user-agent", concat!("tributary/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = token {
        asked = asked.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        asked = asked.header("content-type", "application/json");
    }
    for (name, value) in headers {
        asked = asked.header(name, value);
    }
    let bad =
        |e: ureq::http::Error| Error::Refused { code: "bad_call", message: format!("this cannot be asked for: {e}") };
    let asked = asked.body(body.unwrap_or_default()).map_err(bad)?;
    let unreachable =
        |e: ureq::Error| Error::Busy(format!("{server} cannot be asked: {e}; does `tributary serve` run there?"));
    let mut answer = agent.run(asked).map_err(unreachable)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(256 << 20).read_to_string().map_err(unreachable)?;
    let document =
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Ok((status, document))
}

/// Whom to trust: the certificates given, else whom the system trusts.
fn trusted(ca: Option<&str>) -> Result<ureq::tls::TlsConfig> {
    let Some(pem) = ca else { return Ok(tls::of_the_system()) };
    let bad = |why: String| Error::Refused { code: "bad_ca", message: format!("the file of --ca {why}") };
    tls::of_pem(pem.as_bytes()).map_err(bad)
}

/// A refusal as the server has said it. Codes are static in this program, and those of a server may be newer: the sentence has it.
pub fn refused(code: &str, detail: &str) -> Error {
    match code {
        "not_found" => Error::NotFound(detail.to_owned()),
        "forbidden" => Error::Forbidden(detail.to_owned()),
        "conflict" => Error::Conflict(detail.to_owned()),
        "busy" => Error::Busy(detail.to_owned()),
        _ => Error::Refused { code: "server_refused", message: format!("{detail} ({code})") },
    }
}

fn answered((status, document): (u16, Value)) -> Result<Value> {
    if status < 400 {
        return Ok(document);
    }
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let detail = if text("detail").is_empty() { format!("the server answers {status}") } else { text("detail") };
    Err(refused(&text("code"), &detail))
}

/// Asks the server at which somebody has signed in, under a new key where the request changes something.
pub fn ask(method: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> Result<Value> {
    let body = body.map(|b| b.to_string().into_bytes());
    ask_with(method, path, body, key, None)
}

/// Asks that server for a change as the person who has signed in, and says what came of it: `done`, or what waits for approval.
pub fn change(context: &Context, path: &str, body: &Value, done: impl Fn(&Value) -> String) -> Result<()> {
    let answer = ask("POST", path, Some(body), None)?;
    if context.json {
        return print_json(&answer);
    }
    match answer["proposal"].as_str() {
        Some(id) => say!("It waits for approval as {id}; somebody else decides on it at the server."),
        None => say!("{}", done(&answer)),
    }
    Ok(())
}

/// A name as one part of a path.
pub fn part(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(one).collect()
}

fn ask_with(
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    key: Option<&str>,
    if_match: Option<&str>,
) -> Result<Value> {
    let session = kept()?;
    let mut headers = Vec::new();
    if method == "POST" {
        let new = || Ids::random().next("cli", SystemClock.now());
        headers.push(("idempotency-key", key.map_or_else(new, ToOwned::to_owned)));
    }
    headers.extend(if_match.map(|tag| ("if-match", tag.to_owned())));
    let token = Some(session.token.as_str());
    let ca = session.ca.as_deref();
    answered(send(Request { server: &session.server, ca, token, method, path, body, headers })?)
}

/// A server at which nobody has signed in yet, and whom to trust on the way there.
pub struct Place {
    server: String,
    ca: Option<String>,
}

impl Place {
    /// Checked before anything is asked for.
    pub fn of(server: &str, ca: Option<&Path>, plain: bool) -> Result<Place> {
        let server = checked(server, plain)?;
        let unreadable =
            |path: &Path, e: std::io::Error| Error::NotFound(format!("cannot read {}: {e}", path.display()));
        let ca = ca.map(|p| std::fs::read_to_string(p).map_err(|e| unreadable(p, e))).transpose()?;
        trusted(ca.as_deref())?;
        Ok(Place { server, ca })
    }

    /// Posts to it, as nobody.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let (server, ca) = (self.server.as_str(), self.ca.as_deref());
        let body = Some(body.to_string().into_bytes());
        answered(send(Request { server, ca, token: None, method: "POST", path, body, headers: Vec::new() })?)
    }
}

/// Signs in.
pub fn login(context: &Context, args: &Login) -> Result<()> {
    let place = Place::of(&args.server, args.ca.as_deref(), args.allow_plain_http)?;
    let login = args.login.clone().map_or_else(|| prompt::line("login"), Ok)?;
    let password = prompt::secret("password")?;
    let code = prompt::secret("code")?;
    let body = json!({ "login": login, "password": password.reveal(), "code": code.reveal() });
    let opened = place.post("/v1/sign-in", &body)?;
    let Place { server, ca } = place;
    let text = |name: &str| opened[name].as_str().unwrap_or_default().to_owned();
    let session = Session { server: server.clone(), token: text("token"), expires_at: text("expires_at"), ca };
    let file = keep(&session)?;
    if context.json {
        return print_json(&json!({ "server": server, "person": opened["person"], "expires_at": session.expires_at }));
    }
    say!("Signed in at {server} until {}; the session is kept in {}.", session.expires_at, file.display());
    if let Some(left) = opened["recovery_codes_left"].as_i64() {
        say!("You have {left} recovery codes left.");
    }
    Ok(())
}

/// Ends the session, here also when the server does not answer.
pub fn logout(context: &Context) -> Result<()> {
    let session = kept()?;
    let request = Request {
        server: &session.server,
        ca: session.ca.as_deref(),
        token: Some(&session.token),
        method: "POST",
        path: "/v1/sign-out",
        body: None,
        headers: Vec::new(),
    };
    let told = send(request).and_then(answered);
    let file = session_file()?;
    std::fs::remove_file(&file).map_err(|e| Error::Broken(format!("cannot remove {}: {e}", file.display())))?;
    if let Err(e) = &told {
        eprintln!("tributary: the session is forgotten here, and the server was not told: {e}");
    }
    if context.json {
        return print_json(&json!({ "server": session.server, "ended": told.is_ok() }));
    }
    say!("Signed out.");
    Ok(())
}

/// Asks for one operation and prints its answer.
pub fn call(_: &Context, args: &Call) -> Result<()> {
    let method = args.method.to_uppercase();
    if !["GET", "POST", "PUT", "DELETE"].contains(&method.as_str()) || !args.path.starts_with('/') {
        let message =
            "a call is a method (GET, POST, PUT, DELETE) and a path that begins with /, such as GET /v1/positions";
        return Err(Error::Refused { code: "bad_call", message: message.to_owned() });
    }
    let body = args.body.as_deref().map(read).transpose()?;
    print_json(&ask_with(&method, &args.path, body, args.key.as_deref(), args.if_match.as_deref())?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::NotFound(format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)).map_err(failed)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{checked, part};

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_stands_in_it() {
        assert_eq!(part("INV-7"), "INV-7");
        assert_eq!(part("a/b ?#%ü"), "a%2Fb%20%3F%23%25%C3%BC");
    }

    #[test]
    fn a_password_travels_unprotected_within_this_machine_only() {
        for fine in [
            "http://127.0.0.1:8080",
            "http://localhost:1/",
            "http://[::1]:8080",
            "https://t.example.com",
            "https://t:1/",
        ] {
            assert!(checked(fine, false).is_ok(), "{fine}");
        }
        assert!(checked("http://10.0.0.1:8080", true).is_ok());
        for not in [
            "http://10.0.0.1:8080",
            "https://t.example.com/path",
            "https://me:secret@t.example.com",
            "https://",
            "127.0.0.1:8080",
            "http://localhost.evil:80",
            "http://127.0.0.1@x:1",
        ] {
            assert!(checked(not, false).is_err(), "{not}");
        }
    }
}
