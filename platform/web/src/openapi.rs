//! One contract out of the documents of all modules.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

use crate::{FieldError, Module, Problem, routes, system};

/// The contract of `modules` and of the system's own endpoints, as OpenAPI 3.1.
#[must_use]
pub fn openapi(modules: &[Module], version: &str) -> Value {
    let mut document = Document { paths: Map::new(), schemas: Map::new() };
    document.schemas.insert("Problem".to_owned(), schema_of::<Problem>());
    document.schemas.insert("FieldError".to_owned(), schema_of::<FieldError>());
    for part in system::documents() {
        document.add("system", part.at, &part.document);
    }
    for module in modules {
        document.add(module.name, routes::API, module.routes.get_openapi());
        document.add(module.name, "", module.root_routes.get_openapi());
    }
    document.finish(version)
}

fn schema_of<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    fn add(&mut self, module: &str, at: &str, openapi: &utoipa::openapi::OpenApi) {
        let Ok(mut part) = serde_json::to_value(openapi) else { return };
        self.keep_apart(module, &mut part);
        if let Some(Value::Object(schemas)) =
            part.pointer_mut("/components/schemas").map(Value::take)
        {
            for (name, schema) in schemas {
                self.schemas.entry(name).or_insert(schema);
            }
        }
        let Some(Value::Object(paths)) = part.get_mut("paths").map(Value::take) else { return };
        for (path, mut item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete(module, method, operation);
            }
            // Wildcards are the router's business.
            let path = format!("{at}{}", path.replace("{*", "{"));
            match self.paths.get_mut(&path).and_then(Value::as_object_mut) {
                Some(known) => known.extend(item.as_object().cloned().unwrap_or_default()),
                None => {
                    self.paths.insert(path, item);
                }
            }
        }
    }

    /// Renames the schemas of `part` whose name another module uses for something else.
    fn keep_apart(&self, module: &str, part: &mut Value) {
        let Some(schemas) = part.pointer("/components/schemas").and_then(Value::as_object) else {
            return;
        };
        let clashes: Vec<String> = schemas
            .iter()
            .filter(|(name, schema)| self.schemas.get(*name).is_some_and(|known| known != *schema))
            .map(|(name, _)| name.clone())
            .collect();
        for name in clashes {
            let own = format!("{}{name}", capitalised(module));
            if let Some(schemas) =
                part.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
                && let Some(schema) = schemas.remove(&name)
            {
                schemas.insert(own.clone(), schema);
            }
            redirect(
                part,
                &format!("#/components/schemas/{name}"),
                &format!("#/components/schemas/{own}"),
            );
        }
    }

    fn finish(mut self, version: &str) -> Value {
        self.paths.sort_keys();
        self.schemas.sort_keys();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Plainview",
                "version": version,
                "description": "Telemetry in, early warnings out, people decide. Errors are \
                    RFC 9457 problems; times are RFC 3339 in UTC; lists are pages.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
            },
            "security": [{}, { "api_key": [] }, { "bearer": [] }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": {
                    "Problem": {
                        "description": "What went wrong, and what to do about it",
                        "content": { Problem::MEDIA_TYPE: {
                            "schema": { "$ref": "#/components/schemas/Problem" }
                        } }
                    }
                },
                "parameters": {
                    "IdempotencyKey": {
                        "name": "Idempotency-Key", "in": "header", "required": false,
                        "description": "The same key does the same thing once, for a day.",
                        "schema": { "type": "string", "maxLength": 255 }
                    }
                },
                "securitySchemes": {
                    "api_key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                    "bearer": { "type": "http", "scheme": "bearer" }
                }
            }
        })
    }
}

/// What holds for every operation, so that no module has to say it.
fn complete(module: &str, method: &str, operation: &mut Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    operation.insert("tags".to_owned(), json!([module]));
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or(method);
    let id = if id.starts_with(module) { id.to_owned() } else { format!("{module}_{id}") };
    operation.insert("operationId".to_owned(), Value::String(id));
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        responses
            .entry("default")
            .or_insert_with(|| json!({ "$ref": "#/components/responses/Problem" }));
    }
    if method == "post" {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
    }
}

fn redirect(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match inner {
                    Value::String(target) if key == "$ref" && target == from => {
                        to.clone_into(target);
                    }
                    _ => redirect(inner, from, to),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| redirect(inner, from, to)),
        _ => {}
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
