//! `GET /api/openapi.json`: the description of the API, derived from the types that its routes read and write. Must not
//! know a route's work. Called by the router; a test compares it with the list of routes and with a golden file.
use super::{cohorts, events, figures, gateways, incidents, inquiries, locks, silences, stream};
use crate::http::gate::changes;
use crate::http::problem::Problem;
use crate::http::triage;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;
use utoipa::OpenApi as _;

/// The routes that are described.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "zenei",
        description = "Locks, incidents and the desk's figures. Times are ms since 1970. An unknown parameter or field \
            is refused. Reading needs the role viewer, which callers on loopback have without a token where zenei \
            listens on loopback; what changes something needs the role operator.",
        version = "1",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    paths(
        incidents::list,
        incidents::show,
        events::add,
        silences::list,
        silences::add,
        silences::preview,
        silences::end,
        locks::list,
        locks::show,
        locks::series,
        locks::operations,
        cohorts::compare,
        cohorts::values,
        cohorts::series,
        gateways::gateways,
        gateways::receptions,
        gateways::dead_letters,
        gateways::search,
        gateways::rules,
        inquiries::add,
        figures::inquiries,
        figures::channel_rate,
        figures::progress,
        figures::postmortem_rate,
        figures::action_rate,
        figures::lead_time,
        stream::listen,
        triage::judge,
        changes::list,
        show,
    )
)]
struct Described;

/// What a POST reads, and changes nothing.
const READ_BY_POST: [&str; 2] = ["/api/v1/triage", "/api/v1/silences/preview"];
/// What needs an admin, though it reads.
const AUDIT: &str = "/api/v1/audit";

/// What any route may answer beside its own: the code, why, and whether only those with a body or an id do.
const REFUSALS: [(&str, &str, For); 7] = [
    ("400", "The request can't be used; the text says what is allowed", For::All),
    ("401", "A token is needed: `Authorization: Bearer …`", For::Guarded),
    ("403", "The token does not allow it", For::Guarded),
    ("404", "There is no such thing", For::Named),
    ("413", "The body is too long", For::Bodies),
    ("429", "Too many requests; `Retry-After` says when to ask again", For::All),
    ("503", "A store does not answer, or a limit is reached", For::All),
];

/// Which routes may answer it.
#[derive(Clone, Copy, PartialEq)]
enum For {
    All,
    Guarded,
    Named,
    Bodies,
}

static DOCUMENT: LazyLock<String> = LazyLock::new(document);

/// Shows this description.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "description", security(()),
    responses((status = 200, description = "This", body = Object)),
)]
pub(super) async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// The description, as JSON with an end of line.
pub(super) fn document() -> String {
    let mut all = serde_json::to_value(Described::openapi()).unwrap_or_default();
    let bearer = json!({"type": "http", "scheme": "bearer", "description": "`zenei token add` makes one."});
    if let Some(components) = all.get_mut("components").and_then(Json::as_object_mut) {
        components.insert("securitySchemes".to_owned(), json!({ "token": bearer }));
        let mut refusals = Map::new();
        for (code, description, _) in REFUSALS {
            let mut refusal = json!({ "description": description });
            problem(&mut refusal);
            refusals.insert(code.to_owned(), refusal);
        }
        components.insert("responses".to_owned(), Json::Object(refusals));
    }
    // What serde refuses by `deny_unknown_fields` in a tagged enum, utoipa does not say.
    let steps = all.pointer_mut("/components/schemas/Step/oneOf").and_then(Json::as_array_mut);
    for step in steps.into_iter().flatten().filter_map(Json::as_object_mut) {
        step.insert("additionalProperties".to_owned(), Json::Bool(false));
    }
    for (path, item) in all.get_mut("paths").and_then(Json::as_object_mut).into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete(path, method, operation);
            }
        }
    }
    let text = serde_json::to_string_pretty(&all).unwrap_or_default();
    format!("{text}\n")
}

/// What all operations have in common.
fn complete(path: &str, method: &str, operation: &mut Map<String, Json>) {
    let is_open = operation.get("security").is_some();
    let has_body = operation.contains_key("requestBody");
    if !is_open {
        // On loopback reading needs no token.
        let reads = (method == "get" || READ_BY_POST.contains(&path)) && path != AUDIT;
        operation
            .insert("security".to_owned(), if reads { json!([{}, {"token": []}]) } else { json!([{"token": []}]) });
    }
    let Some(responses) = operation.get_mut("responses").and_then(Json::as_object_mut) else { return };
    for (code, _, whose) in REFUSALS {
        let is_possible = match whose {
            For::All => true,
            For::Guarded => !is_open,
            For::Named => path.contains('{'),
            For::Bodies => has_body,
        };
        if is_possible {
            let shared = json!({ "$ref": format!("#/components/responses/{code}") });
            let own = responses.entry(code).or_insert(shared);
            if own.get("$ref").is_none() {
                problem(own);
            }
        }
    }
    for code in ["404", "409"] {
        if let Some(own) = responses.get_mut(code).filter(|own| own.get("$ref").is_none()) {
            problem(own);
        }
    }
}

/// A refusal says why, in one form.
fn problem(response: &mut Json) {
    if let Some(response) = response.as_object_mut() {
        let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        response.insert("content".to_owned(), json!({"application/json": schema}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::tests::{desk, handles};
    use crate::http::gate::Need;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn the_description_is_the_golden_one() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/api/openapi.json");
        let found = document();
        if std::env::var_os("ZENEI_RENEW_OPENAPI").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        let line = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
        let hint = "ZENEI_RENEW_OPENAPI=1 cargo test -p zenei-desk the_description renews it; look at the difference";
        assert!(wanted == found, "openapi.json differs from line {:?} on; {hint}", line.map(|at| at + 1));
    }

    #[test]
    fn every_route_of_the_api_is_described_and_none_else() {
        let (desk, _) = desk();
        let routes = crate::http::routes(&handles(&desk), crate::Inward::default()).routes();
        let there: BTreeSet<(String, String)> = routes
            .iter()
            .filter(|route| route.path.starts_with("/api/"))
            .map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase()))
            .collect();
        let all: Json = serde_json::from_str(&document()).unwrap();
        let described: BTreeSet<(String, String)> = all["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
            .collect();
        for route in routes.iter().filter(|route| route.path.starts_with("/api/")) {
            let security = &all["paths"][route.path][route.method.as_str().to_lowercase()]["security"];
            let wanted = match route.need {
                Need::Open => json!([{}]),
                Need::View => json!([{}, {"token": []}]),
                Need::Operate | Need::Administer => json!([{"token": []}]),
            };
            assert_eq!(security, &wanted, "{}", route.path);
        }
        let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| one.difference(other).cloned().collect::<Vec<_>>();
        assert_eq!((only(&there, &described), only(&described, &there)), (Vec::new(), Vec::new()));
    }
}
