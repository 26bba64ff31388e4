//! Figures of a part that the desk does not know, for `/metrics`: names and numbers, asked when somebody looks. Called
//! by the metrics; made by the binary.
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// A figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// `zenei_…`, without `_total`.
    pub name: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
    /// What it shows.
    pub value: Value,
}

/// What a figure shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number that goes up and down.
    Level(i64),
    /// Numbers that only grow, under the values of a label.
    Counts {
        /// The label.
        label: &'static str,
        /// Its values, with the number of each.
        counts: Vec<(&'static str, u64)>,
    },
}

/// Where figures come from.
#[derive(Clone)]
pub struct Figures(Arc<dyn Fn() -> Vec<Figure> + Send + Sync>);

impl Figures {
    /// Figures that this function gives; it must be quick and not wait.
    pub fn new(ask: impl Fn() -> Vec<Figure> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, value } in (self.0)() {
            match value {
                Value::Level(level) => {
                    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    ConstGauge::new(level).encode(metric)?;
                }
                Value::Counts { label, counts } => {
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

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}
