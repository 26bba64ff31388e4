//! Whether a statement is an insert that carries its data, and where the data begin. Reads of SQL only words, strings,
//! comments and brackets. Must not know the content of the data. Called by [`crate::order`].
//!
//! The engine takes an insert's data apart from its text: given as one text, binary data are cut where they look like
//! the end of a statement.

/// A statement to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Statement<'a> {
    /// A statement that is complete as text.
    Whole(&'a [u8]),
    /// An insert and its data.
    Insert {
        /// The text up to the format.
        head: &'a [u8],
        /// The format of the data.
        format: &'a str,
        /// All bytes that follow, unchanged.
        bytes: &'a [u8],
    },
}

/// The statement in a request: the text of the URL, a line feed, the body.
pub(crate) fn split(request: &[u8]) -> Statement<'_> {
    insert(request).unwrap_or(Statement::Whole(request))
}

fn insert(request: &[u8]) -> Option<Statement<'_>> {
    let mut words = Words { text: request, at: 0, depth: 0, is_name: false };
    if !words.next()?.is("INSERT") {
        return None;
    }
    while let Some(word) = words.next() {
        if ["SELECT", "WITH", "WATCH", "INFILE"].iter().any(|other| word.is(other)) {
            return None;
        }
        if word.is("VALUES") {
            return Some(Statement::Insert {
                head: &request[..word.start],
                format: "Values",
                bytes: &request[word.end..],
            });
        }
        if word.is("FORMAT") {
            let format = words.next()?;
            let name = std::str::from_utf8(&request[format.start..format.end]).ok()?;
            let bytes = &request[data_after(request, format.end)..];
            return Some(Statement::Insert { head: &request[..word.start], format: name, bytes });
        }
    }
    None
}

/// The data begin after blanks and one line feed, as in ClickHouse's own parser: further blanks may be data.
fn data_after(request: &[u8], format_end: usize) -> usize {
    let rest = &request[format_end..];
    let mut at = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')).count();
    for skipped in [b'\r', b'\n'] {
        if rest.get(at) == Some(&skipped) {
            at += 1;
        }
    }
    format_end + at
}

/// A word outside brackets, strings and comments.
struct Word<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
    /// Whether it is in the place of a table's name: `INTO format` is not a format.
    is_name: bool,
}

impl Word<'_> {
    fn is(&self, keyword: &str) -> bool {
        !self.is_name && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }
}

struct Words<'a> {
    text: &'a [u8],
    at: usize,
    /// Depth of brackets.
    depth: usize,
    /// Whether the next word names a table.
    is_name: bool,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<Word<'a>> {
        while let Some(&first) = self.text.get(self.at) {
            let start = self.at;
            self.at += 1;
            match first {
                b'\'' | b'"' | b'`' => self.pass_quoted(first),
                b'-' if self.text.get(self.at) == Some(&b'-') => self.pass_until(b"\n"),
                b'#' => self.pass_until(b"\n"),
                b'/' if self.text.get(self.at) == Some(&b'*') => {
                    self.at += 1;
                    self.pass_until(b"*/");
                }
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b'.' => self.is_name = true,
                _ if is_of_word(first) => {
                    while self.text.get(self.at).copied().is_some_and(is_of_word) {
                        self.at += 1;
                    }
                    let text = &self.text[start..self.at];
                    let word = Word { text, start, end: self.at, is_name: self.is_name };
                    // `INTO TABLE x` names x; a table named `table` has to be quoted here.
                    let names = ["INTO", "TABLE", "FUNCTION"];
                    self.is_name = names.iter().any(|name| text.eq_ignore_ascii_case(name.as_bytes()));
                    if self.depth == 0 {
                        return Some(word);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// A backslash takes the next byte with it; a doubled quote reads as two adjacent strings, which has the same
    /// result.
    fn pass_quoted(&mut self, quote: u8) {
        self.is_name = false;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == quote {
                return;
            }
        }
    }

    fn pass_until(&mut self, end: &[u8]) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at = found.map_or(self.text.len(), |found| self.at + found + end.len());
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &[u8], head: &str, format: &str, bytes: &[u8]) {
        let Statement::Insert { head: found, format: found_format, bytes: found_bytes } = split(request) else {
            panic!("{} is no insert with data", String::from_utf8_lossy(request));
        };
        assert_eq!((String::from_utf8_lossy(found).as_ref(), found_format, found_bytes), (head, format, bytes));
    }

    #[test]
    fn the_data_begin_after_one_line_feed_and_keep_each_byte() {
        check(b"INSERT INTO t(a,b) FORMAT RowBinary\n\n;'--", "INSERT INTO t(a,b) ", "RowBinary", b"\n;'--");
        check(b"insert into t format CSV\n", "insert into t ", "CSV", b"");
        check(b"INSERT INTO t FORMAT CSV \t\r\n \r\n1", "INSERT INTO t ", "CSV", b" \r\n1");
        check(b"INSERT INTO t FORMAT CSV", "INSERT INTO t ", "CSV", b"");
        check(b"INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t ", "CSV", b"1,2");
        check(b"INSERT INTO t VALUES (1), ('FORMAT x')\n", "INSERT INTO t ", "Values", b" (1), ('FORMAT x')\n");
        let settings = b"INSERT INTO t SETTINGS async_insert=0 FORMAT Native\n\0";
        check(settings, "INSERT INTO t SETTINGS async_insert=0 ", "Native", b"\0");
    }

    #[test]
    fn what_only_looks_like_a_format_is_none() {
        check(b"INSERT INTO t (format, values) FORMAT TSV\nx", "INSERT INTO t (format, values) ", "TSV", b"x");
        check(b"INSERT INTO format FORMAT TSV\nx", "INSERT INTO format ", "TSV", b"x");
        check(b"INSERT INTO TABLE db.format VALUES (1)", "INSERT INTO TABLE db.format ", "Values", b" (1)");
        check(b"INSERT INTO `a FORMAT b` FORMAT TSV\nx", "INSERT INTO `a FORMAT b` ", "TSV", b"x");
        check(
            b"-- FORMAT a\n/* VALUES */ INSERT INTO t FORMAT TSV\n",
            "-- FORMAT a\n/* VALUES */ INSERT INTO t ",
            "TSV",
            b"",
        );
        check(
            b"INSERT INTO t SETTINGS x='it\\'s FORMAT y' FORMAT TSV\n",
            "INSERT INTO t SETTINGS x='it\\'s FORMAT y' ",
            "TSV",
            b"",
        );
        check(
            b"INSERT INTO FUNCTION file('FORMAT x', (1)) FORMAT TSV\n",
            "INSERT INTO FUNCTION file('FORMAT x', (1)) ",
            "TSV",
            b"",
        );
    }

    #[test]
    fn what_is_complete_as_text_stays_whole() {
        for text in [
            "SELECT 1 FORMAT JSON",
            "INSERT INTO t SELECT 1",
            "INSERT INTO t SELECT 1 FORMAT Null",
            "INSERT INTO t WITH 1 AS x SELECT x",
            "INSERT INTO t",
            "INSERT INTO t FORMAT",
            "",
            "/* INSERT INTO t VALUES",
            "'INSERT \\",
            "CREATE TABLE t (a UInt8) COMMENT 'INSERT VALUES'",
        ] {
            assert_eq!(split(text.as_bytes()), Statement::Whole(text.as_bytes()), "{text}");
        }
    }
}
