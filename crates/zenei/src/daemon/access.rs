//! Who may ask over HTTP, by the configuration: checks the token file, and makes the gate. Must not know a request.
//! Called by `config check`, `run` and `doctor` for the check, and by `run` for the gate.
use crate::config::{Config, Loaded, Problems};
use crate::exit::Failure;
use zenei_desk::http::gate::tokens;
use zenei_desk::http::gate::{AuditLog, Pepper, PublicUrl, Role, Tokens};
use zenei_desk::{DeskClock, Gate, GateSettings};
use zenei_store::{Control, Layout, with_causes};

/// How a token is made.
const MAKE_ONE: &str = "`zenei token add NAME --role operator` makes one";

/// Reads the token file, where one is named; a warning where nobody could change anything.
///
/// # Errors
/// A file that is missing, can't be read, or has a line that is none, at the key that names it.
pub(crate) fn check(loaded: &Loaded) -> Result<Option<String>, Problems> {
    let Some(http) = &loaded.config.http else { return Ok(None) };
    let Some(file) = &http.token_file else {
        let text = "nobody can change anything over HTTP without `http.token_file`";
        return Ok(Some(format!("{text}: name a file there, then {MAKE_ONE}")));
    };
    if !file.is_file() {
        let text = format!("`http.token_file`: the file {} does not exist; {MAKE_ONE}, and the file", file.display());
        return Err(loaded.problems(vec![("http.token_file", text)]));
    }
    match tokens::read(file) {
        Ok(list) if list.iter().any(|token| token.role >= Role::Operator) => Ok(None),
        Ok(_) => Ok(Some(format!("no token in {} may change anything; {MAKE_ONE}", file.display()))),
        Err(error) => {
            let text = format!("`http.token_file`: {}", with_causes(&error));
            Err(loaded.problems(vec![("http.token_file", text)]))
        }
    }
}

/// The gate of a daemon whose state directory is there.
///
/// # Errors
/// Where the pepper or the control database can't be opened.
pub(crate) fn gate(config: &Config, clock: DeskClock) -> Result<Gate, Failure> {
    let Some(http) = &config.http else { return Ok(Gate::loopback()) };
    let layout = Layout::new(&config.state_dir);
    let tokens = http.token_file.as_ref().map(|file| {
        let pepper = pepper(&layout)?;
        Ok::<_, Failure>(Tokens::new(file.clone(), pepper))
    });
    let control = Control::open(&layout.control());
    let control = control.map_err(|error| Failure::broken("who changes what can't be kept", error))?;
    Ok(Gate::new(GateSettings {
        public_url: http.public_url.as_deref().and_then(|url| PublicUrl::parse(url).ok()),
        tokens: tokens.transpose()?,
        audit: Some(AuditLog::new(control, clock)),
        ..GateSettings::of(http.listen)
    }))
}

/// What tokens are hashed with; made where it is missing.
///
/// # Errors
/// Where it can't be read or made, or is damaged.
pub(crate) fn pepper(layout: &Layout) -> Result<Pepper, Failure> {
    Pepper::open(&layout.token_pepper()).map_err(|error| Failure::broken("tokens can't be checked", error))
}
