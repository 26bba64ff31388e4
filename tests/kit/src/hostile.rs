//! Texts that are meant to do something where they are shown, and the properties that a harmless one has. Must not know
//! what is tested. Called by the tests of messages and of what commands print.

/// How often the long text is repeated: far beyond any limit of a remote.
const REPEATED: usize = 3_000;

/// One text of each kind, and all of them in one.
pub fn texts() -> Vec<String> {
    let one_each = [
        // Slack: mentions, links, dates, markup.
        "<!channel> <!here> <!everyone> <@U1> <#C1> <!subteam^S1>",
        "@channel @here @everyone",
        "<https://evil.example|click> <mailto:a@b.example|mail> <!date^1^{date}|x>",
        "*bold* _it_ ~no~ `code` ```block``` > quote\n&gt; &amp; &lt;!channel&gt;",
        // HTML and Markdown.
        "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>",
        "[click](javascript:alert(1)) ![x](https://evil.example/p.png) # head\n- [ ] task\n| a | b |",
        // Formulas of tables.
        "=cmd|'/C calc'!A0",
        "+1+1",
        "-1+1",
        "@SUM(A1:A9)",
        "\t=1+1",
        // Templates and formats.
        "{{ 7 * 7 }} {% raw %} ${HOME} %s %n {by} {text} $labels",
        // What moves a terminal, ends a line or a text.
        "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\u{1b}[2J \u{9b}31m",
        "one\r\ntwo\nthree\rfour\u{b}five\u{c}six\u{85}seven",
        "nul\u{0}nul \u{1}\u{8}\u{7f}",
        "line\u{2028}paragraph\u{2029}end",
        // What hides or turns text.
        "zero\u{200b}width\u{200c}\u{200d}\u{2060}\u{feff}soft\u{ad}hyphen",
        "\u{202e}gpj.exe\u{202c} \u{2066}iso\u{2067}late\u{2068}s\u{2069} \u{200e}\u{200f}\u{61c}",
        "tag\u{e0041}\u{e007f} annotation\u{fff9}a\u{fffa}b\u{fffb}",
        // Escapes that something may undo.
        "\\ud800 \\u0000 \\u202e \\n \\x1b[31m &#60;!channel&#62; %3Cscript%3E",
        // A beginning of the next line of a log, of a header.
        "x\n2026-01-01T00:00:00Z ERROR forged\r\nSet-Cookie: a=b",
        "",
        "   ",
    ];
    let mut all: Vec<String> = one_each.iter().map(|text| (*text).to_owned()).collect();
    all.push("<!channel>\u{202e}é漢".repeat(REPEATED));
    all.push(one_each.join(" "));
    all
}

/// What a text may do to whoever is shown it as it is: move the terminal, end a line, hide or turn text. `None` where
/// it does nothing. A line feed is allowed in a text of several lines.
pub fn disturbs(text: &str, has_lines: bool) -> Option<String> {
    let is_hidden = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let bad = text.chars().find(|c| (c.is_control() && !(has_lines && *c == '\n')) || is_hidden(*c))?;
    Some(format!("it holds U+{:04X}", bad as u32))
}

/// What a text may do in a chat that reads Slack's markup: call people, or hide where a link leads. `None` where it
/// does nothing.
pub fn calls_people(text: &str) -> Option<String> {
    let found = ["<!", "<@", "<#", "<http", "<mailto", "@channel", "@here", "@everyone", "<script", "<img", "<svg"];
    found.iter().find(|part| text.contains(**part)).map(|part| format!("it holds {part:?}"))
}

#[test]
fn the_properties_find_what_the_texts_hold() {
    let disturbing = texts().iter().filter(|text| disturbs(text, false).is_some()).count();
    let calling = texts().iter().filter(|text| calls_people(text).is_some()).count();
    assert!(disturbing >= 10 && calling >= 4, "{disturbing} {calling}");
    assert_eq!(disturbs("two\nlines", true), None);
    assert!(disturbs("two\nlines", false).is_some());
    assert_eq!((disturbs("ドア 3", false), calls_people("a < b, c@d.example")), (None, None));
}
