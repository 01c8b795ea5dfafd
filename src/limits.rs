//! The cost of a question, counted while it is answered: time, edges, rows and bytes.
//!
//! Bytes are counted before they are kept. Each part of a question adds its bytes first (for rows,
//! groups, the memory of a walk, a text that is put together), and is refused if they are too many. It
//! gives them back when it ends, at the latest with the [`CostMeter`] of the question. Small things that
//! come and go are not counted, so a process needs some memory beside a pool.
//!
//! Questions themselves are defined elsewhere; so are the limits of bodies and connections.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Memory that all questions of a process share, in bytes.
#[derive(Debug)]
pub struct MemoryPool {
    size: u64,
    taken: AtomicU64,
    /// True if a question that took much has ended; see [`MemoryPool::take_large`].
    large: AtomicBool,
}

impl MemoryPool {
    /// A pool of `size` bytes, all of them free.
    pub fn new(size: u64) -> MemoryPool {
        MemoryPool { size, taken: AtomicU64::new(0), large: AtomicBool::new(false) }
    }

    /// All bytes of the pool.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that are taken now.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// True if a question that took much has ended since the last call. Then it is time to free caches as
    /// well, because memory that stays in use in between keeps the process from shrinking.
    pub fn take_large(&self) -> bool {
        // Nearly every call finds nothing, and a load alone does not write to shared memory.
        self.large.load(Ordering::Relaxed) && self.large.swap(false, Ordering::Relaxed)
    }

    /// Takes bytes and returns true, if so many are free; [`MemoryPool::give_back`] gives them back.
    #[must_use]
    pub fn take(&self, bytes: u64) -> bool {
        // Added first and undone if it was too much: for a moment another question may be refused in vain,
        // but never do two get the same bytes.
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.size;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The cost at which a question is stopped.
#[derive(Clone, Debug)]
pub struct QuestionLimits {
    /// Time from beginning to end.
    pub time: Option<Duration>,
    /// Rows, groups or objects held at once.
    pub rows: u64,
    /// Edges walked.
    pub steps: u64,
    /// Bytes of one value that is put together from others.
    pub value: u64,
    /// Bytes held at once.
    pub memory: u64,
    /// The pool that those bytes are taken from, shared with other questions.
    pub pool: Option<Arc<MemoryPool>>,
    /// Set when nobody waits for the answer any more.
    pub cancelled: Option<Arc<AtomicBool>>,
}

impl Default for QuestionLimits {
    fn default() -> QuestionLimits {
        QuestionLimits {
            time: None,
            rows: 10_000_000,
            steps: 1_000_000_000,
            value: 16 << 20,
            memory: 1 << 30,
            pool: None,
            cancelled: None,
        }
    }
}

/// The reason why a question was stopped, with the limit that it went over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// Time.
    Time(Duration),
    /// Edges.
    Steps(u64),
    /// Rows, groups or objects.
    Rows(u64),
    /// Steps of one path, each inside the one before it.
    Depth(u32),
    /// Bytes of one value.
    Value(u64),
    /// Bytes of the question.
    Memory(u64),
    /// Bytes of all questions together.
    Shared(u64),
    /// A pattern so large, and a text so long, that matching may take minutes.
    Pattern,
    /// Nobody waits for the answer.
    Cancelled,
}

impl LimitError {
    /// Advice what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            LimitError::Time(_)
            | LimitError::Steps(_)
            | LimitError::Rows(_)
            | LimitError::Depth(_) => {
                "make it start at fewer entities, walk fewer steps, or add LIMIT"
            }
            LimitError::Value(_) => "put fewer or shorter values together",
            LimitError::Memory(_) => {
                "ask for fewer rows or columns, or leave out long texts; `--memory` raises the limit"
            }
            LimitError::Shared(_) => "ask again when those beside it are answered",
            LimitError::Pattern => "write a shorter pattern, or look at a shorter property",
            LimitError::Cancelled => "ask again",
        }
    }
}

/// Writes bytes for people, in whole units: `16 MiB`.
fn mebibytes(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        bytes => format!("{} MiB", bytes >> 20),
    }
}

impl std::error::Error for LimitError {}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitError::Time(limit) => write!(f, "it took longer than {} s", limit.as_secs_f64()),
            LimitError::Steps(limit) => write!(f, "it walked more than {limit} edges"),
            LimitError::Rows(limit) => write!(f, "it has more than {limit} rows"),
            LimitError::Depth(limit) => write!(f, "it follows paths of more than {limit} steps"),
            LimitError::Value(limit) => {
                write!(f, "one value would have more than {}", mebibytes(*limit))
            }
            LimitError::Memory(limit) => {
                write!(f, "it needs more than {} of memory", mebibytes(*limit))
            }
            LimitError::Shared(size) => {
                write!(f, "all questions together need more than {} of memory", mebibytes(*size))
            }
            LimitError::Pattern => f.write_str("a large pattern meets a long text"),
            LimitError::Cancelled => f.write_str("nobody waits for its answer"),
        }
    }
}

