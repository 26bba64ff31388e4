//! What `/metrics` shows: the ledger's counters, the progress of shipping and tailing, the open incidents, and the
//! metrics of other parts. Every value is read at the scrape, so that nothing is counted twice and the counters of
//! records continue from the checkpoint after a restart. The names are a contract. Must not know the store. Called by
//! the router.
use super::handles::Handles;
use super::rule_metrics::RuleMetrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use zenei_detect::{Domain, Urgency};
use zenei_store::control::TailProgress;
use zenei_store::{DropReason, Ledger, Source};
use zenei_wire::Reason;

/// The registry that shows these handles.
pub(super) fn registry(handles: Handles) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown { handles, rules: RuleMetrics::default() }));
    registry
}

#[derive(Debug)]
struct Shown {
    handles: Handles,
    rules: RuleMetrics,
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // A copy, so that the driver never waits for a slow scrape.
        let mut ledger = self.handles.ledger.borrow().clone();
        let shipped = self.handles.shipped.as_ref().map(|shipped| *shipped.borrow()).unwrap_or_default();
        if self.handles.shipped.is_some() {
            ledger.count_shipped(shipped.records, shipped.refused);
        }
        self.process(&mut encoder)?;
        by_label(&mut encoder, &ledger)?;
        plain(&mut encoder, &ledger, shipped.damaged_ranges)?;
        for part in &self.handles.own {
            part.encode(&mut encoder)?;
        }
        if let Some(tail) = &self.handles.tail {
            tailed(&mut encoder, *tail.borrow())?;
        }
        self.open_incidents(&mut encoder)?;
        self.rules.encode(&self.handles, &mut encoder)
    }
}

/// Counters that have a label; every value of the label is shown, also at 0, so that its first event shows as a rise.
fn by_label(encoder: &mut DescriptorEncoder, ledger: &Ledger) -> fmt::Result {
    let received = Source::ALL.iter().map(|key| (key.as_str(), ledger.received.get(key)));
    family(encoder, "zenei_received", "Records received", "source", received)?;
    let dead = Reason::ALL.iter().map(|key| (key.as_str(), ledger.dead_letter.get(key)));
    family(encoder, "zenei_dead_letter", "Records in the dead letters", "reason", dead)?;
    let dropped = DropReason::ALL.iter().map(|key| (key.as_str(), ledger.dropped.get(key)));
    family(encoder, "zenei_dropped", "Records in no store and in no dead letter", "reason", dropped)?;
    let ignored = [("foreign", Some(&ledger.ignored_foreign)), ("online", Some(&ledger.ignored_online))];
    family(encoder, "zenei_ignored_messages", "Messages that are no records", "topic", ignored.into_iter())
}

fn plain(encoder: &mut DescriptorEncoder, ledger: &Ledger, damaged_ranges: u64) -> fmt::Result {
    let counters = [
        ("zenei_stored", "Records in a store", ledger.stored),
        ("zenei_duplicate", "Records heard before", ledger.duplicate),
        ("zenei_late", "Stored records that came after a later one of their lock", ledger.late),
        ("zenei_reused", "Of these those whose numbers were heard before with other content", ledger.reused),
        ("zenei_lives", "New lives of locks, which begin their numbers anew", ledger.lives),
        ("zenei_gap", "Numbers missing between heard records of one boot", ledger.gaps),
        ("zenei_unknown_fields", "Fields that the contract does not know", ledger.unknown_fields),
        ("zenei_shipped", "Stored records that ClickHouse has taken", ledger.shipped),
        (
            "zenei_ship_damaged_ranges",
            "Sealed ranges that could not be shipped: their files are damaged",
            damaged_ranges,
        ),
    ];
    for (name, help, value) in counters {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)?;
    }
    let gauges = [
        ("zenei_spool_bytes", "Size of the spool", ledger.spool_bytes),
        ("zenei_spool_lag_records", "Records received and not yet sealed", ledger.pending),
        ("zenei_ship_lag_records", "Stored records that ClickHouse still misses", ledger.ship_lag_records),
    ];
    for (name, help, value) in gauges {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        gauge(value).encode(metric)?;
    }
    Ok(())
}

/// How far the records of other gateways were taken; shown where this process has such a desk.
fn tailed(encoder: &mut DescriptorEncoder, tail: TailProgress) -> fmt::Result {
    let counters = [
        ("zenei_tail_records", "Records of all gateways that were taken, duplicates among them", tail.records),
        ("zenei_tail_duplicate", "Of them those that were heard before, by this or another gateway", tail.duplicates),
    ];
    for (name, help, value) in counters {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)?;
    }
    let up_to_s = tail.up_to.map_or(0, |up_to| u64::try_from(up_to.ms() / 1_000).unwrap_or(0));
    let help = "Time up to which everything heard was taken, seconds since 1970";
    gauge(up_to_s).encode(encoder.encode_descriptor("zenei_tail_up_to_seconds", help, None, MetricType::Gauge)?)
}

fn family<'l>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'l str, Option<&'l u64>)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (word, value) in values {
        let labels = [(label, word)];
        ConstCounter::new(value.copied().unwrap_or(0)).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A gauge of a count; OpenMetrics gauges are signed.
fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Shown {
    /// Which program this is, since when it runs, and whether its parts do what they are for.
    fn process(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "The version of this program; always 1";
        let mut metric = encoder.encode_descriptor("zenei_build_info", help, None, MetricType::Gauge)?;
        gauge(1).encode(metric.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?)?;
        let help = "When this process started, seconds since 1970";
        let metric = encoder.encode_descriptor("zenei_start_time_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.handles.started.ms() / 1_000).encode(metric)?;
        let parts = self.handles.readiness.parts();
        let is_ready = *self.handles.ready.borrow() && parts.iter().all(|part| part.is_ready);
        let help = "Whether a part does what it is for, as /readyz says; all is the whole";
        let mut metric = encoder.encode_descriptor("zenei_ready", help, None, MetricType::Gauge)?;
        for (name, is_ready) in parts.iter().map(|part| (part.name, part.is_ready)).chain([("all", is_ready)]) {
            gauge(u64::from(is_ready)).encode(metric.encode_family(&[("part", name)])?)?;
        }
        Ok(())
    }

    fn open_incidents(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut open: BTreeMap<(Domain, Urgency), u64> = BTreeMap::new();
        for incident in self.handles.incidents.read().incidents().filter(|incident| incident.is_open()) {
            *open.entry((incident.domain, incident.urgency)).or_default() += 1;
        }
        let help = "Incidents that take new evidence";
        let mut metric = encoder.encode_descriptor("zenei_incidents_open", help, None, MetricType::Gauge)?;
        for &domain in Domain::ALL {
            for &urgency in Urgency::ALL {
                let labels = [("domain", domain.as_str()), ("urgency", urgency.as_str())];
                let value = open.get(&(domain, urgency)).copied().unwrap_or(0);
                gauge(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
