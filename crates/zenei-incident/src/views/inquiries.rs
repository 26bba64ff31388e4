//! V1 前衛問い合わせ傾向: how many urgent inquiries did each customer make, by month? Must not know incidents. Called by
//! the desk's HTTP API.
use super::month::Month;
use crate::inquiry::Inquiry;
use serde::Serialize;
use std::collections::BTreeMap;
use zenei_detect::Urgency;
use zenei_wire::EngineTime;

/// The urgent inquiries of the months, by customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// The months, oldest first.
    pub months: Vec<Month>,
    /// The customers with any, most urgent first: by 最高, then 高, then the name.
    pub customers: Vec<CustomerInquiries>,
    /// Inquiries of these months that nobody has judged yet.
    pub untriaged: u64,
}

/// The urgent inquiries of one customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CustomerInquiries {
    /// The customer; empty where the inquiry does not say.
    pub customer: String,
    /// Those of urgency 最高.
    pub highest: u64,
    /// Those of urgency 高.
    pub high: u64,
    /// The same by month, every month of the figure.
    pub by_month: Vec<MonthCount>,
}

/// The urgent inquiries of one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MonthCount {
    /// The month.
    pub month: Month,
    /// Those of urgency 最高.
    pub highest: u64,
    /// Those of urgency 高.
    pub high: u64,
}

/// The figure over the month of `now` and `months - 1` before it. Of an id that comes again, the last version holds.
pub fn inquiries(rows: &[Inquiry], months: u32, now: EngineTime) -> Trend {
    let months = Month::up_to(now, months);
    let mut customers: BTreeMap<&str, CustomerInquiries> = BTreeMap::new();
    let mut untriaged = 0;
    for row in latest(rows).into_values() {
        let Ok(at) = months.binary_search(&Month::of_ms(row.received_ms)) else { continue };
        let (highest, high) = match row.urgency {
            Some(Urgency::Highest) => (1, 0),
            Some(Urgency::High) => (0, 1),
            Some(Urgency::Medium | Urgency::Low) => continue,
            None => {
                untriaged += 1;
                continue;
            }
        };
        let customer = customers.entry(&row.customer).or_insert_with(|| CustomerInquiries {
            customer: row.customer.clone(),
            by_month: months.iter().map(|&month| MonthCount { month, highest: 0, high: 0 }).collect(),
            ..CustomerInquiries::default()
        });
        (customer.highest, customer.high) = (customer.highest + highest, customer.high + high);
        if let Some(count) = customer.by_month.get_mut(at) {
            (count.highest, count.high) = (count.highest + highest, count.high + high);
        }
    }
    let mut customers: Vec<CustomerInquiries> = customers.into_values().collect();
    customers.sort_by_key(|customer| std::cmp::Reverse((customer.highest, customer.high)));
    Trend { months, customers, untriaged }
}

/// The last version of each inquiry, by id.
pub(super) fn latest(rows: &[Inquiry]) -> BTreeMap<&str, &Inquiry> {
    rows.iter().map(|row| (row.id.as_str(), row)).collect()
}
