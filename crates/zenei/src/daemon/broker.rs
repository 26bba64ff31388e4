//! How it stands with the broker, for `/metrics` and `/readyz`: the connection with its login, the subscription, and
//! what went wrong so far. Must not change anything. Called by `readiness` and `figures`.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zenei_desk::{Metric, MetricValue, OwnMetrics, Part};
use zenei_gateway::Counters;
use zenei_gateway::source::mqtt::status::BrokerState;

/// The figures of a broker.
pub(crate) fn figures(counters: Arc<Counters>) -> OwnMetrics {
    OwnMetrics::new(move || {
        let state = counters.broker.now();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let faults = vec![
            ("connection_ended", count(&counters.mqtt_errors)),
            ("login_refused", count(&counters.mqtt_logins_refused)),
            ("session_lost", count(&counters.mqtt_sessions_lost)),
            ("subscription_refused", count(&counters.mqtt_subscriptions_refused)),
            ("unreadable_packet", count(&counters.mqtt_unreadable)),
        ];
        vec![
            Metric {
                name: "zenei_mqtt_connected",
                help: "Whether a connection to the broker is up on which it has accepted the login",
                value: MetricValue::Level(i64::from(state.is_connected())),
            },
            Metric {
                name: "zenei_mqtt_subscribed",
                help: "Whether the broker has granted each topic filter with QoS 1; without it nothing is heard",
                value: MetricValue::Level(i64::from(state.is_subscribed())),
            },
            Metric {
                name: "zenei_mqtt_connections",
                help: "Connections on which the broker has accepted the login",
                value: MetricValue::Count(count(&counters.mqtt_connections)),
            },
            Metric {
                name: "zenei_mqtt_faults",
                help: "What went wrong with the broker; refused logins are among the connections that ended",
                value: MetricValue::Counts { label: "what", counts: faults },
            },
        ]
    })
}

/// The part `broker` of `/readyz`, for the broker at this address.
pub(crate) fn part(counters: &Counters, address: &str) -> Part {
    let state = counters.broker.now();
    let why = match &state {
        BrokerState::Away { reason } => {
            let failed = counters.mqtt_errors.load(Ordering::Relaxed);
            format!("{address} is not connected: {reason}; {failed} connections ended or could not be made")
        }
        BrokerState::LoginRefused { reason } => format!("{address} answers and takes no login: {reason}"),
        BrokerState::Connected => format!("{address} is connected and has not granted the subscription yet"),
        BrokerState::NotGranted { reason } => {
            format!("{address} is connected and does not grant the subscription: {reason}")
        }
        BrokerState::Subscribed => format!("{address} is connected and has granted the subscription"),
    };
    Part { name: "broker", is_ready: state.is_subscribed(), why }
}
