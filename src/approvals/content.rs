//! What a decision names: the digest of exactly what was proposed, over canonical JSON. Pure.
//!
//! Canonical: the names of an object in order of their bytes, nothing between, text as JSON writes it, whole numbers only. The
//! same content has one text, whatever wrote it and in which order.

use super::Kind;
use crate::db::seal::{Encoding, hex, sha256};
use serde_json::Value;

/// The one text of a value.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            text.push('{');
            for (place, name) in names.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                fields.get(name).into_iter().for_each(|value| write(value, text));
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        // Amounts are text, so no number here has a fraction whose text could differ.
        other => text.push_str(&other.to_string()),
    }
}

/// Names exactly this content and what it would change.
pub fn digest(kind: Kind, subject: &str, content: &Value, effect: &Value) -> String {
    let mut e = Encoding::new("tributary.proposal.1");
    e.text(kind.code()).text(subject).text(&canonical(content)).text(&canonical(effect));
    hex(&sha256(e.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_content_has_one_text() {
        let a: Value = serde_json::from_str(r#"{"b": [1, {"y": null, "x": "ü\""}], "a": true}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":true,"b":[1,{"x":"ü\"","y":null}]}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":true,"b":[1,{"x":"ü\"","y":null}]}"#);
        assert_eq!(canonical(&a), canonical(&b));
    }

    #[test]
    fn each_part_of_it_makes_another_digest() {
        let of = |kind, subject: &str, n: i32, m: i32| digest(kind, subject, &json!({ "n": n }), &json!({ "m": m }));
        let first = of(Kind::Rules, "apple", 1, 1);
        let others = [
            of(Kind::Roles, "apple", 1, 1),
            of(Kind::Rules, "apples", 1, 1),
            of(Kind::Rules, "apple", 2, 1),
            of(Kind::Rules, "apple", 1, 2),
        ];
        assert!(first.len() == 64 && others.iter().all(|o| *o != first));
    }
}
