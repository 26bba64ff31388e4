//! What people read about one event of an incident, in English or Japanese. The texts depend on the incident and the
//! event alone; equal inputs give equal bytes. Control characters and marks of direction are gone; a connector escapes
//! what its own markup gives a meaning. Must not know a remote. Called by the desk for every message that goes out.
use crate::event::{Event, Status, What};
use crate::incident::Incident;
use crate::stage::RUNBOOK_BY;
use crate::wording::{place, place_ja};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zenei_detect::{Component, Domain, Scope, Urgency};
use zenei_wire::EngineTime;

/// The most characters of a title; PagerDuty's summary is the tightest with 1,024, chat channels read best below 200.
const TITLE_MAX: usize = 200;
/// The most characters of a line; Slack's sections have 3,000.
const LINE_MAX: usize = 1_000;
/// The most locks that a message names; a guess, one line.
const LOCKS_NAMED: usize = 5;

/// The language of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

/// One message, ready but for a connector's own markup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The remote's deduplication key: `zenei-` and the incident's id.
    pub key: String,
    /// A line that names the incident.
    pub title: String,
    /// What happened now, in one line.
    pub headline: String,
    /// The rest, as a name and a value each.
    pub lines: Vec<(String, String)>,
    /// How soon a person must act.
    pub urgency: Urgency,
    /// How far the work is.
    pub status: Status,
    /// Where the cause probably lies.
    pub domain: Domain,
    /// The part.
    pub component: Component,
    /// The service, as services.toml names it.
    pub service: Option<String>,
    /// The incident's page.
    pub url: Option<String>,
    /// The event's kind.
    pub event_kind: String,
    /// What marks a message that no person wrote: 自動検知.
    pub mark: String,
    /// The language.
    pub lang: Lang,
}

/// The remote's deduplication key of an incident.
pub fn key(incident: &Incident) -> String {
    format!("zenei-{}", incident.id)
}

impl Message {
    /// The message about this event; `incident` as it is after it.
    pub fn of(incident: &Incident, event: &Event, service: Option<&str>, lang: Lang) -> Self {
        let (headline, event_kind) = (headline(event, lang), event.kind_word().to_owned());
        Self { headline, event_kind, ..Self::standing(incident, service, lang) }
    }

    /// What is known of an incident, whatever happened last: without a headline and without an event's kind.
    pub fn standing(incident: &Incident, service: Option<&str>, lang: Lang) -> Self {
        Self {
            key: key(incident),
            title: plain(in_language(&incident.title, incident.title_ja.as_deref(), lang), TITLE_MAX),
            headline: String::new(),
            lines: lines(incident, service, lang),
            urgency: incident.urgency,
            status: incident.status,
            domain: incident.domain,
            component: incident.component,
            service: service.map(str::to_owned),
            url: None,
            event_kind: String::new(),
            mark: pick(lang, "detected automatically", "自動検知").to_owned(),
            lang,
        }
    }

    /// The whole message as plain text, a line each.
    pub fn text(&self) -> String {
        let mut text = format!("[{}] {}\n{}", self.mark, self.title, self.headline);
        for (name, value) in &self.lines {
            text.push_str(&format!("\n{name}: {value}"));
        }
        if let Some(url) = &self.url {
            text.push_str(&format!("\n{url}"));
        }
        text
    }
}

/// A time as RFC 3339 in UTC, as remotes take it; 1970 where there is no such date.
pub fn rfc3339(at: EngineTime) -> String {
    jiff::Timestamp::from_millisecond(at.ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Text on one line without control characters and marks of direction, at most `chars_max` characters; what is cut off
/// is shown by `…`.
pub fn plain(text: &str, chars_max: usize) -> String {
    let spaced = text.chars().filter(|c| !is_mark(*c)).map(|c| if c.is_control() { ' ' } else { c });
    let spaced: String = spaced.take(chars_max.saturating_mul(4)).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    let kept: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Characters that change the direction of text, join or hide it, or separate lines without being control characters.
pub const fn is_mark(c: char) -> bool {
    matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The locks of a scope in words: `lock BL0000123`, 錠 BL0000123.
pub fn place_word(scope: &Scope, lang: Lang) -> String {
    match lang {
        Lang::En => place(scope),
        Lang::Ja => place_ja(scope),
    }
}

/// The level in words: 最高, 高, 中, 低.
pub const fn urgency_word(urgency: Urgency, lang: Lang) -> &'static str {
    match urgency {
        Urgency::Highest => pick(lang, "highest", "最高"),
        Urgency::High => pick(lang, "high", "高"),
        Urgency::Medium => pick(lang, "medium", "中"),
        Urgency::Low => pick(lang, "low", "低"),
    }
}

/// The status in words.
pub const fn status_word(status: Status, lang: Lang) -> &'static str {
    match status {
        Status::Detected => pick(lang, "detected", "検知"),
        Status::Investigating => pick(lang, "investigating", "調査中"),
        Status::Fixing => pick(lang, "fixing", "修正中"),
        Status::Resolved => pick(lang, "resolved", "解決"),
        Status::Close => pick(lang, "close", "完了"),
    }
}

const fn pick(lang: Lang, en: &'static str, ja: &'static str) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Ja => ja,
    }
}

