//! Which files of a crate depend on one another in a cycle. None may: what two files share belongs in a third one below
//! both. Reads `mod` and `use` lines and paths in code, tests left out. A name that a file merely re-exports (`pub
//! use`) leads to the file that defines it. Called by cargo's test runner.
use crate::repository::{top, tracked_files};
use crate::rust_text::{tokens, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// A file as a module.
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    uses: Vec<Use>,
    /// Paths in code, of at least two parts.
    paths: Vec<Vec<String>>,
    /// Names in code, outside of `use`.
    names: BTreeSet<String>,
}

/// One name that a `use` brings in.
struct Use {
    path: Vec<String>,
    name: String,
    /// Whether it is re-exported.
    is_handed_on: bool,
}

/// All files of one crate.
struct Crate(Vec<Module>);

/// The cycles among the files of a crate with this root: in each, the files in order of their names.
fn circles(root: &str, files: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut read = Crate(Vec::new());
    read.add(root.to_owned(), None, files);
    let edges: Vec<BTreeSet<usize>> = (0..read.0.len()).map(|at| read.edges(at)).collect();
    let reach: Vec<BTreeSet<usize>> = (0..edges.len()).map(|at| reachable(at, &edges)).collect();
    let mut found = BTreeSet::new();
    for at in 0..edges.len() {
        if reach[at].contains(&at) {
            let circle = reach[at].iter().filter(|&&other| reach[other].contains(&at));
            found.insert(circle.map(|&other| read.0[other].file.clone()).collect::<BTreeSet<_>>());
        }
    }
    found.into_iter().map(|circle| circle.into_iter().collect()).collect()
}

/// The nodes that can be reached by at least one edge.
fn reachable(from: usize, edges: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<usize> = edges[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if seen.insert(at) {
            next.extend(&edges[at]);
        }
    }
    seen
}

impl Crate {
    /// Reads a file and those of the modules that it declares.
    fn add(&mut self, file: String, parent: Option<usize>, files: &BTreeMap<String, String>) -> usize {
        let text = files.get(&file).unwrap_or_else(|| panic!("{file} is not tracked"));
        let read = read_file(&tokens(&without_tests(text)));
        let at = self.0.len();
        let folder = folder_of(&file);
        let Read { modules, uses, paths, names } = read;
        self.0.push(Module { file, parent, children: BTreeMap::new(), uses, paths, names });
        for name in modules {
            let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            let child = candidates.into_iter().find(|file| files.contains_key(file));
            let child = child.unwrap_or_else(|| panic!("{folder} has no file for the module {name}"));
            let child = self.add(child, Some(at), files);
            self.0[at].children.insert(name, child);
        }
        at
    }

    /// The files that a file depends on.
    fn edges(&self, at: usize) -> BTreeSet<usize> {
        let module = &self.0[at];
        let needed = module.uses.iter().filter(|used| !used.is_handed_on || module.names.contains(&used.name));
        let named = needed.map(|used| used.path.clone());
        let in_code = module.paths.iter().map(|path| {
            // `use crate::a;` and then `a::b`.
            let alias = module.uses.iter().find(|used| used.name == path[0]);
            alias.map_or_else(|| path.clone(), |used| [&used.path[..], &path[1..]].concat())
        });
        let targets = named.chain(in_code).filter_map(|path| self.target(at, &path, 0));
        targets.filter(|&target| target != at).collect()
    }

    /// The file that defines the item of a path; `None` for another crate's, and for a module as such: the items taken
    /// from it count.
    fn target(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        let (mut here, mut rest) = (at, path);
        match path.first().map(String::as_str) {
            Some("crate") => (here, rest) = (0, &path[1..]),
            Some("self") => rest = &path[1..],
            Some("super") => {}
            Some(name) if self.0[at].children.contains_key(name) => {}
            Some(_) | None => return None,
        }
        while rest.first().is_some_and(|part| part == "super") {
            (here, rest) = (self.0[here].parent?, &rest[1..]);
        }
        while let Some(&child) = rest.first().and_then(|part| self.0[here].children.get(part)) {
            (here, rest) = (child, &rest[1..]);
        }
        let name = rest.first()?;
        let handed_on = self.0[here].uses.iter().find(|used| used.name == *name);
        match handed_on {
            Some(used) if depth < 16 => {
                let path = [&used.path[..], &rest[1..]].concat();
                self.target(here, &path, depth + 1)
            }
            Some(_) | None => Some(here),
        }
    }
}

