//! `zenei schema`: the printed script, and the error without a server.
use crate::support::{Folder, zenei};

#[test]
fn the_script_is_printed_without_a_configuration_for_a_server_or_a_cluster() {
    let single = zenei(&["schema", "print"]).run();
    assert_eq!((single.code, single.stderr.as_str()), (0, ""));
    assert!(
        single
            .stdout
            .starts_with("-- the database and the list of migrations\n\nCREATE DATABASE IF NOT EXISTS zenei;\n")
    );
    assert!(!single.stdout.contains("Replicated"));
    let cluster = zenei(&["schema", "print", "--cluster", "main"]).run();
    assert!(cluster.stdout.contains("CREATE DATABASE IF NOT EXISTS zenei ON CLUSTER 'main';"));
    assert!(cluster.stdout.contains("ENGINE = Distributed('main', 'zenei', 'record_local', cityHash64(device_id))"));
    let bad = zenei(&["schema", "print", "--cluster", "a'b"]).run();
    assert_eq!(bad.code, 2, "{}", bad.stderr);
}

#[test]
fn a_server_that_is_away_is_unreachable_and_a_missing_section_is_told() {
    let folder = Folder::new();
    // Port 1 (tcpmux) is not served on any machine that runs tests.
    folder.write("zenei.toml", "state_dir = 'state'\n[store.clickhouse]\nurl = 'http://127.0.0.1:1'\ndatabase = 'd'\n");
    let ended = zenei(&["schema", "apply"]).in_folder(&folder).run();
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    let printed = zenei(&["schema", "print", "--config", "zenei.toml"]).in_folder(&folder).run();
    assert!(printed.stdout.contains("CREATE DATABASE IF NOT EXISTS d;"));
    folder.write("zenei.toml", "state_dir = 'state'\n");
    let ended = zenei(&["schema", "apply"]).in_folder(&folder).run();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (78, "zenei.toml:1:1: [store.clickhouse] with its `url` is needed\n")
    );
}
