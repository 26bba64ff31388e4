//! The broker: logs in and subscribes as the gateway would, and tells the connection, the login and the subscription
//! apart. It uses a client id of its own and a clean session, so that the zenei that runs is not disconnected and
//! nothing is left behind. Must not keep a message. Called by `doctor`.
use super::look::{Look, PATIENCE};
use crate::config::Mqtt;
use crate::daemon::start;
use zenei_gateway::MqttConfig;
use zenei_gateway::source::mqtt::probe::{ProbeError, probe};
use zenei_gateway::source::mqtt::{GreetError, LoginRefused};
use zenei_store::with_causes;

const WHAT: &str = "broker";
/// Behind the configured client id: a broker ends the older of two connections with one id.
const ID_SUFFIX: &str = "-doctor";

/// Checks the broker.
pub(super) fn look(mqtt: &Mqtt, gateway_id: &str) -> Look {
    let url = &mqtt.url;
    let config = match start::broker(mqtt, gateway_id) {
        Ok(config) => MqttConfig { client_id: format!("{}{ID_SUFFIX}", config.client_id), ..config },
        Err(failure) => return Look::fail(WHAT, failure.to_string(), "put the password into `mqtt.password_file`"),
    };
    if let Err(error) = config.check() {
        return Look::fail(WHAT, error.to_string(), "mend [mqtt]");
    }
    let Ok(runtime) = start::runtime() else {
        return Look::fail(WHAT, "can't be asked: the system gives no threads", "end what holds them");
    };
    match runtime.block_on(probe(&config, PATIENCE)) {
        Ok(()) => Look::ok(WHAT, format!("{url} takes the login and grants the subscription")),
        Err(error) => Look::fail(WHAT, format!("{url}: {}", with_causes(&error)), remedy(&error, &config.client_id)),
    }
}

fn remedy(error: &ProbeError, client_id: &str) -> String {
    let text = match error {
        ProbeError::Greet(GreetError::Unreachable(_)) => "start the broker, or mend `mqtt.url`",
        ProbeError::Greet(GreetError::Refused(refused)) => return login_remedy(*refused, client_id),
        ProbeError::Greet(
            GreetError::Broke(_) | GreetError::Closed | GreetError::Silent { .. } | GreetError::NoBroker,
        ) => "look at the broker's log, or mend `mqtt.url`: another server may listen there, or one that wants TLS",
        ProbeError::NotGranted { .. } => {
            "let this user subscribe to it at QoS 1 in the broker's access rules, or mend `mqtt.topics`"
        }
        ProbeError::Ended(_) | ProbeError::Silent { .. } => {
            "look at the broker's log: its access rules may not let this user subscribe to `mqtt.topics`"
        }
    };
    text.to_owned()
}

fn login_remedy(refused: LoginRefused, client_id: &str) -> String {
    let text = match refused {
        LoginRefused::Protocol => "the broker must speak MQTT 3.1.1: change its settings",
        // mosquitto 2.0 answers a wrong password with 5.
        LoginRefused::ClientId | LoginRefused::NotAuthorised => {
            return format!(
                "mend `mqtt.username` and its password (some brokers answer a wrong one so), or let this user in; where \
                 the broker goes by client id: this check logged in as {client_id}, zenei does so without {ID_SUFFIX}"
            );
        }
        LoginRefused::Unavailable | LoginRefused::Unknown { .. } => "look at the broker's log",
        LoginRefused::BadLogin => "mend `mqtt.username` and the file that `mqtt.password_file` names",
    };
    text.to_owned()
}
