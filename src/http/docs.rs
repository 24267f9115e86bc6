//! The table of operations as a page to read: made here, with nothing from elsewhere and no script.

use super::openapi;
use super::operation::{Need, Operation};
use serde_json::Value;
use std::fmt::Write;

/// The page's style sheet.
pub(super) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\n\
    h2{margin-top:2.5rem;border-bottom:1px solid #ccd}h3{margin:1.5rem 0 .2rem;font-size:1rem}code,pre{font:14px/1.45 ui-monospace,monospace}\n\
    pre{background:#f4f5f8;padding:.8rem;overflow:auto;border-radius:.3rem}table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}\n\
    .m{display:inline-block;min-width:4rem;font-weight:700}a{color:#0645ad}\n\
    @media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#16181c}pre{background:#23262c}a{color:#8ab4f8}h2{border-color:#444}}\n";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page.
pub(super) fn page(operations: &[Operation]) -> String {
    let document = openapi::document(operations);
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Tributary: the API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><h1>Tributary: the API</h1>\
         <p>All of this as an OpenAPI 3.1 document: <a href=\"/openapi.json\">/openapi.json</a>. A request says who asks by \
         <code>Authorization: Bearer</code> with an API key or the token of a session; one that changes something carries an \
         <code>Idempotency-Key</code>; what is refused is answered as <code>application/problem+json</code> with a stable <code>code</code>.</p>",
    );
    let mut groups: Vec<&str> = Vec::new();
    for operation in operations {
        let group = operation.id.split('.').next().unwrap_or_default();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    out.push_str("<p>");
    for group in &groups {
        let _ = write!(out, "<a href=\"#{group}\">{group}</a> ");
    }
    out.push_str("</p>");
    for group in groups {
        let _ = write!(out, "<h2 id=\"{group}\">{group}</h2>");
        for operation in operations.iter().filter(|o| o.id.split('.').next() == Some(group)) {
            describe(&mut out, operation, &document);
        }
    }
    out.push_str("<h2 id=\"shapes\">Shapes</h2>");
    for (name, shape) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(out, "<h3 id=\"shape-{0}\">{0}</h3><pre>{1}</pre>", escaped(name), pretty(shape));
    }
    out.push_str("</body></html>");
    out
}

fn pretty(value: &Value) -> String {
    escaped(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// A shape's name with a link, or the shape itself.
fn shape(value: &Value) -> String {
    match value["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        Some(name) => format!("<a href=\"#shape-{0}\">{0}</a>", escaped(name)),
        None => format!("<code>{}</code>", escaped(&value.to_string())),
    }
}

fn describe(out: &mut String, operation: &Operation, document: &Value) {
    let described = &document["paths"][operation.path][operation.method.text().to_lowercase()];
    let needs = match operation.need {
        Need::Nobody => "nobody has to sign in".to_owned(),
        Need::SignedIn => "somebody who has signed in".to_owned(),
        Need::Permission(permission) => format!("<code>{permission}</code>"),
    };
    let _ = write!(
        out,
        "<h3 id=\"{0}\"><span class=\"m\">{1}</span> <code>{2}</code></h3><p>{3}. Needs: {4}.</p>",
        operation.id,
        operation.method,
        escaped(operation.path),
        escaped(operation.summary),
        needs
    );
    let parameters = described["parameters"].as_array().filter(|p| !p.is_empty());
    if let Some(parameters) = parameters {
        out.push_str("<table><tr><th>parameter</th><th>in</th><th></th></tr>");
        for p in parameters {
            let text = |name: &str| escaped(p[name].as_str().unwrap_or_default());
            let must = if p["required"] == true { " (required)" } else { "" };
            let _ = write!(
                out,
                "<tr><td><code>{}</code></td><td>{}{must}</td><td>{}</td></tr>",
                text("name"),
                text("in"),
                text("description")
            );
        }
        out.push_str("</table>");
    }
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = write!(out, "<p>Takes {}.</p>", shape(body));
    }
    for (status, answer) in described["responses"].as_object().into_iter().flatten().filter(|(s, _)| *s != "default") {
        let content = answer["content"].as_object().into_iter().flatten().next();
        let said = match content {
            Some((_, content)) => shape(&content["schema"]),
            None => escaped(answer["description"].as_str().unwrap_or_default()),
        };
        let _ = write!(out, "<p>{status}: {said}.</p>");
    }
}
