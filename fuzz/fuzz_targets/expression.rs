//! Any text as the condition of a join, evaluated on a few entities.

#![no_main]

#[path = "../../tests/graph_in_memory/mod.rs"]
mod graph_in_memory;

use graph_in_memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;
use tombolo::mapping::load;

fuzz_target!(|text: &str| {
    // The three quotes of TOML's own would end the condition.
    if text.contains("\"\"\"") || text.contains('\\') {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.toml");
    let file = format!(
        "scope = \"m\"\nfrom = {{ scope = \"okta\" }}\nto = {{ scope = \"jamf\" }}\n\
         relationship = {{ class = \"IS\", type = \"is\", properties = {{ p = \"{{from.a}}\" }} }}\n\
         join = \"\"\"{text}\"\"\"\n"
    );
    std::fs::write(&path, file).expect("the folder can be written");
    let graph = Memory::default()
        .with("okta", "user", "u:a", &[("a", "Ä@x.org"), ("net", "10.0.0.0/8"), ("on", "true")])
        .with("jamf", "laptop", "d:1", &[("a", "ä@x.org"), ("ip", "::ffff:10.1.2.3")]);
    for mapping in &load(&[path]).mappings {
        let _ = mapping.resolve(&graph, SystemTime::UNIX_EPOCH);
    }
});
