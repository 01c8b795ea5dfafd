//! Work in order, made in parallel: pieces are gathered one after the other, made on all cores, and
//! handed out in the order in which they were gathered.
//!
//! One thread gathers and takes, since inputs are read and the engine takes rows from one thread
//! only. [`pipeline`] takes by a function, [`prefetch_all`] by an iterator of which one piece is made
//! ahead. Neither knows anything about the pieces.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Batches that are handed out in parts. A batch is dropped when its last part is done.
pub struct SharedBatches<I, B> {
    batches: I,
    current: Option<(Arc<B>, usize)>,
}

impl<E, B, I: Iterator<Item = Result<B, E>>> SharedBatches<I, B> {
    /// No batch is begun yet.
    pub fn new(batches: I) -> SharedBatches<I, B> {
        SharedBatches { batches, current: None }
    }

    /// The current batch and the number of its items that are taken. Goes on to the next batch when
    /// all are taken; `None` at the end.
    pub fn rest(&mut self, len: impl Fn(&B) -> usize) -> Result<Option<(Arc<B>, usize)>, E> {
        loop {
            match &self.current {
                Some((batch, taken)) if *taken < len(batch) => {
                    return Ok(Some((Arc::clone(batch), *taken)));
                }
                _ => {
                    self.current = match self.batches.next().transpose()? {
                        Some(batch) => Some((Arc::new(batch), 0)),
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// Sets the number of items of the current batch that are taken.
    pub fn take_to(&mut self, end: usize) {
        if let Some((_, taken)) = &mut self.current {
            *taken = end;
        }
    }
}

/// The answer of `gather` in [`pipeline`].
pub enum NextGroup<G> {
    /// A group to make.
    Group(G),
    /// The next group depends on groups that may not be put yet: ask again when all are put.
    Wait,
    /// No more groups.
    End,
}

/// The error for a group whose making panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerPanic;

/// Groups that are gathered in order and made out of order, with a bounded number under way.
struct OrderedGroups<'p, S, G, R, E> {
    gather: &'p mut dyn FnMut(&mut S) -> Result<NextGroup<G>, E>,
    /// Makes a group here.
    make: &'p dyn Fn(G) -> Result<R, E>,
    /// Lets another thread make a group.
    begin: &'p dyn Fn(G) -> Receiver<Result<R, E>>,
    /// Groups that may be under way while one is put.
    limit: usize,
    under_way: VecDeque<Receiver<Result<R, E>>>,
    /// The next group, gathered while those before it are made; `None` if nobody asked yet.
    ahead: Option<Result<NextGroup<G>, E>>,
}

impl<S, G, R, E: From<WorkerPanic>> OrderedGroups<'_, S, G, R, E> {
    /// The next result, or the first error of gathering or making; `None` at the end, and after an
    /// error. Everything that was handed out before must be put.
    fn next(&mut self, state: &mut S) -> Option<Result<R, E>> {
        while self.under_way.is_empty() {
            match self.ahead.take().unwrap_or_else(|| (self.gather)(state)) {
                Ok(NextGroup::Group(group)) => {
                    self.ahead = Some((self.gather)(state));
                    if let Some(Ok(NextGroup::End)) = self.ahead {
                        // A group alone is made here: waking another thread takes longer.
                        return Some((self.make)(group));
                    }
                    self.under_way.push_back((self.begin)(group));
                }
                // Everything is put here, so a group that had to wait can be gathered now.
                Ok(NextGroup::Wait) => {}
                Ok(NextGroup::End) => {
                    self.ahead = Some(Ok(NextGroup::End));
                    return None;
                }
                Err(e) => return Some(self.failed(e)),
            }
        }
        self.fill(state);
        let made = self.under_way.pop_front()?.recv().unwrap_or_else(|_| Err(WorkerPanic.into()));
        // The groups behind it are made while it is put.
        self.fill(state);
        Some(made.or_else(|e| self.failed(e)))
    }

    /// Begins groups until as many are under way as may be.
    fn fill(&mut self, state: &mut S) {
        while self.under_way.len() < self.limit {
            match self.ahead.take() {
                Some(Ok(NextGroup::Group(group))) => {
                    self.under_way.push_back((self.begin)(group));
                    self.ahead = Some((self.gather)(state));
                }
                // An error waits for its turn, as an end does.
                other => {
                    self.ahead = other;
                    return;
                }
            }
        }
    }

    /// Gives up all groups behind an error.
    fn failed<T>(&mut self, error: E) -> Result<T, E> {
        self.under_way.clear();
        self.ahead = Some(Ok(NextGroup::End));
        Err(error)
    }
}

/// Calls `take` with ordered groups that threads of the pool make.
fn ordered<S, G: Send, R: Send, E: Send + From<WorkerPanic>, T>(
    limit: usize,
    gather: &mut dyn FnMut(&mut S) -> Result<NextGroup<G>, E>,
    make: impl Fn(G) -> Result<R, E> + Sync,
    take: impl FnOnce(&mut OrderedGroups<'_, S, G, R, E>) -> T,
) -> T {
    debug_assert!(rayon::current_thread_index().is_none(), "it would wait for itself");
    // What a panic leaves half done is given up with the error.
    let make = |group| {
        let made = catch_unwind(AssertUnwindSafe(|| make(group)));
        made.unwrap_or_else(|_| Err(WorkerPanic.into()))
    };
    let make = &make;
    rayon::in_place_scope(|scope| {
        let begin = |group| {
            let (to, made) = sync_channel(1);
            // After an error nobody receives the result, so a failed send is fine.
            scope.spawn(move |_| drop(to.send(make(group))));
            made
        };
        let (limit, under_way) = (limit.max(1), VecDeque::new());
        take(&mut OrderedGroups { gather, make, begin: &begin, limit, under_way, ahead: None })
    })
}

/// Takes group after group from `gather`, lets `make` work on them on all cores, and calls `put`
/// with the results in the order of the groups. One group for each core and `more` are gathered and
/// not put at a time, so gathering a group must not depend on those before it being put.
///
/// Waits for `make`, so it must not be called on a thread of the pool that runs it.
///
/// # Errors
///
/// The error of the first group that has one, of any of the three, or [`WorkerPanic`] if `make`
/// panicked; results that were put stay.
pub fn pipeline<S, G: Send, R: Send, E: Send + From<WorkerPanic>>(
    state: &mut S,
    more: usize,
    mut gather: impl FnMut(&mut S) -> Result<NextGroup<G>, E>,
    make: impl Fn(G) -> Result<R, E> + Sync,
    mut put: impl FnMut(&mut S, R) -> Result<(), E>,
) -> Result<(), E> {
    // One is put and one is gathered ahead, beside those that are under way.
    let limit = (rayon::current_num_threads() + more).saturating_sub(1);
    ordered(limit, &mut gather, make, |groups| {
        while let Some(made) = groups.next(state) {
            put(state, made?)?;
        }
        Ok(())
    })
}

/// Calls `consume` with the products of all steps, in order. The next product is made while the last
/// one is consumed, and no other: `produce` may change what it works on from step to step.
///
/// Like [`pipeline`] it must not be called on a thread of the pool.
///
/// # Errors
///
/// The products end with the first error of `produce`, or with [`WorkerPanic`].
pub fn prefetch_all<I: Send, P: Send, E: Send + From<WorkerPanic>, T>(
    mut steps: impl Iterator<Item = I>,
    produce: impl FnMut(I) -> Result<P, E> + Send,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<P, E>>) -> T,
) -> T {
    // One step is under way at a time, so nobody waits for the lock.
    let produce = Mutex::new(produce);
    let make = |step| (produce.lock().unwrap_or_else(PoisonError::into_inner))(step);
    let mut gather = |(): &mut ()| Ok(steps.next().map_or(NextGroup::End, NextGroup::Group));
    ordered(1, &mut gather, make, |groups| {
        consume(&mut std::iter::from_fn(|| groups.next(&mut ())))
    })
}

/// The same with a consumer for each product.
///
/// # Errors
///
/// The first error of either side.
pub fn prefetch<I: Send, P: Send, E: Send + From<WorkerPanic>>(
    steps: impl Iterator<Item = I>,
    produce: impl FnMut(I) -> Result<P, E> + Send,
    mut consume: impl FnMut(P) -> Result<(), E>,
) -> Result<(), E> {
    prefetch_all(steps, produce, |made| {
        for product in made {
            consume(product?)?;
        }
        Ok(())
    })
}

/// Ranges of all numbers below `count`, `at_once` of them in a step.
pub fn step_ranges(count: usize, at_once: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count.div_ceil(at_once)).map(move |step| step * at_once..count.min((step + 1) * at_once))
}

/// The length of a step that keeps all cores at work while one waits for another.
pub fn parallel_step_len() -> usize {
    2 * rayon::current_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, PartialEq)]
    enum Fault {
        At(usize),
        Worker,
    }

