//! A pipeline in order: rows are made on all cores, and one thread puts them in order, since the
//! engine takes rows from one thread only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

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

/// Takes group after group from `gather`, lets `make` work on them on all cores, and calls `put`
/// with the results in the order of the groups. One group for each core and `more` are under way at
/// a time, so gathering a group must not depend on those before it being put.
///
/// Waits for `make`, so it must not be called on a thread of the pool that runs it.
///
/// # Errors
///
/// The first error of any of the three; results that were put stay.
pub fn pipeline<S, G: Send, R: Send, E: Send>(
    state: &mut S,
    more: usize,
    mut gather: impl FnMut(&mut S) -> Result<NextGroup<G>, E>,
    make: impl Fn(G) -> Result<R, E> + Sync,
    mut put: impl FnMut(&mut S, R) -> Result<(), E>,
) -> Result<(), E> {
    debug_assert!(rayon::current_thread_index().is_none(), "it would wait for itself");
    let first = loop {
        match gather(state)? {
            NextGroup::Group(first) => break first,
            NextGroup::Wait => {}
            NextGroup::End => return Ok(()),
        }
    };
    let mut next = gather(state)?;
    if let NextGroup::End = next {
        // A single group is made here: waking another thread takes longer.
        return put(state, make(first)?);
    }
    let most = rayon::current_num_threads() + more;
    let make = &make;
    rayon::in_place_scope(|scope| {
        let begin = |group| {
            let (to, made) = sync_channel(1);
            // After an error nobody receives the result, so a failed send is fine.
            scope.spawn(move |_| drop(to.send(make(group))));
            made
        };
        let mut under_way = VecDeque::from([begin(first)]);
        loop {
            while under_way.len() < most
                && let NextGroup::Group(group) = next
            {
                under_way.push_back(begin(group));
                next = gather(state)?;
            }
            // Everything is put here, so a group that had to wait can be gathered now.
            let Some(made) = under_way.pop_front() else {
                match next {
                    NextGroup::Group(group) => under_way.push_back(begin(group)),
                    NextGroup::Wait => {}
                    NextGroup::End => return Ok(()),
                }
                next = gather(state)?;
                continue;
            };
            // `make` panicked, and the scope goes on with the panic when it ends.
            let Ok(made) = made.recv() else { return Ok(()) };
            put(state, made?)?;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let make = |at| if fault == Some(at) { Err("fault") } else { Ok(at) };
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

    #[test]
    fn what_cannot_be_put_ends_it() {
        let mut numbers = 0..50;
        let gather = |_: &mut usize| Ok(numbers.next().map_or(NextGroup::End, NextGroup::Group));
        let mut put = 0;
        let result = pipeline(&mut put, 2, gather, Ok, |put, at| {
            *put += 1;
            if at == 20 { Err("full") } else { Ok(()) }
        });
        assert_eq!((put, result), (21, Err("full")));
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
