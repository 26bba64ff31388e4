//! The numeric fields of a lock's records that a rule may name, as `state.temp_c`: a kind of record and one of its
//! fields. Must not know a detector. `rules::read` checks rule files against the list; the detector `stream` reads the
//! number.
use core::fmt;
use zenei_wire::fields::{self, Field};
use zenei_wire::{Body, Kind};

/// A number that records of one kind have.
#[derive(Clone, Copy, Debug)]
pub struct NumericField {
    kind: Kind,
    field: &'static Field,
}

impl NumericField {
    /// Every numeric field of locks' records; a gateway's own records are left out, because they do not describe a
    /// lock.
    pub fn all() -> impl Iterator<Item = Self> {
        let kinds = Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Gateway);
        kinds.flat_map(|kind| fields::of(kind).iter().map(move |&field| Self { kind, field }).filter(Self::is_number))
    }

    /// The field of this name; `None` where there is none, or it holds no number.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|field| field.to_string() == name)
    }

    /// Its unit; `1` where it counts something.
    pub fn unit(&self) -> &'static str {
        if self.field.unit.is_empty() { "1" } else { self.field.unit }
    }

    /// The number in a record, in [`NumericField::unit`]; `None` of another kind of record, or where the field is
    /// absent.
    pub fn read(&self, body: &Body<'_>) -> Option<f64> {
        if body.kind() == self.kind { self.field.number(body) } else { None }
    }

    fn is_number(&self) -> bool {
        self.field.range != (0, 0)
    }
}

impl PartialEq for NumericField {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.field.name) == (other.kind, other.field.name)
    }
}

impl fmt::Display for NumericField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.field.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{CentiCelsius, State};

    #[test]
    fn a_field_is_named_by_kind_and_name_and_read_in_its_unit() {
        let field = NumericField::parse("state.temp_c").unwrap();
        assert_eq!((field.unit(), field.to_string().as_str()), ("°C", "state.temp_c"));
        let warm = Body::State(State { temp_c: Some(CentiCelsius(1_850)), ..State::default() });
        assert_eq!(field.read(&warm), Some(18.5));
        assert_eq!(field.read(&Body::State(State::default())), None);
        assert_eq!(NumericField::parse("adv.temp_c").unwrap().read(&warm), None);
        assert_eq!(NumericField::parse("error.count").unwrap().unit(), "1");
    }

    #[test]
    fn words_texts_and_a_gateways_numbers_are_none_of_them() {
        for name in ["state.lock_state", "op.current_ma", "error.code", "gateway.queue_depth", "temp_c", "adv.problem"]
        {
            assert_eq!(NumericField::parse(name), None, "{name}");
        }
        assert!(NumericField::all().count() >= 15);
    }
}