/// The folder of a file's modules.
fn folder_of(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// The contents of one file.
#[derive(Default)]
struct Read {
    modules: Vec<String>,
    uses: Vec<Use>,
    paths: Vec<Vec<String>>,
    names: BTreeSet<String>,
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn read_file(tokens: &[String]) -> Read {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut read = Read::default();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map_or("", token);
        if token(at) == "mod" && token(at + 2) == ";" {
            read.modules.push(tokens[at + 1].clone());
            at += 3;
        } else if token(at) == "use" && token(at + 1) != "<" {
            let is_handed_on = before == "pub" || before == ")";
            let end = (at..tokens.len()).find(|&end| token(end) == ";").unwrap_or(tokens.len());
            read_use(&tokens[at + 1..end], &[], is_handed_on, &mut read.uses);
            at = end + 1;
        } else if is_name(token(at)) && before != "." {
            let mut path = vec![tokens[at].clone()];
            while token(at + 1) == "::" && is_name(token(at + 2)) {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            read.names.insert(path[0].clone());
            if path.len() > 1 {
                read.paths.push(path);
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    read
}

/// Splits a tree such as `crate::a::{self, B as C, d::*}`.
fn read_use(tree: &[String], prefix: &[String], is_handed_on: bool, uses: &mut Vec<Use>) {
    let mut path = prefix.to_vec();
    let mut alias = None;
    for (at, token) in tree.iter().enumerate() {
        match token.as_str() {
            "{" => {
                for part in parts(&tree[at + 1..]) {
                    read_use(part, &path, is_handed_on, uses);
                }
                return;
            }
            "as" => alias = tree.get(at + 1).cloned(),
            "self" if at == 0 && !prefix.is_empty() => {}
            _ if alias.is_none() && (is_name(token) || token == "*") => path.push(token.clone()),
            _ => {}
        }
    }
    if let Some(name) = alias.or_else(|| path.last().cloned()) {
        uses.push(Use { path, name, is_handed_on });
    }
}

/// The parts between the commas of a list, up to the brace that closes it.
fn parts(list: &[String]) -> Vec<&[String]> {
    let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
    for (at, token) in list.iter().enumerate() {
        let is_end = token == "}" && depth == 0;
        if is_end || (token == "," && depth == 0) {
            if at > from {
                found.push(&list[from..at]);
            }
            from = at + 1;
        }
        match token.as_str() {
            _ if is_end => break,
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
    }
    found
}

#[test]
fn no_files_of_a_crate_know_one_another_in_a_circle() {
    let sources = tracked_files().into_iter().filter(|file| file.ends_with(".rs"));
    let read = |file: &String| std::fs::read_to_string(top().join(file)).expect("a source file is UTF-8");
    let files: BTreeMap<String, String> = sources.map(|file| (file.clone(), read(&file))).collect();
    let roots = files.keys().filter(|file| file.ends_with("/src/lib.rs") || file.ends_with("/src/main.rs"));
    let found: Vec<String> = roots.flat_map(|root| circles(root, &files)).map(|circle| circle.join(", ")).collect();
    assert!(found.is_empty(), "files that know one another in a circle:\n{}", found.join("\n"));
}

/// Checks the cycles of a made-up crate.
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let files = files.iter().map(|(name, text)| (format!("a/src/{name}"), (*text).to_owned())).collect();
    let found: Vec<String> = circles("a/src/lib.rs", &files).iter().map(|circle| circle.join(" ")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let root = ("lib.rs", "mod one;\nmod two;\nmod three;\n");
    let three = ("three.rs", "pub struct Three;\n");
    let one = ("one.rs", "use crate::two::Two;\npub struct One(Two);\n");
    check(&[root, one, ("two.rs", "use crate::three::Three;\npub struct Two(Three);\n"), three], &[]);
    for back in [
        "use crate::one::One;\npub struct Two(One);\n",
        "use super::one::{self, One as Other};\npub struct Two(Other);\n",
        "pub struct Two(crate::one::One);\n",
        "use super::one;\npub struct Two(one::One);\n",
        "pub struct Two(super::one::One);\n",
    ] {
        check(&[root, one, ("two.rs", back), three], &["a/src/one.rs a/src/two.rs"]);
    }
    let quiet = "//! See crate::one::One.\nconst A: &str = \"crate::one::One\";\npub struct Two;\n";
    check(&[root, one, ("two.rs", quiet), three], &[]);
    let test = "pub struct Two;\n\n#[cfg(test)]\nmod tests {\n    use crate::one::One;\n}\n";
    check(&[root, one, ("two.rs", test), three], &[]);
}

#[test]
fn a_name_that_is_handed_on_leads_to_the_file_that_has_it() {
    let root = ("lib.rs", "mod part;\nmod user;\npub use part::Part;\n");
    let user = ("user.rs", "use crate::{Part, part::Whole};\npub struct User(Part, Whole);\n");
    let part = |text| ("part/mod.rs", text);
    let inner = ("part/inner.rs", "pub struct Part;\npub struct Whole;\n");
    check(&[root, user, part("mod inner;\npub use inner::{Part, Whole};\n"), inner], &[]);
    let knows = ("part/inner.rs", "use super::Limit;\npub struct Part(Limit);\npub struct Whole;\n");
    check(&[root, user, part("mod inner;\npub use inner::{Part, Whole};\npub struct Limit;\n"), knows], &[]);
    // The file re-exports the item and uses it as well.
    let both = part("mod inner;\npub use inner::{Part, Whole};\npub struct Limit(Vec<Part>);\n");
    check(&[root, user, both, knows], &["a/src/part/inner.rs a/src/part/mod.rs"]);
    let calls = part("mod inner;\npub use inner::{Part, Whole};\npub struct Limit;\nfn f() {\n    inner::g();\n}\n");
    check(&[root, user, calls, knows], &["a/src/part/inner.rs a/src/part/mod.rs"]);
}
