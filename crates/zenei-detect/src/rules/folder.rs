//! Which file of a folder of rules holds what. A rule is one folder, named by the rule's id: `<id>/rule.toml`, its
//! promotion card `<id>/card.toml` and its test cases `<id>/<kind>.toml` or `<id>/<kind>-<words>.toml`. The older form
//! is read too: `<name>.toml`, `cards/<name>.toml` and `tests/<id>/<case>.toml`. Must not know what a file contains,
//! and uses the standard library alone, because the build script compiles this file as well. Called by the build
//! script, which embeds the rules, by `shipped`, by `zenei-store`, which reads folders, and by `zenei`, which lists and
//! runs the test cases.

/// The kinds of test case that each rule has: one with an incident of the rule, one without, and one with missing
/// records.
pub const KINDS: [&str; 3] = ["positive", "negative", "gap"];

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The rule.
    Rule,
    /// Its promotion card.
    Card,
    /// One of its test cases.
    Case,
}

/// A file of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The rule's id by the path: its folder, or in the older form the name of the file.
    pub rule: &'a str,
    /// What the file holds.
    pub part: Part,
    /// The file's name without its ending.
    pub name: &'a str,
}

/// What the file at this path holds; the path starts below the folder of rules and has `/` between its levels.
/// `None` where the file belongs to no rule.
pub fn piece(path: &str) -> Option<Piece<'_>> {
    let levels: Vec<&str> = path.strip_suffix(".toml")?.split('/').collect();
    let (rule, part) = match levels[..] {
        ["cards", rule] => (rule, Part::Card),
        ["tests", _] => return None,
        ["tests", rule, _] => (rule, Part::Case),
        [rule] | [rule, "rule"] => (rule, Part::Rule),
        [rule, "card"] => (rule, Part::Card),
        [rule, _] => (rule, Part::Case),
        _ => return None,
    };
    Some(Piece { rule, part, name: levels.last()? })
}

/// The kind of a case by its file's name; `None` where the name starts with no kind.
pub fn kind(name: &str) -> Option<&'static str> {
    let first = name.split('-').next();
    KINDS.into_iter().find(|kind| Some(*kind) == first)
}

/// The folders that hold a card or a case of a rule, but no rule; ascending.
pub fn without_rule<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let pieces = || paths.iter().filter_map(|path| Some((*path, piece(path)?)));
    let has_rule = |id: &str| pieces().any(|(_, piece)| piece.part == Part::Rule && piece.rule == id);
    let is_beside_a_rule = |piece: &Piece<'_>| match piece.part {
        Part::Rule => false,
        Part::Card => true,
        Part::Case => kind(piece.name).is_some(),
    };
    let mut folders: Vec<&str> = pieces()
        .filter(|(path, piece)| path.starts_with(piece.rule) && is_beside_a_rule(piece) && !has_rule(piece.rule))
        .map(|(_, piece)| piece.rule)
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// What is wrong with the folder that is embedded, one line each: a folder without its rule, and each file that is no
/// piece of a rule's folder.
pub fn faults(paths: &[&str]) -> Vec<String> {
    let is_placed = |path: &str| {
        path.split('/').count() == 2
            && piece(path).is_some_and(|piece| match piece.part {
                Part::Rule | Part::Card => path.starts_with(piece.rule),
                Part::Case => kind(piece.name).is_some(),
            })
    };
    let no_rule = without_rule(paths).into_iter().map(|folder| format!("{folder}/rule.toml is missing"));
    let stray = paths.iter().filter(|path| !is_placed(path)).map(|path| {
        let kinds = KINDS.map(|kind| format!("{kind}.toml, {kind}-….toml")).join(", ");
        format!("{path} belongs to no rule; a rule's folder holds rule.toml, card.toml, {kinds}")
    });
    no_rule.chain(stray).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_its_file_holds() {
        let told = |path| piece(path).map(|piece| (piece.rule, piece.part, piece.name));
        assert_eq!(told("silence/rule.toml"), Some(("silence", Part::Rule, "rule")));
        assert_eq!(told("silence/card.toml"), Some(("silence", Part::Card, "card")));
        assert_eq!(told("silence/positive-gateway.toml"), Some(("silence", Part::Case, "positive-gateway")));
        assert_eq!(told("silence.toml"), Some(("silence", Part::Rule, "silence")));
        assert_eq!(told("cards/silence.toml"), Some(("silence", Part::Card, "silence")));
        assert_eq!(told("tests/silence/gap.toml"), Some(("silence", Part::Case, "gap")));
        for other in ["README.md", "silence/january.ndjson", "tests/a.toml", "a/b/c.toml", "a/b/c/d.toml"] {
            assert_eq!(piece(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_lacks_its_rule_is_found() {
        let whole =
            ["a/rule.toml", "a/card.toml", "b.toml", "b/gap.toml", "c/notes.toml", "cards/d.toml", "tests/e/gap.toml"];
        assert_eq!(without_rule(&whole), [""; 0]);
        assert_eq!(without_rule(&["b/gap.toml", "a/card.toml", "a/gap-2.toml"]), ["a", "b"]);
    }

    #[test]
    fn the_embedded_folder_holds_nothing_else() {
        assert_eq!(faults(&["a/rule.toml", "a/card.toml", "a/positive.toml", "a/gap-late.toml"]), [""; 0]);
        assert_eq!(faults(&["a/positive.toml"]), ["a/rule.toml is missing"]);
        for stray in ["a.toml", "a/other.toml", "a/README.md", "a/b/gap.toml", "cards/a.toml", "tests/a/gap.toml"] {
            let told = faults(&["a/rule.toml", stray]);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with(&format!("{stray} belongs to no rule; ")), "{told:?}");
        }
    }
}
