//! How triage's facts and its judgement stand in the description of the API. Must not know a route. Named by the route
//! of triage.
use super::shapes::{bool_, component, domain, integer, list, object, scope_kind, string, text, urgency, words};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use zenei_incident::opening::Follows;
use zenei_incident::urgency::Symptom;

/// The facts.
#[derive(Debug)]
pub(in crate::http) enum FactsShape {}

/// The judgement.
#[derive(Debug)]
pub(in crate::http) enum JudgedShape {}

fn or_null(schema: impl Into<RefOr<Schema>>) -> Schema {
    OneOfBuilder::new().item(schema).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

fn at_least(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

impl PartialSchema for FactsShape {
    fn schema() -> RefOr<Schema> {
        let fraction = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1));
        let factor = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0));
        let facts = ObjectBuilder::new()
            .property("hint", or_null(urgency()))
            .property("symptoms", list(words(Symptom::WORDS)))
            .property("scope", or_null(scope_kind()))
            .property("locks", at_least(1, usize::MAX))
            .property("customers", at_least(0, usize::MAX))
            .property("share", fraction)
            .property("growth", factor)
            .property("domain", or_null(domain()))
            .property("component", or_null(component()))
            .property("service", or_null(text()))
            .property("records", at_least(1, usize::MAX))
            .property("observed_ms", at_least(0, usize::MAX / 2))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        Schema::from(facts.build()).into()
    }
}

impl ToSchema for FactsShape {}

impl PartialSchema for JudgedShape {
    fn schema() -> RefOr<Schema> {
        let level =
            object([("level", urgency().into()), ("rule", string()), ("reason", string()), ("reason_ja", string())]);
        let opening = object([
            ("follows", words(Follows::WORDS).into()),
            ("channel", bool_()),
            ("why", string()),
            ("why_ja", string()),
            ("table_version", integer()),
        ]);
        object([("urgency", level.into()), ("table_version", integer()), ("opening", opening.into())]).into()
    }
}

impl ToSchema for JudgedShape {}