/// The reason why a question has no answer. `E` is the error of reading the graph.
#[derive(Clone, Debug)]
pub enum QuestionError<E> {
    /// The graph could not be read.
    Read(E),
    /// It costs too much, and nothing of the answer is shown.
    Limit(LimitError),
}

impl<E> From<E> for QuestionError<E> {
    fn from(e: E) -> QuestionError<E> {
        QuestionError::Read(e)
    }
}

/// Number of bytes that are taken from the pool at a time.
const GRANT: u64 = 256 << 10;
/// A question that took more bytes than this took much.
const LARGE: u64 = 32 << 20;
/// Units of [`CostMeter::spend`] between two looks at the clock; a unit is a nanosecond or a few.
const LOOK: u64 = 1 << 22;

/// The account of one question: its cost so far, and the bytes that it holds.
#[derive(Debug)]
pub struct CostMeter {
    limits: QuestionLimits,
    started: Instant,
    steps: Cell<u64>,
    spent: Cell<u64>,
    held: Cell<u64>,
    /// Bytes taken from the pool; never less than `held`.
    granted: Cell<u64>,
    /// The most that `granted` ever was.
    peak: Cell<u64>,
}

impl CostMeter {
    /// The account of a question that begins now.
    pub fn new(limits: QuestionLimits) -> CostMeter {
        CostMeter {
            limits,
            started: Instant::now(),
            steps: Cell::new(0),
            spent: Cell::new(0),
            held: Cell::new(0),
            granted: Cell::new(0),
            peak: Cell::new(0),
        }
    }

    /// The limits of the question.
    pub fn limits(&self) -> &QuestionLimits {
        &self.limits
    }

    /// Edges walked so far.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// Counts edges, and looks at the clock now and then.
    #[inline]
    pub fn work(&self, steps: u64) -> Result<(), LimitError> {
        let before = self.steps.get();
        let now = before + steps;
        self.steps.set(now);
        if now > self.limits.steps {
            return Err(LimitError::Steps(self.limits.steps));
        }
        // A look costs more than an edge, so there is one for about 4,096 of them.
        if before >> 12 != now >> 12 { self.look() } else { Ok(()) }
    }

    /// Counts work that is no edge, about a nanosecond a unit, and looks at the clock now and then.
    #[inline]
    pub fn spend(&self, units: u64) -> Result<(), LimitError> {
        let now = self.spent.get().saturating_add(units);
        if now < LOOK {
            self.spent.set(now);
            return Ok(());
        }
        self.spent.set(0);
        self.look()
    }

    /// Fails if the time is over, or if nobody waits for the answer any more.
    pub fn look(&self) -> Result<(), LimitError> {
        if self.limits.cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(LimitError::Cancelled);
        }
        match self.limits.time {
            Some(limit) if self.started.elapsed() > limit => Err(LimitError::Time(limit)),
            _ => Ok(()),
        }
    }

    /// The instant at which the time of the question is over; `None` if it has no limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits.time.and_then(|time| self.started.checked_add(time))
    }

    /// Refuses more rows than may be held.
    #[inline]
    pub fn room(&self, rows: usize) -> Result<(), LimitError> {
        match rows as u64 > self.limits.rows {
            true => Err(LimitError::Rows(self.limits.rows)),
            false => Ok(()),
        }
    }

    /// Refuses a value of more bytes than one may have.
    #[inline]
    pub fn value(&self, bytes: usize) -> Result<(), LimitError> {
        match bytes as u64 > self.limits.value {
            true => Err(LimitError::Value(self.limits.value)),
            false => Ok(()),
        }
    }

    /// Counts bytes that are about to be kept.
    #[inline]
    pub fn hold(&self, bytes: u64) -> Result<(), LimitError> {
        let held = self.held.get().saturating_add(bytes);
        // The grant comes first, so bytes that are refused are not counted as held.
        if held > self.granted.get() {
            self.grant(held)?;
        }
        self.held.set(held);
        Ok(())
    }

    fn grant(&self, held: u64) -> Result<(), LimitError> {
        if held > self.limits.memory {
            return Err(LimitError::Memory(self.limits.memory));
        }
        // Whole grants keep threads from the shared counter at each row. The last grant ends at the limit.
        let wanted = held.next_multiple_of(GRANT).min(self.limits.memory.max(held));
        let more = wanted - self.granted.get();
        if let Some(pool) = &self.limits.pool
            && !pool.take(more)
        {
            return Err(LimitError::Shared(pool.size()));
        }
        self.granted.set(wanted);
        self.peak.set(self.peak.get().max(wanted));
        Ok(())
    }

    /// Counts bytes that are no longer kept.
    pub fn release(&self, bytes: u64) {
        let held = self.held.get().saturating_sub(bytes);
        self.held.set(held);
        let spare = self.granted.get().saturating_sub(held.next_multiple_of(GRANT));
        // Up to 4 MiB stay granted, so that a question that holds and releases in turn
        // leaves the pool alone.
        if spare > 16 * GRANT {
            self.granted.set(self.granted.get() - spare);
            if let Some(pool) = &self.limits.pool {
                pool.give_back(spare);
            }
        }
    }

    /// An account for a part of the question, which gives back what it holds when it ends.
    pub fn part(&self) -> MemoryReservation<'_> {
        MemoryReservation { meter: self, held: 0 }
    }
}

