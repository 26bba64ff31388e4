//! Positions in TOML files. Answers at which line a value is, and collects the errors of a file, each as `file:line:
//! key: what was found, what is allowed`. Must not know what a file means. Called by the readers of rules, promotion
//! cards, test cases and zenei's configuration, and by the commands that show their errors.
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: {problem}")]
pub struct TomlError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The key, dotted.
    pub key: String,
    /// What was found and what is allowed.
    pub problem: String,
}

/// The errors for people, one a line.
pub fn shown(errors: &[TomlError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The position of a byte in a text; both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// The lines of a text.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// The lines of this text.
    pub fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The position of the byte at this offset.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }
}

/// A file that is being read, and what is wrong with it so far.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    file: &'a str,
    lines: Lines<'a>,
    errors: Vec<TomlError>,
}

impl<'a> Reader<'a> {
    /// A reader of this text; `file` is its name for people.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: Lines::of(text), errors: Vec::new() }
    }

    /// The file's name.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The file's text.
    pub fn text(&self) -> &'a str {
        self.lines.text
    }

    /// The text as a value of this type; where it does not parse, an error at the key `whole`.
    pub fn parse<T: DeserializeOwned>(&mut self, whole: &str) -> Option<T> {
        let parsed = toml::from_str(self.lines.text);
        parsed.map_err(|error| self.error(&error.span().unwrap_or(0..0), whole, error.message().to_owned())).ok()
    }

    /// The line of a span, from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.lines.position(span.start).line
    }

    /// Adds what is wrong at this place.
    pub fn error(&mut self, span: &Range<usize>, key: &str, problem: String) {
        let (file, line) = (self.file.to_owned(), self.line(span));
        self.errors.push(TomlError { file, line, key: key.to_owned(), problem });
    }

    /// One of a list of words; an error and `None` where it is another.
    pub fn word<T>(
        &mut self,
        key: &str,
        found: &Spanned<String>,
        parse: fn(&str) -> Option<T>,
        allowed: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let word = parse(found.get_ref());
        if word.is_none() {
            let allowed = allowed.collect::<Vec<_>>().join(", ");
            self.error(&found.span(), key, format!("found {:?}; allowed are {allowed}", found.get_ref()));
        }
        word
    }

    /// A text for people; an error where it is blank.
    pub fn words(&mut self, key: &str, found: &Spanned<String>) -> String {
        if found.get_ref().trim().is_empty() {
            self.error(&found.span(), key, "is empty; a text is needed".to_owned());
        }
        found.get_ref().clone()
    }

    /// A number; an error where it is beyond the least and the greatest that are allowed.
    pub fn number(&mut self, key: &str, found: &Spanned<f64>, allowed: (f64, f64)) -> f64 {
        let value = *found.get_ref();
        if !(allowed.0..=allowed.1).contains(&value) {
            self.error(&found.span(), key, format!("found {value}; allowed is {} to {}", allowed.0, allowed.1));
        }
        value
    }

    /// The value that was read; without errors there always is one.
    ///
    /// # Errors
    /// See [`Reader::errors`].
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<TomlError>> {
        value.filter(|_| self.errors.is_empty()).ok_or(self.errors)
    }

    /// Everything that is wrong, in the order in which it was found.
    pub fn errors(self) -> Vec<TomlError> {
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct File {
        word: Spanned<String>,
        share: Spanned<f64>,
    }

    fn read(text: &str) -> Result<(), String> {
        let mut reader = Reader::new("a.toml", text);
        let file: Option<File> = reader.parse("file");
        let value = file.map(|file| {
            reader.word("word", &file.word, |word| (word == "yes").then_some(()), ["yes"].into_iter());
            reader.words("word", &file.word);
            reader.number("share", &file.share, (0.0, 1.0));
        });
        reader.finish(value).map_err(|errors| shown(&errors))
    }

    #[test]
    fn an_error_names_file_line_key_what_was_found_and_what_is_allowed() {
        assert_eq!(read("word = 'yes'\nshare = 0.5"), Ok(()));
        let told = "a.toml:1: word: found \" \"; allowed are yes\na.toml:1: word: is empty; a text is needed\n\
                    a.toml:3: share: found 2; allowed is 0 to 1";
        assert_eq!(read("word = ' '\n\nshare = 2.0").unwrap_err(), told);
        assert_eq!(read("word = 'yes'\nshare = ''").unwrap_err().split(": ").next(), Some("a.toml:2"));
    }

    #[test]
    fn a_column_counts_characters_not_bytes() {
        let text = "# 前衛\nid = \"é\" # x\nb = 'y'";
        let lines = Lines::of(text);
        let position = |of: &str| {
            let Position { line, column } = lines.position(text.find(of).unwrap());
            (line, column)
        };
        assert_eq!((position("衛"), position("# x"), position("'y'")), ((1, 4), (2, 10), (3, 5)));
        assert_eq!(Lines::of("").position(0), Position { line: 1, column: 1 });
    }
}
