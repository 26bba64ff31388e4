//! Who changed what: one row a request, begun before it is carried out. Must not know what a change is. Called by the
//! gate, so that no handler can forget it; read by `GET /api/v1/audit`.
use super::caller::Caller;
use crate::shared::DeskClock;
use std::sync::{Arc, Mutex, PoisonError};
use zenei_store::control::{AuditRow, Audited};
use zenei_store::{Control, ControlError};

/// The longest path and subject that are kept, characters; a guess, several times the longest of ours.
const TEXT_MAX: usize = 256;

/// The log, over a connection of its own to the control database; clones write through the same.
#[derive(Clone, Debug)]
pub struct AuditLog {
    control: Arc<Mutex<Control>>,
    clock: DeskClock,
}

/// What a handler puts among the extensions of its answer, where it made the thing that the request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(pub String);

impl AuditLog {
    /// Over this database.
    pub fn new(control: Control, clock: DeskClock) -> Self {
        Self { control: Arc::new(Mutex::new(control)), clock }
    }

    /// Stores that a request came; on return the row is durable. Returns its number.
    ///
    /// # Errors
    /// Where it can't be stored.
    pub(super) async fn begin(&self, caller: &Caller, method: &str, paths: (&str, &str)) -> Result<u64, ControlError> {
        let (template, path) = paths;
        let row = AuditRow {
            at_ms: self.clock.now().ms(),
            name: caller.name.clone(),
            role: caller.role.word().to_owned(),
            method: method.to_owned(),
            path: cut(path),
            subject: cut(subject(template, path)),
        };
        self.with(move |control| {
            let txn = control.begin()?;
            let number = txn.begin_audit(&row)?;
            txn.commit()?;
            Ok(number)
        })
        .await
    }

    /// Stores how a request was answered.
    ///
    /// # Errors
    /// Where it can't be stored; the row is there without its end.
    pub(super) async fn end(&self, number: u64, status: u16, subject: Option<Subject>) -> Result<(), ControlError> {
        self.with(move |control| {
            let txn = control.begin()?;
            txn.end_audit(number, status, subject.map(|Subject(text)| cut(&text)).as_deref())?;
            txn.commit()
        })
        .await
    }

    /// The newest rows before this number, newest first.
    ///
    /// # Errors
    /// Where they can't be read.
    pub(super) async fn newest(&self, before: Option<u64>, limit: u32) -> Result<Vec<Audited>, ControlError> {
        self.with(move |control| control.audit(before, limit)).await
    }

    /// Works on the database in a thread that may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let control = Arc::clone(&self.control);
        let done =
            tokio::task::spawn_blocking(move || work(&mut control.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await {
            Ok(done) => done,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

/// What stands in the path where the route has its first `{…}`.
fn subject<'p>(template: &str, path: &'p str) -> &'p str {
    let mut pairs = template.split('/').zip(path.split('/'));
    pairs.find(|(part, _)| part.starts_with('{')).map_or("", |(_, found)| found)
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_about_what_its_path_names() {
        assert_eq!(subject("/api/v1/incidents/{id}/events", "/api/v1/incidents/zenei-1/events"), "zenei-1");
        assert_eq!(subject("/api/v1/silences", "/api/v1/silences"), "");
        assert_eq!(cut(&"雪".repeat(300)).chars().count(), TEXT_MAX);
    }
}
