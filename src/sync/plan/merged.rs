//! Merged contents, in batches of their own beside the uploaded ones.

use super::change::ContentLocation;
use crate::graph::InputLocation;
use crate::store::staging::{ObjectBatch, UploadStage};
use crate::store::{StoreError, put_varint};
use crate::sync::compare::MergedContents;
use crate::sync::stage::{NameNumbers, begin_record, put_entity_head};
use std::path::Path;

/// Merged contents, in batches of their own.
pub struct MergedBatchWriter {
    stage: UploadStage,
    batch: ObjectBatch,
    numbers: NameNumbers,
}

/// Bytes of records that make a batch of merged contents.
const BATCH: usize = if cfg!(test) { 256 } else { 1 << 20 };

impl MergedBatchWriter {
    /// Without contents yet; batches are spilled into `folder`.
    pub fn new(folder: &Path) -> MergedBatchWriter {
        MergedBatchWriter {
            stage: UploadStage::spool(folder),
            batch: ObjectBatch::new(),
            numbers: NameNumbers::default(),
        }
    }

    /// Keeps contents of an entity and returns their place.
    pub fn add(&mut self, merged: &MergedContents) -> Result<ContentLocation, StoreError> {
        if self.batch.records.len() > BATCH {
            self.close()?;
        }
        let mut number = |name: &str| self.numbers.of(name, &mut self.batch);
        let (type_name, class) = (number(&merged.type_name), number(&merged.class));
        let names: Vec<u32> = merged.properties.iter().map(|(name, _)| number(name)).collect();
        let (frame, out) = (self.stage.frames(), &mut self.batch.records);
        // Merged contents come from no single line of an input.
        let offset = begin_record(out, InputLocation::default());
        put_entity_head(out, &merged.key, type_name, class);
        put_varint(out, names.len() as u64);
        for (name, (_, value)) in names.iter().zip(&merged.properties) {
            put_varint(out, (*name).into());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(merged.raw_data.as_deref().unwrap_or("").as_bytes());
        let (len, offset) = ((out.len() - offset) as u32, offset as u32);
        Ok(ContentLocation { merged: true, frame, offset, len })
    }

    fn close(&mut self) -> Result<(), StoreError> {
        // Numbers of names are valid for one batch only.
        self.numbers = NameNumbers::default();
        self.stage.append(std::mem::replace(&mut self.batch, ObjectBatch::new()))
    }

    /// The batches of all contents that were kept.
    pub fn finish(mut self) -> Result<UploadStage, StoreError> {
        self.close()?;
        Ok(self.stage)
    }
}
