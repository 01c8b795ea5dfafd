//! The account of a run: each item in exactly one bucket, and those that made nothing with a reason.

/// The outcome of an item of an entity or of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceOutcome {
    /// It made an entity.
    Made,
    /// It agrees with an entity that an earlier item made.
    Folded,
    /// `where` left it out.
    Filtered,
    /// Its key, type or class is undefined, or is no name.
    UndefinedKey,
    /// It made an edge.
    Linked,
    /// It agrees with an edge that an earlier item made.
    Duplicate,
    /// `where` left the edge out.
    FilteredEdge,
    /// A key of an end is undefined: there is no reference.
    NoReference,
    /// An end refers to an entity that is not there.
    Dangling,
    /// An end fits several entities.
    Ambiguous,
    /// Another item says something else of the same edge.
    Conflict,
}

impl SourceOutcome {
    /// The buckets of entities, in the order they are printed.
    pub const ENTITIES: [SourceOutcome; 4] = [
        SourceOutcome::Made,
        SourceOutcome::Folded,
        SourceOutcome::Filtered,
        SourceOutcome::UndefinedKey,
    ];

    /// The buckets of relationships, in the order they are printed.
    pub const RELATIONSHIPS: [SourceOutcome; 7] = [
        SourceOutcome::Linked,
        SourceOutcome::Duplicate,
        SourceOutcome::FilteredEdge,
        SourceOutcome::NoReference,
        SourceOutcome::Dangling,
        SourceOutcome::Ambiguous,
        SourceOutcome::Conflict,
    ];

    /// The name of the bucket, e.g. `no reference`.
    pub fn name(self) -> &'static str {
        match self {
            SourceOutcome::Made => "made",
            SourceOutcome::Folded => "folded",
            SourceOutcome::Filtered | SourceOutcome::FilteredEdge => "filtered",
            SourceOutcome::UndefinedKey => "undefined key",
            SourceOutcome::Linked => "linked",
            SourceOutcome::Duplicate => "duplicate",
            SourceOutcome::NoReference => "no reference",
            SourceOutcome::Dangling => "dangling",
            SourceOutcome::Ambiguous => "ambiguous",
            SourceOutcome::Conflict => "conflict",
        }
    }
}

/// The number of items in each bucket, and of the rows that they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCount {
    /// Rows read.
    pub rows: u64,
    /// Rows that the `where` of their row set left out.
    pub filtered_rows: u64,
    /// Entities that ends made because no row did.
    pub created: u64,
    buckets: [u64; 11],
}

impl SourceCount {
    /// Counts one item.
    pub(super) fn add(&mut self, bucket: SourceOutcome) {
        self.buckets[bucket as usize] += 1;
    }

    /// Adds what another part of the run counted.
    pub(super) fn add_all(&mut self, other: &SourceCount) {
        self.rows += other.rows;
        self.filtered_rows += other.filtered_rows;
        self.created += other.created;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(count, more)| *count += more);
    }

    /// Items of a bucket.
    pub fn of(&self, bucket: SourceOutcome) -> u64 {
        self.buckets[bucket as usize]
    }

    /// Items of entities.
    pub fn entity_items(&self) -> u64 {
        SourceOutcome::ENTITIES.into_iter().map(|bucket| self.of(bucket)).sum()
    }

    /// Items of relationships.
    pub fn relationship_items(&self) -> u64 {
        SourceOutcome::RELATIONSHIPS.into_iter().map(|bucket| self.of(bucket)).sum()
    }
}

/// An item that made nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedItem {
    /// `file:line`.
    pub place: String,
    /// The bucket of the item.
    pub bucket: SourceOutcome,
    /// The reason, as a sentence without a full stop.
    pub reason: String,
}
