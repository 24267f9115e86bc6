//! The command line at a server behind TLS: whom it trusts, and what never travels unprotected.

use super::child::{Server, joined};
use super::work::cli;
use super::{PASSWORD, TOTP};
use crate::databases::{Engine, TestDb};
use crate::given::treasury;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use tributary::access::totp;
use tributary::db::Options;
use tributary::time::{Clock, SystemClock};

/// Certificates of the tests: an authority, one of its for `localhost`, and another authority.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api/golden/tls");

/// What stands before the server in production: TLS here, plain HTTP behind. Gives its port.
fn before(server: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let read = |name: &str| std::fs::read(format!("{FOLDER}/{name}")).expect("a file");
    let certificate = CertificateDer::from_pem_slice(&read("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut outside = StreamOwned::new(connection, socket.expect("a socket"));
            // Whoever does not trust us ends it here.
            let Some(asked) = whole(&mut outside) else { continue };
            let mut inside = TcpStream::connect(server).expect("connected");
            let asked = asked.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            inside.write_all(asked.as_bytes()).expect("sent");
            let mut answer = Vec::new();
            inside.read_to_end(&mut answer).expect("answered");
            let _ = outside.write_all(&answer);
            outside.conn.send_close_notify();
            let _ = outside.flush();
        }
    });
    port
}

/// A request with its body.
fn whole(from: &mut impl Read) -> Option<String> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match from.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&part[..n]),
        }
    }
}

#[test]
fn a_person_signs_in_over_tls_at_a_server_whose_authority_is_trusted_and_at_no_other() {
    let test = TestDb::new(Engine::Sqlite);
    let db = test.open(Options::default());
    treasury(&db, 0..1);
    joined(&db, "ann", &["treasurer"]);
    drop(db);
    let server = Server::start(&test.url.to_string(), "");
    let at = format!("https://localhost:{}", before(server.address));
    let home = tempfile::tempdir().expect("a folder");
    let code = totp::code_at(&TOTP, SystemClock.now());
    let login = |more: &[&str]| {
        let arguments = [&["login", "--login", "ann"], more].concat();
        cli(home.path(), &arguments, &format!("{PASSWORD}\n{code}\n"))
    };
    let authority = |name: &str| format!("{FOLDER}/{name}");
    // Neither the system's authorities nor another one have signed for it; a file without any is none.
    for (more, why) in [
        (vec!["--server", &at], "certificate"),
        (vec!["--server", &at, "--ca", &authority("another-ca.pem")], "certificate"),
        (vec!["--server", &at, "--ca", &authority("server.key")], "has no certificate"),
        (vec!["--server", &at, "--ca", &authority("none.pem")], "cannot read"),
        (vec!["--server", "http://192.0.2.1:8080"], "plain HTTP would show your password"),
    ] {
        let (ended, _, err) = login(&more);
        assert!(ended == Some(1) && err.contains(why), "{more:?}: {err}");
    }
    assert!(!home.path().join("tributary/session.json").exists());
    let (ended, out, err) = login(&["--server", &at, "--ca", &authority("ca.pem")]);
    assert_eq!(ended, Some(0), "{out}{err}");
    // What follows trusts the same.
    let (ended, me, err) = cli(home.path(), &["call", "GET", "/v1/me"], "");
    assert!(ended == Some(0) && me.contains("lines.route"), "{me}{err}");
    let route = ["route", "ln_none", "--to", "m00/house/pool", "--reason", "a test", "--server"];
    let (ended, _, err) = cli(home.path(), &route, "");
    assert!(ended == Some(1) && err.contains("there is no line ln_none"), "{err}");
    assert_eq!(cli(home.path(), &["logout"], "").0, Some(0));
}
