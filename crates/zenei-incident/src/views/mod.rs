//! What do the desk's figures say: inquiries by customer, how many inquiries led to a channel, how the open work
//! stands, how often a postmortem and its actions were done, and how long before the customers the desk knew? Pure
//! functions over incidents and inquiries; a share never stands without its denominator, and a month without anything
//! is shown. Months are Japanese calendar months. Must not know stores or who shows a figure. Called by the desk's HTTP
//! API.
mod action_rate;
mod case;
mod channel_rate;
mod inquiries;
mod lead_time;
mod month;
mod postmortem_rate;
mod progress;
mod share;

pub use action_rate::{ActionRate, action_rate};
pub use case::Case;
pub use channel_rate::{ChannelMonth, channel_rate};
pub use inquiries::{CustomerInquiries, MonthCount, Trend, inquiries};
pub use lead_time::{Lead, LeadMonth, LeadTime, lead_time};
pub use month::{MONTHS_MAX, Month};
pub use postmortem_rate::{PostmortemMonth, WITHIN_MS, postmortem_rate};
pub use progress::{Progress, progress};
pub use share::Share;

#[cfg(test)]
mod tests;
