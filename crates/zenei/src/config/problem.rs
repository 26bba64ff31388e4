//! A problem of a configuration and its place. Must not know a key. Called by the files of `config`, which collect all
//! problems instead of stopping at the first, and by the commands, which show them.
use std::fmt;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the file, both from 1; the column counts characters.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// In the file as a whole.
    Whole,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) place: Place,
    /// The value found and the values allowed, with the full key.
    pub(crate) text: String,
}

impl Problem {
    /// `file:line:column: text`, for people and editors.
    pub(crate) fn shown(&self, file: &str) -> String {
        match &self.place {
            Place::File { line, column } => format!("{file}:{line}:{column}: {}", self.text),
            Place::Environment(name) => format!("environment {name}: {}", self.text),
            Place::Whole => format!("{file}: {}", self.text),
        }
    }

    /// The same for programs; `line` and `column` are null where the problem is not at one.
    pub(crate) fn to_json(&self, file: &str) -> serde_json::Value {
        let (line, column) = match self.place {
            Place::File { line, column } => (Some(line), Some(column)),
            Place::Environment(_) | Place::Whole => (None, None),
        };
        serde_json::json!({"file": file, "line": line, "column": column, "text": self.text})
    }
}

/// Everything that is wrong in one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems {
    /// The file as the user named it.
    pub(crate) file: String,
    /// In the order of the file.
    pub(crate) list: Vec<Problem>,
}

impl Problems {
    /// A problem of the file as a whole.
    pub(crate) fn whole(file: &str, text: String) -> Self {
        Self { file: file.to_owned(), list: vec![Problem { place: Place::Whole, text }] }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&problem.shown(&self.file))?;
        }
        Ok(())
    }
}