    impl From<WorkerPanic> for Fault {
        fn from(_: WorkerPanic) -> Fault {
            Fault::Worker
        }
    }

    /// Puts the numbers below `count`; every `waits`th waits for all before it, and the one that says
    /// so fails where it is made.
    fn run(count: usize, more: usize, waits: usize, fault: Option<usize>) -> (Vec<usize>, bool) {
        let (mut gathered, mut waited) = (0, false);
        let mut put = Vec::new();
        let gather = |put: &mut Vec<usize>| {
            assert!(gathered - put.len() <= more + rayon::current_num_threads());
            if gathered == count {
                return Ok(NextGroup::End);
            }
            if gathered > 0 && gathered % waits == 0 {
                if !std::mem::replace(&mut waited, true) {
                    return Ok(NextGroup::Wait);
                }
                assert_eq!(put.len(), gathered, "not all before it was put");
            }
            waited = false;
            gathered += 1;
            Ok(NextGroup::Group(gathered - 1))
        };
        let make = |at| if fault == Some(at) { Err(Fault::At(at)) } else { Ok(at) };
        let put_one = |put: &mut Vec<usize>, at| {
            put.push(at);
            Ok(())
        };
        let result = pipeline(&mut put, more, gather, make, put_one);
        (put, result.is_ok())
    }