impl Drop for CostMeter {
    fn drop(&mut self) {
        if let Some(pool) = &self.limits.pool {
            pool.give_back(self.granted.get());
            // By the peak, since most of it may have been released before.
            if self.peak.get() > LARGE {
                pool.large.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The bytes that a part of a question holds. Dropping it gives them back.
#[derive(Debug)]
pub struct MemoryReservation<'m> {
    meter: &'m CostMeter,
    held: u64,
}

impl MemoryReservation<'_> {
    /// Counts bytes that are about to be kept by this part.
    pub fn hold(&mut self, bytes: u64) -> Result<(), LimitError> {
        self.meter.hold(bytes)?;
        self.held += bytes;
        Ok(())
    }
}

impl Drop for MemoryReservation<'_> {
    fn drop(&mut self) {
        self.meter.release(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meter(memory: u64, pool: &Arc<MemoryPool>) -> CostMeter {
        CostMeter::new(QuestionLimits {
            memory,
            pool: Some(Arc::clone(pool)),
            ..QuestionLimits::default()
        })
    }

    #[test]
    fn a_question_is_refused_before_it_holds_too_much() {
        let pool = Arc::new(MemoryPool::new(1 << 20));
        let one = meter(600 << 10, &pool);
        assert_eq!(one.hold(500 << 10), Ok(()));
        assert_eq!(one.hold(200 << 10), Err(LimitError::Memory(600 << 10)));
        assert_eq!(one.held(), 500 << 10, "what was refused is not held");
        let other = meter(1 << 30, &pool);
        assert_eq!(other.hold(600 << 10), Err(LimitError::Shared(1 << 20)));
        drop(one);
        assert_eq!(other.hold(600 << 10), Ok(()));
        drop(other);
        assert_eq!(pool.taken(), 0, "all is given back");
    }

    #[test]
    fn a_part_gives_back_what_it_held_however_it_ends() {
        let meter = CostMeter::new(QuestionLimits { memory: 1 << 20, ..QuestionLimits::default() });
        let walk = || -> Result<(), LimitError> {
            let mut part = meter.part();
            part.hold(900 << 10)?;
            part.hold(900 << 10)
        };
        assert_eq!(walk(), Err(LimitError::Memory(1 << 20)));
        assert_eq!(meter.held(), 0);
        assert_eq!(meter.hold(900 << 10), Ok(()));
    }

    #[test]
    fn who_hangs_up_stops_the_question() {
        let flag = Arc::new(AtomicBool::new(false));
        let limits =
            QuestionLimits { cancelled: Some(Arc::clone(&flag)), ..QuestionLimits::default() };
        let meter = CostMeter::new(limits);
        assert_eq!(meter.look(), Ok(()));
        flag.store(true, Ordering::Relaxed);
        assert_eq!(meter.look(), Err(LimitError::Cancelled));
        let late = (0..20_000).find_map(|_| meter.work(1).err());
        assert_eq!(late, Some(LimitError::Cancelled), "also in the middle of a walk");
    }

    proptest! {
        /// The pool knows the sum of all questions, in any order of events, and is empty at the end.
        #[test]
        fn the_pool_holds_what_its_questions_hold(steps in prop::collection::vec(
            (0usize..3, any::<bool>(), 0u64..3_000_000), 0..60))
        {
            let pool = Arc::new(MemoryPool::new(6 << 20));
            let meters = [meter(4 << 20, &pool), meter(4 << 20, &pool), meter(4 << 20, &pool)];
            let mut held = [0u64; 3];
            for (who, more, bytes) in steps {
                match more {
                    true => if meters[who].hold(bytes).is_ok() { held[who] += bytes },
                    false => {
                        let bytes = bytes.min(held[who]);
                        meters[who].release(bytes);
                        held[who] -= bytes;
                    }
                }
                prop_assert_eq!(meters[who].held(), held[who]);
                prop_assert!(pool.taken() <= pool.size());
                prop_assert!(pool.taken() >= held.iter().sum());
            }
            drop(meters);
            prop_assert_eq!(pool.taken(), 0);
        }
    }
}
