//! What a request over ClickHouse's HTTP interface asks for: reads URL, headers and body into an [`Order`]. A request
//! that a server could serve and this front can't is refused, never ignored. Must not run anything. Called by
//! [`crate::front`].
use crate::exception::Exception;
use crate::framing::unframe;
use crate::multipart;
use crate::order::Order;

/// Keys of the URL that are not settings and have no effect here: there are no users, and an answer is always complete
/// before it is sent.
const PASSED_OVER: [&str; 6] = ["user", "password", "quota_key", "wait_end_of_query", "buffer_size", "stacktrace"];
/// Keys of the URL that would change what a statement means.
const REFUSED: [&str; 5] = ["session_id", "session_check", "session_timeout", "close_session", "role"];

/// The parts of a request that the front reads.
#[derive(Default)]
pub(crate) struct Request<'a> {
    /// `GET` rather than `POST`.
    pub(crate) is_get: bool,
    /// The pairs of the URL, decoded.
    pub(crate) pairs: Vec<(String, String)>,
    /// `Content-Type`, empty if absent.
    pub(crate) content_type: &'a str,
    /// `Content-Encoding`, empty if absent.
    pub(crate) content_encoding: &'a str,
    /// `X-ClickHouse-Database`, empty if absent.
    pub(crate) database: &'a str,
    /// `X-ClickHouse-Format`, empty if absent.
    pub(crate) default_format: &'a str,
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    /// The order, and the query id if the client chose one.
    pub(crate) fn read(self) -> Result<(Order, Option<String>), Exception> {
        if !matches!(self.content_encoding, "" | "identity") {
            let said = format!("a body is encoded as {:?}; none and decompress=1 are allowed", self.content_encoding);
            return Err(Exception::not_implemented(&said));
        }
        let mut form = Form {
            order: Order {
                database: self.database.to_owned(),
                default_format: self.default_format.to_owned(),
                is_read_only: self.is_get,
                ..Order::default()
            },
            ..Form::default()
        };
        for (key, value) in self.pairs {
            form.take(key, value)?;
        }
        let unframed;
        let mut body = self.body;
        if form.is_framed {
            unframed = unframe(body)?;
            body = &unframed;
        }
        if self.content_type.starts_with("multipart/") {
            let fields = multipart::fields(self.content_type, body)
                .ok_or_else(|| Exception::bad_arguments("a multipart body is no form of named fields without files"))?;
            for (key, value) in fields {
                form.take(key, value)?;
            }
            body = &[];
        }
        // The text of the URL, a line feed, the body: a server joins them in the same way.
        let mut request = form.query.into_bytes();
        if !request.is_empty() {
            request.push(b'\n');
        }
        request.extend_from_slice(body);
        Ok((Order { request, ..form.order }, form.query_id))
    }
}

#[derive(Default)]
struct Form {
    order: Order,
    query: String,
    query_id: Option<String>,
    /// `decompress=1`.
    is_framed: bool,
}

impl Form {
    fn take(&mut self, key: String, value: String) -> Result<(), Exception> {
        match key.as_str() {
            "query" => self.query = value,
            "query_id" => self.query_id = Some(value).filter(|id| !id.is_empty()),
            "database" => self.order.database = value,
            "default_format" => self.order.default_format = value,
            "decompress" => self.is_framed = is_on(&value),
            "compress" if is_on(&value) => {
                return Err(Exception::not_implemented("compress=1; Accept-Encoding: lz4 is allowed"));
            }
            "compress" => {}
            key if PASSED_OVER.contains(&key) => {}
            key if REFUSED.contains(&key) => {
                return Err(Exception::not_implemented(&format!("{key}: there are neither sessions nor roles here")));
            }
            key => match key.strip_prefix("param_") {
                Some(name) => self.order.parameters.push((name.to_owned(), value)),
                None => self.order.settings.push((key.to_owned(), value)),
            },
        }
        Ok(())
    }
}

fn is_on(value: &str) -> bool {
    !matches!(value, "" | "0" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(request: Request<'_>) -> u32 {
        request.read().unwrap_err().code
    }

    #[test]
    fn a_select_is_the_body_and_the_url_says_the_rest() {
        let url = [
            ("default_format", "RowBinary"),
            ("database", "zenei"),
            ("max_threads", "2"),
            ("param_a", "it's"),
            ("query_id", "mine"),
            ("user", "default"),
            ("decompress", "0"),
        ];
        let (order, query_id) = Request { pairs: pairs(&url), body: b"SELECT 1", ..Request::default() }.read().unwrap();
        let expected = Order {
            request: b"SELECT 1".to_vec(),
            default_format: "RowBinary".to_owned(),
            database: "zenei".to_owned(),
            settings: pairs(&[("max_threads", "2")]),
            parameters: pairs(&[("a", "it's")]),
            is_read_only: false,
        };
        assert_eq!((order, query_id.as_deref()), (expected, Some("mine")));
    }

    #[test]
    fn an_insert_is_the_url_and_a_line_feed_before_the_data() {
        let query = ("query", "INSERT INTO t FORMAT CSV");
        let (order, _) = Request { pairs: pairs(&[query]), body: b"\n1", ..Request::default() }.read().unwrap();
        assert_eq!(order.request, b"INSERT INTO t FORMAT CSV\n\n1");
    }

    #[test]
    fn a_form_holds_query_and_parameters() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {a: UInt8}\r\n--b\r\n\
                     Content-Disposition: form-data; name=\"param_a\"\r\n\r\n7\r\n--b--\r\n";
        let content_type = "multipart/form-data; boundary=b";
        let (order, _) = Request { content_type, body, ..Request::default() }.read().unwrap();
        assert_eq!(
            (order.request.as_slice(), order.parameters),
            (b"SELECT {a: UInt8}\n".as_slice(), pairs(&[("a", "7")]))
        );
        assert_eq!(refused(Request { content_type, body: b"--c", ..Request::default() }), 36);
    }

    #[test]
    fn headers_name_database_and_format_and_the_url_wins() {
        let headers = || Request { database: "a", default_format: "CSV", is_get: true, ..Request::default() };
        let (order, _) = headers().read().unwrap();
        assert_eq!((order.database.as_str(), order.default_format.as_str(), order.is_read_only), ("a", "CSV", true));
        let (order, _) = Request { pairs: pairs(&[("database", "b")]), ..headers() }.read().unwrap();
        assert_eq!(order.database, "b");
    }

    #[test]
    fn what_this_front_can_not_do_is_refused() {
        for key in ["session_id", "role", "compress"] {
            assert_eq!(refused(Request { pairs: pairs(&[(key, "1")]), ..Request::default() }), 48, "{key}");
        }
        assert_eq!(refused(Request { content_encoding: "gzip", ..Request::default() }), 48);
        let framed = Request { pairs: pairs(&[("decompress", "1")]), body: b"no frame", ..Request::default() };
        assert_eq!(refused(framed), 271);
    }
}
