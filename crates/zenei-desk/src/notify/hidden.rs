//! What of a request must not come back into texts: a remote that refuses a key may repeat it in its answer. Must not
//! know a remote. Called by the HTTP client, which hides it in each answer before anybody reads that.
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

/// Shorter parts are not hidden: they would be found by chance in any text. A guess.
const LENGTH_MIN: usize = 6;
/// The same for a URL's path and the parts of it, which may be words. A guess.
const URL_PART_MIN: usize = 10;
/// What stands in its place.
const SHOWN: &str = "(secret)";

/// The secrets that a request sends; they show themselves to nobody.
#[derive(Clone, Default)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// Hides a key, the value of an `Authorization`, or a URL that is itself a secret.
    pub(super) fn add(&mut self, secret: &str) {
        self.part(secret);
        if let Some((scheme, value)) = secret.split_once(' ') {
            self.part(value);
            let decoded = (scheme == "Basic").then(|| BASE64_STANDARD.decode(value).ok()).flatten();
            if let Some(pair) = decoded.and_then(|pair| String::from_utf8(pair).ok()) {
                self.part(&pair);
                self.part(pair.split_once(':').map_or("", |(_, password)| password));
            }
        }
        if let Some((_, rest)) = secret.split_once("://") {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            // A client sends these as `Basic`.
            if let Some((pair, _)) = authority.rsplit_once('@') {
                self.part(pair);
                self.part(pair.split_once(':').map_or("", |(_, password)| password));
                self.part(&BASE64_STANDARD.encode(pair));
            }
            let parts = std::iter::once(path).chain(path.split(['/', '?', '&', '=']));
            parts.filter(|part| part.len() >= URL_PART_MIN).for_each(|part| self.part(part));
        }
    }

    fn part(&mut self, part: &str) {
        if part.len() >= LENGTH_MIN {
            self.0.push(part.to_owned());
            // The longest first: a part of it must not break it up.
            self.0.sort_by_key(|part| std::cmp::Reverse(part.len()));
        }
    }

    /// The body of an answer without them.
    pub(super) fn hide(&self, body: Vec<u8>) -> Vec<u8> {
        let has = |part: &String| body.windows(part.len()).any(|bytes| bytes == part.as_bytes());
        if !self.0.iter().any(has) {
            return body;
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        self.0.iter().fold(text, |text, part| text.replace(part.as_str(), SHOWN)).into_bytes()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(secret: &str, said: &str) -> String {
        let mut hidden = Hidden::default();
        hidden.add(secret);
        assert_eq!(format!("{hidden:?}"), SHOWN);
        String::from_utf8(hidden.hide(said.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_secret_that_comes_back_is_hidden_whole_and_in_its_parts() {
        let cases = [
            ("canary-4711", "no key canary-4711!", "no key (secret)!"),
            ("Bearer canary-4711", "Bearer canary-4711, canary-4711", "(secret), (secret)"),
            ("Basic emVuZWk6Y2FuYXJ5", "emVuZWk6Y2FuYXJ5 zenei:canary canary", "(secret) (secret) (secret)"),
            (
                "https://hooks.example/services/T0/canary-4711?t=canary-4712",
                "POST /services/T0/canary-4711?t=canary-4712: canary-4712, services\\/T0\\/canary-4711",
                "POST /(secret): (secret), services\\/T0\\/(secret)",
            ),
            (
                "https://zenei:canary@example.com/x",
                "zenei:canary, canary, emVuZWk6Y2FuYXJ5",
                "(secret), (secret), (secret)",
            ),
            ("short", "short words stay", "short words stay"),
            ("https://example.com/webhook", "no webhook here", "no webhook here"),
        ];
        for (secret, said, shown) in cases {
            assert_eq!(hidden(secret, said), shown, "{secret}");
        }
    }

    #[test]
    fn an_answer_without_it_stays_as_it_is() {
        let mut hidden = Hidden::default();
        hidden.add("canary-4711");
        let bytes = vec![0xff, 0x00, b'c'];
        assert_eq!(hidden.hide(bytes.clone()), bytes);
    }
}
