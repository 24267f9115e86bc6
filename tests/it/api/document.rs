//! The OpenAPI document: compared with what was agreed on, and true to itself.

use serde_json::Value;
use std::path::Path;
use tributary::{app, http};

/// The document with short shapes is long; its text is compared so that a change of the API is seen in review.
#[test]
fn the_document_is_the_one_that_was_agreed_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/golden/openapi.json");
    let document = http::document(&app::operations());
    let text = format!("{}\n", serde_json::to_string_pretty(&document).expect("JSON"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    let first = agreed.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        agreed == text,
        "the API differs from {} (first at line {:?}); UPDATE=1 rewrites it, the diff is the review",
        path.display(),
        first.map(|f| f + 1)
    );
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = http::document(&app::operations());
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(all) => {
            into.extend(all.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            all.values().for_each(|v| collect(v, into));
        }
        Value::Array(all) => all.iter().for_each(|v| collect(v, into)),
        _ => {}
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_a_sentence() {
    let operations = app::operations();
    let mut ids: Vec<&str> = operations.iter().map(|o| o.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations.len(), "two operations have one id");
    for o in &operations {
        assert!(o.summary.len() > 5 && !o.summary.ends_with('.'), "{}: {}", o.id, o.summary);
        assert!(o.path.starts_with("/v1/") || ["/livez", "/readyz", "/metrics"].contains(&o.path), "{}", o.path);
    }
}
