//! What services.toml says of locks and people, and how its errors read.
use super::*;
use zenei_kit::anomaly;

const OURS: &str = include_str!("../defaults/services.toml");

const TABLE: &str = r#"
version = 2
label = "ours"
default = "device"
[service.homehub]
name_en = "Home Hub"
name_ja = "ホームハブ"
sites = ["tokyo-01"]
[service.device]
name_en = "Devices"
name_ja = "デバイス"
locks = ["C"]
[[person]]
id = "sato"
name = "佐藤"
slack = "U0123"
roles = ["quality"]
[[person]]
id = "mori"
name = "森"
roles = ["support"]
[[stakeholder]]
people = ["@quality"]
domains = ["hardware"]
urgency_min = "高"
[[stakeholder]]
people = ["mori"]
services = ["homehub"]
"#;

fn table() -> Services {
    Services::read("services.toml", TABLE).unwrap()
}

fn place(site: &str, service: Option<&str>) -> Place {
    Place { site: Some(site.to_owned()), service: service.map(str::to_owned), ..Place::default() }
}

#[test]
fn the_registry_counts_before_the_lists_and_the_lists_before_the_default() {
    let table = table();
    assert_eq!(table.of("A", Some(&place("tokyo-01", Some("workhub")))), "workhub");
    assert_eq!(table.of("A", Some(&place("tokyo-01", None))), "homehub");
    assert_eq!(table.of("C", Some(&place("tokyo-01", None))), "device");
    assert_eq!(table.of("A", None), "device");
}

#[test]
fn a_finding_is_of_the_service_of_most_of_its_locks() {
    let mut finding = anomaly("motor_effort", "A", 5);
    assert_eq!(table().of_finding(&finding, &Places::default()).as_deref(), Some("device"));
    let mut others = anomaly("motor_effort", "B", 6).evidence;
    others.truncate(1);
    finding.evidence.extend(others.iter().cloned());
    finding.evidence.extend(anomaly("motor_effort", "D", 6).evidence);
    let at = |lock: &str| (lock.to_owned(), place("tokyo-01", None));
    let places = Places::from_iter([at("B"), at("D")]);
    assert_eq!(table().of_finding(&finding, &places).as_deref(), Some("homehub"));
}

#[test]
fn a_finding_about_a_target_of_zenei_is_of_no_service() {
    let mut finding = anomaly("zenei-delivery", "zenei", 5);
    finding.scope = zenei_detect::Scope { kind: ScopeKind::Service, value: "room".to_owned() };
    assert_eq!(table().of_finding(&finding, &Places::default()), None);
    finding.scope.value = "homehub".to_owned();
    assert_eq!(table().of_finding(&finding, &Places::default()).as_deref(), Some("homehub"));
}

#[test]
fn people_are_invited_by_service_domain_and_urgency() {
    let table = table();
    let ids = |service, domain, urgency| {
        table.invitees(service, domain, urgency).iter().map(|person| person.id.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(ids(Some("homehub"), Domain::Hardware, Urgency::High), ["mori", "sato"]);
    assert_eq!(ids(Some("homehub"), Domain::Hardware, Urgency::Medium), ["mori"]);
    assert_eq!(ids(Some("device"), Domain::Software, Urgency::Highest), [""; 0]);
    assert_eq!(ids(None, Domain::Hardware, Urgency::Highest), ["sato"]);
}

#[test]
fn the_table_in_the_program_is_good_and_invites_nobody() {
    let ours = Services::read("services.toml", OURS).unwrap();
    assert_eq!(ours.ids().collect::<Vec<_>>(), ["device", "homehub", "workhub"]);
    assert!(ours.invitees(Some("device"), Domain::Hardware, Urgency::Highest).is_empty());
}

#[test]
fn every_error_is_named_with_its_place() {
    let broken = TABLE
        .replace("default = \"device\"", "default = \"devise\"")
        .replace("\"U0123\"", "\"@sato\"")
        .replace("[\"@quality\"]", "[\"@qality\"]")
        .replace("services = [\"homehub\"]", "services = [\"homhub\"]")
        .replace("locks = [\"C\"]", "sites = [\"tokyo-01\"]");
    let errors = Services::read("s.toml", &broken).unwrap_err();
    let mut told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    told.sort();
    let wanted = [
        "s.toml:28: stakeholder.services: found \"homhub\"; allowed are device, homehub",
        "s.toml:23: stakeholder.people: found \"@qality\"; allowed are @quality, @support, mori, sato",
        "s.toml:4: default: found \"devise\"; allowed are device, homehub",
    ];
    for line in wanted {
        assert!(told.iter().any(|error| error == line), "{line} is not in {told:#?}");
    }
    assert!(told.iter().any(|error| error.starts_with("s.toml:16: person.slack: found \"@sato\"; ")), "{told:#?}");
    assert!(told.iter().any(|error| error.contains("tokyo-01 is of the service")), "{told:#?}");
    assert_eq!(told.len(), 5);
    let unknown = Services::read("s.toml", &TABLE.replace("roles =", "role =")).unwrap_err();
    assert!(unknown[0].to_string().contains("person.role: is no key here; did you mean `roles`?"), "{unknown:?}");
}
