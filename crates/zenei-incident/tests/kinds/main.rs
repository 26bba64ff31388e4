//! Fourteen kinds of assumption that do not hold in each fleet, as small recordings: what is opened for each, from
//! records to incidents, by the shipped rules, and what is not. Each has its negative control beside it. Must not know
//! detectors or their parameters. Called by cargo's test runner.
mod causes;
mod clocks;
mod drives;
mod links;
mod memory;
mod world;
