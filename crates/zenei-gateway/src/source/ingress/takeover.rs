//! Which connection owns a client id? The newest one: an older connection with the same id must close, as MQTT
//! demands. Must not know packets. Called by the ingress.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The connection that owns each client id.
#[derive(Debug, Default)]
pub(crate) struct ClientTakeover(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    taken: HashMap<Box<str>, (u64, oneshot::Sender<()>)>,
    next: u64,
}

/// Ownership of a client id; dropping it releases the id, unless another connection has taken it over.
#[derive(Debug)]
pub(crate) struct Holder {
    table: Arc<Mutex<Table>>,
    client_id: Box<str>,
    number: u64,
}

/// Signals a connection that it must close.
#[derive(Debug)]
pub(crate) struct Leave(Option<oneshot::Receiver<()>>);

impl ClientTakeover {
    /// Takes over this client id and signals its former connection to close. The empty id has no owner, and any number
    /// of connections may use it.
    pub(crate) fn take(&self, client_id: &str) -> (Option<Holder>, Leave) {
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
        (Some(Holder { table: Arc::clone(&self.0), client_id: client_id.into(), number }), Leave(Some(told)))
    }
}

impl Leave {
    /// Returns when the connection must close.
    pub(crate) async fn wait(self) {
        if let Some(told) = self.0
            && told.await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.taken.get(&self.client_id).is_some_and(|(number, _)| *number == self.number) {
            table.taken.remove(&self.client_id);
        }
    }
}
