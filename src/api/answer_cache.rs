//! Answers of queries that wait for their next page.

use super::spool::{BodySegment, SpoolRoom, SpooledAnswer};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tombolo::db::StateRecord;
use uuid::Uuid;

/// The time that an answer is kept for its next page.
const KEPT: Duration = Duration::from_secs(300);
/// Bytes in memory of all kept answers: the ends of their rows, and the text of small ones.
const KEPT_BYTES: usize = 16 << 20;

/// An answer to a query: its rows as text, and the end of each of them.
pub struct SerializedAnswer {
    pub(super) kind: &'static str,
    pub(super) text: Arc<SpooledAnswer>,
    pub(super) ends: Vec<u64>,
    /// Notes on what the rows do not tell by themselves.
    pub(super) notes: Vec<String>,
    /// The state of the past that the rows are of.
    pub(super) as_of: Option<StateRecord>,
}

impl SerializedAnswer {
    /// The state of the past that the rows are of.
    pub fn as_of(&self) -> Option<&StateRecord> {
        self.as_of.as_ref()
    }

    /// `list`, `table` or `tree`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Notes on what the rows do not tell by themselves.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn is_tree(&self) -> bool {
        self.kind == "tree"
    }

    /// Some of the rows as a list; a tree as it is.
    pub fn data(&self, rows: Range<usize>) -> Vec<BodySegment> {
        if self.is_tree() {
            return vec![BodySegment::whole(Arc::clone(&self.text))];
        }
        // Between two rows is a comma.
        let start = match rows.start {
            0 => 0,
            first => self.ends[first - 1] + 1,
        };
        let mut data = vec![BodySegment::text("[")];
        if rows.start < rows.end {
            data.push(BodySegment::Range(Arc::clone(&self.text), start..self.ends[rows.end - 1]));
        }
        data.push(BodySegment::text("]"));
        data
    }

    /// All of it.
    pub fn all(&self) -> Vec<BodySegment> {
        self.data(0..self.ends.len())
    }

    fn in_memory(&self) -> usize {
        self.text.in_memory() + self.ends.capacity() * size_of::<u64>()
    }
}

/// An answer that was not taken whole.
struct CachedAnswer {
    id: Uuid,
    since: Instant,
    found: Arc<SerializedAnswer>,
}

/// The answers that wait for a next page.
#[derive(Default)]
pub struct AnswerCache(Mutex<VecDeque<CachedAnswer>>);

impl AnswerCache {
    /// The answers that are still young enough.
    fn fresh(&self) -> MutexGuard<'_, VecDeque<CachedAnswer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.front().is_some_and(|kept| kept.since.elapsed() > KEPT) {
            all.pop_front();
        }
        all
    }

    /// Forgets the answers that nobody asked for in time, and where room is short all of them.
    pub fn sweep(&self, room: &SpoolRoom) {
        let mut all = self.fresh();
        if room.is_crowded() {
            all.clear();
        }
    }

    pub(super) fn keep(&self, found: &Arc<SerializedAnswer>) -> Uuid {
        let id = Uuid::new_v4();
        let mut all = self.fresh();
        all.push_back(CachedAnswer { id, since: Instant::now(), found: Arc::clone(found) });
        let total =
            |all: &VecDeque<CachedAnswer>| all.iter().map(|k| k.found.in_memory()).sum::<usize>();
        // The newest answer stays whatever its size, since its cursor is about to be sent.
        while all.len() > 1 && total(&all) > KEPT_BYTES {
            all.pop_front();
        }
        id
    }

    pub(super) fn find(&self, id: Uuid) -> Option<Arc<SerializedAnswer>> {
        let all = self.fresh();
        Some(Arc::clone(&all.iter().find(|kept| kept.id == id)?.found))
    }
}
