//! Work in order: groups are gathered one after the other, made on all cores, and taken in the order in
//! which they were gathered, so that a run tells the same on any machine.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};

/// Takes group after group from `next`, lets `make` work on them on all cores, and calls `put` with the
/// results in the order of the groups, until it returns false. A bounded number is under way.
pub(super) fn in_order<G: Send, R: Send>(
    mut next: impl FnMut() -> Option<G>,
    make: impl Fn(G) -> R + Sync,
    mut put: impl FnMut(R) -> bool,
) {
    let Some(first) = next() else { return };
    let mut ahead = next();
    // A group alone is made here: waking another thread takes longer. A thread of the pool would wait for
    // itself.
    if ahead.is_none() || rayon::current_thread_index().is_some() {
        let mut group = Some(first);
        while let Some(this) = group {
            if !put(make(this)) {
                return;
            }
            group = ahead.take().or_else(&mut next);
        }
        return;
    }
    let limit = rayon::current_num_threads() + 2;
    let make = &make;
    rayon::in_place_scope(|scope| {
        let begin = |group: G| {
            let (to, made) = sync_channel(1);
            // After the end nobody receives the result, so a failed send is fine.
            scope.spawn(move |_| drop(to.send(make(group))));
            made
        };
        let mut under_way: VecDeque<Receiver<R>> = VecDeque::from([begin(first)]);
        loop {
            while under_way.len() < limit {
                match ahead.take() {
                    Some(group) => {
                        under_way.push_back(begin(group));
                        ahead = next();
                    }
                    None => break,
                }
            }
            // Of a group that panicked there is no result; the scope goes on with the panic.
            let Some(Ok(made)) = under_way.pop_front().map(|made| made.recv()) else { return };
            if !put(made) {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_taken_in_order_until_there_is_enough() {
        for count in [0, 1, 2, 3, 50] {
            for most in [1, 2, 40, 100] {
                let mut numbers = 0..count;
                let mut taken = Vec::new();
                let make = |number: usize| {
                    if number.is_multiple_of(3) {
                        std::thread::sleep(std::time::Duration::from_micros(300));
                    }
                    number * 2
                };
                in_order(
                    || numbers.next(),
                    make,
                    |made| {
                        taken.push(made);
                        taken.len() < most
                    },
                );
                let expected: Vec<usize> = (0..count).map(|n| n * 2).take(most).collect();
                assert_eq!(taken, expected);
            }
        }
    }
}
