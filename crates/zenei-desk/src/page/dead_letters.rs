//! The dead letters: how many by reason and what to do about each, the latest with their bytes. All of it came from
//! outside. Must not know how a message is decoded. Called by the router.
use super::{Look, Shown, link, past, words};
use axum::extract::{Query, State};
use axum::response::Response;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use zenei_incident::message::Lang;
use zenei_store::history::DeadLetterShown;
use zenei_wire::Reason;

/// The latest that are looked at, and the most on a page. Guesses: what is read through, and a page of 100 kB.
const LATEST: usize = 500;
const SHOWN: usize = 50;
/// The most bytes in a dump.
const DUMP_MAX: usize = 1_024;
/// Bytes on a line of a dump.
const LINE: usize = 16;

/// `GET /dead-letters`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let Some(mut letters) = past::ask(&shown, |history| history.dead_letters(LATEST)).await else {
        return past::unreadable(&shown, &look);
    };
    if !look.caller.as_ref().is_some_and(|caller| caller.residents) {
        letters = letters.into_iter().map(DeadLetterShown::without_operations).collect();
    }
    let chosen = query.get("reason").filter(|word| Reason::parse(word).is_some()).map(String::as_str);
    let ledger = shown.handles.ledger.borrow().clone();
    let counted = ledger.dead_letter.iter().map(|(reason, count)| (reason.as_str(), *count));
    let context = view(&letters, counted, chosen);
    shown.pages.page("dead_letters.html", &look, context)
}

/// `counted` are the reasons with how many dead letters this gateway has had; those of other gateways are among the
/// `letters` alone.
pub(super) fn view<'l>(
    letters: &'l [DeadLetterShown],
    counted: impl Iterator<Item = (&'l str, u64)>,
    chosen: Option<&str>,
) -> Value {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for letter in letters {
        *counts.entry(letter.reason.as_str()).or_default() += 1;
    }
    for (reason, count) in counted {
        let known = counts.entry(reason).or_default();
        *known = (*known).max(count);
    }
    let reason = |(reason, count): (&&str, &u64)| {
        context! {
            reason => *reason, count => *count,
            is_known => words::find(&format!("dead_{reason}"), Lang::En).is_some(),
            is_chosen => chosen == Some(*reason),
            href => link::with_query("/dead-letters", [("reason", *reason)]),
        }
    };
    let wanted = letters.iter().filter(|letter| chosen.is_none_or(|chosen| letter.reason == chosen)).take(SHOWN);
    context! {
        reasons => counts.iter().filter(|(_, count)| **count > 0).map(reason).collect::<Vec<_>>(),
        letters => wanted.map(row).collect::<Vec<_>>(),
        chosen,
    }
}

fn row(letter: &DeadLetterShown) -> Value {
    let shown = letter.bytes.len().min(DUMP_MAX);
    context! {
        reason => letter.reason.as_str(),
        detail => letter.detail.as_str(),
        topic => letter.topic.as_str(),
        at_ms => letter.at_ms,
        length => letter.length,
        shown,
        is_cut => letter.cut || (shown as u64) < letter.length,
        dump => dump(&letter.bytes),
    }
}

/// Bytes as hexadecimal digits with the printable ASCII beside them, a line for every 16.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, chunk) in bytes.chunks(LINE).take(DUMP_MAX / LINE).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let text: String = chunk.iter().map(|&byte| if is_shown(byte) { char::from(byte) } else { '.' }).collect();
        // Writing to a String never fails.
        let _ = writeln!(out, "{:04x}  {:47}  {text}", line * LINE, hex.join(" "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_about_an_operation_says_is_kept_from_those_who_may_not_see_it() {
        let letter = |kind: &str| DeadLetterShown {
            reason: "out_of_range".into(),
            detail: "found resident-8".into(),
            topic: format!("bitlock/v1/site-1/BL1/{kind}"),
            at_ms: 1,
            bytes: b"{\"actor\":\"resident-8\"}".to_vec(),
            length: 22,
            cut: false,
        };
        assert_eq!(letter("state").without_operations(), letter("state"));
        let hidden = letter("op").without_operations();
        assert!(hidden.bytes.is_empty() && hidden.detail.contains("--residents") && hidden.length == 22, "{hidden:?}");
        let page = format!("{:?}", view(&[hidden], std::iter::empty(), None));
        assert!(!page.contains("resident-8"), "{page}");
        let page = format!("{:?}", view(&[letter("op")], std::iter::empty(), None));
        assert!(page.contains("resident-8"), "who may see it does: {page}");
    }

    #[test]
    fn a_dump_shows_every_byte_and_no_control_character() {
        let text = dump(b"<script>\x1b[31m\xff\n and more than one line");
        assert!(
            text.starts_with("0000  3c 73 63 72 69 70 74 3e 1b 5b 33 31 6d ff 0a 20  <script>.[31m.. \n0010  61"),
            "{text}"
        );
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(dump(&[0; 5_000]).lines().count(), DUMP_MAX / LINE);
    }

    #[test]
    fn every_reason_says_what_to_do() {
        for reason in Reason::ALL {
            assert!(words::find(&format!("dead_{reason}"), Lang::Ja).is_some(), "{reason}");
        }
    }
}
