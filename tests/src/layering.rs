//! Which crate may depend on which. Reads the workspace from cargo's metadata; normal and build dependencies count,
//! those of tests do not. A crate listed as pure must have no clock, no file, no socket and no randomness, and neither
//! may the crates that it depends on.
use crate::repository::top;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate of the workspace and those of the workspace that it may depend on. A crate that is not listed is an
/// error.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("zenei-wire", &[]),
    ("zenei-detect", &["zenei-wire"]),
    ("zenei-incident", &["zenei-detect", "zenei-wire"]),
    ("firmware-sim", &["zenei-wire"]),
    // Stands in for the services that are informed: it must not know zenei.
    ("remote-sim", &[]),
    ("zenei-store", &["zenei-detect", "zenei-wire"]),
    ("zenei-gateway", &["zenei-store", "zenei-detect", "zenei-wire"]),
    ("zenei-desk", &["zenei-store", "zenei-incident", "zenei-detect", "zenei-wire"]),
    ("zenei-lab", &["zenei-store", "zenei-incident", "zenei-detect", "zenei-wire", "firmware-sim"]),
    (
        "zenei",
        &[
            "zenei-gateway",
            "zenei-desk",
            "zenei-store",
            "zenei-incident",
            "zenei-detect",
            "zenei-wire",
            "firmware-sim",
            // Whom `demo` tells.
            "remote-sim",
            "zenei-lab",
        ],
    ),
    // Stand-ins for servers: they must not know zenei.
    ("zenei-engine", &[]),
    ("zenei-bluez", &[]),
    // Tools of tests: no product crate may depend on it.
    ("zenei-kit", &["zenei-detect", "zenei-wire"]),
    ("zenei-fuzz", ANY),
    ("zenei-tests", ANY),
    ("zenei-benches", ANY),
];
const ANY: &[&str] = &["*"];

/// The pure crates and the outside crates that they may name.
const PURE: &[(&str, &[&str])] = &[
    ("zenei-wire", &["aes", "base64", "ccm", "serde", "sha2", "smallvec", "thiserror"]),
    ("zenei-detect", &["hashbrown", "libm", "postcard", "serde", "smallvec", "thiserror", "toml"]),
    ("zenei-incident", &["csv", "jiff", "serde", "serde_json", "thiserror", "toml"]),
];

/// Crates that no pure crate may depend on, at any depth: runtimes, sockets, randomness.
const IMPURE: &[&str] =
    &["async-std", "fastrand", "getrandom", "mio", "polling", "rand", "rand_core", "smol", "socket2", "tokio"];

/// The dependencies of each crate by name, outside crates too.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The errors of this graph, one sentence each.
fn findings(members: &BTreeSet<String>, graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let none = BTreeSet::new();
    for member in members {
        let needs = graph.get(member).unwrap_or(&none);
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| name == member) else {
            found.push(format!("{member} has no place in the list of crates"));
            continue;
        };
        if *allowed != ANY {
            let inner = needs.iter().filter(|need| members.contains(*need));
            let forbidden = inner.filter(|need| !allowed.contains(&need.as_str()));
            found.extend(forbidden.map(|need| format!("{member} depends on {need}; {allowed:?} are allowed")));
        }
        let Some((_, allowed)) = PURE.iter().find(|(name, _)| name == member) else {
            continue;
        };
        let outer = needs.iter().filter(|need| !members.contains(*need));
        let forbidden = outer.filter(|need| !allowed.contains(&need.as_str()));
        found.extend(
            forbidden.map(|need| format!("{member}, which is pure, depends on {need}; {allowed:?} are allowed")),
        );
        for impure in IMPURE {
            if let Some(way) = way(graph, member, impure) {
                found.push(format!("{member}, which is pure, reaches {impure}: {}", way.join(" → ")));
            }
        }
    }
    found
}

/// Dependencies that the lists allow and no crate needs, one sentence each; `declared` has optional dependencies too.
fn unused(members: &BTreeSet<String>, declared: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (name, allowed) in MAY_DEPEND_ON.iter().chain(PURE) {
        let Some(needs) = declared.get(*name).filter(|_| members.contains(*name)) else {
            found.push(format!("{name} is in a list and is no crate of the workspace"));
            continue;
        };
        let idle = allowed.iter().filter(|allowed| **allowed != ANY[0] && !needs.contains(**allowed));
        found.extend(idle.map(|allowed| format!("{name} may depend on {allowed} and does not")));
    }
    found
}

