//! A random record body: every field of the contract's list with any value that it may have, absent half of the time. A
//! new field of the list is drawn without an edit here. Must not know what the body is for. Called by tests of code
//! that writes and reads records.
use crate::Dice;
use std::borrow::Cow;
use zenei_wire::fields::{self, Absent, Field, Form, TextRule};
use zenei_wire::record::MAX_PROFILE_SAMPLES;
use zenei_wire::{Body, Kind, Profile};

/// A body of this kind; a text that must be the id of the topic is `id`.
pub fn body(kind: Kind, id: &str, dice: &mut Dice) -> Body<'static> {
    let mut body = Body::empty(kind);
    for field in fields::of(kind) {
        if field.absent == Absent::Refused || dice.is(0.5) {
            put(field, &mut body, id, dice);
        }
    }
    body
}

fn put(field: &Field, body: &mut Body<'static>, id: &str, dice: &mut Dice) {
    match &field.form {
        Form::U8(slot) => (slot.set)(body, number(field, dice)),
        Form::U16(slot) => (slot.set)(body, number(field, dice)),
        Form::U32(slot) => (slot.set)(body, number(field, dice)),
        Form::I8(slot) => (slot.set)(body, number(field, dice)),
        Form::Hundredths(slot) => (slot.set)(body, number(field, dice)),
        Form::Flag(slot) => (slot.set)(body, Some(dice.is(0.5))),
        Form::Word(words) => (words.slot.set)(body, u8::try_from(dice.one_of(words.all.len())).ok()),
        Form::Text(text) => (text.set)(body, Some(Cow::Owned(said(text.rule, id, dice)))),
        Form::Samples(slot) => {
            let samples: Vec<u16> =
                (0..dice.one_of(MAX_PROFILE_SAMPLES + 1)).map(|_| dice.below(65_536) as u16).collect();
            (slot.set)(body, Profile::new(&samples));
        }
    }
}

/// The least, the greatest, or any number between.
fn number<T: TryFrom<i64>>(field: &Field, dice: &mut Dice) -> Option<T> {
    let (least, most) = field.range;
    let drawn = match dice.below(8) {
        0 => least,
        1 => most,
        _ => least + ((most - least) as f64 * dice.uniform()) as i64,
    };
    T::try_from(drawn).ok()
}

fn said(rule: TextRule, id: &str, dice: &mut Dice) -> String {
    match rule {
        TextRule::Free => {
            let signs = ['a', 'Z', '7', ' ', '~', '"', '\\', 'ä', '錠', '\u{1F512}'];
            (0..dice.one_of(20)).map(|_| signs[dice.one_of(signs.len())]).collect()
        }
        TextRule::Code => ["c", "motor_stall", "x_9"][dice.one_of(3)].to_owned(),
        TextRule::TopicId => id.to_owned(),
    }
}
