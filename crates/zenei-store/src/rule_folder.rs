//! Reads a folder of rules on disk: its rules, their promotion cards and their test cases.
//! `zenei_detect::rules::folder` defines which file holds what. Must not know what a detector does, and writes nothing.
//! Called by the commands that take `--rules`, by `run` for `[detect] rules`, and by the lab.
use std::io;
use std::path::{Path, PathBuf};
use zenei_detect::rules::folder::{Part, piece, without_rule};
use zenei_detect::toml_place::shown;
use zenei_detect::{Rules, TomlError};

/// The largest file, in bytes; a guess: the largest rule has some 3,000.
const MAX_BYTES: u64 = 1 << 20;

/// A folder of rules. The files are listed when it is opened and read when they are asked for.
#[derive(Clone, Debug)]
pub struct RuleFolder {
    root: PathBuf,
    /// Below the root, with `/` between the levels, ascending.
    files: Vec<String>,
}

/// A file as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// The id of the rule that it belongs to, by its path.
    pub rule: String,
    /// The file's name without its ending.
    pub name: String,
    /// The path as people see it.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// Why a folder of rules can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleFolderError {
    /// A file or folder that can't be read.
    #[error("{} can't be read", path.display())]
    Unread {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is too large.
    #[error("{} has {bytes} bytes; {MAX_BYTES} are allowed", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It holds no rule.
    #[error("{} holds no rule; a rule is a folder with a rule.toml, or one .toml file", root.display())]
    Empty {
        /// The folder.
        root: PathBuf,
    },
    /// A folder in it holds a card or a case, but no rule.
    #[error("{} has no rule.toml; a card and cases stand beside their rule", folder.display())]
    NoRule {
        /// The folder.
        folder: PathBuf,
    },
    /// Rules that are bad: everything that is wrong, by file and line; at least one.
    #[error("{}", shown(.0))]
    Bad(Vec<TomlError>),
}

impl RuleFolder {
    /// Lists a folder. It passes over hidden folders: where a folder is mounted, those hold copies.
    ///
    /// # Errors
    /// [`RuleFolderError::Unread`].
    pub fn open(root: &Path) -> Result<Self, RuleFolderError> {
        let mut files = Vec::new();
        for (name, path) in entries(root)? {
            if !path.is_dir() {
                files.push(name);
                continue;
            }
            if name.starts_with('.') {
                continue;
            }
            for (inner, path) in entries(&path)? {
                if path.is_dir() && name == "tests" {
                    files.extend(entries(&path)?.into_iter().map(|(case, _)| format!("{name}/{inner}/{case}")));
                } else if !path.is_dir() {
                    files.push(format!("{name}/{inner}"));
                }
            }
        }
        files.sort_unstable();
        Ok(Self { root: root.to_owned(), files })
    }

    /// The rules.
    ///
    /// # Errors
    /// Where the folder holds none, or one can't be read or is bad; a rule in a folder has that folder's name.
    pub fn rules(&self) -> Result<Rules, RuleFolderError> {
        let paths: Vec<&str> = self.files.iter().map(String::as_str).collect();
        if let Some(folder) = without_rule(&paths).first() {
            return Err(RuleFolderError::NoRule { folder: self.root.join(folder) });
        }
        let texts = self.texts(Part::Rule)?;
        if texts.is_empty() {
            return Err(RuleFolderError::Empty { root: self.root.clone() });
        }
        let of = |text: &RuleText| (text.file.clone(), text.text.clone());
        let pairs: Vec<(String, String)> = texts.iter().map(of).collect();
        let rules = Rules::check(pairs.iter().map(|(file, text)| (file.as_str(), text.as_str())))
            .map_err(RuleFolderError::Bad)?;
        let misnamed: Vec<TomlError> = texts.iter().filter_map(|text| misnamed(&rules, text)).collect();
        if misnamed.is_empty() { Ok(rules) } else { Err(RuleFolderError::Bad(misnamed)) }
    }

    /// The promotion cards; none is no error.
    ///
    /// # Errors
    /// Where one can't be read.
    pub fn cards(&self) -> Result<Vec<RuleText>, RuleFolderError> {
        self.texts(Part::Card)
    }

    /// The test cases; none is no error.
    ///
    /// # Errors
    /// Where one can't be read.
    pub fn cases(&self) -> Result<Vec<RuleText>, RuleFolderError> {
        self.texts(Part::Case)
    }

