//! Formats an error and each of its causes on one line. Must not know any error type. Called where an error goes to the
//! log or to a person.
use std::error::Error;

/// The text of an error and of its causes, `: ` between them. A cause whose text is already on the line is left out:
/// some libraries repeat them.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        #[source]
        source: io::Error,
    }

    #[test]
    fn each_cause_stands_once() {
        let error = |text| Outer { text, source: io::Error::other("no space left") };
        assert_eq!(with_causes(&error("can't write a")), "can't write a: no space left");
        assert_eq!(with_causes(&error("can't write a: no space left")), "can't write a: no space left");
    }
}
