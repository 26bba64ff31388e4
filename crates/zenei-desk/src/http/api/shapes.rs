//! How the words and the values of other crates stand in the description of the API. Must not know a route. Named by
//! the types of the routes; the description collects them.
use super::ask::Wrong;
use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use zenei_detect::{Component, Domain, ScopeKind, Urgency};
use zenei_incident::event::{ActionKind, ActionStatus, Work};
use zenei_incident::{SilenceKind, Status};
use zenei_wire::Id;

/// A name: one line, not blank.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// One line.
const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// How an id reads.
const ID: &str = "^[0-9a-f]{32}$";
/// How an incident's id reads in a path: alone, or as the remotes have it.
const INCIDENT_ID: &str = "^(zenei-)?[0-9a-f]{32}$";

/// An incident's id in a path.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct IncidentId(String);

impl IncidentId {
    /// The id.
    pub(super) fn read(&self) -> Result<Id, Wrong> {
        let digits = self.0.strip_prefix("zenei-").unwrap_or(&self.0);
        Id::parse(digits).ok_or_else(|| Wrong::unknown("an incident's id is 32 lower-case hex digits"))
    }
}

impl PartialSchema for IncidentId {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some(INCIDENT_ID)).build().into()
    }
}

impl ToSchema for IncidentId {}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn words(words: &[&str]) -> Object {
    text().enum_values(Some(words.iter().copied())).build()
}

/// An id.
pub(super) fn id() -> Object {
    text().pattern(Some(ID)).build()
}

/// An id or nothing.
pub(super) fn id_or_null() -> Object {
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).pattern(Some(ID)).build()
}

/// Names of people, roles or locks in a request.
pub(super) fn names() -> Schema {
    list(text().min_length(Some(1)).max_length(Some(100)).pattern(Some(NAME)).build())
}

/// Any number, or null for one that is none.
pub(super) fn number() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Number, Type::Null])).build()
}

pub(super) fn status() -> Object {
    words(Status::WORDS)
}

pub(super) fn urgency() -> Object {
    words(Urgency::WORDS)
}

pub(super) fn domain() -> Object {
    words(Domain::WORDS)
}

pub(super) fn component() -> Object {
    words(Component::WORDS)
}

pub(super) fn scope_kind() -> Object {
    words(ScopeKind::WORDS)
}

pub(super) fn action_kind() -> Object {
    words(ActionKind::WORDS)
}

pub(super) fn action_status() -> Object {
    words(ActionStatus::WORDS)
}

pub(super) fn work() -> Object {
    words(Work::WORDS)
}

pub(super) fn silence_kind() -> Object {
    words(SilenceKind::WORDS)
}

/// A verdict.
pub(super) fn verdict() -> Schema {
    let duplicate = ObjectBuilder::new()
        .property("duplicate_of", id())
        .required("duplicate_of")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    OneOfBuilder::new().item(words(&["true", "false_positive"])).item(duplicate).build().into()
}

/// A verdict, or null.
pub(super) fn verdict_or_null() -> Schema {
    OneOfBuilder::new().item(verdict()).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

/// An object whose fields have any names and values of this form.
fn map_of(value: impl Into<RefOr<Schema>>) -> Object {
    ObjectBuilder::new().additional_properties(Some(value.into())).build()
}

/// A closed object with all of these fields.
pub(super) fn object<const N: usize>(fields: [(&str, RefOr<Schema>); N]) -> Object {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for (name, value) in fields {
        object = object.property(name, value).required(name);
    }
    object.build()
}

pub(super) fn integer() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).build().into()
}

pub(super) fn or_null(kind: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null])).build().into()
}

pub(super) fn string() -> RefOr<Schema> {
    text().build().into()
}

/// What locks share.
pub(super) fn scope() -> Object {
    object([("kind", scope_kind().into()), ("value", string())])
}

/// Records behind a finding.
pub(super) fn evidence() -> Schema {
    let record = object([("device_id", string()), ("boot", integer()), ("seq", integer()), ("ts_ms", integer())]);
    ArrayBuilder::new().items(record).build().into()
}

/// Action items by their ids.
pub(super) fn actions() -> Object {
    map_of(object([
        ("text", string()),
        ("kind", action_kind().into()),
        ("owner", or_null(Type::String)),
        ("due_ms", or_null(Type::Integer)),
        ("status", action_status().into()),
    ]))
}

/// Counts by name.
pub(super) fn counts() -> Object {
    map_of(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build())
}

/// Times by name, ms since 1970.
pub(super) fn times() -> Object {
    map_of(integer())
}

/// Channels by target.
pub(super) fn channels() -> Object {
    map_of(object([("channel", string()), ("url", string())]))
}

/// Why nobody is told, or null.
pub(super) fn mute() -> Schema {
    let mute = object([
        ("by_silence", id_or_null().into()),
        ("by_inhibition", id_or_null().into()),
        ("until_ms", or_null(Type::Integer)),
        ("why", string()),
    ]);
    OneOfBuilder::new().item(mute).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

/// How far a delivery is.
pub(super) fn delivery_state() -> Object {
    words(&["waiting", "delivered", "given_up"])
}

/// Yes or no.
pub(super) fn bool_() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).build().into()
}

/// A list of these.
pub(super) fn list(items: impl Into<RefOr<Schema>>) -> Schema {
    ArrayBuilder::new().items(items.into()).build().into()
}

/// Numbers by name.
pub(super) fn numbers() -> Object {
    map_of(number())
}

/// What a silence is about; at least one field.
pub(super) fn matcher() -> Object {
    let name = || text().min_length(Some(1)).max_length(Some(200)).pattern(Some(PLAIN)).build();
    ObjectBuilder::new()
        .property("rule", name())
        .property("domain", domain())
        .property("component", component())
        .property("scope_kind", scope_kind())
        .property("scope_value", name())
        .property("device", name())
        .property("site", name())
        .property("service", name())
        .min_properties(Some(1))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

/// A silence's id in a path.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SilenceId(String);

impl SilenceId {
    /// The id.
    pub(super) fn read(&self) -> Result<Id, Wrong> {
        Id::parse(&self.0).ok_or_else(|| Wrong::unknown("a silence's id is 32 lower-case hex digits"))
    }
}

impl PartialSchema for SilenceId {
    fn schema() -> RefOr<Schema> {
        id().into()
    }
}

impl ToSchema for SilenceId {}

/// A level in English or in Japanese, or null.
pub(super) fn level() -> Schema {
    let level = words(&["highest", "high", "medium", "low", "最高", "高", "中", "低"]);
    OneOfBuilder::new().item(level).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}
