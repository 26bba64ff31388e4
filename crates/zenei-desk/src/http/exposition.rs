//! In which format does `/metrics` answer? OpenMetrics, by the contract; but to a client that names `text/plain` in
//! `Accept` and not OpenMetrics the classic text format, which `promtool check metrics` and older scrapers read. Both
//! have the same samples. Must not know any metric. Called by the router.
use super::problem::problem;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The type of OpenMetrics text, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The type of the classic text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to a scrape with these headers. The values are read on a thread that may wait for a file.
pub(super) async fn answer(registry: Arc<Registry>, headers: HeaderMap) -> Response {
    let text = spawn_blocking(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    let Ok(Ok(text)) = text.await else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written");
    };
    let (kind, text) = if wants_classic(&headers) { (CLASSIC, classic(&text)) } else { (OPEN_METRICS, text) };
    ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text).into_response()
}

/// Whether the client names the classic format and not OpenMetrics, which Prometheus names beside it.
fn wants_classic(headers: &HeaderMap) -> bool {
    names(headers, "text/plain") && !names(headers, "application/openmetrics-text")
}

/// Whether the client names this type with a weight above 0. `*/*` doesn't count: it stands in each client's header.
fn names(headers: &HeaderMap, wanted: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
        let is_refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|q| q.parse() == Ok(0.0_f32));
        is_named && !is_refused
    })
}

/// OpenMetrics text in the classic format: a counter's family has the name of its samples (`_total`), and there is no
/// line for a unit or for the end. In our texts `# HELP` and `# TYPE` of a family stand before its samples.
fn classic(text: &str) -> String {
    let counters: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(_, kind)| *kind == "counter")
        .map(|(name, _)| name)
        .collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let family = ["# HELP ", "# TYPE "].into_iter().find_map(|mark| {
            let (name, rest) = line.strip_prefix(mark)?.split_once(' ')?;
            counters.contains(name).then_some((mark, name, rest))
        });
        match family {
            Some((mark, name, rest)) => out.extend([mark, name, "_total ", rest, "\n"]),
            None => out.extend([line, "\n"]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        wants_classic(&headers)
    }

    #[test]
    fn the_classic_format_goes_to_a_client_that_names_it_and_not_open_metrics() {
        for accept in
            ["text/plain", "text/plain;version=0.0.4;q=0.5, */*;q=0.1", "application/openmetrics-text;q=0,Text/Plain"]
        {
            assert!(wants(accept), "{accept}");
        }
        // The first is what Prometheus 2.42 sends.
        for other in [
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain;q=0",
            "application/json",
        ] {
            assert!(!wants(other), "{other}");
        }
        assert!(!wants_classic(&HeaderMap::new()));
    }

    #[test]
    fn the_classic_format_names_a_counter_as_its_samples_and_has_no_end() {
        let open = "# HELP a_b Things\n# TYPE a_b counter\na_b_total{x=\"# TYPE a_b counter\"} 1\n# HELP a Level\n# TYPE a gauge\n\
            # UNIT a seconds\na 2\n# EOF\n";
        let expected = "# HELP a_b_total Things\n# TYPE a_b_total counter\na_b_total{x=\"# TYPE a_b counter\"} 1\n\
            # HELP a Level\n# TYPE a gauge\na 2\n";
        assert_eq!(classic(open), expected);
    }
}
