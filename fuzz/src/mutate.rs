//! Inputs that are small mutations of known ones. Must not know what they mean. Called by `smoke`.
use zenei_kit::Dice;

/// The longest generated input, bytes; long ones cost time and rarely find more.
const MAX_BYTES: usize = 4_096;
/// Bytes at which readers branch: zeros, ones, quotes, brackets, lengths of CBOR and MQTT.
const TURNS: &[u8] = b"\x00\x01\x7f\x80\xff{}[]\",:\\u0eE+-. /#\x5f\x9f\xbf\xf9\xf6\x18\x19\x1b\x32\x82";

/// An input made from one of the corpus by one to eight changes.
pub(crate) fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.one_of(corpus.len())].clone();
    bytes.truncate(MAX_BYTES);
    for _ in 0..=dice.below(8) {
        change(dice, corpus, &mut bytes);
    }
    bytes
}

fn change(dice: &mut Dice, corpus: &[Vec<u8>], bytes: &mut Vec<u8>) {
    let at = dice.one_of(bytes.len() + 1);
    let end = at + dice.one_of(17).min(bytes.len() - at);
    match dice.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.byte(),
        2 if at < bytes.len() => bytes[at] = TURNS[dice.one_of(TURNS.len())],
        3 => drop(bytes.drain(at..end)),
        4 if bytes.len() < MAX_BYTES => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        5 if bytes.len() < MAX_BYTES => {
            let other = &corpus[dice.one_of(corpus.len())];
            let from = dice.one_of(other.len() + 1);
            let piece = &other[from..other.len().min(from + 64)];
            bytes.splice(at..end, piece.iter().copied());
        }
        6 if dice.is(0.2) => bytes.truncate(at),
        _ => bytes.insert(at, TURNS[dice.one_of(TURNS.len())]),
    }
}
