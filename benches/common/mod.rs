//! Generated data that all benches share: skewed like an inventory, the same on every machine.

#![allow(dead_code)] // each bench uses its part

use std::fmt::Write;
use std::io::Cursor;
use tombolo::Database;
use tombolo::db::SyncRequest;
use tombolo::sync::{InputFormat, InputSource, SyncMode};

/// A small generator of even quality; the data must only be the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Small numbers often, large ones seldom: hubs.
    pub fn skewed(&mut self, n: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((unit.powi(4) * n as f64) as u64).min(n - 1)
    }
}

const TYPES: [(&str, &str); 4] = [
    ("okta_user", "User"),
    ("github_repo", "CodeRepo"),
    ("aws_role", "AccessRole"),
    ("app", "Application"),
];
const VERBS: [&str; 5] = ["OWNS", "HAS", "USES", "ASSIGNED", "DEPLOYS"];

pub fn entity_key(i: u64) -> String {
    format!("{}:{i:07}", TYPES[(i % 4) as usize].0)
}

/// Entities of the scope `things`, one a line.
pub fn entities(count: u64) -> String {
    let mut random = Random(1);
    let mut out = String::new();
    for i in 0..count {
        let (kind, class) = TYPES[(i % 4) as usize];
        let x = random.below(1 << 30);
        writeln!(
            out,
            r#"{{"_key":"{}","_type":"{kind}","_class":"{class}","_scope":"things","name":"thing {x}","owner":"team-{}@example.com","region":"r{}","risk":{},"active":{}}}"#,
            entity_key(i),
            x % 997,
            x % 4,
            x % 11,
            x.is_multiple_of(2)
        )
        .expect("a string takes all");
    }
    out
}

/// Relationships of the scope `links`; of every hundredth the weight depends on `version`.
pub fn relationships(count: u64, entities: u64, version: u64) -> String {
    let mut random = Random(2);
    let mut out = String::new();
    for i in 0..count {
        let (from, to) = (random.skewed(entities), random.below(entities));
        let verb = VERBS[random.below(5) as usize];
        let weight = if i % 100 == 0 { i + version } else { i };
        let (from, to) = (entity_key(from), entity_key(to));
        writeln!(
            out,
            r#"{{"_key":"r{i}","_type":"link","_class":"{verb}","_scope":"links","_fromEntityKey":"{from}","_toEntityKey":"{to}","_fromEntityScope":"things","_toEntityScope":"things","weight":{weight},"note":"synced by job {}"}}"#,
            i % 977
        )
        .expect("a string takes all");
    }
    out
}

fn request(scope: Option<&str>) -> SyncRequest {
    SyncRequest {
        scope: scope.map(str::to_owned),
        mode: SyncMode::Diff,
        source: "api".into(),
        dry_run: false,
        ignore_duplicates: false,
        allow_deletes: None,
        partial_types: Vec::new(),
        same_scope_reject: false,
    }
}

fn input(text: &str) -> InputSource<'_> {
    let reader = Box::new(Cursor::new(text.as_bytes()));
    InputSource::new("bench", InputFormat::Ndjson, reader)
}

pub fn sync(database: &Database, scope: Option<&str>, text: &str) {
    database.sync(&request(scope), &mut [input(text)], &|_| {}).expect("the data is sound");
}

/// The same from a source that can be read twice, such as a file.
pub fn sync_again(database: &Database, scope: &str, text: &str) {
    database
        .sync_again(&request(Some(scope)), &|| vec![input(text)], &|_| {})
        .expect("the data is sound");
}