/// A path from one crate down to another.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last()?;
        if last == to {
            return Some(way);
        }
        if seen.insert(last.clone()) {
            let needs = graph.get(last).into_iter().flatten();
            ways.extend(needs.map(|need| [way.as_slice(), std::slice::from_ref(need)].concat()));
        }
    }
    None
}

/// The workspace's crates, the graph of normal and build dependencies on the platform that tests run on, and the one
/// that the crates declare.
fn workspace() -> (BTreeSet<String>, Graph, Graph) {
    let cargo = std::env::var_os("CARGO").expect("cargo runs this test");
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &platform()])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> =
        list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let members = list(&metadata["workspace_members"]).iter().map(|id| names[&text(id)].clone()).collect();
    let mut graph = Graph::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let needs = graph.entry(names[&text(&node["id"])].clone()).or_default();
        for dependency in list(&node["deps"]) {
            if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev") {
                needs.insert(names[&text(&dependency["pkg"])].clone());
            }
        }
    }
    let mut declared = Graph::new();
    for package in list(&metadata["packages"]) {
        let needs = list(&package["dependencies"]).into_iter().filter(|need| need["kind"] != "dev");
        declared.insert(text(&package["name"]), needs.map(|need| text(&need["name"])).collect());
    }
    (members, graph, declared)
}

/// The target triple of this machine, as the compiler names it.
fn platform() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").current_dir(top()).output().expect("rustc runs");
    let text = String::from_utf8(version.stdout).expect("rustc writes UTF-8");
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

#[test]
fn each_crate_depends_only_on_what_its_place_allows() {
    let (members, graph, _) = workspace();
    assert!(members.contains("zenei-wire") && graph["zenei-detect"].contains("zenei-wire"), "the graph was not read");
    let found = findings(&members, &graph);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_lists_allow_nothing_that_no_crate_needs() {
    let (members, _, declared) = workspace();
    let found = unused(&members, &declared);
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The check finds a missing edge.
    let mut without = declared;
    without.get_mut("zenei-detect").expect("a crate").remove("libm");
    assert_eq!(unused(&members, &without), ["zenei-detect may depend on libm and does not"]);
}

/// Checks the findings in a made-up workspace with these edges.
fn check(edges: &[(&str, &str)], members: &[&str], expected: &[&str]) {
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
    }
    let members = members.iter().map(|member| (*member).to_owned()).collect();
    let found = findings(&members, &graph);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} does not start with {expected:?}");
    }
}

#[test]
fn a_forbidden_dependency_is_found() {
    let members = ["zenei-detect", "zenei-gateway", "zenei-tests", "zenei-wire"];
    check(&[("zenei-detect", "zenei-wire"), ("zenei-gateway", "zenei-detect")], &members, &[]);
    check(&[("zenei-wire", "zenei-detect")], &members, &["zenei-wire depends on zenei-detect"]);
    check(&[("zenei-detect", "zenei-gateway")], &members, &["zenei-detect depends on zenei-gateway"]);
    check(&[("zenei-tests", "zenei-gateway"), ("zenei-tests", "tokio")], &members, &[]);
    check(&[("zenei-gateway", "tokio")], &members, &[]);
}

#[test]
fn an_impure_crate_is_found_however_far_down() {
    let members = ["zenei-detect", "zenei-wire"];
    check(&[("zenei-wire", "regex")], &members, &["zenei-wire, which is pure, depends on regex"]);
    let edges = [("zenei-detect", "zenei-wire"), ("zenei-wire", "sha2"), ("sha2", "deep"), ("deep", "getrandom")];
    let ways = [
        "zenei-detect, which is pure, reaches getrandom: zenei-detect → zenei-wire → sha2 → deep → getrandom",
        "zenei-wire, which is pure, reaches getrandom: zenei-wire → sha2 → deep → getrandom",
    ];
    check(&edges, &members, &ways);
}

#[test]
fn a_crate_without_a_place_is_found() {
    check(&[], &["zenei-new"], &["zenei-new has no place"]);
}
