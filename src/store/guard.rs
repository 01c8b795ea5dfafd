//! The last line against files that make the engine panic.
//!
//! Pages are proven before the engine sees them (see `pages.rs`), so a damaged file does not get this
//! far. One that was made on purpose, with checksums to match, may: the engine trusts what it finds in
//! its own pages. A panic in it becomes an error like any other damage, and prints nothing.

use super::StoreError;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::Once;

thread_local! {
    /// Whether the last panic of this thread came out of the engine.
    static ENGINE: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic began in the engine.
fn of_the_engine(info: &PanicHookInfo<'_>) -> bool {
    info.location().is_some_and(|at| at.file().contains("/redb-"))
}

/// From now on panics in the engine print nothing; what else there is to a panic stays as it was.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let engine = of_the_engine(info);
            ENGINE.set(engine);
            if !engine {
                before(info);
            }
        }));
    });
}

/// Runs what calls the engine; a panic in it becomes damage, any other goes on.
///
/// # Errors
///
/// Those of `call`.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    listen();
    // What a panic leaves half done is the state of a handle that is given up with the error.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result,
        Err(panic) => Err(engine_panicked().unwrap_or_else(|| resume_unwind(panic))),
    }
}

/// The error that stands for the last panic of this thread, which was caught, if it came out of the
/// engine; asked once.
pub fn engine_panicked() -> Option<StoreError> {
    ENGINE.take().then(panicked)
}

/// The error that stands for a panic of the engine.
pub(super) fn panicked() -> StoreError {
    StoreError::engine_damaged("the engine could make no sense of a page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_is_not_taken_for_damage() {
        let ours = catch_unwind(|| guarded(|| -> Result<(), _> { panic!("ours") }));
        assert!(ours.is_err());
        assert!(engine_panicked().is_none());
    }
}
