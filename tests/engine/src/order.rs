//! One statement to run, with its settings, database and parameters. These hold for one request only, so each request
//! has a connection of its own. Must not know HTTP. Called by [`crate::front`]; [`crate::request`] makes the orders.
use crate::chdb::{Chdb, Output, Session};
use crate::exception::Exception;
use crate::statement::{Statement, split};

/// Settings whose default differs between the library and a server: `implicit_select` runs `1 + 1` and turns errors of
/// syntax into others.
const AS_A_SERVER: &str = "SET implicit_select = 0, allow_introspection_functions = 0";
/// The format of an answer whose statement names none, as on a server.
const DEFAULT_FORMAT: &str = "TabSeparated";

/// One request to the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// The statement; an insert's data are part of it.
    pub(crate) request: Vec<u8>,
    /// For answers whose statement names no format; empty counts as none.
    pub(crate) default_format: String,
    /// The database of names without one; empty is the engine's own default.
    pub(crate) database: String,
    /// In their order.
    pub(crate) settings: Vec<(String, String)>,
    /// The values of `{name: Type}`.
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether writing is forbidden.
    pub(crate) is_read_only: bool,
}

impl Order {
    /// Runs it to its end.
    pub(crate) fn run(&self, chdb: &Chdb) -> Result<Output, Exception> {
        let mut session = chdb.session()?;
        self.surround(&mut session)?;
        let format = if self.default_format.is_empty() { DEFAULT_FORMAT } else { &self.default_format };
        match split(&self.request) {
            Statement::Insert { head, format, bytes } => session.insert(head, format, &self.parameters, bytes),
            Statement::Whole(sql) if sql.trim_ascii().is_empty() => Err(Exception::syntax("Empty query")),
            Statement::Whole(sql) => {
                let statements = session.count(sql);
                if statements > 1 {
                    let said = format!("Syntax error (Multi-statements are not allowed): {statements} were found");
                    return Err(Exception::syntax(&said));
                }
                session.query(sql, format, &self.parameters)
            }
        }
    }

    fn surround(&self, session: &mut Session<'_>) -> Result<(), Exception> {
        let mut set = |sql: &str| session.query(sql.as_bytes(), DEFAULT_FORMAT, &[]).map(drop);
        set(AS_A_SERVER)?;
        if !self.database.is_empty() {
            set(&format!("USE {}", quoted(&self.database, '`')))?;
        }
        if let Some(settings) = self.set()? {
            set(&settings)?;
        }
        // 2 and not 1, as on a server: reading may need settings of its own.
        if self.is_read_only { set("SET readonly = 2") } else { Ok(()) }
    }

    /// The statement that sets the settings.
    fn set(&self) -> Result<Option<String>, Exception> {
        let mut pairs = Vec::new();
        for (name, value) in &self.settings {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                let said = format!("{name:?} is no name of a setting; letters, digits and _ are allowed");
                return Err(Exception::bad_arguments(&said));
            }
            pairs.push(format!("{name} = {}", quoted(value, '\'')));
        }
        Ok((!pairs.is_empty()).then(|| format!("SET {}", pairs.join(", "))))
    }
}

/// A text in quotes of this kind.
fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::from(quote);
    for letter in text.chars() {
        if letter == quote || letter == '\\' {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(name: &str, value: &str) -> Order {
        Order { settings: vec![("a_1".into(), "x".into()), (name.into(), value.into())], ..Order::default() }
    }

    #[test]
    fn settings_are_one_statement_that_no_value_can_leave() {
        assert_eq!(order("b", r"it's \').").set(), Ok(Some(r"SET a_1 = 'x', b = 'it\'s \\\').'".to_owned())));
        assert_eq!(Order::default().set(), Ok(None));
        for name in ["", "a b", "a'", "a=1,b", "ä"] {
            assert_eq!(order(name, "1").set().map_err(|exception| exception.code), Err(36), "{name}");
        }
    }

    #[test]
    fn a_database_may_have_any_name() {
        assert_eq!(quoted("a`b", '`'), r"`a\`b`");
    }
}
