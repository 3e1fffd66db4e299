//! The AsyncAPI 3 document: one socket, every method and channel with its messages, and who may use it, from the
//! table of operations and the catalogue.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::catalogue::{Make, messages};
use crate::access::operation::{Kind, MemberRight, Operation, Row, ServiceRight};
use crate::access::workflow::Permission;

const DESCRIPTION: &str = "One WebSocket speaks Kraken's Spot v2 protocol and what Countersign adds to it. \
Operations are described from the server's side: it receives a method's request and replies; it sends the frames of \
a channel to its subscribers. `x-kind` is read, write or stream. `x-principals` lists who may use an operation. A \
Service User needs any one of `x-scopes`, a Member any one of `x-permissions`; where such a list is empty, every one \
of them may use it.";

/// The document's text.
pub fn document() -> String {
    let (requests, rest): (Vec<_>, Vec<_>) = messages().into_iter().partition(|(name, _)| name.ends_with(".request"));
    let names: Vec<String> = requests.iter().chain(&rest).map(|(name, _)| name.clone()).collect();
    let known: Map<String, Value> = names.iter().map(|name| (name.clone(), message(name))).collect();
    let on_socket: Map<String, Value> =
        names.iter().map(|name| (name.clone(), reference(&format!("components/messages/{name}")))).collect();
    // Params and results have names in common, such as `Withdraw`.
    let mut schemas = schemas("params.", requests);
    schemas.extend(self::schemas("", rest));
    let mut operations: Map<String, Value> = Operation::ALL.into_iter().map(operation).collect();
    operations.extend(envelopes());
    let document = json!({
        "asyncapi": "3.0.0",
        "id": "urn:countersign:v2",
        "info": {
            "title": "Countersign",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"plain": server("ws"), "tls": server("wss")},
        "channels": {"socket": {
            "address": "/v2",
            "description": "The WebSocket; the schema of each message is also served under `/schemas/`.",
            "messages": on_socket,
            "bindings": {"ws": handshake()},
        }},
        "operations": operations,
        "components": {"schemas": schemas, "messages": known, "securitySchemes": schemes()},
    });
    serde_json::to_string_pretty(&document).expect("a document is JSON") + "\n"
}

/// The schemas of messages and of the types they name, these with `prefix` before their name.
fn schemas(prefix: &'static str, messages: Vec<(String, Make)>) -> Map<String, Value> {
    let rename = RecursiveTransform(move |schema: &mut Schema| {
        if let Some(Value::String(to)) = schema.get_mut("$ref") {
            *to = to.replace("/schemas/", &format!("/schemas/{prefix}"));
        }
    });
    // Draft 7 is what AsyncAPI's own schemas are a superset of.
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.with_transform(rename).into_generator();
    let mut schemas = Map::new();
    for (name, make) in messages {
        let mut schema = Schema::try_from(make(&mut generator)).expect("a message's schema is an object");
        generator.transforms_mut().for_each(|transform| transform.transform(&mut schema));
        schemas.insert(name, schema.to_value());
    }
    let types = generator.take_definitions(true);
    schemas.extend(types.into_iter().map(|(name, schema)| (format!("{prefix}{name}"), schema)));
    schemas
}

fn reference(to: &str) -> Value {
    json!({"$ref": format!("#/{to}")})
}

fn server(protocol: &str) -> Value {
    let address = json!({"default": "127.0.0.1:8080", "description": "The server's setting `listen`."});
    json!({"host": "{address}", "protocol": protocol, "variables": {"address": address}})
}

/// The headers of an upgrade; without them only public channels are open, until a token in `params` names a key.
fn handshake() -> Value {
    let header = |description: &str| json!({"type": "string", "description": description});
    json!({"method": "GET", "bindingVersion": "0.1.0", "headers": {"type": "object", "properties": {
        "API-Key": header("The key, without its secret."),
        "API-Nonce": header("A decimal integer, higher than any earlier one of this key, or unused within its nonce window."),
        "API-Sign": header("base64(HMAC-SHA512(base64-decoded secret, \"/v2\" followed by SHA256(nonce)))."),
    }}})
}

