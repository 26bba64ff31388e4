//! Estimators: small, of fixed size, fed one observation at a time. They know numbers, not locks.
pub mod cusum;
pub mod eprocess;
pub mod median;
pub mod slopes;
