//! What the tests of the library share: uploads from text, and the graph as sorted lines.

use std::io::Cursor;
use tombolo::db::SyncRequest;
use tombolo::graph::{EdgeDirection, GraphRead, ObjectKind};
use tombolo::store::Snapshot;
use tombolo::sync::{InputFormat, InputSource, JobReport, SyncMode};
use tombolo::{Database, Error};

/// A folder for tests that make thousands of small databases: on a disk in memory, where the system
/// has one, since nearly all of their time would go into waiting for real disks.
pub fn fleeting() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

pub fn input(text: &str) -> InputSource<'_> {
    let reader = Box::new(Cursor::new(text.as_bytes()));
    InputSource::new("upload", InputFormat::Ndjson, reader)
}

pub fn request(scope: &str, mode: SyncMode) -> SyncRequest {
    SyncRequest {
        scope: Some(scope.into()),
        mode,
        source: "api".into(),
        dry_run: false,
        ignore_duplicates: false,
        allow_deletes: Some(1_000_000),
        partial_types: Vec::new(),
        same_scope_reject: false,
    }
}

pub fn sync(db: &Database, scope: &str, mode: SyncMode, text: &str) -> Result<JobReport, Error> {
    let mut reports = db.sync(&request(scope, mode), &mut [input(text)], &|_| {})?;
    Ok(reports.remove(0))
}

/// The same from a source that can be read twice, so that known lines are passed over.
pub fn sync_again(
    db: &Database,
    scope: &str,
    mode: SyncMode,
    text: &str,
) -> Result<JobReport, Error> {
    sync_again_with(db, &request(scope, mode), text)
}

pub fn sync_again_with(
    db: &Database,
    request: &SyncRequest,
    text: &str,
) -> Result<JobReport, Error> {
    let open = || {
        let reader = Box::new(Cursor::new(text.to_owned().into_bytes()));
        vec![InputSource::new("upload", InputFormat::Ndjson, reader)]
    };
    Ok(db.sync_again(request, &open, &|_| {})?.remove(0))
}

/// All live objects with their properties, a line each, in byte order. Fails like the graph.
pub fn dump(snapshot: &Snapshot) -> Result<Vec<String>, tombolo::store::StoreError> {
    let mut lines = Vec::new();
    for number in 0..snapshot.meta().bound(ObjectKind::Entity) {
        if let Some(e) = snapshot.entity(number)?.filter(|e| !e.metadata.deleted()) {
            let properties: Vec<_> = e.properties.iter().map(|(n, v)| format!("{n}={v}")).collect();
            lines.push(format!(
                "{}::{} {} {:?} {}",
                e.scope,
                e.key,
                e.type_name,
                e.classes,
                properties.join(" ")
            ));
        }
    }
    for number in 0..snapshot.meta().bound(ObjectKind::Relationship) {
        if let Some(r) = snapshot.relationship(number)?.filter(|r| !r.metadata.deleted()) {
            let properties: Vec<_> = r.properties.iter().map(|(n, v)| format!("{n}={v}")).collect();
            lines.push(format!(
                "{}::{} {} {}::{} -{}-> {}::{} {}",
                r.scope,
                r.key,
                r.type_name,
                r.from.scope,
                r.from.key,
                r.class,
                r.to.scope,
                r.to.key,
                properties.join(" ")
            ));
        }
    }
    lines.sort();
    Ok(lines)
}

/// The adjacency in one direction as sorted (from key, verb, to key).
pub fn adjacency(snapshot: &Snapshot, direction: EdgeDirection) -> Vec<(String, String, String)> {
    use tombolo::graph::{AdjacencyRead, NameLookup};
    let name = |n| {
        let head = snapshot.entity_head(n).unwrap().unwrap();
        format!("{}::{}", head.scope, head.key)
    };
    let mut edges = Vec::new();
    for entity in 0..snapshot.entity_bound() {
        snapshot
            .for_each_edge(entity, direction, |edge| {
                let (from, to) = match direction {
                    EdgeDirection::Out => (entity, edge.other),
                    EdgeDirection::In => (edge.other, entity),
                };
                edges.push((name(from), snapshot.name(edge.verb).to_owned(), name(to)));
            })
            .unwrap();
    }
    edges.sort();
    edges
}