/// The ways to authenticate.
fn schemes() -> Value {
    json!({
        "signature": {"type": "httpApiKey", "in": "header", "name": "API-Sign",
            "description": "The signed upgrade of a Service User or venue operator, with API-Key and API-Nonce."},
        "token": {"type": "apiKey", "in": "password",
            "description": "A Service User's token from POST /0/private/GetWebSocketsToken, as `params.token`."},
        "session": {"type": "httpApiKey", "in": "cookie", "name": "countersign_session",
            "description": "A Member's session, set by POST /session; the upgrade also needs the exact Origin."},
    })
}

fn message(name: &str) -> Value {
    let mut message = json!({"name": name, "title": name, "payload": reference(&format!("components/schemas/{name}"))});
    if !name.ends_with(".frame") {
        message["correlationId"] = json!({"location": "$message.payload#/req_id"});
    }
    message
}

/// A message that is sent in that form, or one that is received and has a reply.
fn exchange(name: &str, summary: &str, sent: Option<&str>) -> Value {
    let channel = reference("channels/socket");
    let messages = |form: &str| json!([reference(&format!("channels/socket/messages/{name}.{form}"))]);
    match sent {
        Some(form) => json!({"action": "send", "channel": channel, "summary": summary, "messages": messages(form)}),
        None => json!({"action": "receive", "channel": channel, "summary": summary, "messages": messages("request"),
            "reply": {"channel": channel, "messages": messages("reply")}}),
    }
}

fn operation(operation: Operation) -> (String, Value) {
    let row = operation.row();
    let messages = if operation == Operation::SettlePosition { Operation::AddOrder } else { operation };
    let mut entry = exchange(messages.name(), operation.summary(), (row.kind == Kind::Stream).then_some("frame"));
    entry["x-kind"] = json!(match row.kind {
        Kind::Read => "read",
        Kind::Write => "write",
        Kind::Stream => "stream",
    });
    let (principals, proofs) = admitted(row);
    entry["x-principals"] = json!(principals);
    if !row.public {
        entry["security"] =
            proofs.into_iter().map(|of| reference(&format!("components/securitySchemes/{of}"))).collect();
    }
    if let ServiceRight::Scopes(scopes) = row.service_user {
        entry["x-scopes"] = scopes.iter().map(|scope| scope.name()).collect();
    } else if row.service_user == ServiceRight::Any {
        entry["x-scopes"] = json!([]);
    }
    if let Some(permissions) = permissions(row.member) {
        entry["x-permissions"] = json!(permissions);
    }
    (row.name.to_owned(), entry)
}

/// Who may use a row, and the ways in which they authenticate.
fn admitted(row: &Row) -> (Vec<&'static str>, Vec<&'static str>) {
    let kinds = [
        ("public", row.public, &[][..]),
        ("service_user", row.service_user != ServiceRight::No, &["signature", "token"]),
        ("member", row.member != MemberRight::No, &["session"]),
        ("venue", row.venue, &["signature"]),
    ];
    let admitted = kinds.into_iter().filter(|(_, admitted, _)| *admitted);
    let (names, proofs): (Vec<_>, Vec<_>) = admitted.map(|(name, _, proofs)| (name, proofs)).unzip();
    (names, proofs.concat())
}

/// What a Member needs, any one of these; `None` for operations that Members cannot use.
fn permissions(right: MemberRight) -> Option<Vec<Value>> {
    let one = |workflow: &str, permission: Permission| json!({"workflow": workflow, "permission": permission.name()});
    match right {
        MemberRight::No => None,
        MemberRight::Any => Some(Vec::new()),
        MemberRight::Acting => Some(vec![json!({"workflow": "the workflow of each request"})]),
        MemberRight::Holds(workflow, permission) => Some(vec![one(workflow.name(), permission)]),
        MemberRight::HoldsAny(workflows, permission) => {
            Some(workflows.iter().map(|workflow| one(workflow.name(), permission)).collect())
        }
    }
}

/// The messages that belong to no row of the table.
fn envelopes() -> [(String, Value); 4] {
    [
        ("subscribe", "Subscribe to a channel; the rights that it needs are listed with the channel.", None),
        ("unsubscribe", "End a subscription.", None),
        ("heartbeat", "Sent in each second without another frame, once a channel is subscribed to.", Some("frame")),
        ("error", "Sent in reply to input that is not a message or that names an unknown method.", Some("reply")),
    ]
    .map(|(name, summary, sent)| (name.to_owned(), exchange(name, summary, sent)))
}
