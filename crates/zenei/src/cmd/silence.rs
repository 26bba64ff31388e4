//! `zenei silence`: sets, previews, lists and ends silences and maintenance windows. Reads the control database; what
//! changes goes to the desk that writes. Called by `cmd`.
use crate::cli::WithConfig;
use crate::cli::silence::{About, Silence as Command, SilenceAdd, SilenceEnd, SilencePreview};
use crate::cmd::incident::step::{asked, named};
use crate::config::{self, Loaded};
use crate::daemon::contents::{self, Contents};
use crate::daemon::control;
use crate::exit::Failure;
use crate::output::{Output, escaped, table, time};
use serde_json::{Value as Json, json};
use std::io::Write as _;
use std::sync::Arc;
use zenei_desk::{IncidentLog, Request};
use zenei_detect::ScopeKind;
use zenei_incident::document::IncidentLine;
use zenei_incident::{Casebook, Incident, Inquiries, Matcher, Silence, SilenceKind};
use zenei_wire::EngineTime;

/// How many digits of an id a list shows; `end` accepts them.
const SHOWN_DIGITS: usize = 12;

/// Runs `silence add`, `preview`, `list` or `end`.
///
/// # Errors
/// What the command line or the desk refuses; where the control database can't be read.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Add(arguments) => add(&arguments, out),
        Command::Preview(arguments) => preview(&arguments, out),
        Command::List(arguments) => list(&arguments, out),
        Command::End(arguments) => end(&arguments, out),
    }
}

fn load(common: &WithConfig) -> Result<Loaded, Failure> {
    config::load(&common.file.config, &config::variables()).map_err(Failure::Config)
}

fn read(common: &WithConfig) -> Result<IncidentLog, Failure> {
    let loaded = load(common)?;
    let control = control::open(&loaded.config.state_dir)?;
    let log = IncidentLog::read(&control, Arc::default());
    let mut log = log.map_err(|error| Failure::broken("can't read the incidents", error))?;
    log.book.set_places(Arc::new(contents::read(&loaded).map_err(Failure::Config)?.registry.places()));
    Ok(log)
}

fn add(arguments: &SilenceAdd, out: &mut Output<'_>) -> Result<(), Failure> {
    let kind = if arguments.maintenance { SilenceKind::Maintenance } else { SilenceKind::Silence };
    let length = length(&arguments.length)?;
    let request = Request::AddSilence {
        kind,
        matches: matcher(&arguments.about)?,
        from_ms: None,
        length_ms: i64::try_from(length.as_millis()).unwrap_or(i64::MAX),
        reason: arguments.reason.clone(),
        by: named(arguments.by.by.as_deref())?,
    };
    let loaded = load(&arguments.common)?;
    let done = asked(&loaded, &request, arguments.common.json, out)?;
    let (log, matches) = (read(&arguments.common)?, matcher(&arguments.about)?);
    let contents = contents::read(&loaded).map_err(Failure::Config)?;
    for unknown in unknown(&matches, &contents, &log.book, &loaded.config.gateway.site) {
        // The silence is set all the same: what it is about may come later.
        _ = writeln!(std::io::stderr(), "warning: nothing known has {}", escaped(&unknown));
    }
    if arguments.common.json {
        return out.json(&done);
    }
    let silence = done.get("silence").unwrap_or(&Json::Null);
    let id = silence.get("id").and_then(Json::as_str).unwrap_or("");
    let until = time(EngineTime(silence.get("until_ms").and_then(Json::as_i64).unwrap_or(0)));
    out.line(format!("{} {id} until {until}", kind.as_str()))?;
    out.line(format!("open incidents that it is about: {}", log.book.preview(&matches).count()))
}