    fn texts(&self, part: Part) -> Result<Vec<RuleText>, RuleFolderError> {
        let pieces = self.files.iter().filter_map(|path| Some((path, piece(path)?)));
        let texts = pieces.filter(|(_, piece)| piece.part == part).map(|(path, piece)| {
            let path = self.root.join(path);
            let (rule, name) = (piece.rule.to_owned(), piece.name.to_owned());
            Ok(RuleText { rule, name, file: path.display().to_string(), text: text(&path)? })
        });
        texts.collect()
    }
}

/// The error of a rule whose folder has another name than the rule.
fn misnamed(rules: &Rules, text: &RuleText) -> Option<TomlError> {
    let rule = rules.iter().find(|rule| rule.origin.file == text.file)?;
    if text.name != "rule" || rule.id == text.rule {
        return None;
    }
    let problem = format!("found {:?}; the rule's folder is named {:?}, and both are one name", rule.id, text.rule);
    Some(TomlError { file: text.file.clone(), line: 1, key: "id".to_owned(), problem })
}

/// The entries of a folder: name and path.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, RuleFolderError> {
    let unread = |source| RuleFolderError::Unread { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(found)
}

fn text(path: &Path) -> Result<String, RuleFolderError> {
    let unread = |source| RuleFolderError::Unread { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unread)?.len();
    if bytes > MAX_BYTES {
        return Err(RuleFolderError::TooLarge { path: path.to_owned(), bytes });
    }
    std::fs::read_to_string(path).map_err(unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;
    use zenei_detect::rules::shipped;

    fn folder_of(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn shipped_text(path: &str) -> &'static str {
        shipped::FILES.iter().find(|(known, _)| *known == path).unwrap().1
    }

    fn files(texts: &[RuleText]) -> Vec<(&str, &str)> {
        texts.iter().map(|text| (text.rule.as_str(), text.name.as_str())).collect()
    }

    #[test]
    fn the_embedded_folder_on_disk_gives_the_embedded_rules() {
        let folder = folder_of(shipped::FILES);
        let on_disk = RuleFolder::open(folder.path()).unwrap();
        let (rules, embedded) = (on_disk.rules().unwrap(), Rules::embedded().unwrap());
        assert_eq!(rules.digest(), embedded.digest());
        assert_eq!(rules.iter().map(|rule| rule.digest()).collect::<Vec<_>>(), {
            embedded.iter().map(|rule| rule.digest()).collect::<Vec<_>>()
        });
        assert_eq!(on_disk.cards().unwrap().len(), shipped::cards().count());
        assert_eq!(on_disk.cases().unwrap().len(), shipped::cases().count());
    }

    #[test]
    fn a_folder_of_files_is_read_with_its_folders_of_cards_and_cases() {
        let rule = shipped_text("silence/rule.toml");
        let folder = folder_of(&[
            ("silence.toml", rule),
            ("README.md", "no rule"),
            ("cards/silence.toml", ""),
            ("tests/silence/gap.toml", ""),
            ("tests/silence/january.ndjson", ""),
            (".hidden/silence.toml", ""),
        ]);
        let folder = RuleFolder::open(folder.path()).unwrap();
        assert!(folder.rules().unwrap().get("silence").is_some());
        assert_eq!(files(&folder.cards().unwrap()), [("silence", "silence")]);
        assert_eq!(files(&folder.cases().unwrap()), [("silence", "gap")]);
    }

    #[test]
    fn what_keeps_a_folder_from_use_is_told() {
        let rule = shipped_text("silence/rule.toml");
        let told = |files: &[(&str, &str)]| {
            let folder = folder_of(files);
            let error = RuleFolder::open(folder.path()).unwrap().rules().unwrap_err().to_string();
            error.replace(&folder.path().display().to_string(), "DIR")
        };
        assert_eq!(
            told(&[("a/notes.md", "")]),
            "DIR holds no rule; a rule is a folder with a rule.toml, or one .toml file"
        );
        assert_eq!(
            told(&[("silence.toml", rule), ("a/gap.toml", "")]),
            "DIR/a has no rule.toml; a card and cases stand beside their rule"
        );
        assert_eq!(
            told(&[("silent/rule.toml", rule)]),
            "DIR/silent/rule.toml:1: id: found \"silence\"; the rule's folder is named \"silent\", and both are one \
             name"
        );
        let large = format!("{rule}#{}", " ".repeat(1 << 20));
        assert!(told(&[("silence.toml", &large)]).ends_with("bytes; 1048576 are allowed"));
        assert!(RuleFolder::open(Path::new("/there/is/no/folder")).is_err());
    }
}
