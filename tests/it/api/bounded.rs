//! Every operation, asked by every role in a part of the treasury: its own part answers as agreed on, and a filter that names something
//! foreign is answered like one that names nothing.

use super::rights::{furnish, golden, good_body, may, named, path, refused_body};
use super::{Sent, Served, on_both};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tributary::access::role::built_in_roles;
use tributary::app;
use tributary::http::{Method, Need};

/// Where everything that the walk names is: tiktok's, in the first master.
const OWN: &str = "product:tiktok+master:m00";
/// Of the same master, and another product's.
const BESIDE: &str = "product:douyin+master:m00";

/// The names of the parameters of each operation, from the document that the server publishes.
fn parameters(served: &Served) -> BTreeMap<String, BTreeSet<String>> {
    let document = served.ask("GET", "/openapi.json", &Sent::default()).json();
    let paths = document["paths"].as_object().expect("paths").values();
    let operations = paths.flat_map(|path| path.as_object().expect("operations").values());
    let of = |operation: &Value| {
        let all = operation["parameters"].as_array().into_iter().flatten();
        let names = all.filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str().map(str::to_owned));
        (operation["operationId"].as_str().unwrap_or_default().to_owned(), names.collect())
    };
    operations.map(of).collect()
}

#[test]
fn every_operation_answers_every_role_in_its_own_part_as_was_agreed_on() {
    on_both(|test| {
        let served = Served::on(test);
        let things = furnish(&served);
        let parameters = parameters(&served);
        let roles: Vec<_> = built_in_roles().collect();
        let holders: Vec<String> =
            roles.iter().map(|role| served.person(&format!("in-{}", role.code), &[(&role.code, OWN)]).1).collect();
        let mut text = format!(
            "What each operation answers the roles that may ask for it, in the scope {OWN}:\n\
             where a body is taken it is tried out (dry_run), or cannot be (400, 428).\n\n"
        );
        for operation in app::operations() {
            if !matches!(operation.need, Need::Permission(_)) || operation.id == "statement_files.take_in" {
                continue;
            }
            let mut at = path(&operation, |name| named(&operation, name, &things).to_owned());
            let tries = parameters.get(operation.id).is_some_and(|names| names.contains("dry_run"));
            if tries {
                at = format!("{at}{}dry_run=true", if at.contains('?') { '&' } else { '?' });
            }
            let mut answers: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
            for (role, token) in roles.iter().zip(&holders).filter(|(role, _)| may(&operation, role)) {
                let body = if tries { good_body(&operation) } else { refused_body(&operation) };
                let body = body.filter(|_| operation.method != Method::Get);
                let sent = Sent { token: Some(token), key: Some("walk"), body, headers: vec![("if-match", "\"0\"")] };
                let got = served.ask(operation.method.text(), &at, &sent);
                assert!(got.status < 500, "{} as {}: {got:?}", operation.id, role.code);
                answers.entry(got.status).or_default().push(&role.code);
            }
            text += &format!("{} {}\n", operation.method, operation.path);
            for (status, roles) in answers {
                text += &format!("    {status}: {}\n", roles.join(", "));
            }
        }
        golden("rights-in-a-part.txt", &text);
    });
}

#[test]
fn a_filter_that_names_something_foreign_is_answered_like_one_that_names_nothing() {
    on_both(|test| {
        let served = Served::on(test);
        let things = furnish(&served);
        let parameters = parameters(&served);
        let roles: Vec<_> = built_in_roles().collect();
        // What parameters can name that is somebody's.
        let foreign = |name: &str| match name {
            "master" => Some("m01".to_owned()),
            "leaf" => Some("m00/tiktok/de/operating".to_owned()),
            "product" => Some("tiktok".to_owned()),
            "subject" => Some(things["line"].clone()),
            "actor" => Some(format!("person:{}", things["person"])),
            _ => None,
        };
        let mut asked = 0;
        for role in &roles {
            let token = served.person(&format!("by-{}", role.code), &[(&role.code, BESIDE)]).1;
            for operation in app::operations() {
                if operation.method != Method::Get || !operation.path_names().is_empty() || !may(&operation, role) {
                    continue;
                }
                for name in parameters.get(operation.id).into_iter().flatten() {
                    let Some(thing) = foreign(name) else { continue };
                    let ask = |thing: &str| {
                        let plain = path(&operation, |name| name.to_owned());
                        let and = if plain.contains('?') { '&' } else { '?' };
                        let at = format!("{plain}{and}{name}={}", thing.replace('/', "%2F").replace(':', "%3A"));
                        let (status, text) = served.get(&at, &token).said();
                        (status, text.replace(thing, "IT"))
                    };
                    let absent = thing.replace(|c: char| c.is_ascii_alphanumeric(), "q");
                    let (foreign, absent) = (ask(&thing), ask(&absent));
                    assert_eq!(foreign, absent, "{} by {name} as {}", operation.id, role.code);
                    asked += 1;
                }
            }
        }
        assert!(asked > 60, "{asked} questions only");
    });
}