/// What the matcher names and neither the configuration's files nor an incident do, as option and value.
fn unknown(matches: &Matcher, contents: &Contents, book: &Casebook, gateway_site: &str) -> Vec<String> {
    let places = contents.registry.places();
    let has = |test: &dyn Fn(&Incident) -> bool| book.incidents().any(test);
    let of_scope = |kind, value: &str| has(&|found| found.scope.kind == kind && found.scope.value == value);
    let rule = |id: &str| contents.rules.get(id).is_some() || has(&|found| found.rule == id);
    let device = |id: &str| places.of(id).is_some() || has(&|found| found.devices.contains(id));
    let site = |id: &str| id == gateway_site || places.sites().contains(id) || of_scope(ScopeKind::Site, id);
    let services = &contents.policy.services;
    let service = |id: &str| services.service(id).is_some() || places.services().contains(id);
    let strange = |option: &str, value: Option<&String>, is_known: &dyn Fn(&str) -> bool| {
        value.filter(|value| !is_known(value)).map(|value| format!("--{option} {value}"))
    };
    let found = [
        strange("rule", matches.rule.as_ref(), &rule),
        strange("device", matches.device.as_ref(), &device),
        strange("site", matches.site.as_ref(), &site),
        strange("service", matches.service.as_ref(), &service),
    ];
    found.into_iter().flatten().collect()
}

/// A length of time in words, of which a day has 24 hours.
fn length(text: &str) -> Result<jiff::SignedDuration, Failure> {
    let span: Result<jiff::Span, _> = text.parse();
    let length = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()));
    length
        .ok()
        .filter(jiff::SignedDuration::is_positive)
        .ok_or_else(|| Failure::Usage(format!("--for is {text:?}; a length of time such as 30min, 2h or 7d is wanted")))
}

fn preview(arguments: &SilencePreview, out: &mut Output<'_>) -> Result<(), Failure> {
    let matches = matcher(&arguments.about)?;
    if matches.is_empty() {
        return Err(Failure::Usage(
            "say what the silence is about; `zenei silence preview --help` shows how".to_owned(),
        ));
    }
    let log = read(&arguments.common)?;
    let none = Inquiries::default();
    let mut count = 0;
    for incident in log.book.preview(&matches) {
        count += 1;
        if arguments.common.json {
            out.json(&IncidentLine::of(incident, &none))?;
        } else {
            let id = incident.id.to_string();
            out.line(format!("{}  {}  {}", &id[..SHOWN_DIGITS], incident.urgency, escaped(&incident.title)))?;
        }
    }
    if count == 0 && !arguments.common.json {
        out.line("no open incident")?;
    }
    Ok(())
}

fn list(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let log = read(arguments)?;
    let silences = log.book.silences();
    let mut all: Vec<&Silence> = silences.iter().collect();
    all.sort_by_key(|silence| (silence.from_ms, silence.id));
    if arguments.json {
        return all
            .iter()
            .try_for_each(|silence| out.json(&json!({"silence": silence, "ends_ms": silences.end_ms(silence)})));
    }
    if all.is_empty() {
        return out.line("no silence");
    }
    let row = |silence: &&Silence| {
        let about = serde_json::to_string(&silence.matches).unwrap_or_default();
        vec![
            silence.id.to_string()[..SHOWN_DIGITS].to_owned(),
            silence.kind.as_str().to_owned(),
            time(EngineTime(silence.from_ms)),
            time(EngineTime(silences.end_ms(silence))),
            escaped(&silence.by),
            escaped(&about),
            escaped(&silence.reason),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let head = ["silence", "kind", "from", "until", "by", "about", "reason"];
    table(&head, &rows).iter().try_for_each(|line| out.line(line))
}

fn end(arguments: &SilenceEnd, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = Request::EndSilence { silence: arguments.id.clone(), by: named(arguments.by.by.as_deref())? };
    let done = asked(&load(&arguments.common)?, &request, arguments.common.json, out)?;
    if arguments.common.json {
        return out.json(&done);
    }
    out.line(format!("silence {} has ended", done.get("silence").and_then(Json::as_str).unwrap_or("")))
}

/// What the silence is about, from the options.
fn matcher(about: &About) -> Result<Matcher, Failure> {
    let (scope_kind, scope_value) = match &about.scope {
        None => (Json::Null, Json::Null),
        Some(scope) => match scope.split_once('=') {
            Some((kind, value)) => (json!(kind), json!(value)),
            None => return Err(Failure::Usage(format!("--scope is {scope:?}; KIND=VALUE is wanted, as fw=3.3.0"))),
        },
    };
    let fields = json!({
        "rule": about.rule, "domain": about.domain, "component": about.component, "device": about.device,
        "site": about.site, "service": about.service, "scope_kind": scope_kind, "scope_value": scope_value,
    });
    serde_json::from_value(fields).map_err(|error| Failure::Usage(format!("no silence can be about this: {error}")))
}