const fn domain_word(domain: Domain, lang: Lang) -> &'static str {
    match domain {
        Domain::Hardware => pick(lang, "hardware", "ハードウェア"),
        Domain::Firmware => pick(lang, "firmware", "ファームウェア"),
        Domain::Software => pick(lang, "software", "ソフトウェア"),
    }
}

fn lines(incident: &Incident, service: Option<&str>, lang: Lang) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut add = |en, ja, value: &str| lines.push((pick(lang, en, ja).to_owned(), plain(value, LINE_MAX)));
    add("Urgency", "緊急度", urgency_word(incident.urgency, lang));
    let ground_ja = incident.ground.as_ref().and_then(|ground| ground.reason_ja.as_deref());
    add("Ground", "根拠", in_language(&incident.urgency_reason, ground_ja, lang));
    add("Status", "ステータス", status_word(incident.status, lang));
    let part = format!("{} / {}", domain_word(incident.domain, lang), incident.component);
    add("Domain", "領域", &part);
    if let Some(service) = service {
        add("Service", "サービス", service);
    }
    add("Scope", "対象", &place_word(&incident.scope, lang));
    add("Locks", "錠", &locks(incident, lang));
    add("Why", "検知内容", &incident.why);
    if let Some(owner) = &incident.owner {
        add("Owner", "担当", owner);
    }
    if let Some(runbook) = &incident.runbook {
        add("First steps", "最初の手順", in_language(runbook, incident.runbook_ja.as_deref(), lang));
    }
    lines
}

/// The text in the language, or the English one where there is no other.
pub fn in_language<'a>(en: &'a str, ja: Option<&'a str>, lang: Lang) -> &'a str {
    match lang {
        Lang::En => en,
        Lang::Ja => ja.unwrap_or(en),
    }
}

fn locks(incident: &Incident, lang: Lang) -> String {
    let named: Vec<&str> = incident.devices.iter().take(LOCKS_NAMED).map(String::as_str).collect();
    let (all, named) = (incident.devices.len(), named.join(", "));
    match lang {
        _ if all <= LOCKS_NAMED => named,
        Lang::En => format!("{all}: {named}, …"),
        Lang::Ja => format!("{all} 台: {named} …"),
    }
}

