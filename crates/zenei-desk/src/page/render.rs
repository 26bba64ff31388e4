//! A page from a template and its values: the frame around it, the filters, escaping. Every value is escaped, but the
//! few that a filter of this file made itself. Must not know what a page is about. Called by every page's handler.
use super::assets;
use super::look::{LANG_COOKIE, Look, THEME_COOKIE, Theme};
use super::words::{self, Words};
use crate::http::gate::{How, Role};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, context};
use std::sync::Arc;
use zenei_incident::message::{Lang, is_mark};

/// Every template by name. A template that is missing here does not exist.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("batteries.html", include_str!("templates/batteries.html")),
    ("ble.html", include_str!("templates/ble.html")),
    ("board.html", include_str!("templates/board.html")),
    ("charts_head.html", include_str!("templates/charts_head.html")),
    ("compare.html", include_str!("templates/compare.html")),
    ("compare_form.html", include_str!("templates/compare_form.html")),
    ("dead_letters.html", include_str!("templates/dead_letters.html")),
    ("error.html", include_str!("templates/error.html")),
    ("fleet.html", include_str!("templates/fleet.html")),
    ("gateways.html", include_str!("templates/gateways.html")),
    ("incident.html", include_str!("templates/incident.html")),
    ("incident_rows.html", include_str!("templates/incident_rows.html")),
    ("incidents.html", include_str!("templates/incidents.html")),
    ("lock.html", include_str!("templates/lock.html")),
    ("login.html", include_str!("templates/login.html")),
    ("panels.html", include_str!("templates/panels.html")),
    ("rule.html", include_str!("templates/rule.html")),
    ("rules.html", include_str!("templates/rules.html")),
    ("search.html", include_str!("templates/search.html")),
    ("silence_preview.html", include_str!("templates/silence_preview.html")),
    ("silences.html", include_str!("templates/silences.html")),
];

/// Draws the pages; a clone draws the same.
#[derive(Clone, Debug)]
pub struct Pages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    templates: Environment<'static>,
    lang: Lang,
    gateway: String,
}

impl Pages {
    /// Pages in this language where a reader asks for none, with times in this zone, of the gateway of this name.
    ///
    /// # Errors
    /// Where a template has a mistake; a test reads all of them.
    pub fn new(lang: Lang, zone: TimeZone, gateway: &str) -> Result<Self, Error> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_formatter(write_value);
        templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        for (name, text) in TEMPLATES {
            templates.add_template(name, text)?;
        }
        add_filters(&mut templates, zone);
        Ok(Self(Arc::new(Inner { templates, lang, gateway: gateway.to_owned() })))
    }

    /// The language of this reader's page.
    pub fn lang(&self, look: &Look) -> Lang {
        look.lang.unwrap_or(self.0.lang)
    }

    /// The page of this template. The frame adds `lang`, `theme`, `t` (the texts), `look` (path and switches), `caller`
    /// (name, role, what it may), `gateway`; `context` is what the template itself needs, and must not use these names.
    pub fn page(&self, template: &str, look: &Look, context: Value) -> Response {
        self.page_with(StatusCode::OK, template, look, context)
    }

    /// As [`Pages::page`], with this status code.
    pub fn page_with(&self, status: StatusCode, template: &str, look: &Look, context: Value) -> Response {
        match self.text(template, look, context) {
            Ok(text) => keeping(look, (status, Html(text)).into_response()),
            Err(error) => {
                tracing::error!(template, error = %zenei_store::with_causes(&error), "a page can't be drawn");
                (StatusCode::INTERNAL_SERVER_ERROR, format!("this page can't be drawn; the log says why\n{error:?}"))
                    .into_response()
            }
        }
    }

    /// The page as text.
    ///
    /// # Errors
    /// Where the template needs a value that `context` has not.
    pub fn text(&self, template: &str, look: &Look, context: Value) -> Result<String, Error> {
        let lang = self.lang(look);
        let other = match lang {
            Lang::En => Lang::Ja,
            Lang::Ja => Lang::En,
        };
        let frame = context! {
            lang => words::lang_word(lang),
            theme => look.theme.word(),
            t => Value::from_object(Words(lang)),
            gateway => self.0.gateway.clone(),
            caller => caller(look),
            look => context! {
                path => look.path.clone(),
                other_lang => words::lang_word(other),
                other_lang_at => look.with("lang", words::lang_word(other)),
                themes => [Theme::Auto, Theme::Light, Theme::Dark].map(|theme| context! {
                    word => theme.word(), at => look.with("theme", theme.word()), is_chosen => theme == look.theme
                }),
            },
        };
        self.0.templates.get_template(template)?.render(context! { ..frame, ..context })
    }

    /// A page that says what was found and what to do instead.
    pub fn error(&self, status: StatusCode, look: &Look, detail: &str) -> Response {
        let code = status.as_u16();
        self.page_with(
            status,
            "error.html",
            look,
            context! { code, detail, wants_login => status == StatusCode::FORBIDDEN },
        )
    }
}

