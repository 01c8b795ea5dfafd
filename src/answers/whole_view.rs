//! The view of all edges, for questions about many entities.

use super::AnswerError;
use crate::graph::AdjacencyRead;
use crate::limits::CostMeter;
use crate::store::Snapshot;
use crate::view::{GraphView, ViewBuildError};

/// Bytes that an edge takes while a view is built.
const EDGE_BYTES: u64 = 40;

/// Builds a view of all edges in memory, counted by `meter` until the question ends.
pub(super) fn whole_view(snapshot: &Snapshot, meter: &CostMeter) -> Result<GraphView, AnswerError> {
    meter.hold(EDGE_BYTES * snapshot.relationships_expected() as u64)?;
    GraphView::build(snapshot).map_err(|e| match e {
        ViewBuildError::Read(e) => e.into(),
        other => AnswerError::inconsistent(other),
    })
}
