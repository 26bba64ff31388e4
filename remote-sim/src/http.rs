//! What is a request, and what is an answer? Plain values, so that a stand-in needs no socket. Must not know any
//! service. Called by the server, which makes requests, and by the stand-ins, which make answers.
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A request, as a stand-in sees it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The segments of the path, decoded.
    pub path: Vec<String>,
    /// The parameters after `?`, decoded.
    pub query: BTreeMap<String, String>,
    /// The headers, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beside those of the content.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or a text where it is a JSON string.
    pub body: Value,
}

impl Request {
    /// The value after `Bearer `; empty without one.
    pub fn bearer(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").unwrap_or("")
    }

    /// A header's value; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The parameters of the query and of the body together, be it a form or a JSON object. A member of a form that is
    /// itself JSON (an array or an object) is read.
    pub fn parameters(&self) -> Map<String, Value> {
        let mut all: Map<String, Value> = self.query.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        if self.header("content-type").starts_with("application/json") {
            if let Value::Object(members) = self.json() {
                all.extend(members);
            }
            return all;
        }
        let nested = |text: String| match serde_json::from_str::<Value>(&text) {
            Ok(value) if value.is_object() || value.is_array() => value,
            Ok(_) | Err(_) => Value::String(text),
        };
        all.extend(form(&String::from_utf8_lossy(&self.body)).into_iter().map(|(key, text)| (key, nested(text))));
        all
    }

    /// The path's segments.
    pub fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// A text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::json(status, Value::String(body.into()))
    }
}

/// The pairs of `a=b&c=d`, decoded.
pub(crate) fn form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key, true), decoded(value, true))
        })
        .collect()
}

/// A percent-encoded text, decoded; a `+` is a space in a form. A broken escape stays as it is.
pub(crate) fn decoded(text: &str, is_form: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) if is_form => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_and_a_json_object_give_the_same_parameters() {
        let form =
            Request { body: b"channel=%23dev_%E5%89%8D&blocks=%5B1%5D&n=5&s=a+b%".to_vec(), ..Request::default() };
        let all = form.parameters();
        assert_eq!(all["channel"], "#dev_前");
        assert_eq!(all["blocks"], json!([1]));
        assert_eq!((&all["n"], &all["s"]), (&json!("5"), &json!("a b%")));
        let headers = BTreeMap::from([("content-type".into(), "application/json; charset=utf-8".into())]);
        let object = Request { headers, body: br#"{"channel":"C1"}"#.to_vec(), ..Request::default() };
        assert_eq!(object.parameters()["channel"], "C1");
    }
}
