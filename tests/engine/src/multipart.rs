//! Which fields a `multipart/form-data` body has. Reads what ClickHouse's clients send: fields with names, without
//! encodings and without files. Must not know what the fields mean. Called by [`crate::request`].

/// The fields in their order; `None` where the body is not such a form.
pub(crate) fn fields(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let (kind, attributes) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = attributes.split(';').find_map(|attribute| attribute.trim().strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() {
        return None;
    }
    let mut rest = body.strip_prefix(format!("--{boundary}").as_bytes())?;
    let delimiter = format!("\r\n--{boundary}");
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n")?;
        let (head, content) = cut(part, b"\r\n\r\n")?;
        let (value, after) = cut(content, delimiter.as_bytes())?;
        found.push((name(head)?, String::from_utf8(value.to_vec()).ok()?));
        rest = after;
    }
    Some(found)
}

/// The bytes before and after the first occurrence of `at`.
fn cut<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..found], &bytes[found + at.len()..]))
}

fn name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let attributes: Vec<&str> = value.split(';').map(str::trim).collect();
    // A file would be an external table.
    if attributes.iter().any(|attribute| attribute.starts_with("filename")) {
        return None;
    }
    let name = attributes.iter().find_map(|attribute| attribute.strip_prefix("name="))?;
    Some(name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=b-1";

    #[track_caller]
    fn check(body: &str, expected: Option<&[(&str, &str)]>) {
        let found = fields(TYPE, body.as_bytes());
        let found: Option<Vec<(&str, &str)>> =
            found.as_ref().map(|fields| fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn fields_are_read_in_order_with_line_feeds_and_hyphens_in_them() {
        let body = "--b-1\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {a: String}\r\n-- x\r\n--b-1\r\n\
                    content-disposition: form-data; name=\"param_a\"\r\n\r\n雪--b-1\r\n--b-1--\r\n";
        check(body, Some(&[("query", "SELECT {a: String}\r\n-- x"), ("param_a", "雪--b-1")]));
        check("--b-1--\r\n", Some(&[]));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        check("", None);
        check("--b-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end", None);
        check("--b-1\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--b-1--", None);
        check("--b-1\r\nContent-Disposition: form-data; name=\"t\"; filename=\"t\"\r\n\r\n1\r\n--b-1--", None);
        assert_eq!(fields("text/plain", b"--b-1--"), None);
        assert_eq!(fields("multipart/form-data; boundary=", b"----"), None);
    }
}
