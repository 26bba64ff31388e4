//! The texts of a finding for people: its title and its reason. They depend on the finding alone; equal findings give
//! equal bytes. Must not know incidents. The texts are not escaped; the code that displays them must escape them.
//! Called by the casebook, and by the opening conditions and the urgency table for their reasons.
use zenei_detect::{Anomaly, Scope, ScopeKind};

/// A line that names the finding, from the rule's title and the scope: `Motor effort is rising: lock BL0000123`. Only
/// the place if the finding has no title, as one that was stored before rules had a title.
pub(crate) fn title(anomaly: &Anomaly) -> String {
    titled(&anomaly.title, &place(&anomaly.scope))
}

/// The same in Japanese: `モータの負荷が増えている: 錠 BL0000123`; `None` if the rule has no Japanese title.
pub(crate) fn title_ja(anomaly: &Anomaly) -> Option<String> {
    let has_one = !anomaly.title_ja.is_empty();
    has_one.then(|| titled(&anomaly.title_ja, &place_ja(&anomaly.scope)))
}

fn titled(title: &str, place: &str) -> String {
    if title.is_empty() { place.to_owned() } else { format!("{title}: {place}") }
}

/// The whole reason: the engine's sentence, then rule, observed value, baseline, threshold, window and records.
pub(crate) fn why(anomaly: &Anomaly) -> String {
    let unit = &anomaly.unit;
    let figures = format!(
        "rule {} v{}: observed {} {unit}, baseline {} {unit}, threshold {} {unit}, window {}, {} on {}",
        anomaly.rule,
        anomaly.rule_version,
        number(anomaly.value),
        number(anomaly.baseline),
        number(anomaly.threshold),
        length(anomaly.window_ms),
        count(anomaly.evidence.len(), "record"),
        place(&anomaly.scope),
    );
    if anomaly.why.is_empty() { figures } else { format!("{} ({figures})", anomaly.why.trim_end_matches('.')) }
}

/// The scope in words.
pub(crate) fn place(scope: &Scope) -> String {
    let kind = match scope.kind {
        ScopeKind::Device => "lock",
        ScopeKind::Gateway => "gateway",
        ScopeKind::Site => "site",
        ScopeKind::Fw => "firmware",
        ScopeKind::Lot => "lot",
        ScopeKind::HwRev => "board revision",
        ScopeKind::Model => "model",
        ScopeKind::ClientVersion => "client version",
        ScopeKind::Service => "service",
        ScopeKind::FwHw => "firmware and board revision",
    };
    format!("{kind} {}", scope.value)
}

/// The scope in Japanese words.
pub(crate) fn place_ja(scope: &Scope) -> String {
    let kind = match scope.kind {
        ScopeKind::Device => "錠",
        ScopeKind::Gateway => "ゲートウェイ",
        ScopeKind::Site => "拠点",
        ScopeKind::Fw => "ファームウェア",
        ScopeKind::Lot => "ロット",
        ScopeKind::HwRev => "基板リビジョン",
        ScopeKind::Model => "機種",
        ScopeKind::ClientVersion => "クライアントのバージョン",
        ScopeKind::Service => "サービス",
        ScopeKind::FwHw => "ファームウェアと基板リビジョン",
    };
    format!("{kind} {}", scope.value)
}

/// `1 lock`, `2 locks`.
pub(crate) fn count(many: usize, noun: &str) -> String {
    if many == 1 { format!("1 {noun}") } else { format!("{many} {noun}s") }
}

/// Four significant digits, no trailing zeros, no exponent below 1e15.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e15 {
        return format!("{value:e}");
    }
    let mut digits = 3_usize;
    let mut unit = 1.0;
    while size > 0.0 && size < unit && digits < 12 {
        digits += 1;
        unit /= 10.0;
    }
    let mut unit = 10.0;
    while size >= unit && digits > 0 {
        digits -= 1;
        unit *= 10.0;
    }
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A length of time in the largest unit that has at least two of it.
pub(crate) fn length(ms: i64) -> String {
    let (number, name, _) = measured(ms);
    format!("{number} {name}")
}

/// The same in Japanese.
pub(crate) fn length_ja(ms: i64) -> String {
    let (number, _, name) = measured(ms);
    format!("{number}{name}")
}

/// How many of which unit, in both languages.
fn measured(ms: i64) -> (String, &'static str, &'static str) {
    const UNITS: [(i64, &str, &str); 4] =
        [(86_400_000, "d", "日"), (3_600_000, "h", "時間"), (60_000, "min", "分"), (1_000, "s", "秒")];
    for (unit_ms, name, name_ja) in UNITS {
        if ms >= 2 * unit_ms {
            return (number(ms as f64 / unit_ms as f64), name, name_ja);
        }
    }
    (ms.to_string(), "ms", "ミリ秒")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::anomaly;

    #[test]
    fn the_title_is_the_rules_own_and_says_where() {
        let mut found = anomaly("motor_effort", "BL0000123", 5);
        assert_eq!(title(&found), "The motor's effort rises: lock BL0000123");
        found.scope = Scope { kind: ScopeKind::FwHw, value: "3.2.1+C2".into() };
        assert_eq!(title(&found), "The motor's effort rises: firmware and board revision 3.2.1+C2");
        found.title_ja = "モータの負荷が増えている".into();
        assert_eq!(title_ja(&found).unwrap(), "モータの負荷が増えている: ファームウェアと基板リビジョン 3.2.1+C2");
        found.title_ja.clear();
        assert_eq!(title_ja(&found), None);
        found.title.clear();
        assert_eq!(title(&found), "firmware and board revision 3.2.1+C2");
    }

    #[test]
    fn why_has_rule_value_baseline_threshold_window_and_unit() {
        assert_eq!(
            why(&anomaly("motor_effort", "BL0000123", 5)),
            "the motor needs more current than it did (rule motor_effort v1: observed 412.3 mA, baseline 300 mA, \
             threshold 380 mA, window 2 d, 2 records on lock BL0000123)"
        );
    }

    #[test]
    fn numbers_keep_four_digits() {
        let cases = [(0.0, "0"), (1.0, "1"), (0.000_123_456, "0.0001235"), (12_345.6, "12346"), (-2.5, "-2.5")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!((length(1_500), length(5_400_000)), ("1500 ms".to_owned(), "90 min".to_owned()));
        assert_eq!((length(86_400_000), length_ja(86_400_000)), ("24 h".to_owned(), "24時間".to_owned()));
    }
}
