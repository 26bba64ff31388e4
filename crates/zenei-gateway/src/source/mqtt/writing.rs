//! What does a subscriber send on one connection, and when? Acknowledgements in order of receipt, each after its
//! messages are durable; SUBSCRIBE and pings at once, so that a slow disk does not make the broker believe the client
//! dead. It owns the write half: nothing of it reaches another connection. Must not know what came. Called by the
//! connection.
use super::limits::MqttLimits;
use super::packet::{self, Ack};
use crate::spool::{Closed, Receipt};
use bytes::BytesMut;
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Acknowledgements, and the receipt of the messages that they are for.
pub(super) type Owed = (Vec<Ack>, Receipt);

/// Why nothing more is sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    #[error("the gateway stops")]
    Stopping,
    #[error("the connection failed while it was written to")]
    Io(#[from] io::Error),
    #[error("the broker does not take what is sent")]
    NotTaken,
}

/// Sends until no acknowledgement can follow, then DISCONNECT.
///
/// # Errors
/// See [`Unsent`].
pub(super) async fn write(
    mut write: OwnedWriteHalf,
    mut owed: mpsc::Receiver<Owed>,
    mut urgent: mpsc::Receiver<BytesMut>,
    limits: MqttLimits,
) -> Result<(), Unsent> {
    let mut ping = interval(limits.ping_every());
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once.
    ping.tick().await;
    let (mut head, mut out, mut is_last) = (None, BytesMut::new(), false);
    while !is_last {
        tokio::select! {
            Some(bytes) = urgent.recv() => out.extend_from_slice(&bytes),
            _ = ping.tick() => packet::put_pingreq(&mut out),
            acks = next_durable(&mut owed, &mut head) => match acks {
                Ok(Some(acks)) => {
                    put(&mut out, &acks);
                    while let Some(more) = durable_now(&mut owed, &mut head) {
                        put(&mut out, &more);
                    }
                }
                Ok(None) => {
                    packet::put_disconnect(&mut out);
                    is_last = true;
                }
                Err(Closed) => return Err(Unsent::Stopping),
            },
        }
        match timeout(limits.taken_within, write.write_all(&out)).await {
            Ok(written) => written?,
            Err(_) => return Err(Unsent::NotTaken),
        }
        out.clear();
    }
    Ok(())
}

/// The next acknowledgements, once their messages are durable; `None` where none can follow. Safe to cancel.
async fn next_durable(owed: &mut mpsc::Receiver<Owed>, head: &mut Option<Owed>) -> Result<Option<Vec<Ack>>, Closed> {
    if head.is_none() {
        *head = owed.recv().await;
    }
    let Some((_, receipt)) = head else { return Ok(None) };
    receipt.wait().await?;
    Ok(head.take().map(|(acks, _)| acks))
}

/// The next acknowledgements where their messages are durable now.
fn durable_now(owed: &mut mpsc::Receiver<Owed>, head: &mut Option<Owed>) -> Option<Vec<Ack>> {
    if head.is_none() {
        *head = owed.try_recv().ok();
    }
    if !head.as_mut()?.1.is_durable() {
        return None;
    }
    head.take().map(|(acks, _)| acks)
}

fn put(out: &mut BytesMut, acks: &[Ack]) {
    out.reserve(4 * acks.len());
    acks.iter().for_each(|&ack| packet::put_ack(out, ack));
}
