//! Contents of objects, read back from the stage or from the graph, to be compared or merged.
//! Objects that are plainly new or plainly the same never come here.

use crate::graph::{GraphRead, IdHash, ORIGIN, ObjectKind, Value};
use crate::store::staging::{StagedObject, UploadStage};
use crate::store::{
    ByteCursor, ObjectHead, Snapshot, StoreError, put_bytes, put_value, put_varint, read_body,
    take_value,
};
use crate::sync::SyncError;
use crate::sync::read::{InputDiagnostic, PINS, pinned_properties};
use crate::sync::stage::{StagedRecord, content_digest};

/// Contents merged from stored and uploaded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedContents {
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: String,
    /// Class set.
    pub class: String,
    /// Properties by ascending name, values encoded.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Raw data.
    pub raw_data: Option<String>,
}

/// Reads contents of either side.
#[derive(Clone, Copy)]
pub struct ContentReader<'c> {
    /// The graph as it is.
    pub snapshot: &'c Snapshot,
    /// The uploaded objects.
    pub stage: &'c UploadStage,
}

impl ContentReader<'_> {
    /// Reads the record of a staged object.
    pub fn with_record<R>(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
        read: impl FnOnce(&StagedRecord<'_>, &[String]) -> R,
    ) -> Result<R, SyncError> {
        let records = self.stage.records(staged.frame)?;
        let record = StagedRecord::read(kind, &records, (staged.offset, staged.len))
            .ok_or_else(SyncError::damaged_stage)?;
        Ok(read(&record, self.stage.names(staged.frame)))
    }

    /// The key of an uploaded object; empty for a patch that names it by id.
    pub fn uploaded_key(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
    ) -> Result<String, SyncError> {
        let record = self.stage.record(staged)?;
        let record = StagedRecord::read(kind, &record, (0, staged.len));
        let record = record.ok_or_else(SyncError::damaged_stage)?;
        Ok(record.full_key(kind, self.stage.names(staged.frame)))
    }

    /// The contents of an uploaded object.
    pub fn uploaded(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
    ) -> Result<MergedContents, SyncError> {
        let content = self.with_record(kind, staged, |record, names| {
            let (properties, raw) = record.properties()?;
            Some(MergedContents {
                key: record.key.to_owned(),
                type_name: names[record.type_name as usize].clone(),
                class: names[record.class as usize].clone(),
                properties: properties
                    .into_iter()
                    .map(|(name, value)| (names[name as usize].clone(), value.to_vec()))
                    .collect(),
                raw_data: raw.map(str::to_owned),
            })
        })?;
        content.ok_or_else(SyncError::damaged_stage)
    }

    /// The head of an object that a plan met in the graph.
    pub fn stored_head(self, kind: ObjectKind, number: u32) -> Result<ObjectHead, StoreError> {
        self.snapshot.head(kind, number)?.ok_or_else(|| {
            StoreError::corrupt("heads", &number.to_be_bytes(), "an object is missing")
        })
    }

    /// The contents of a stored object.
    pub fn stored(self, kind: ObjectKind, number: u32) -> Result<MergedContents, SyncError> {
        let head = self.stored_head(kind, number)?;
        let record = self.snapshot.body_record(kind, &head)?;
        let (properties, raw) = read_body(&record)
            .ok_or_else(|| StoreError::corrupt("bodies", &[], "record makes no sense"))?;
        let words = self.snapshot.words();
        let encode = |value: &Value<'_>| {
            let mut out = Vec::new();
            put_value(&mut out, value);
            out
        };
        let mut all: Vec<(String, Vec<u8>)> = Vec::with_capacity(properties.len() + 1);
        for (name, value) in &properties {
            all.push((self.snapshot.with_name(*name, str::to_owned)?, encode(value)));
        }
        // A `displayName` that is text is kept in the head, not in the body.
        if let Some(display) = &head.display {
            all.push(("displayName".into(), encode(&Value::Text(display.as_ref().into()))));
        }
        all.sort();
        Ok(MergedContents {
            key: head.key.to_string(),
            type_name: words.text(head.type_name).to_owned(),
            class: words.text(head.class).to_owned(),
            properties: all,
            raw_data: raw.map(str::to_owned),
        })
    }

    /// The digest of contents; `ends` are the ids of those of a relationship.
    pub fn digest(self, content: &MergedContents, ends: &[IdHash]) -> u64 {
        let seed = self.snapshot.meta().digest_seed;
        let raw = content.raw_data.as_deref();
        let properties = content.properties.iter();
        // The origin is no part of what counts as a change.
        let properties = properties
            .filter(|(name, _)| name != ORIGIN)
            .map(|(name, value)| (name.as_str(), value.as_slice()));
        content_digest(seed, &content.type_name, &content.class, ends, properties, raw)
    }

    /// The digest of the contents of an uploaded object.
    pub fn uploaded_digest(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
        ends: &[IdHash],
    ) -> Result<u64, SyncError> {
        Ok(self.digest(&self.uploaded(kind, staged)?, ends))
    }

    /// The digest of the contents of a stored object, whose stored digest may be that of a text.
    pub fn stored_digest(self, kind: ObjectKind, number: u32) -> Result<u64, SyncError> {
        let content = self.stored(kind, number)?;
        let mut ends = Vec::new();
        if kind == ObjectKind::Relationship
            && let Some(facts) = self.snapshot.facts(kind, number)?
        {
            for end in [facts.ends.0, facts.ends.1] {
                let entity = self.snapshot.entity_head(end)?.ok_or_else(|| {
                    StoreError::corrupt("heads", &end.to_be_bytes(), "an end is missing")
                })?;
                ends.push(self.snapshot.hashed(entity.id));
            }
        }
        Ok(self.digest(&content, &ends))
    }

    /// The pins that an entity brings along, as a record of the table. `None` if it brings none.
    pub fn brought_pins(self, staged: &StagedObject) -> Result<Option<Vec<u8>>, SyncError> {
        let text = self.with_record(ObjectKind::Entity, staged, |record, names| {
            let mut found = None;
            let read = record.for_each_property(|name, value| {
                if names[name as usize] == PINS {
                    found = take_value(&mut ByteCursor(value));
                }
            });
            read.map(|_| found.and_then(|value| value.as_str().map(str::to_owned)))
        })?;
        let Some(text) = text.ok_or_else(SyncError::damaged_stage)? else { return Ok(None) };
        // It was checked when it was read.
        let pinned = pinned_properties(&text).map_err(|_| SyncError::damaged_stage())?;
        let encoded = pinned.iter().map(|(name, value)| {
            let mut bytes = Vec::new();
            put_value(&mut bytes, value);
            (name.as_ref(), bytes)
        });
        Ok(pin_record(encoded.collect()))
    }

    /// The pins of an OVERRIDE upload, as a record of the table. `None` if the upload has no
    /// properties, which removes the pins.
    pub fn pin_record(self, staged: &StagedObject) -> Result<Option<Vec<u8>>, SyncError> {
        let content = self.uploaded(ObjectKind::Entity, staged)?;
        let properties = content.properties.iter();
        Ok(pin_record(properties.map(|(name, value)| (name.as_str(), value.clone())).collect()))
    }

    /// A fault of a staged object, still without its message.
    pub fn fault(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
    ) -> Result<InputDiagnostic, SyncError> {
        let record = self.stage.record(staged)?;
        let record = StagedRecord::read(kind, &record, (0, staged.len));
        let record = record.ok_or_else(SyncError::damaged_stage)?;
        Ok(InputDiagnostic {
            place: record.place,
            column: 0,
            path: String::new(),
            key: Some(record.full_key(kind, self.stage.names(staged.frame))),
            message: String::new(),
        })
    }

    /// The fault for two keys of one scope with the same hash: the store cannot tell them apart.
    pub fn collision(
        self,
        kind: ObjectKind,
        staged: &StagedObject,
        other: &str,
    ) -> Result<InputDiagnostic, SyncError> {
        let mut fault = self.fault(kind, staged)?;
        fault.message = format!(
            "this `_key` has the same 64-bit hash as `{other}` in this database, which happens to \
             one upload in billions; rename one of them, or load the data into a new database, \
             whose hashes are others"
        );
        Ok(fault)
    }
}

