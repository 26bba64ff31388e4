//! Tests of the whole: one binary, so that they link once. Each question is a module of its own.
mod bound;
mod broker;
mod contract;
mod daemon;
mod dead_letters;
mod demo;
mod fleet;
mod kill9;
mod layering;
mod metrics;
mod mosquitto;
mod mqtt_client;
mod output_contract;
mod program;
mod replay;
mod repository;
mod tidy;
