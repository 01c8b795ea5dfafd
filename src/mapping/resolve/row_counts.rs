//! The account of a run: each row in exactly one bucket, and those that made no edge with a reason.

/// The outcome of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowOutcome {
    /// It has at least one edge.
    Linked,
    /// `where` left it out.
    Filtered,
    /// All its edges were already made by earlier rows.
    Duplicate,
    /// No entity of `from` was found.
    MissingFrom,
    /// No entity of `to` was found.
    MissingTo,
    /// Neither end was found.
    MissingBoth,
    /// Several entities, where only one may be.
    Ambiguous,
    /// All its edges break the cardinality.
    Conflict,
    /// A template has an undefined part, or makes no key.
    UndefinedKey,
}

impl RowOutcome {
    /// All buckets, in the order they are printed.
    pub const ALL: [RowOutcome; 9] = [
        RowOutcome::Linked,
        RowOutcome::Filtered,
        RowOutcome::Duplicate,
        RowOutcome::MissingFrom,
        RowOutcome::MissingTo,
        RowOutcome::MissingBoth,
        RowOutcome::Ambiguous,
        RowOutcome::Conflict,
        RowOutcome::UndefinedKey,
    ];

    /// The name of the bucket, e.g. `missing to`.
    pub fn name(self) -> &'static str {
        match self {
            RowOutcome::Linked => "linked",
            RowOutcome::Filtered => "filtered",
            RowOutcome::Duplicate => "duplicate",
            RowOutcome::MissingFrom => "missing from",
            RowOutcome::MissingTo => "missing to",
            RowOutcome::MissingBoth => "missing both",
            RowOutcome::Ambiguous => "ambiguous",
            RowOutcome::Conflict => "conflict",
            RowOutcome::UndefinedKey => "undefined key",
        }
    }

    /// True if the row lacks an end.
    pub fn is_missing(self) -> bool {
        matches!(self, RowOutcome::MissingFrom | RowOutcome::MissingTo | RowOutcome::MissingBoth)
    }
}

/// The number of rows in each bucket. The buckets add up to [`RowCount::read`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCount([u64; 9]);

impl RowCount {
    /// Counts one row.
    pub(in crate::mapping) fn add(&mut self, bucket: RowOutcome) {
        self.0[bucket as usize] += 1;
    }

    /// Rows of a bucket.
    pub fn of(&self, bucket: RowOutcome) -> u64 {
        self.0[bucket as usize]
    }

    /// Rows read.
    pub fn read(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Rows that lack an end.
    pub fn missing(&self) -> u64 {
        RowOutcome::ALL.into_iter().filter(|b| b.is_missing()).map(|b| self.of(b)).sum()
    }
}

/// A row that made no edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedRow {
    /// `file:line`, or the key of an entity.
    pub place: String,
    /// The bucket of the row.
    pub bucket: RowOutcome,
    /// The reason, as a sentence without a full stop.
    pub reason: String,
}

/// A property that a linked row leaves out, since its template is undefined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndefinedProperty {
    /// `file:line`, or the key of an entity.
    pub place: String,
    /// The name of the property.
    pub property: String,
    /// The part of its template that is undefined, e.g. `date(row.since)`.
    pub part: String,
}

impl UndefinedProperty {
    /// What is left out and why, as a sentence without a full stop.
    pub fn reason(&self) -> String {
        without_words(&self.property, &self.part)
    }
}

/// What is left out and why, as a sentence without a full stop.
pub(in crate::mapping) fn without_words(property: &str, part: &str) -> String {
    format!("without `{property}`: `{part}` is undefined")
}

/// The number of unmatched rows that are listed with their reason; the rest is counted.
pub const UNMATCHED_LISTED: usize = 10_000;
