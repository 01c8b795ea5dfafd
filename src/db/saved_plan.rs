//! Plans as files: saved after a review, applied exactly or refused.
//!
//! ```text
//!   "tombolo-plan 1 " | XXH3-128 of the rest, in hex | line feed | zstd of a JSON document
//! ```
//!
//! The file holds the relationships that each mapping asks for, so that applying it reads no
//! mapping and no rows again. It also holds the fingerprint of the changes, so that applying it
//! does nothing else.

use super::mapping_jobs::MappingJob;
use super::{Error, io};
use crate::graph::{DraftEnd, DraftRelationship, InputLocation, RelationshipOrigin, Value};
use crate::store::Snapshot;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::io::Write;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: &str = "tombolo-plan 1 ";

/// The most bytes of JSON that a plan may unpack to.
const JSON_MAX: usize = 4 << 30;

/// Several jobs of mappings, planned at one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedPlan {
    /// Tells databases apart, so that a plan is never applied to another one.
    pub database: String,
    /// The revision that all of it was planned at.
    pub revision: u64,
    /// The time it was made, in epoch milliseconds.
    pub made_on: i64,
    /// The jobs, in the order they are to run.
    pub jobs: Vec<PlannedJob>,
}

/// One job of a saved plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedJob {
    /// The job.
    pub job: MappingJob,
    /// Fingerprint of its changes.
    pub hash: String,
    /// All relationships that it asks for.
    #[serde(with = "edges")]
    pub drafts: Vec<DraftRelationship<'static>>,
}

impl SavedPlan {
    /// The name of a database in plans: the number it was given when it was made.
    pub fn name_of(snapshot: &Snapshot) -> String {
        format!("{:016x}", snapshot.meta().digest_seed)
    }

    /// True if a file begins like a saved plan.
    pub fn is_plan(path: &Path) -> bool {
        use std::io::Read;
        let mut start = [0; MAGIC.len()];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && start == MAGIC.as_bytes()
    }

    /// Writes the plan whole under another name, then renames it.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec(self).expect("BUG: a plan is plain JSON");
        let packed = zstd::bulk::compress(&json, 3).map_err(io)?;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        let mut file =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
        writeln!(file, "{MAGIC}{:032x}", xxh3_128(&packed)).map_err(io)?;
        file.write_all(&packed).map_err(io)?;
        file.as_file().sync_data().map_err(io)?;
        file.persist(path).map_err(|e| io(e.error))?;
        Ok(())
    }

    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// A usage error if the file is damaged or of a newer format.
    pub fn load(path: &Path) -> Result<SavedPlan, Error> {
        let bytes = std::fs::read(path).map_err(io)?;
        let damaged = || {
            Error::usage(
                format!("`{}` is no whole plan", path.display()),
                "save it again with `tombolo plan --out`",
            )
        };
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(damaged)?;
        // The digest has 32 hexadecimal digits, and a line feed behind them.
        let (digest, packed) = rest.split_at_checked(33).ok_or_else(damaged)?;
        if digest != format!("{:032x}\n", xxh3_128(packed)).as_bytes() {
            return Err(damaged());
        }
        let mut json = Vec::new();
        let reader = zstd::Decoder::new(packed).map_err(io)?;
        // A small file may unpack to any size, so the reader stops at a limit.
        std::io::Read::read_to_end(&mut std::io::Read::take(reader, JSON_MAX as u64), &mut json)
            .map_err(|_| damaged())?;
        serde_json::from_slice(&json).map_err(|_| damaged())
    }
}

