//! The configuration in effect, as TOML or JSON, without secrets: secrets stand in files, of which it shows the names;
//! of the URL of a notification target it shows only the server. Called by `config show`.
use super::Config;
use serde_json::Value as Json;

/// The keys whose URL may hold a secret in its path or query.
const SECRET_URLS: [&str; 1] = ["url"];

/// The values as JSON, without possible secrets.
pub(crate) fn to_json(config: &Config) -> Result<Json, serde_json::Error> {
    let mut json = serde_json::to_value(config)?;
    let targets = json.get_mut("notify").and_then(Json::as_object_mut);
    for target in targets.into_iter().flat_map(|targets| targets.values_mut()) {
        for key in SECRET_URLS {
            if let Some(Json::String(url)) = target.get_mut(key) {
                *url = server_of(url);
            }
        }
    }
    Ok(json)
}

/// The values as TOML, without possible secrets.
pub(crate) fn to_toml(config: &Config) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(toml::to_string(&to_json(config)?)?)
}

fn server_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "(hidden)".to_owned() };
    match rest.find(['/', '?', '#']) {
        Some(end) => format!("{scheme}://{}/(hidden)", &rest[..end]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_server_is_shown() {
        assert_eq!(server_of("https://hooks.slack.com/services/T0/B0/secret"), "https://hooks.slack.com/(hidden)");
        assert_eq!(server_of("http://127.0.0.1:9093"), "http://127.0.0.1:9093");
    }
}
