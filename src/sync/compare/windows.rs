//! Windows: the staged objects of one kind in runs of batches, so that each batch is read once and
//! memory holds a few of them.

use super::partitions::HELD;
use crate::graph::{IdHash, ObjectKind};
use crate::store::staging::{StagedObject, StagedRelationship, UploadStage};
use crate::store::{SpillBuckets, SpillRecord, StoreError};
use crate::sync::SyncError;
use std::ops::Range;
use std::path::Path;

/// Staged objects of either kind.
pub trait UploadedObject: AsRef<StagedObject> + Copy + Send + Sync {
    /// The kind of these objects.
    const KIND: ObjectKind;

    /// Hashes of the ids of the ends of a relationship.
    fn ends(&self) -> Vec<IdHash>;

    /// All of a batch.
    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError>;

    /// One of a batch.
    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError>;
}

impl UploadedObject for StagedObject {
    const KIND: ObjectKind = ObjectKind::Entity;

    fn ends(&self) -> Vec<IdHash> {
        Vec::new()
    }

    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError> {
        stage.entities(frame)
    }

    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError> {
        stage.entity(frame, i)
    }
}

impl UploadedObject for StagedRelationship {
    const KIND: ObjectKind = ObjectKind::Relationship;

    fn ends(&self) -> Vec<IdHash> {
        vec![self.from.id, self.to.id]
    }

    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError> {
        stage.relationships(frame)
    }

    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError> {
        stage.relationship(frame, i)
    }
}

/// Objects of a window, about: what is decided and stored in one go.
const WINDOW: u32 = if cfg!(test) { 16 } else { 64 << 10 };

/// The staged objects of one kind, in runs of batches.
pub struct StageWindows {
    /// Batches of each window.
    frames: Vec<Range<u32>>,
    /// Position of the first object of each window.
    firsts: Vec<u32>,
    /// Position of the first object of each batch.
    starts: Vec<u32>,
    /// The number of objects.
    pub total: u32,
}

impl StageWindows {
    /// The windows of all staged objects of a kind.
    pub fn of_stage(stage: &UploadStage, kind: ObjectKind) -> Result<StageWindows, SyncError> {
        let (mut frames, mut firsts): (Vec<Range<u32>>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut starts = Vec::with_capacity(stage.frames() as usize);
        let mut total: u32 = 0;
        for frame in 0..stage.frames() {
            match frames.last_mut().zip(firsts.last()) {
                Some((frames, first)) if total - first < WINDOW => frames.end = frame + 1,
                _ => {
                    frames.push(frame..frame + 1);
                    firsts.push(total);
                }
            }
            starts.push(total);
            // Ends are kept as a position and one bit in 32 bits, so a position has 31.
            total = total
                .checked_add(stage.count(kind, frame))
                .filter(|total| *total < 1 << 31)
                .ok_or_else(|| SyncError::State("an upload takes at most 2^31 objects".into()))?;
        }
        Ok(StageWindows { frames, firsts, starts, total })
    }

    /// The number of windows.
    pub fn count(&self) -> usize {
        self.frames.len()
    }

    /// The batches of a window.
    pub fn batches(&self, window: usize) -> Range<u32> {
        self.frames[window].clone()
    }

    /// Empty buckets, one for each window.
    pub fn buckets<T: SpillRecord>(&self, folder: &Path) -> SpillBuckets<T> {
        SpillBuckets::new(folder, self.frames.len(), HELD)
    }

    /// The positions of the objects of a window.
    pub fn objects(&self, window: usize) -> Range<u32> {
        self.firsts[window]..self.firsts.get(window + 1).copied().unwrap_or(self.total)
    }

    /// The position of the first object of a batch.
    pub fn first_of(&self, frame: u32) -> u32 {
        self.starts[frame as usize]
    }

    /// The window of a position.
    pub fn of(&self, ordinal: u32) -> usize {
        self.firsts.partition_point(|first| *first <= ordinal) - 1
    }

    /// The batch of a position, and the position in it.
    pub fn place(&self, ordinal: u32) -> (u32, u32) {
        let frame = self.starts.partition_point(|start| *start <= ordinal) - 1;
        (frame as u32, ordinal - self.starts[frame])
    }
}
