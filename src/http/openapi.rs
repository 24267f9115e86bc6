//! The table of operations as an OpenAPI 3.1 document, whose schemas are JSON Schema 2020-12.

use super::operation::{Body, Effect, Method, Need, Operation};
use super::problem::Problem;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Where a shape that is used more than once stands.
const SHAPES: &str = "/components/schemas";

/// The document.
pub fn document(operations: &[Operation]) -> Value {
    let settings = || SchemaSettings::draft2020_12().with(|s| s.definitions_path = SHAPES.into());
    let mut taken = settings().for_deserialize().into_generator();
    let mut given = settings().for_serialize().into_generator();
    let problem = given.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let described = describe(operation, &mut taken, &mut given);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.text().to_lowercase()] = described;
    }
    let mut shapes = given.take_definitions(true);
    // What is taken and what is given may be of one shape; where they differ they must not be of one name.
    for (name, shape) in taken.take_definitions(true) {
        let before = shapes.insert(name.clone(), shape.clone());
        assert!(before.is_none_or(|b| b == shape), "the shape {name} is taken in one form and given in another");
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tributary",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A centralized treasury: one bank account per bank and currency, every product's balance to the cent.",
        },
        "paths": paths,
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An API key, or the token of a session" },
                "session": { "type": "apiKey", "in": "cookie", "name": crate::access::SESSION_COOKIE },
            },
            "responses": {
                "Problem": {
                    "description": "What was refused, why, and how to mend it",
                    "headers": { "X-Request-Id": { "schema": { "type": "string" } } },
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        },
    })
}

fn describe(operation: &Operation, taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation
        .path_names()
        .into_iter()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    parameters.extend(query_parameters(operation, taken));
    let header = |name: &str, required: bool, says: &str| json!({ "name": name, "in": "header", "required": required, "description": says, "schema": { "type": "string" } });
    if operation.dry_run {
        let says = "The same answer, and nothing is written";
        parameters
            .push(json!({ "name": "dry_run", "in": "query", "required": false, "description": says, "schema": { "type": "boolean" } }));
    }
    if operation.takes_key() {
        let shape = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" });
        let says = "A new one for each request, such as a UUID; the same request sent again takes effect once. Not needed for a dry run";
        let name = "Idempotency-Key";
        let required = !operation.dry_run;
        parameters
            .push(json!({ "name": name, "in": "header", "required": required, "description": says, "schema": shape }));
    }
    if operation.is_configuration && operation.method != Method::Get {
        parameters.push(header("If-Match", true, "The ETag of what was read"));
    }
    let mut success = json!({ "description": super::problem::title(operation.status) });
    if operation.status != 303 {
        success["content"][operation.media]["schema"] = (operation.shapes.answer)(given).to_value();
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.id.split('.').next().unwrap_or_default()],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": { operation.status.to_string(): success, "default": { "$ref": "#/components/responses/Problem" } },
    });
    if operation.leads {
        let location = json!({ "Location": { "required": true, "schema": { "type": "string" } } });
        let there = json!({ "description": "The browser goes there", "headers": location });
        described["responses"]["303"] = there;
    }
    match operation.need {
        Need::Nobody => described["security"] = json!([]),
        Need::SignedIn => described["security"] = json!([{ "bearer": [] }, { "session": [] }]),
        Need::Permission(permission) => {
            described["security"] = json!([{ "bearer": [] }, { "session": [] }]);
            described["x-permission"] = permission.code().into();
        }
    }
    match (operation.body, operation.shapes.body) {
        (Body::Json, Some(shape)) => {
            let shape = shape(taken).to_value();
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": shape } } });
        }
        (Body::File | Body::Stream, _) => {
            described["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": {} } });
        }
        _ => {}
    }
    if operation.effect != Effect::Reads {
        described["x-changes"] = true.into();
    }
    described
}

/// The parameters behind the question mark, out of the shape of the struct that reads them.
fn query_parameters(operation: &Operation, taken: &mut SchemaGenerator) -> Vec<Value> {
    // A generator of its own, so that these structs are no shapes of the document; what they use is.
    let mut own = SchemaGenerator::new(taken.settings().clone());
    let reference = (operation.shapes.query)(&mut own).to_value();
    let mut definitions = own.take_definitions(true);
    let name = reference["$ref"].as_str().and_then(|r| r.rsplit('/').next()).map(ToOwned::to_owned);
    let shape = name.and_then(|n| definitions.remove(&n)).unwrap_or(reference);
    for (name, shape) in definitions {
        taken.definitions_mut().insert(name, shape);
    }
    let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = shape["properties"].as_object() else { return Vec::new() };
    let one = |(name, shape): (&String, &Value)| {
        let mut shape = shape.clone();
        let says = shape.as_object_mut().and_then(|s| s.remove("description")).unwrap_or_default();
        without_null(&mut shape);
        json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()), "description": says, "schema": shape })
    };
    properties.iter().map(one).collect()
}

/// A parameter that is not given is not there; it is never null.
fn without_null(shape: &mut Value) {
    if let Some(kinds) = shape.get("type").and_then(Value::as_array) {
        let kinds: Vec<Value> = kinds.iter().filter(|k| *k != "null").cloned().collect();
        if let [one] = kinds.as_slice() {
            shape["type"] = one.clone();
        }
    }
    let left = shape
        .get("anyOf")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter(|s| s["type"] != "null").cloned().collect::<Vec<Value>>());
    if let Some([one]) = left.as_deref() {
        *shape = one.clone();
    }
}
