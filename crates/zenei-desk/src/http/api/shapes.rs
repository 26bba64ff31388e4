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

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn words(words: &[&str]) -> Object {
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

/// Ids.
pub(super) fn ids() -> Schema {
    ArrayBuilder::new().items(id()).build().into()
}

/// Names of people, roles or locks in a request.
pub(super) fn names() -> Schema {
    let name = text().min_length(Some(1)).max_length(Some(100)).pattern(Some(r"\S"));
    ArrayBuilder::new().items(name).build().into()
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
fn object<const N: usize>(fields: [(&str, RefOr<Schema>); N]) -> Object {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for (name, value) in fields {
        object = object.property(name, value).required(name);
    }
    object.build()
}

fn integer() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).build().into()
}

fn or_null(kind: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null])).build().into()
}

fn string() -> RefOr<Schema> {
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