/// What happened, by the event's kind: English and Japanese. `{name}` stands for the field of that name.
const HEADLINES: &[(&str, &str, &str)] = &[
    ("opened", "The incident was opened.", "インシデントを起票しました。"),
    ("evidence_added", "More evidence of the same fault.", "同じ事象の証拠が増えました。"),
    ("acknowledged", "{by} acknowledged the incident.", "{by} さんが確認しました。"),
    ("owner_assigned", "{by} made {owner} the owner.", "{by} さんが担当を {owner} にしました。"),
    ("urgency_changed", "The urgency is now {to}: {reason}", "緊急度が {to} になりました: {reason}"),
    (
        "domain_changed",
        "{by} moved it to {to}, {component}: {reason}",
        "{by} さんが領域を {to} / {component} に変更しました: {reason}",
    ),
    ("status_changed", "{by} set the status to {to}.", "{by} さんがステータスを {to} にしました。"),
    ("inquiry_linked", "Inquiry {inquiry} is about this.", "問い合わせ {inquiry} を関連付けました。"),
    (
        "inquiry_unlinked",
        "{by} unlinked inquiry {inquiry}.",
        "{by} さんが問い合わせ {inquiry} の関連付けを外しました。",
    ),
    ("note", "{by}: {text}", "{by}: {text}"),
    ("temp_fix_done", "{by}: the temporary fix is done.", "{by} さん: 暫定処置が完了しました。"),
    (
        "telemetry_recovered",
        "The telemetry looks normal again: {why}",
        "テレメトリが正常に戻りました(完了ではありません): {why}",
    ),
    ("postmortem_scheduled", "{by} scheduled the postmortem.", "{by} さんがポストモーテム(振り返り会)を予定しました。"),
    ("postmortem_held", "The postmortem was held with {roles}.", "ポストモーテム(振り返り会)を実施しました: {roles}"),
    ("verdict", "{by} judged the finding: {verdict}.", "{by} さんの判定: {verdict}"),
    ("completed", "{by} completed the incident (完了).", "{by} さんがインシデントを完了にしました。"),
    ("merged_into", "{by} merged it into incident {incident}.", "{by} さんがインシデント {incident} に統合しました。"),
    ("reopened", "{by} reopened it: {reason}", "{by} さんが再開しました: {reason}"),
    (
        "flapping_started",
        "It comes and goes: messages come less often now.",
        "発生と回復を繰り返しています。通知の間隔を空けます。",
    ),
    ("flapping_ended", "It no longer comes and goes: {why}", "繰り返しが収まりました: {why}"),
    ("channel_opened", "A channel was opened at {target}.", "{target} にチャンネルを開きました。"),
    ("invited", "Invited at {target}: {people}", "{target} に招待しました: {people}"),
    ("runbook_attached", "Runbook {runbook} v{version} applies.", "Runbook {runbook} v{version} を適用します。"),
    ("runbook_step_done", "{by} did step {step} of the runbook.", "{by} さんが Runbook の手順 {step} を終えました。"),
    ("action_item_added", "{by} added the action item {item}: {text}", "{by} さんがアクション {item} を追加: {text}"),
    (
        "action_item_changed",
        "{by} set action item {item} to {status}.",
        "{by} さんがアクション {item} を {status} に。",
    ),
    ("effort_added", "{by} spent {minutes} minutes: {work}", "{by} さんの工数 {minutes} 分: {work}"),
    ("delivery_failed", "A message could not reach {target}: {why}", "{target} に通知できませんでした: {why}"),
    (
        "delivery_duplicated",
        "A message may have reached {target} twice: {why}",
        "{target} への通知が重複した可能性があります: {why}",
    ),
    ("similar_found", "Similar incidents of the past: {incidents}", "過去の類似インシデント: {incidents}"),
    ("muted", "Messages are muted: {why}", "通知を止めています: {why}"),
    ("unmuted", "Messages are no longer muted: {why}", "通知を再開します: {why}"),
];

/// What happened, in one line: the sentence of the event's kind with its fields.
pub fn headline(event: &Event, lang: Lang) -> String {
    let word = event.kind_word();
    let fields: Value = event.body().ok().and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null);
    let known = HEADLINES.iter().find(|(kind, ..)| *kind == word);
    let is_rise = matches!(&event.what, What::UrgencyChanged(_));
    let runbook = fields["by"].as_str().and_then(|by| by.strip_prefix(RUNBOOK_BY));
    match known {
        Some((_, en, ja)) => {
            let template = template(word, pick(lang, en, ja), runbook.is_some(), lang);
            let value = |name: &str| match &fields[name] {
                Value::String(level) if is_rise && name == "to" => {
                    Urgency::parse(level).map_or_else(String::new, |level| urgency_word(level, lang).to_owned())
                }
                Value::String(to) if word == "status_changed" && name == "to" => {
                    Status::parse(to).map_or_else(String::new, |to| status_word(to, lang).to_owned())
                }
                Value::String(_) if name == "by" && runbook.is_some() => {
                    format!("{} {}", pick(lang, "The runbook", "Runbook"), runbook.unwrap_or_default())
                }
                value @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_)) => shown(value),
            };
            plain(&filled(&template, value), LINE_MAX)
        }
        None => plain(word, LINE_MAX),
    }
}

/// The sentence of an event; a runbook that acts by itself is no person, and is not addressed as one.
fn template(word: &str, sentence: &str, is_runbook: bool, lang: Lang) -> String {
    match (is_runbook, word) {
        (true, "runbook_step_done") => {
            pick(lang, "{by} did its step {step} by itself.", "{by} の自動手順 {step} が動きました。").to_owned()
        }
        (true, _) => sentence.replace("{by} さん", "{by} "),
        (false, _) => sentence.to_owned(),
    }
}

