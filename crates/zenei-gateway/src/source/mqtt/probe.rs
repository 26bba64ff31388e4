//! Would a gateway hear this broker? Logs in and subscribes as it would, with a clean session, which leaves nothing
//! behind, and tells which of the three steps fails. Must not keep or acknowledge a message. Called by the binary's
//! `doctor`.
use super::config::MqttConfig;
use super::greeting::{GreetError, Link, greet};
use super::packet::{self, BadLength, Packet};
use super::subscription::{Answered, Subscription};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// What a shared subscription begins with. It is not tried: the broker would give the probe messages of the group.
const SHARED: &str = "$share/";

/// Why a gateway would not hear a broker.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection, or no login.
    #[error(transparent)]
    Greet(#[from] GreetError),
    /// A filter is refused, or granted with QoS 0.
    #[error("the broker takes the login, but not the subscription: {reason}")]
    NotGranted {
        /// Which filters, with the broker's answer.
        reason: String,
    },
    /// The connection ended before the answer to SUBSCRIBE, as some brokers refuse it.
    #[error("the broker takes the login, and ends the connection at the subscription")]
    Ended(#[source] Option<io::Error>),
    /// No answer to SUBSCRIBE in time.
    #[error("the broker takes the login, and does not answer the subscription within {} ms", within.as_millis())]
    Silent {
        /// The limit.
        within: Duration,
    },
}

/// Logs in and subscribes. The client id must be another one than the gateway's, which would be disconnected.
///
/// # Errors
/// See [`ProbeError`].
pub async fn probe(config: &MqttConfig, within: Duration) -> Result<(), ProbeError> {
    let link = greet(config, true, within, within).await?;
    let filters: Vec<String> = config.topics.iter().filter(|filter| !filter.starts_with(SHARED)).cloned().collect();
    let asked = tokio::time::timeout(within, subscribe(link, &filters)).await;
    asked.unwrap_or(Err(ProbeError::Silent { within }))
}

async fn subscribe(mut link: Link, filters: &[String]) -> Result<(), ProbeError> {
    let broke = |error| ProbeError::Ended(Some(error));
    let mut subscription = Subscription::new(filters);
    subscription.connected(false);
    let Some(mut out) = subscription.ask() else {
        return Ok(());
    };
    link.write.write_all(&out).await.map_err(broke)?;
    loop {
        match link.reading.take() {
            Ok(Some((Packet::SubAck { id, codes }, _))) => match subscription.answered(id, &codes) {
                Answered::Granted => break,
                Answered::Refused { reason } => return Err(ProbeError::NotGranted { reason }),
                Answered::NotAsked => {}
            },
            // Retained messages may come before it.
            Ok(Some(_)) => {}
            Ok(None) => {
                if link.reading.read().await.map_err(broke)? == 0 {
                    return Err(ProbeError::Ended(None));
                }
            }
            Err(BadLength) => return Err(ProbeError::Ended(None)),
        }
    }
    out.clear();
    packet::put_disconnect(&mut out);
    // The answer is there; a broker that has already left changes nothing.
    drop(link.write.write_all(&out).await);
    Ok(())
}