/// A value for a template from one that can be written as JSON.
pub(crate) fn shape<T: serde::Serialize>(value: &T) -> Value {
    Value::from(Serde(value))
}

/// Who asks, for the templates.
fn caller(look: &Look) -> Value {
    let caller = look.caller.as_ref();
    let may = |role: Role| caller.is_some_and(|caller| caller.role >= role);
    context! {
        name => caller.map(|caller| caller.name.clone()),
        role => caller.map(|caller| caller.role.word()),
        is_session => caller.is_some_and(|caller| caller.how == How::Session),
        may_operate => may(Role::Operator) && caller.is_some_and(|caller| caller.how != How::Loopback),
        may_administer => may(Role::Admin),
        residents => caller.is_some_and(|caller| caller.residents),
    }
}

/// The response, with a cookie for what the address chose.
fn keeping(look: &Look, mut response: Response) -> Response {
    let lang = look.chosen.lang.map(|lang| (LANG_COOKIE, words::lang_word(lang)));
    let theme = look.chosen.theme.map(|theme| (THEME_COOKIE, theme.word()));
    for (name, value) in lang.into_iter().chain(theme) {
        // A year; neither is a secret.
        let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// Writes a value escaped; characters that no reader sees, but that change how the rest reads, become U+FFFD.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || is_mark(c);
    match value.as_str() {
        Some(text) if !value.is_safe() && text.contains(hidden) => {
            let shown = Value::from(text.replace(hidden, "\u{fffd}"));
            minijinja::escape_formatter(out, state, &shown)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn add_filters(templates: &mut Environment<'static>, zone: TimeZone) {
    let at = zone.clone();
    templates.add_filter("time", move |ms: Option<i64>| time(ms, &at, "%Y-%m-%d %H:%M %Z"));
    let at = zone.clone();
    templates.add_filter("day", move |ms: Option<i64>| time(ms, &at, "%Y-%m-%d"));
    templates.add_filter("clock", move |ms: Option<i64>| time(ms, &zone, "%H:%M:%S %Z"));
    templates.add_filter("age", |state: &State<'_, '_>, ms: Option<i64>, now: i64| {
        let Some(ms) = ms else { return "–".to_owned() };
        span(now.saturating_sub(ms), lang_of(state))
    });
    templates.add_filter("span", |state: &State<'_, '_>, ms: i64| span(ms, lang_of(state)));
    templates.add_filter("number", number);
    templates.add_filter("fixed", |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "–".to_owned(),
    });
    templates.add_filter("measure", measure);
    templates.add_filter("short_ids", |text: String| short_ids(&text));
    templates.add_filter("unit", |state: &State<'_, '_>, unit: String| unit_shown(&unit, lang_of(state)));
    templates.add_filter("urlencode", |text: String| encoded(&text));
    templates.add_filter("fill", |text: String, values: Kwargs| -> Result<String, Error> {
        let names: Vec<String> = values.args().map(str::to_owned).collect();
        names.iter().try_fold(text, |text, name| {
            let value: Value = values.get(name)?;
            Ok(words::fill(&text, name, &value.to_string()))
        })
    });
    templates.add_function("asset", |name: String| {
        assets::address(&name).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("no file `{name}`")))
    });
    templates.add_function("word", |state: &State<'_, '_>, key: String| {
        let missing = || Error::new(ErrorKind::UndefinedError, format!("there is no text `{key}`"));
        words::find(&key, lang_of(state)).ok_or_else(missing)
    });
}

fn lang_of(state: &State<'_, '_>) -> Lang {
    match state.lookup("lang").as_ref().and_then(Value::as_str) {
        Some("ja") => Lang::Ja,
        _ => Lang::En,
    }
}

/// A time element: for machines in UTC, for people in the zone, with its name.
fn time(ms: Option<i64>, zone: &TimeZone, format: &str) -> Value {
    let Some(at) = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()) else { return Value::from("–") };
    let shown = at.to_zoned(zone.clone()).strftime(format).to_string();
    // Digits, and the zone's name from the machine's own tables.
    Value::from_safe_string(format!("<time datetime=\"{at:.3}\">{shown}</time>"))
}

