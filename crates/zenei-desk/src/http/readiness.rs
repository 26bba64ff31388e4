//! Is zenei ready, and if not, what is missing? A list of parts, each read when somebody asks. Must not know what a
//! part is: the binary gives a closure for each. Read by `/readyz`.
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// One part, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name: `broker`, `radio`, `disk`, `clickhouse`, `sender`, `intake`.
    pub name: &'static str,
    /// Whether it does what it is for.
    #[serde(rename = "ready")]
    pub is_ready: bool,
    /// What was seen, in a sentence; never a secret.
    pub why: String,
}

/// All parts of this process.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Vec<Ask>>);

/// Asks a part; it may look at the disk, and waits for no remote.
type Ask = Box<dyn Fn() -> Part + Send + Sync>;

impl Readiness {
    /// Of these parts; of none, it is always ready.
    pub fn new(parts: Vec<Ask>) -> Self {
        Self(Arc::new(parts))
    }

    /// Each part as it stands now, in the order in which they were given.
    pub fn parts(&self) -> Vec<Part> {
        self.0.iter().map(|ask| ask()).collect()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_when_somebody_asks() {
        let (sender, seen) = tokio::sync::watch::channel(false);
        let readiness = Readiness::new(vec![Box::new(move || Part {
            name: "broker",
            is_ready: *seen.borrow(),
            why: "the broker's answer to the subscription".to_owned(),
        })]);
        assert!(!readiness.parts()[0].is_ready);
        sender.send_replace(true);
        assert!(readiness.parts()[0].is_ready);
        assert!(Readiness::default().parts().is_empty());
    }
}
