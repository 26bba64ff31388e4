//! Where the repository is and which files it holds. Must not know what is checked in them. Called by the checks of
//! layering, cycles and tidiness.
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top folder.
pub(crate) fn top() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the repository").to_owned()
}

/// The tracked files that exist, relative to the top, with `/` between folders.
pub(crate) fn tracked_files() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(top()).output().expect("git runs");
    assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let files: Vec<_> = names.split('\0').filter(|name| top().join(name).is_file()).map(str::to_owned).collect();
    assert!(files.iter().any(|file| file == "Cargo.toml"), "git lists the files of another folder");
    files
}
