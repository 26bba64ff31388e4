//! Estimators: small, of fixed size, fed one observation at a time. They must not know locks, records or rules. Called
//! by the detectors and by the lab.
pub mod course;
pub mod dispersion;
pub mod eprocess;
pub mod excess;
pub mod fall;
pub mod habit;
pub mod high;
pub mod level;
pub mod median;
pub mod rate;
pub mod season;
pub mod slopes;
pub mod spread;
pub mod stream;
pub mod surge;
pub mod symbols;
pub mod tail;
pub mod thin;
pub mod usual;
