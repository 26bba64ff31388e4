//! How long may a broker take for what? Must not know what is done. Read by the subscriber; tests set shorter ones.
use std::time::Duration;

/// The time limits of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MqttLimits {
    /// For the connection, the login and its answer.
    pub(super) greet_within: Duration,
    /// For a SUBACK; it may take twice as long, because it can lie unread behind messages that wait for the spool.
    pub(super) suback_within: Duration,
    /// The wait before a refused subscription is asked for again: the first one and, doubled each time, the longest.
    pub(super) ask_again: (Duration, Duration),
    /// The wait before the next connection: the first one and, doubled for each failure in a row, the longest.
    pub(super) connect_again: (Duration, Duration),
    /// A connection that lived this long counts as good: the next wait starts small again.
    pub(super) good_after: Duration,
    /// The keep alive told to the broker; a ping goes out in half of it.
    pub(super) keep_alive: Duration,
    /// For the broker to take what is sent.
    pub(super) taken_within: Duration,
    /// For the last acknowledgements when the gateway stops or the connection is given up.
    pub(super) farewell_within: Duration,
}

impl Default for MqttLimits {
    /// 10 s for the login, 10 s (20 s) for a SUBACK, subscriptions again after 1 to 60 s, connections after 0.5 to
    /// 30 s, good after 10 s, keep alive 30 s (a dead link is noticed within a minute), 30 s to take, 5 s for the
    /// farewell. All of them are guesses. A subscription is asked for more rarely than a connection: where a filter is
    /// granted at QoS 0 only, each SUBSCRIBE brings the retained messages again.
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            greet_within: s(10),
            suback_within: s(10),
            ask_again: (s(1), s(60)),
            connect_again: (Duration::from_millis(500), s(30)),
            good_after: s(10),
            keep_alive: s(30),
            taken_within: s(30),
            farewell_within: s(5),
        }
    }
}

impl MqttLimits {
    /// Half of the keep alive, so that one lost ping does not end the connection.
    pub(super) fn ping_every(&self) -> Duration {
        self.keep_alive / 2
    }

    /// Silence after which the link is dead: one and a half times the keep alive, as a broker counts (MQTT 3.1.1,
    /// 3.1.2.10).
    pub(super) fn dead_after(&self) -> Duration {
        self.keep_alive * 3 / 2
    }
}
