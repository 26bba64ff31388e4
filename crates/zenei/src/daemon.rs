//! The parts of the daemon, and of the commands that run or read the same things: the gateway's start, the desk,
//! shipping, signals, and the files, servers and databases that a configuration names. Must not know a command line.
//! Called by `cmd`; `cases` and `replay` take the registry's type from it.
pub(crate) mod access;
pub(crate) mod ask;
pub(crate) mod broker;
pub(crate) mod clickhouse;
pub(crate) mod contents;
pub(crate) mod control;
pub(crate) mod desk;
pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod notify;
pub(crate) mod own_http;
pub(crate) mod policy;
pub(crate) mod radio;
pub(crate) mod readiness;
pub(crate) mod service;
pub(crate) mod shipping;
pub(crate) mod signals;
pub(crate) mod start;
pub(crate) mod tailing;
pub(crate) mod text;