#[derive(Serialize, Deserialize)]
struct SavedRelationship {
    key: String,
    #[serde(rename = "type")]
    type_name: String,
    class: String,
    scope: String,
    from: (String, String),
    to: (String, String),
    #[serde(deserialize_with = "properties", default, skip_serializing_if = "Vec::is_empty")]
    properties: Vec<(String, Value<'static>)>,
    place: (u32, u32),
    origin: Option<RelationshipOrigin>,
}

/// A value exactly as it was written: numbers are taken from their digits.
struct ExactValue(Value<'static>);

impl<'de> Deserialize<'de> for ExactValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExactValue, D::Error> {
        fn value(text: &str) -> Result<Value<'static>, serde_json::Error> {
            // The first byte of a JSON value tells its kind.
            Ok(match text.as_bytes().first() {
                Some(b'n') => Value::Null,
                Some(b't') => Value::Bool(true),
                Some(b'f') => Value::Bool(false),
                Some(b'"') => Value::Text(serde_json::from_str::<String>(text)?.into()),
                Some(b'[') => {
                    let items: Vec<ExactValue> = serde_json::from_str(text)?;
                    Value::List(items.into_iter().map(|item| item.0).collect())
                }
                _ => Value::number(text)
                    .ok_or_else(|| serde_json::Error::custom("64 bits cannot hold a number"))?,
            })
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        value(raw.get()).map(ExactValue).map_err(D::Error::custom)
    }
}

fn properties<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, Value<'static>)>, D::Error> {
    let read: Vec<(String, ExactValue)> = Deserialize::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(name, value)| (name, value.0)).collect())
}

mod edges {
    use super::{DraftEnd, DraftRelationship, InputLocation, SavedRelationship};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        drafts: &[DraftRelationship<'static>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let end = |end: &DraftEnd<'_>| {
            let text =
                |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("").to_owned();
            (text(&end.scope), text(&end.key))
        };
        serializer.collect_seq(drafts.iter().map(|draft| SavedRelationship {
            key: draft.key.to_string(),
            type_name: draft.type_name.to_string(),
            class: draft.class.to_string(),
            scope: draft.scope.as_deref().unwrap_or("").to_owned(),
            from: end(&draft.from),
            to: end(&draft.to),
            properties: draft.properties.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
            place: (draft.place.input, draft.place.line),
            origin: draft.origin.clone(),
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<DraftRelationship<'static>>, D::Error> {
        let end = |(scope, key): (String, String)| DraftEnd {
            key: Some(key.into()),
            scope: Some(scope.into()),
            id: None,
        };
        let edges = Vec::<SavedRelationship>::deserialize(deserializer)?;
        let draft = |edge: SavedRelationship| DraftRelationship {
            key: edge.key.into(),
            scope: Some(edge.scope.into()),
            type_name: edge.type_name.into(),
            class: edge.class.into(),
            from: end(edge.from),
            to: end(edge.to),
            properties: edge.properties.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            place: InputLocation { input: edge.place.0, line: edge.place.1 },
            origin: edge.origin,
            ..DraftRelationship::default()
        };
        Ok(edges.into_iter().map(draft).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> SavedPlan {
        let end = |key: &'static str| DraftEnd {
            key: Some(key.into()),
            scope: Some("s".into()),
            id: None,
        };
        let draft = DraftRelationship {
            key: "a|owns|b".into(),
            scope: Some("m".into()),
            type_name: "t".into(),
            class: "OWNS".into(),
            from: end("a"),
            to: end("b"),
            properties: vec![
                ("big".into(), Value::UInt(u64::MAX)),
                ("float".into(), Value::Float(5.0)),
                ("list".into(), Value::List(vec![Value::Text("é\"".into())])),
            ],
            place: InputLocation { input: 1, line: 7 },
            origin: Some(RelationshipOrigin {
                file: "f.csv".into(),
                line: 7,
                alternative: String::new(),
            }),
            ..DraftRelationship::default()
        };
        let job = MappingJob { scope: "m".into(), ..MappingJob::default() };
        let jobs = vec![PlannedJob { job, hash: "h".into(), drafts: vec![draft] }];
        SavedPlan { database: "d".into(), revision: 3, made_on: 5, jobs }
    }

    #[test]
    fn a_saved_plan_comes_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.tbl");
        plan().save(&path).unwrap();
        assert!(SavedPlan::is_plan(&path));
        assert_eq!(SavedPlan::load(&path).unwrap(), plan());
    }

    #[test]
    fn a_damaged_plan_is_refused_wherever_the_damage_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.tbl");
        plan().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            std::fs::write(&path, &bytes).unwrap();
            assert!(SavedPlan::load(&path).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(SavedPlan::load(&path).is_err(), "cut at {at}");
        }
    }
}
