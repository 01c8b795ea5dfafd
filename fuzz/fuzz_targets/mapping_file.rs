//! Any bytes as a mapping file: faults, never a panic; what is sound resolves or says why not.

#![no_main]

#[path = "../../tests/graph_in_memory/mod.rs"]
mod graph_in_memory;

use graph_in_memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;
use tombolo::mapping::load;

fuzz_target!(|text: &str| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.toml");
    std::fs::write(&path, text).expect("the folder can be written");
    std::fs::write(folder.path().join("rows.csv"), "login,device\na,1\n,2\n").expect("writable");
    let loaded = load(&[path]);
    for fault in &loaded.faults {
        assert!(fault.plain().contains(fault.code));
    }
    let graph = Memory::default()
        .with("okta", "user", "u:a", &[("name", "a"), ("net", "10.0.0.0/8")])
        .with("jamf", "laptop", "d:1", &[("name", "A"), ("ip", "10.1.2.3")]);
    for mapping in &loaded.mappings {
        if let Ok(resolved) = mapping.resolve(&graph, SystemTime::UNIX_EPOCH) {
            assert!(resolved.drafts.len() as u64 <= 4 * resolved.count.read());
        }
    }
});