/// A length of time in its two largest units.
fn span(ms: i64, lang: Lang) -> String {
    let seconds = ms.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let (d, h, m, s) = match lang {
        Lang::En => (" d", " h", " min", " s"),
        Lang::Ja => ("日", "時間", "分", "秒"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}{s}"),
        (0, 0, _) => format!("{minutes}{m}"),
        (0, _, 0) => format!("{hours}{h}"),
        (0, _, _) => format!("{hours}{h} {minutes}{m}"),
        (_, 0, _) => format!("{days}{d}"),
        (1..=13, _, _) => format!("{days}{d} {hours}{h}"),
        _ => format!("{days}{d}"),
    }
}

/// A measured number: with as many digits as tell it apart from its neighbours, and no more.
fn measure(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        _ if size >= 1_000.0 || size == size.trunc() => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.digits$}").replace('-', "−")
}

/// The text with each whole id (32 hexadecimal digits) cut to the eight that people tell incidents apart by.
fn short_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split_inclusive(' ').map(|word| match word.trim_end() {
        id if is_id(id) => word.replacen(id, id.get(..8).unwrap_or(id), 1),
        _ => word.to_owned(),
    });
    words.collect()
}

/// A unit of a finding as people write it; one that has no such form stays as it is.
fn unit_shown(unit: &str, lang: Lang) -> String {
    let shown = match (unit, lang) {
        ("mohm", _) => "mΩ",
        ("percent", _) => "%",
        ("ratio", Lang::Ja) => "倍",
        ("ratio", Lang::En) => "times",
        ("reports/day", Lang::Ja) => "件/日",
        (other, _) => other,
    };
    shown.to_owned()
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A whole number with a thin gap between thousands.
fn number(value: Option<i64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "−".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Pages {
        Pages::new(Lang::En, TimeZone::get("Asia/Tokyo").unwrap(), "gw-<b>1</b>").unwrap()
    }

    #[test]
    fn ids_in_a_sentence_are_short_and_other_words_stay() {
        let id = "af4a8d3bce1bccc5de302c2af4e312ee";
        assert_eq!(short_ids(&format!("incident {id} is open,  {id}")), "incident af4a8d3b is open,  af4a8d3b");
        assert_eq!(short_ids("錠 deadbeef 1 x"), "錠 deadbeef 1 x");
    }

    #[test]
    fn a_value_with_markup_is_inert_and_one_with_hidden_marks_shows_them() {
        let text = pages()
            .text(
                "error.html",
                &Look::default(),
                context! { code => 404, wants_login => false, detail => "<script>a</script>\u{202e}b\u{7}" },
            )
            .unwrap();
        assert!(text.contains("&lt;script&gt;a") && text.contains("\u{fffd}b\u{fffd}"), "{text}");
        assert!(!text.contains("<script>a") && !text.contains("<b>1"), "{text}");
    }

    #[test]
    fn a_time_is_shown_in_the_zone_and_told_to_machines_in_utc() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        let shown = time(Some(1_796_040_000_000), &zone, "%Y-%m-%d %H:%M %Z").to_string();
        assert_eq!(shown, "<time datetime=\"2026-11-30T12:00:00.000Z\">2026-11-30 21:00 JST</time>");
        assert_eq!(time(None, &zone, "%H").to_string(), "–");
    }

    #[test]
    fn spans_and_numbers_are_short() {
        let hours = 3_600_000;
        assert_eq!(
            [span(59_000, Lang::En), span(hours * 27, Lang::Ja), span(-5, Lang::En)],
            ["59 s", "1日 3時間", "0 s"]
        );
        assert_eq!([number(Some(1_234_567)), number(Some(-12)), number(None)], ["1,234,567", "−12", "–"]);
    }

    #[test]
    fn a_choice_in_the_address_is_kept_in_a_cookie() {
        let look = Look::of(&"/?lang=ja&theme=dark".parse().unwrap(), &Default::default());
        let response = pages().error(StatusCode::NOT_FOUND, &look, "");
        let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies.len(), 2);
        assert!(cookies[0].to_str().unwrap().starts_with("zenei_lang=ja; "));
    }

    #[test]
    fn a_page_of_an_unknown_template_or_value_says_so_and_is_no_page() {
        assert!(pages().text("wish.html", &Look::default(), context! {}).is_err());
        assert!(pages().text("error.html", &Look::default(), context! {}).is_err());
    }
}
