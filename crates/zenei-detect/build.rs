//! Lists the embedded rules: every file below `rules/`, as one table of paths and texts that `rules::shipped` includes.
//! Must not know what a rule contains. Cargo runs it; the build fails where a folder lacks its `rule.toml` or holds a
//! file that belongs to no rule.

#[path = "src/rules/folder.rs"]
mod folder;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=rules");
    let mut paths = Vec::new();
    list(Path::new("rules"), "", &mut paths)?;
    paths.sort_unstable();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    for fault in folder::faults(&paths) {
        println!("cargo::error=rules/{fault}");
    }
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("rules.rs"), table(&paths))
}

/// The files below a folder, as paths with `/`; `below` is what stands before the names in it.
fn list(folder: &Path, below: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// The table's source text.
fn table(paths: &[&str]) -> String {
    let mut text = String::from("/// Every file below the embedded folder of rules: path and text, by path.\n");
    text.push_str("pub const FILES: &[(&str, &str)] = &[\n");
    for path in paths {
        // A String never fails to take a text.
        let _ = writeln!(
            text,
            "    ({path:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/rules/\", {path:?}))),"
        );
    }
    text.push_str("];\n");
    text
}
