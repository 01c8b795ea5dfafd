//! Working ahead: all cores make the next step while one thread ends the last one.

use super::SyncError;
use std::ops::Range;
use std::sync::mpsc::sync_channel;

/// Calls `produce` for each step and `consume` for each product, in order. The next step is made
/// while the last one is consumed; one product waits at most.
///
/// # Errors
///
/// The first error of either side.
pub fn prefetch<S, P: Send>(
    steps: impl ExactSizeIterator<Item = S> + Send,
    produce: impl FnMut(S) -> Result<P, SyncError> + Send,
    mut consume: impl FnMut(P) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    prefetch_all(steps, produce, |made| {
        for product in made {
            consume(product?)?;
        }
        Ok(())
    })
}

/// The same with one consumer for all steps.
pub fn prefetch_all<S, P: Send, E: Send, R>(
    steps: impl ExactSizeIterator<Item = S> + Send,
    mut produce: impl FnMut(S) -> Result<P, E> + Send,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<P, E>>) -> R,
) -> R {
    if steps.len() <= 1 {
        // A thread would take longer to start.
        return consume(&mut steps.map(produce));
    }
    std::thread::scope(|scope| {
        // Without room in the channel one product waits at most.
        let (to, made) = sync_channel(0);
        scope.spawn(move || {
            for step in steps {
                let product = produce(step);
                let failed = product.is_err();
                // Nobody waits for it once consuming has failed.
                if to.send(product).is_err() || failed {
                    break;
                }
            }
        });
        consume(&mut made.into_iter())
    })
}

/// Ranges of all numbers below `count`, `at_once` of them in a step.
pub fn step_ranges(
    count: usize,
    at_once: usize,
) -> impl ExactSizeIterator<Item = Range<usize>> + Send {
    (0..count.div_ceil(at_once)).map(move |step| step * at_once..count.min((step + 1) * at_once))
}

/// The length of a step that keeps all cores at work while one waits for another.
pub fn parallel_step_len() -> usize {
    2 * rayon::current_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: usize, produced: Option<usize>, consumed: Option<usize>) -> (Vec<usize>, bool) {
        let mut seen = Vec::new();
        let fail = |at: usize, wrong: Option<usize>| match wrong == Some(at) {
            true => Err(SyncError::Worker),
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
            assert_eq!(run(steps, None, None), ((0..steps).collect(), true));
        }
        for steps in [1, 2, 50] {
            let last = steps - 1;
            assert_eq!(run(steps, Some(last), None), ((0..last).collect(), false));
            assert_eq!(run(steps, None, Some(last)), ((0..last).collect(), false));
            assert_eq!(run(steps, Some(0), None), (vec![], false));
            assert_eq!(run(steps, None, Some(0)), (vec![], false));
        }
    }
}