/// A template with each `{name}` replaced; what is put in is not looked at again.
fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&value(name));
        rest = after;
    }
    text + rest
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "—".to_owned(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Casebook;
    use crate::event::{Note, RunbookStepDone, StatusChanged, UrgencyChanged};
    use expect_test::{Expect, expect};
    use zenei_kit::anomaly;

    fn incident() -> (Incident, Event) {
        let book = Casebook::default();
        let mut draft = book.draft();
        let outcome = draft.decide(&anomaly("motor_effort", "BL0000123", 5)).unwrap();
        let event = outcome.events[0].clone();
        (Incident::open(&event).unwrap(), event)
    }

    fn check(message: &Message, expected: Expect) {
        expected.assert_eq(&message.text());
    }

    fn then(what: impl Into<What>, lang: Lang) -> String {
        let (incident, event) = incident();
        let event = Event { seq: 1, at: EngineTime(6_000), what: what.into(), ..event };
        Message::of(&incident, &event, None, lang).headline
    }

    #[test]
    fn a_message_says_what_happened_how_urgent_it_is_and_why() {
        let (incident, event) = incident();
        check(
            &Message::of(&incident, &event, Some("device"), Lang::En),
            expect![[r#"
            [detected automatically] The motor's effort rises: lock BL0000123
            The incident was opened.
            Urgency: high
            Ground: the rule says high; 1 lock affected
            Status: detected
            Domain: hardware / motor
            Service: device
            Scope: lock BL0000123
            Locks: BL0000123
            Why: the motor needs more current than it did (rule motor_effort v1: observed 412.3 mA, baseline 300 mA, threshold 380 mA, window 2 d, 2 records on lock BL0000123)
            Owner: hardware
            First steps: Look at the gear."#]],
        );
        check(
            &Message::of(&incident, &event, Some("device"), Lang::Ja),
            expect![[r#"
            [自動検知] The motor's effort rises: lock BL0000123
            インシデントを起票しました。
            緊急度: 高
            根拠: 検知ルールの緊急度は高、影響する錠は1台
            ステータス: 検知
            領域: ハードウェア / motor
            サービス: device
            対象: 錠 BL0000123
            錠: BL0000123
            検知内容: the motor needs more current than it did (rule motor_effort v1: observed 412.3 mA, baseline 300 mA, threshold 380 mA, window 2 d, 2 records on lock BL0000123)
            担当: hardware
            最初の手順: Look at the gear."#]],
        );
    }

    #[test]
    fn an_event_is_told_in_both_languages() {
        let fixing = || StatusChanged { to: Status::Fixing, by: "sato".into() };
        assert_eq!(then(fixing(), Lang::En), "sato set the status to fixing.");
        assert_eq!(then(fixing(), Lang::Ja), "sato さんがステータスを 修正中 にしました。");
        let risen = UrgencyChanged { to: Urgency::Highest, reason: "3 customers".into(), by: None, ground: None };
        assert_eq!(then(risen, Lang::Ja), "緊急度が 最高 になりました: 3 customers");
        let other = What::Other { kind: "postponed_v9".into(), body: "{}".into() };
        assert_eq!(then(other, Lang::En), "postponed_v9");
    }

    #[test]
    fn a_runbook_that_acts_by_itself_is_told_as_no_person() {
        let by = || "runbook:gateway".to_owned();
        let step = || RunbookStepDone { step: "taken".into(), by: by() };
        assert_eq!(then(step(), Lang::En), "The runbook gateway did its step taken by itself.");
        assert_eq!(then(step(), Lang::Ja), "Runbook gateway の自動手順 taken が動きました。");
        let fixing = || StatusChanged { to: Status::Fixing, by: by() };
        assert_eq!(then(fixing(), Lang::En), "The runbook gateway set the status to fixing.");
        assert_eq!(then(fixing(), Lang::Ja), "Runbook gateway がステータスを 修正中 にしました。");
        let person = RunbookStepDone { step: "taken".into(), by: "sato".into() };
        assert_eq!(then(person, Lang::En), "sato did step taken of the runbook.");
    }

    #[test]
    fn hostile_text_stays_text_on_its_line() {
        let note = |text: &str| then(Note { text: text.into(), by: "sato".into() }, Lang::En);
        assert_eq!(note("a\r\nb\u{0}\u{1b}[31m"), "sato: a b [31m");
        assert_eq!(note("\u{202e}evil\u{2066}\u{200f}"), "sato: evil");
        assert_eq!(note("{by} {text} {why}"), "sato: {by} {text} {why}");
        assert_eq!(note(&"é".repeat(5_000)).chars().count(), LINE_MAX);
        assert!(note(&"é".repeat(5_000)).ends_with('…'));
    }

    #[test]
    fn every_template_has_the_same_fields_in_both_languages() {
        let fields = |template: &str| {
            let found = std::cell::RefCell::new(Vec::new());
            filled(template, |name| {
                found.borrow_mut().push(name.to_owned());
                String::new()
            });
            let mut found = found.into_inner();
            found.sort();
            found
        };
        for (kind, en, ja) in HEADLINES {
            assert_eq!(fields(en), fields(ja), "{kind}");
        }
    }
}
