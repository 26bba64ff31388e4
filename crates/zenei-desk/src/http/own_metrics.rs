//! Metrics of a part outside the desk (radio, disk, outbox, …), for `/metrics`: names and numbers, read at each scrape.
//! Must not know what they measure. Made by the binary; encoded by `metrics`.
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `zenei_…`, without `_total`.
    pub name: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
    /// Its value.
    pub value: MetricValue,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// A number that goes up and down.
    Level(i64),
    /// Numbers that go up and down, one for each value of a label.
    Levels {
        /// The label.
        label: &'static str,
        /// Its values, with the level of each.
        levels: Vec<(String, i64)>,
    },
    /// A number that only grows.
    Count(u64),
    /// Numbers that only grow, one for each pair of values of two labels.
    CountsByTwo {
        /// The labels.
        labels: [&'static str; 2],
        /// Their values, with the number of each pair.
        counts: Vec<([String; 2], u64)>,
    },
    /// Numbers that only grow, one for each value of a label.
    Counts {
        /// The label.
        label: &'static str,
        /// Its values, with the number of each.
        counts: Vec<(&'static str, u64)>,
    },
}

/// A source of metrics.
#[derive(Clone)]
pub struct OwnMetrics(Arc<dyn Fn() -> Vec<Metric> + Send + Sync>);

impl OwnMetrics {
    /// The metrics as they are now.
    pub(crate) fn read(&self) -> Vec<Metric> {
        (self.0)()
    }

    /// The metrics that this function returns; it must not block.
    pub fn new(ask: impl Fn() -> Vec<Metric> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)().iter().try_for_each(|metric| metric.encode(encoder))
    }
}

impl Metric {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self { name, help, value } = self;
        let kind = match value {
            MetricValue::Level(_) | MetricValue::Levels { .. } => MetricType::Gauge,
            MetricValue::Count(_) | MetricValue::Counts { .. } | MetricValue::CountsByTwo { .. } => MetricType::Counter,
        };
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        match value {
            MetricValue::Level(level) => ConstGauge::new(*level).encode(metric),
            MetricValue::Count(count) => ConstCounter::new(*count).encode(metric),
            MetricValue::Levels { label, levels } => levels.iter().try_for_each(|(word, level)| {
                ConstGauge::new(*level).encode(metric.encode_family(&[(*label, word.as_str())])?)
            }),
            MetricValue::Counts { label, counts } => counts.iter().try_for_each(|(word, count)| {
                ConstCounter::new(*count).encode(metric.encode_family(&[(*label, *word)])?)
            }),
            MetricValue::CountsByTwo { labels: [first, second], counts } => {
                counts.iter().try_for_each(|([a, b], count)| {
                    ConstCounter::new(*count)
                        .encode(metric.encode_family(&[(*first, a.as_str()), (*second, b.as_str())])?)
                })
            }
        }
    }
}

impl fmt::Debug for OwnMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnMetrics")
    }
}
