//! Which allowed word is nearest to an unknown one? Must not know a configuration. Called by the readers of the
//! configuration and of the policy's files, which suggest that word.

/// The allowed word nearest to `found`, where one is near: at most a third of its letters (but at least two) differ.
/// The share is a guess: it finds `urll`, `listne` and `regsitry`, and suggests nothing for `foo`.
pub fn nearest<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (found.chars().count() / 3).max(2);
    let measured = allowed.into_iter().map(|word| (distance(found, word), word));
    let (edits, word) = measured.min_by_key(|&(edits, word)| (edits, word))?;
    (edits <= limit && edits < word.chars().count()).then_some(word)
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to turn one word into the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let allowed = ["url", "client_id", "topics", "username"];
        assert_eq!(nearest("urll", allowed), Some("url"));
        assert_eq!(nearest("clientid", allowed), Some("client_id"));
        assert_eq!(nearest("tpoics", allowed), Some("topics"));
    }

    #[test]
    fn another_word_is_not_taken_for_an_allowed_one() {
        assert_eq!(nearest("colour", ["url", "topics"]), None);
        assert_eq!(nearest("xy", ["ab"]), None);
    }

    #[test]
    fn two_swapped_neighbours_are_one_edit() {
        assert_eq!(distance("listne", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
