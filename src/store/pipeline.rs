//! Rows are made on all cores while those made before are handed to the engine, which takes them
//! from one thread.

use super::StoreError;
use rayon::prelude::*;

/// Takes group after group from `gather`, until one is empty; makes a row, or what stands for some,
/// of each member on all cores, and puts them in the order of the members. A group is made while the
/// one before it is put, so gathering it must not depend on that.
///
/// # Errors
///
/// The first of any of the three; what was put stays.
pub fn pipeline<S, G: Send, R: Send>(
    state: &mut S,
    mut gather: impl FnMut(&mut S) -> Result<Vec<G>, StoreError>,
    make: impl Fn(G) -> Result<R, StoreError> + Sync,
    mut put: impl FnMut(&mut S, R) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut made: Vec<Result<R, StoreError>> = Vec::new();
    loop {
        let mut group = gather(state)?;
        let mut next = Vec::new();
        let ended = group.is_empty();
        if made.is_empty() && group.len() == 1 {
            // Small jobs have one row; waking another thread takes longer.
            next.extend(group.pop().map(&make));
        } else {
            rayon::in_place_scope(|scope| {
                if !ended {
                    scope.spawn(|_| next = group.into_par_iter().map(&make).collect());
                }
                made.drain(..).try_for_each(|row| put(state, row?))
            })?;
        }
        if ended {
            return Ok(());
        }
        made = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts the members of groups of these sizes; the one that says so fails where it is made.
    fn run(sizes: &[usize], fault: Option<usize>) -> (Vec<usize>, bool) {
        let (mut sizes, mut gathered) = (sizes.iter(), 0..0);
        let mut put = Vec::new();
        let gather = |put: &mut Vec<usize>| {
            // Only the last group is still to be put.
            assert_eq!(put.len(), gathered.start);
            gathered = gathered.end..gathered.end + sizes.next().copied().unwrap_or(0);
            Ok(gathered.clone().collect())
        };
        let make = |at| match fault == Some(at) {
            true => Err(StoreError::Changed),
            false => Ok(at),
        };
        let put_one = |put: &mut Vec<usize>, at| {
            put.push(at);
            Ok(())
        };
        let result = pipeline(&mut put, gather, make, put_one);
        (put, result.is_ok())
    }

    #[test]
    fn members_are_put_in_order_and_the_first_fault_ends_it() {
        for sizes in [&[][..], &[1], &[1, 1, 1], &[7], &[5, 1, 1, 60, 2]] {
            let all = sizes.iter().sum();
            assert_eq!(run(sizes, None), ((0..all).collect(), true));
            for fault in 0..all {
                assert_eq!(run(sizes, Some(fault)), ((0..fault).collect(), false));
            }
        }
    }
}