/// Pins as a record of the table; `None` if there are none.
fn pin_record(properties: Vec<(&str, Vec<u8>)>) -> Option<Vec<u8>> {
    if properties.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    put_varint(&mut out, properties.len() as u64);
    for (name, value) in properties {
        put_bytes(&mut out, name.as_bytes());
        put_bytes(&mut out, &value);
    }
    Some(out)
}

impl MergedContents {
    /// These contents with the pins of the record `pin` laid over them.
    pub fn with_pins(mut self, pin: Option<&[u8]>) -> Result<MergedContents, SyncError> {
        if let Some(pin) = pin {
            let mut c = ByteCursor(pin);
            let read = (|| {
                let mut pinned = Vec::new();
                for _ in 0..c.varint()? {
                    let name = c.text()?.to_owned();
                    pinned.push((name, c.bytes()?.to_vec()));
                }
                Some(pinned)
            })();
            let pinned =
                read.ok_or_else(|| StoreError::corrupt("pins", &[], "contents make no sense"))?;
            self.overlay(pinned);
        }
        Ok(self)
    }

    /// Lays properties over those that are there; both ascend by name, and so does the result.
    pub fn overlay(&mut self, over: Vec<(String, Vec<u8>)>) {
        for (name, value) in over {
            match self.properties.binary_search_by(|(n, _)| n.as_str().cmp(&name)) {
                Ok(i) => self.properties[i].1 = value,
                Err(i) => self.properties.insert(i, (name, value)),
            }
        }
    }
}
