//! Metrics of a part outside the desk (the radio), for `/metrics`: names and numbers, read at each scrape. Must not
//! know what they measure. Made by the binary; encoded by `metrics`.
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
    /// The metrics that this function returns; it must not block.
    pub fn new(ask: impl Fn() -> Vec<Metric> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for Metric { name, help, value } in (self.0)() {
            match value {
                MetricValue::Level(level) => {
                    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    ConstGauge::new(level).encode(metric)?;
                }
                MetricValue::Counts { label, counts } => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    for (word, count) in counts {
                        ConstCounter::new(count).encode(metric.encode_family(&[(label, word)])?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for OwnMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnMetrics")
    }
}
