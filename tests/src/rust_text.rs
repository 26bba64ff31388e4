//! The product's part of a Rust file as tokens: removes tests and splits the rest. Reads text, not syntax, and relies
//! on rustfmt. Must not know what is searched for. Called by the checks of tidiness and of cycles.

/// The text with the lines of its test modules (and other items for tests) emptied. Relies on rustfmt: an item ends
/// with a brace, or a semicolon, as deep as its attribute.
pub(crate) fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        kept.push('\n');
        let indent = &line[..line.len() - line.trim_start().len()];
        let close = format!("{indent}}}");
        let mut in_attributes = true;
        for inner in lines.by_ref() {
            kept.push('\n');
            in_attributes &= inner.trim_start().starts_with("#[");
            let is_statement = !in_attributes
                && inner.ends_with(';')
                && !inner.get(indent.len()..).is_some_and(|rest| rest.starts_with(' '));
            if is_statement || inner == close {
                break;
            }
        }
    }
    kept
}

/// The paths that `#[cfg(test)] mod name;` in this file may mean, or that its `#[path]` does mean.
pub(crate) fn test_files(path: &str, text: &str) -> Vec<String> {
    let (here, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let below = if matches!(stem, "lib" | "main" | "mod") { here.to_owned() } else { format!("{here}/{stem}") };
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            continue;
        }
        let mut item = lines.by_ref().skip_while(|line| line.starts_with("#[") && !line.starts_with("#[path"));
        let Some(item) = item.next() else {
            break;
        };
        if let Some(file) = item.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            found.push(format!("{here}/{file}"));
        } else if let Some((_, name)) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
            found.extend([format!("{below}/{name}.rs"), format!("{below}/{name}/mod.rs")]);
        }
    }
    found
}

/// The tokens of a text: names, numbers, `::`, and each other sign by itself; without comments, texts and characters.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let signs: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < signs.len() {
        let sign = signs[at];
        let next = signs.get(at + 1).copied().unwrap_or(' ');
        at = match sign {
            '/' if next == '/' => end_of_line(&signs, at),
            '/' if next == '*' => end_of_comment(&signs, at + 2),
            '"' => end_of_text(&signs, at + 1, '"'),
            // A character, otherwise a lifetime.
            '\'' if next == '\\' => end_of_text(&signs, at + 1, '\''),
            '\'' if signs.get(at + 2) == Some(&'\'') => at + 3,
            ':' if next == ':' => {
                found.push("::".to_owned());
                at + 2
            }
            _ if is_of_a_name(sign) => {
                let end = (at..signs.len()).find(|&end| !is_of_a_name(signs[end])).unwrap_or(signs.len());
                let name: String = signs[at..end].iter().collect();
                match end_of_raw_text(&name, &signs, end) {
                    Some(end) => end,
                    None => {
                        found.push(name);
                        end
                    }
                }
            }
            _ => {
                if !sign.is_whitespace() {
                    found.push(sign.to_string());
                }
                at + 1
            }
        };
    }
    found
}

fn is_of_a_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn end_of_line(signs: &[char], at: usize) -> usize {
    (at..signs.len()).find(|&end| signs[end] == '\n').unwrap_or(signs.len())
}

fn end_of_comment(signs: &[char], at: usize) -> usize {
    (at..signs.len()).find(|&end| signs[end..].starts_with(&['*', '/'])).map_or(signs.len(), |end| end + 2)
}

fn end_of_text(signs: &[char], mut at: usize, close: char) -> usize {
    while at < signs.len() && signs[at] != close {
        at += if signs[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a raw text that begins with this name, `r` or `br`; `None` where none begins.
fn end_of_raw_text(name: &str, signs: &[char], at: usize) -> Option<usize> {
    let marks = signs[at..].iter().take_while(|&&sign| sign == '#').count();
    if !matches!(name, "r" | "br") || signs.get(at + marks) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    let end = (at + marks + 1..signs.len()).find(|&end| signs[end..].starts_with(&close));
    Some(end.map_or(signs.len(), |end| end + close.len()))
}

#[test]
fn a_text_is_split_into_tokens() {
    let check = |text: &str, expected: &str| assert_eq!(tokens(text).join(" "), expected, "{text}");
    check("use a::{b, c as d};", "use a :: { b , c as d } ;");
    check("let a = 'b'; // c::d\nf(\"g::h\\\"i\", &'j k)", "let a = ; f ( , & ' j k )");
    check("r#\"a \" b\"# br\"c\" '\\'' /* d */ e1", "e1");
}

#[test]
fn files_of_test_modules_are_found() {
    let text = "#[cfg(test)]\nmod tests;\nmod other;\n";
    assert_eq!(test_files("crates/a/src/lib.rs", text), ["crates/a/src/tests.rs", "crates/a/src/tests/mod.rs"]);
    assert_eq!(test_files("crates/a/src/b.rs", text), ["crates/a/src/b/tests.rs", "crates/a/src/b/tests/mod.rs"]);
    let elsewhere = "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n";
    assert_eq!(test_files("crates/a/src/b.rs", elsewhere), ["crates/a/src/b_tests.rs"]);
}
