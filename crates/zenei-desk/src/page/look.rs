//! How does a reader want a page? The language, the theme and the address, read from a request. Must not know what is
//! on the page. Extracted by every page's handler, read by [`super::render`].
use crate::http::gate::Caller;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use std::convert::Infallible;
use zenei_incident::message::Lang;

/// The cookie that keeps the language.
pub(crate) const LANG_COOKIE: &str = "zenei_lang";
/// The cookie that keeps the theme.
pub(crate) const THEME_COOKIE: &str = "zenei_theme";

/// The colours of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the reader's system has it.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Its word in cookies and addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark].into_iter().find(|theme| theme.word() == word)
    }
}

/// How a reader wants a page.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The language that the reader asked for; `None`: the desk's.
    pub lang: Option<Lang>,
    /// The colours.
    pub theme: Theme,
    /// The path, without the query.
    pub path: String,
    /// The query without language and theme, as it came; empty without one.
    pub query: String,
    /// Who asks; `None` where no role is needed.
    pub caller: Option<Caller>,
    /// What the address itself chose, and a cookie has to keep.
    pub(crate) chosen: Chosen,
}

/// What the address chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) lang: Option<Lang>,
    pub(crate) theme: Option<Theme>,
}

impl Look {
    /// Of a request with this address and these headers.
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let pairs: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
        let value = |name: &str| pairs.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let chosen = Chosen { lang: value("lang").and_then(parse_lang), theme: value("theme").and_then(Theme::parse) };
        let is_ours = |pair: &str| pair.starts_with("lang=") || pair.starts_with("theme=");
        let rest: Vec<&str> = pairs.iter().filter(|pair| !is_ours(pair)).copied().collect();
        let kept = cookie(headers, LANG_COOKIE).and_then(parse_lang);
        Self {
            lang: chosen.lang.or(kept).or_else(|| accepted(headers)),
            theme: chosen.theme.or_else(|| cookie(headers, THEME_COOKIE).and_then(Theme::parse)).unwrap_or_default(),
            path: uri.path().to_owned(),
            query: rest.join("&"),
            caller: None,
            chosen,
        }
    }

    /// This page's address with one more pair in its query.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let and = if self.query.is_empty() { "" } else { "&" };
        format!("{}?{}{and}{name}={value}", self.path, self.query)
    }
}

impl<S: Sync> FromRequestParts<S> for Look {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned();
        Ok(Self { caller, ..Self::of(&parts.uri, &parts.headers) })
    }
}

/// The value of this cookie.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The first language of Accept-Language that the pages have; browsers list them by preference.
fn accepted(headers: &HeaderMap) -> Option<Lang> {
    let wanted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    wanted.split(',').find_map(|tag| parse_lang(tag.split([';', '-']).next().unwrap_or_default().trim()))
}

fn parse_lang(word: &str) -> Option<Lang> {
    match word {
        "en" => Some(Lang::En),
        "ja" => Some(Lang::Ja),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(uri: &str, headers: &[(header::HeaderName, &str)]) -> Look {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Look::of(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn the_address_beats_the_cookie_and_the_cookie_beats_the_browser() {
        let cookie = (header::COOKIE, "a=b; zenei_lang=ja; zenei_theme=dark");
        let browser = (header::ACCEPT_LANGUAGE, "fr-CH, en;q=0.9, ja;q=0.8");
        assert_eq!(look("/fleet?lang=en&site=S1", &[cookie.clone(), browser.clone()]).lang, Some(Lang::En));
        assert_eq!(look("/fleet", &[cookie.clone(), browser.clone()]).lang, Some(Lang::Ja));
        assert_eq!(look("/fleet", &[browser]).lang, Some(Lang::En));
        assert_eq!(look("/fleet", &[]).lang, None);
        assert_eq!(look("/fleet", &[cookie]).theme, Theme::Dark);
        assert_eq!(look("/fleet?lang=xx&theme=pink", &[]).theme, Theme::Auto);
    }

    #[test]
    fn a_link_to_the_other_language_keeps_the_rest_of_the_address() {
        let found = look("/fleet?site=S1&lang=en&fw=3.2.1&theme=dark", &[]);
        assert_eq!(found.with("lang", "ja"), "/fleet?site=S1&fw=3.2.1&lang=ja");
        assert_eq!(look("/", &[]).with("lang", "ja"), "/?lang=ja");
    }
}