    #[test]
    fn groups_are_put_in_order_and_the_first_fault_ends_it() {
        for count in [0, 1, 2, 3, 70] {
            for (more, waits) in [(0, 1000), (2, 1), (3, 7), (100, 20)] {
                assert_eq!(run(count, more, waits, None), ((0..count).collect(), true));
                for fault in 0..count {
                    let done = run(count, more, waits, Some(fault));
                    assert_eq!(done, ((0..fault).collect(), false));
                }
            }
        }
    }

    /// Results of a pipeline of numbers, of which `make` takes its time for the even ones.
    fn made(
        count: usize,
        gather_fails: usize,
        make: impl Fn(usize) -> Result<usize, Fault> + Sync,
    ) -> (Vec<usize>, Result<(), Fault>) {
        let mut numbers = 0..count;
        let mut put = Vec::new();
        let gather = |_: &mut Vec<usize>| match numbers.next() {
            Some(at) if at == gather_fails => Err(Fault::At(at)),
            next => Ok(next.map_or(NextGroup::End, NextGroup::Group)),
        };
        let make = |at: usize| {
            if at.is_multiple_of(2) {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            make(at)
        };
        let result = pipeline(&mut put, 3, gather, make, |put, at| {
            put.push(at);
            Ok(())
        });
        (put, result)
    }

    #[test]
    fn order_is_kept_whoever_is_done_first() {
        assert_eq!(made(60, 60, Ok), ((0..60).collect(), Ok(())));
    }

    #[test]
    fn the_first_error_in_order_wins() {
        // The later one is there long before the earlier one, and so is that of gathering.
        let fails = |at: usize| if at == 4 || at == 5 { Err(Fault::At(at)) } else { Ok(at) };
        assert_eq!(made(60, 60, fails), ((0..4).collect(), Err(Fault::At(4))));
        assert_eq!(made(60, 6, fails), ((0..4).collect(), Err(Fault::At(4))));
        assert_eq!(made(60, 3, fails), ((0..3).collect(), Err(Fault::At(3))));
        assert_eq!(made(60, 0, fails), (vec![], Err(Fault::At(0))));
    }

    #[test]
    fn a_panic_of_a_worker_is_an_error() {
        let panics = |of: usize| {
            move |at: usize| {
                assert!(at != of, "on purpose");
                Ok(at)
            }
        };
        for count in [1, 2, 60] {
            let last = count - 1;
            let expected = ((0..last).collect(), Err(Fault::Worker));
            assert_eq!(made(count, count, panics(last)), expected);
        }
        let stepped = |of: usize| {
            let mut seen = Vec::new();
            let result = prefetch(0..9, panics(of), |at| {
                seen.push(at);
                Ok(())
            });
            (seen, result)
        };
        assert_eq!(stepped(7), ((0..7).collect(), Err(Fault::Worker)));
    }

    #[test]
    fn so_many_are_under_way_and_no_more() {
        let (begun, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut numbers = 0..200;
        let gather = |put: &mut usize| {
            let next = numbers.next();
            if let Some(at) = next {
                most.fetch_max(at + 1 - *put, Ordering::Relaxed);
            }
            Ok(next.map_or(NextGroup::End, NextGroup::Group))
        };
        let make = |at: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            Ok::<usize, Fault>(at)
        };
        let mut put = 0;
        pipeline(&mut put, 3, gather, make, |put, _| {
            *put += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((put, begun.into_inner()), (200, 200));
        let bound = rayon::current_num_threads() + 4;
        assert!(most.load(Ordering::Relaxed) <= bound, "{most:?} of {bound}");
    }

    #[test]
    fn what_cannot_be_put_ends_it() {
        let mut numbers = 0..50;
        let gather = |_: &mut usize| Ok(numbers.next().map_or(NextGroup::End, NextGroup::Group));
        let mut put = 0;
        let result = pipeline(&mut put, 2, gather, Ok, |put, at| {
            *put += 1;
            if at == 20 { Err(Fault::At(20)) } else { Ok(()) }
        });
        assert_eq!((put, result), (21, Err(Fault::At(20))));
    }

    fn run_steps(
        steps: usize,
        produced: Option<usize>,
        consumed: Option<usize>,
    ) -> (Vec<usize>, bool) {
        let mut seen = Vec::new();
        let fail = |at: usize, wrong: Option<usize>| match wrong == Some(at) {
            true => Err(Fault::At(at)),
            false => Ok(at),
        };
        let result = prefetch(
            0..steps,
            |at| fail(at, produced),
            |at| {
                seen.push(fail(at, consumed)?);
                Ok(())
            },
        );
        (seen, result.is_ok())
    }

    #[test]
    fn several_at_once_are_all_in_the_end() {
        for (count, at_once) in [(0, 3), (1, 3), (3, 3), (7, 3), (9, 1)] {
            let steps: Vec<Range<usize>> = step_ranges(count, at_once).collect();
            assert!(steps.iter().all(|step| (1..=at_once).contains(&step.len())));
            assert_eq!(
                steps.into_iter().flatten().collect::<Vec<_>>(),
                (0..count).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn steps_come_in_order_and_the_first_fault_ends_them() {
        for steps in [0, 1, 2, 50] {
            assert_eq!(run_steps(steps, None, None), ((0..steps).collect(), true));
        }
        for steps in [1, 2, 50] {
            let last = steps - 1;
            assert_eq!(run_steps(steps, Some(last), None), ((0..last).collect(), false));
            assert_eq!(run_steps(steps, None, Some(last)), ((0..last).collect(), false));
            assert_eq!(run_steps(steps, Some(0), None), (vec![], false));
            assert_eq!(run_steps(steps, None, Some(0)), (vec![], false));
        }
    }

    #[test]
    fn one_step_is_made_ahead_and_no_more() {
        let made = AtomicUsize::new(0);
        let mut consumed = 0;
        let produce = |at| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<usize, Fault>(at)
        };
        prefetch(0..50, produce, |_| {
            consumed += 1;
            assert!(made.load(Ordering::SeqCst) <= consumed + 1);
            Ok(())
        })
        .unwrap();
        assert_eq!(consumed, 50);
    }

    #[test]
    fn batches_are_handed_out_whole() {
        let source = [vec![1, 2, 3], vec![], vec![4], vec![5, 6]].map(Ok::<_, ()>);
        let mut batches = SharedBatches::new(source.into_iter());
        let mut seen = Vec::new();
        while let Some((batch, taken)) = batches.rest(Vec::len).unwrap() {
            let end = batch.len().min(taken + 2);
            seen.extend_from_slice(&batch[taken..end]);
            batches.take_to(end);
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    }
}
