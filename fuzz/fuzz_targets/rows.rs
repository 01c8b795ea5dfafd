//! Any bytes as a file of rows, in each format: rows or faults, never a panic.

#![no_main]

#[path = "../../tests/graph_in_memory/mod.rs"]
mod graph_in_memory;

use graph_in_memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;
use tombolo::mapping::load;

const NAMES: [&str; 14] = [
    "r.csv", "r.tsv", "r.json", "r.ndjson", "r.yaml", "r.toml", "r.csv.gz", "r.json.zst", "r.xml",
    "r.xlsx", "r.zip", "r.tar", "r.ldif", "r.log",
];

/// Options of rows that a file of this name needs.
fn options(name: &str) -> &'static str {
    match name {
        "r.log" => r", format = 'lines', pattern = '^(?<x>\S+)\s+(?<y>.*)$'",
        "r.csv" => ", encoding = 'windows-1252'",
        _ => "",
    }
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (format, items, bytes) = input;
    let name = NAMES[usize::from(format) % NAMES.len()];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.toml");
    let items = if items { ", items = \"a[*].b[*]\"" } else { "" };
    let file = format!(
        "scope = \"m\"\nrows = {{ files = \"{name}\"{items}{} }}\n\
         relationship = {{ class = \"IS\", type = \"is\" }}\n\
         from = {{ scope = \"okta\", key = \"u:{{row['x']}}\" }}\n\
         to = {{ scope = \"jamf\", key = \"d:{{default(parent.y, doc.z)}}\" }}\n",
        options(name)
    );
    std::fs::write(&path, file).expect("the folder can be written");
    std::fs::write(folder.path().join(name), bytes).expect("the folder can be written");
    let graph = Memory::default()
        .with("okta", "user", "u:a", &[])
        .with("jamf", "laptop", "d:1", &[]);
    for mapping in &load(&[path]).mappings {
        let _ = mapping.resolve(&graph, SystemTime::UNIX_EPOCH);
    }
    // The same bytes as the rows of a source, with every kind of step.
    let path = folder.path().join("s.toml");
    let items = if items { "\"..b[*]\", \"a.*[?it.x != 'y'].c\"" } else { "\".\"" };
    let file = format!(
        "scope = \"s\"\nrows = {{ files = \"{name}\"{} }}\nclass = {{ \"*\" = \"Record\" }}\n\
         [[entity]]\nitems = [{items}]\ntype = \"t\"\n\
         key = \"{{default(row.x, join('.', row_path), 'k')}}\"\nproperties = \"*\"\n\
         merge = \"union\"\n\
         relationship = {{ class = \"HAS\", items = \"*\", to = {{ create = \"u\", key = \"{{row_key}}\" }} }}\n",
        options(name)
    );
    std::fs::write(&path, file).expect("the folder can be written");
    for source in &load(&[path]).sources {
        let _ = source.resolve(SystemTime::UNIX_EPOCH);
    }
});
