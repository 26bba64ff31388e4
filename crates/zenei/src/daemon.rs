//! What the daemon is made of, and the commands that run or read the same things: the gateway's start, the desk,
//! shipping, signals, and the files, servers and databases that a configuration names. Must not know a command line.
//! Called by `cmd`.
pub(crate) mod clickhouse;
pub(crate) mod contents;
pub(crate) mod control;
pub(crate) mod desk;
pub(crate) mod radio;
pub(crate) mod shipping;
pub(crate) mod signals;
pub(crate) mod start;
pub(crate) mod tailing;
