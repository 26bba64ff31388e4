//! Which connection speaks for a client id? The newest one: an older one with the same id is told to leave, as MQTT demands. Knows no packets.
//! Called by `ingress`.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The seats, one per client id.
#[derive(Debug, Default)]
pub(crate) struct Seats(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    taken: HashMap<Box<str>, (u64, oneshot::Sender<()>)>,
    next: u64,
}

/// A taken seat; dropping it frees it, unless somebody else has it by then.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Mutex<Table>>,
    client_id: Box<str>,
    number: u64,
}

/// Tells its connection to leave.
#[derive(Debug)]
pub(crate) struct Leave(Option<oneshot::Receiver<()>>);

impl Seats {
    /// Takes the seat of this client id and tells whoever had it to leave. The empty id has a seat for everybody.
    pub(crate) fn take(&self, client_id: &str) -> (Option<Seat>, Leave) {
        if client_id.is_empty() {
            return (None, Leave(None));
        }
        let (tell, told) = oneshot::channel();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.next += 1;
        let number = table.next;
        if let Some((_, older)) = table.taken.insert(client_id.into(), (number, tell))
            && older.send(()).is_err()
        {
            tracing::trace!("the older connection had left by itself");
        }
        (Some(Seat { seats: Arc::clone(&self.0), client_id: client_id.into(), number }), Leave(Some(told)))
    }
}

impl Leave {
    /// Returns when the connection must leave.
    pub(crate) async fn wait(self) {
        if let Some(told) = self.0
            && told.await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if table.taken.get(&self.client_id).is_some_and(|(number, _)| *number == self.number) {
            table.taken.remove(&self.client_id);
        }
    }
}
