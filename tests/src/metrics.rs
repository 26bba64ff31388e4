//! What a daemon counts: reads `/metrics`, or another path, by a plain HTTP request. Must not know what is counted,
//! only the names that the interfaces define. Called by the end-to-end tests.
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take; a guess for a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads `/metrics`.
    pub(crate) fn get(address: SocketAddr) -> Self {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200, "{text}");
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{error}: {line}")))
        });
        Self(samples.collect())
    }

    /// The value of a sample, by its name with labels; its absence fails the test.
    pub(crate) fn value(&self, sample: &str) -> u64 {
        let value = *self.0.get(sample).unwrap_or_else(|| panic!("no {sample} in {:?}", self.0));
        assert!(value >= 0.0 && value.fract() == 0.0, "{sample} is {value}, no count");
        value as u64
    }

    /// The sum over all labels of a name, which must exist.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let prefix = format!("{name}{{");
        let labelled: Vec<&String> = self.0.keys().filter(|key| key.starts_with(&prefix)).collect();
        assert!(!labelled.is_empty(), "no {name} in {:?}", self.0);
        labelled.into_iter().map(|sample| self.value(sample)).sum()
    }

    pub(crate) fn received(&self) -> u64 {
        self.sum("zenei_received_total")
    }

    pub(crate) fn stored(&self) -> u64 {
        self.value("zenei_stored_total")
    }

    pub(crate) fn duplicate(&self) -> u64 {
        self.value("zenei_duplicate_total")
    }

    pub(crate) fn dead(&self) -> u64 {
        self.sum("zenei_dead_letter_total")
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.sum("zenei_dropped_total")
    }

    /// Received and not stored yet.
    pub(crate) fn pending(&self) -> u64 {
        self.value("zenei_spool_lag_records")
    }

    /// The invariant of the ledger.
    pub(crate) fn assert_adds_up(&self) {
        let rest = self.pending() + self.stored() + self.duplicate() + self.dead() + self.dropped();
        assert_eq!(self.received(), rest, "the ledger does not add up: {self:?}");
    }
}

/// Status and body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    get_with(address, path, &[])
}

/// Status and body of a GET with these headers.
pub(crate) fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN).expect("HTTP is served");
    stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a time limit can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n")
        .expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "a body in chunks is not read here: {head}");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no HTTP: {head}")), body.to_owned())
}

#[test]
fn samples_are_read_with_their_labels() {
    let text = "# TYPE zenei_received counter\nzenei_received_total{source=\"mqtt\"} 3\nzenei_received_total{source=\"ingress\"} 4\n\
        zenei_stored_total 5\n# EOF\n";
    let metrics = Metrics::parse(text);
    assert_eq!((metrics.received(), metrics.stored()), (7, 5));
    assert_eq!(metrics.value("zenei_received_total{source=\"mqtt\"}"), 3);
}
