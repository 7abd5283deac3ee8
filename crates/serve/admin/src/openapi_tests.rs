use std::collections::BTreeSet;

use axum::http::{StatusCode, header};
use quorate_fake::{packet, received_now};
use quorate_packet::Timestamp;
use quorate_replica::{
    Deletion, PublishMode, PublishState, RecordSet, ReplicatedZone, TokenHash, UnixMillis,
    WireName, ZoneState,
};
use serde_json::Value;

use crate::{
    AdminConfig, Scope, Tokens,
    audit::AuditLog,
    authorize::{Authorizer, Entrance},
    fixture::{ELSEWHERE, Fixture, request},
    router::routes,
};

/// A valid body for each operation that has one.
const BODIES: [(&str, &str); 21] = [
    ("/v1/members/invites", r#"{"learner":true,"valid_secs":60}"#),
    ("/v1/members/{node}/promote", r#"{"force":true}"#),
    ("/v1/members/{node}/demote", r#"{"force":true}"#),
    ("/v1/members/{node}/replace", r#"{"with":"b","force":true}"#),
    ("/v1/members/{node}/move", r#"{"address":"b:1"}"#),
    ("/v1/leader/transfer", r#"{"to":"b"}"#),
    (
        "/v1/zones/{zone}/set",
        r#"{"name":"@","type":"TXT","ttl_secs":60,"data":["x"]}"#,
    ),
    ("/v1/zones/{zone}/unset", r#"{"name":"@","type":"TXT"}"#),
    ("/v1/zones/{zone}/import", r#"{"text":"a A 192.0.2.1"}"#),
    ("/v1/level/raise", "{}"),
    ("/v1/certificate/renewal", "{}"),
    ("/v1/cluster-key", r#"{"discard_lost":true}"#),
    ("/v1/policy/mode", r#"{"mode":"tokens"}"#),
    (
        "/v1/policy/keys",
        r#"{"change":"deny","keys":["yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]}"#,
    ),
    ("/v1/policy/tokens", r#"{"name":"new"}"#),
    ("/v1/backup", ""),
    ("/v1/dht/{key}", ""),
    (
        "/v1/packets/import",
        r#"{"packets":[{"key":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy","received_ms":1,"payload":""}]}"#,
    ),
    (
        "/v1/settings",
        r#"{"packets.count_max":7,"may_delete":true}"#,
    ),
    ("/v1/reload", ""),
    ("/v1/log-filter", r#"{"filter":"info"}"#),
];

/// An existing token for publishing.
const TOKEN: &str = "ci";

struct Operation {
    method: String,
    path: String,
    value: Value,
}

impl Operation {
    fn example_path(&self) -> String {
        let stored = packet(1, 7, "x", 30);
        let path = self.path.replace("{node}", "fra-1");
        let path = path.replace("{zone}", "dns.example");
        let path = path.replace("{name}", TOKEN);
        let path = path.replace("{key}", &stored.key().to_string());
        match path.as_str() {
            "/v1/changes" => path + "?since=1000",
            _ => path,
        }
    }

    /// The body of its request, if it has one.
    fn body(&self) -> &'static str {
        let body = BODIES.iter().find(|(path, _)| *path == self.path);
        match self.method.as_str() {
            "POST" | "PUT" => body.unwrap_or_else(|| panic!("a body for {}", self.path)).1,
            _ => "",
        }
    }

    /// The scope that a token needs.
    fn scope(&self) -> Option<Scope> {
        let needs = self.value["security"].as_array().unwrap();
        let scopes = needs.iter().find_map(|need| need.get("token"));
        scopes.map(|scopes| scopes[0].as_str().unwrap().parse().unwrap())
    }
}

async fn document(admin: &Fixture) -> Value {
    admin.get("/v1/openapi.json").await.json()
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, value) in methods.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                value: value.clone(),
            });
        }
    }
    operations
}

/// A node with something that each operation can read, delete or remove.
fn holding_one_of_each() -> Fixture {
    let admin = Fixture::new();
    let stored = packet(1, 7, "x", 30);
    let key = *stored.key();
    admin.dht.store(stored.clone());
    admin.replica.store(received_now(stored));
    let deletion = Deletion {
        timestamp: Timestamp::from_micros(6),
        blocked_until: Some(UnixMillis(1)),
    };
    admin.replica.set_publish_state(PublishState {
        mode: PublishMode::AllowList,
        allowed: [key].into(),
        denied: [key].into(),
        tokens: [(TOKEN.to_owned(), TokenHash([1; 32]))].into(),
        deleted: [(key, deletion)].into(),
    });
    let zone = WireName::parse(b"\x03dns\x07example\0".to_vec().into()).unwrap();
    let records = RecordSet {
        ttl_secs: 60,
        rdata: vec![b"\x01x".to_vec().into()],
    };
    let sets = [((zone.clone(), 16), records)].into();
    let replicated = ReplicatedZone {
        sets,
        ..ReplicatedZone::default()
    };
    admin.replica.set_zone_state(ZoneState {
        zones: [(zone, replicated)].into(),
    });
    admin
}

#[tokio::test]
async fn every_route_is_documented_and_nothing_else() {
    let admin = Fixture::new();
    let documented: BTreeSet<_> = operations(&document(&admin).await)
        .into_iter()
        .map(|operation| (operation.path, operation.method))
        .collect();
    let tokens = Tokens::open("".as_ref()).unwrap().into();
    let authorizer = Authorizer::new(
        tokens,
        &AdminConfig::default(),
        Entrance::Tcp,
        AuditLog::new(),
    );
    let mut routed = BTreeSet::new();
    for (path, _) in routes(&authorizer) {
        let answer = admin.ask("PATCH", &path.replace(['{', '}'], ""), "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = answer.headers[header::ALLOW].to_str().unwrap();
        let methods = allowed.split(',').filter(|method| *method != "HEAD");
        routed.extend(methods.map(|method| (path.to_owned(), method.to_owned())));
    }
    assert_eq!(routed, documented);
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let document = document(&Fixture::new()).await;
    for operation in operations(&document) {
        // A new node for each, because one operation may delete what the next needs.
        let admin = holding_one_of_each();
        let (method, path) = (&operation.method, operation.example_path());
        let answer = admin.ask(method, &path, operation.body()).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        let response = &operation.value["responses"][answer.status.as_str()];
        let content = response["content"]
            .as_object()
            .expect("a documented status");
        let (media_type, content) = content.iter().next().unwrap();
        let content_type = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(
            content_type.starts_with(media_type),
            "{method} {path}: {content_type}"
        );
        if media_type == "application/json" {
            let schema = &content["schema"];
            check_complete(&document, schema, &answer.json());
            check(
                &document,
                schema,
                &answer.json(),
                &format!("{method} {path}"),
            );
        }
    }
}

#[tokio::test]
async fn every_request_body_matches_its_schema() {
    let admin = Fixture::new();
    let document = document(&admin).await;
    let mut count = 0;
    for operation in operations(&document) {
        let content = &operation.value["requestBody"]["content"]["application/json"];
        if content.is_null() {
            continue;
        }
        count += 1;
        let body = serde_json::from_str(operation.body()).unwrap();
        check(&document, &content["schema"], &body, &operation.path);
    }
    assert_eq!(
        count,
        BODIES.len() - 3,
        "a reload, a backup and a publication in the DHT have no body"
    );
}

#[tokio::test]
async fn every_operation_needs_the_scope_that_is_documented() {
    let admin = holding_one_of_each();
    for operation in operations(&document(&admin).await) {
        let new_request = || {
            request(
                &operation.method,
                &operation.example_path(),
                operation.body(),
            )
        };
        let needed = operation.scope();
        let answer = admin.send(ELSEWHERE, new_request()).await;
        let rejected = answer.status == StatusCode::UNAUTHORIZED;
        assert_eq!(rejected, needed.is_some(), "{}", operation.path);
        for scope in [Scope::Metrics, Scope::Read, Scope::Operate] {
            let mut new_request = new_request();
            let bearer = admin.bearer(scope).parse().unwrap();
            new_request
                .headers_mut()
                .insert(header::AUTHORIZATION, bearer);
            let answer = admin.send(ELSEWHERE, new_request).await;
            let rejected = answer.status == StatusCode::FORBIDDEN;
            let too_small = needed.is_some_and(|needed| scope < needed);
            assert_eq!(rejected, too_small, "{} {scope}", operation.path);
        }
    }
}

#[tokio::test]
async fn a_problem_matches_its_schema() {
    let admin = Fixture::new();
    let document = document(&admin).await;
    let problem = admin.get("/v1/packets?count=0").await.json();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/Problem" });
    check(&document, &schema, &problem, "problem");
}

#[tokio::test]
async fn every_operation_and_field_has_a_description() {
    let document = document(&Fixture::new()).await;
    for operation in operations(&document) {
        let summary = operation.value["summary"].as_str();
        assert!(
            summary.is_some_and(|text| !text.is_empty()),
            "{}",
            operation.path
        );
        for (status, response) in operation.value["responses"].as_object().unwrap() {
            let description = response["description"].as_str();
            assert!(description.is_some(), "{} {status}", operation.path);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // An optional object is one of the object, which has the description, and null.
            let described = property["oneOf"].get(0).unwrap_or(property);
            assert!(described["description"].is_string(), "{name}.{field}");
        }
    }
}

/// Checks that an answer has all of its fields.
fn check_complete(document: &Value, schema: &Value, answer: &Value) {
    let Some(reference) = schema["$ref"].as_str() else {
        return;
    };
    let schema = document.pointer(reference.trim_start_matches('#'));
    let schema = schema.expect(reference);
    let described = schema["properties"].as_object().unwrap().keys();
    let described: BTreeSet<_> = described.collect();
    assert_eq!(described, answer.as_object().unwrap().keys().collect());
    let required = schema["required"].as_array().unwrap();
    assert_eq!(required.len(), described.len(), "{reference}");
}

/// Checks `value` against the part of JSON Schema that the document uses. An object must not have
/// fields that are not described.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#'));
        return check(document, schema.expect(reference), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let matches_null = |choice: &&Value| (choice["type"] == "null") == value.is_null();
        return check(
            document,
            choices.iter().find(matches_null).expect(at),
            value,
            at,
        );
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(
        types.contains(&actual.into()),
        "{at}: {value} is not {types:?}"
    );
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        check(
            document,
            &schema["items"],
            element,
            &format!("{at}[{index}]"),
        );
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(
            fields.contains_key(required.as_str().unwrap()),
            "{at}: {required}"
        );
    }
    for (name, field) in fields {
        let property = properties.get(name);
        let property =
            property.unwrap_or_else(|| panic!("{at} has {name}, which is not described"));
        check(document, property, field, &format!("{at}.{name}"));
    }
}
