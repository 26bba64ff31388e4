//! Comma separated values by RFC 4180: quoted fields, doubled quotes, line ends within quotes; LF alone is taken too. Knows nothing of what the
//! fields mean. Called by the import of inquiries.

/// One row: the line on which it begins, from 1, and its fields.
pub(crate) type Row = (usize, Vec<String>);

/// Every row that is not blank. A quote that is never closed ends with the text; a byte order mark is no part of it.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let (mut line, mut begins) = (1, 1);
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    while let Some(c) = rest.next() {
        if c == '\n' {
            line += 1;
        }
        match c {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.is_empty() => is_quoted = true,
            ',' if !is_quoted => fields.push(core::mem::take(&mut field)),
            '\r' if !is_quoted && rest.peek() == Some(&'\n') => {}
            '\n' if !is_quoted => {
                fields.push(core::mem::take(&mut field));
                end_row(&mut rows, begins, &mut fields);
                begins = line;
            }
            _ => field.push(c),
        }
    }
    fields.push(field);
    end_row(&mut rows, begins, &mut fields);
    rows
}

fn end_row(rows: &mut Vec<Row>, begins: usize, fields: &mut Vec<String>) {
    let fields = core::mem::take(fields);
    if fields.iter().any(|field| !field.is_empty()) {
        rows.push((begins, fields));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let found = rows(text);
        let found: Vec<(usize, Vec<&str>)> =
            found.iter().map(|(line, fields)| (*line, fields.iter().map(String::as_str).collect())).collect();
        let expected: Vec<(usize, Vec<&str>)> =
            expected.iter().map(|(line, fields)| (*line, fields.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_end_at_either_line_end_and_at_the_end_of_the_text() {
        check("a,b\r\nc,\n\nd,e", &[(1, &["a", "b"]), (2, &["c", ""]), (4, &["d", "e"])]);
    }

    #[test]
    fn a_quoted_field_holds_commas_quotes_and_line_ends() {
        check("1,\"a, \"\"b\"\"\nc\",x\n2,y,z", &[(1, &["1", "a, \"b\"\nc", "x"]), (3, &["2", "y", "z"])]);
    }

    #[test]
    fn a_byte_order_mark_and_an_open_quote_lose_nothing() {
        check("\u{feff}id\n\"open, end", &[(1, &["id"]), (2, &["open, end"])]);
    }
}
