//! The last line against files that make the engine panic.
//!
//! Pages are proven before the engine sees them (see `page_verification.rs`), so a damaged file does not get
//! this far. A file that was made on purpose, with matching checksums, may: the engine trusts the
//! contents of its pages. A panic of the engine becomes an error like any other damage, and prints
//! nothing.

use super::StoreError;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::Once;

thread_local! {
    /// True if the last panic of this thread came out of the engine.
    static ENGINE: Cell<bool> = const { Cell::new(false) };
}

/// True if a panic began in the engine.
fn is_engine_panic(info: &PanicHookInfo<'_>) -> bool {
    info.location().is_some_and(|at| at.file().contains("/redb-"))
}

/// Makes panics of the engine print nothing. Other panics print as before.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let engine = is_engine_panic(info);
            ENGINE.set(engine);
            if !engine {
                before(info);
            }
        }));
    });
}

/// Runs `call`, which calls the engine. A panic in the engine becomes damage; any other panic goes
/// on.
///
/// # Errors
///
/// Errors of `call`, and damage for a panic of the engine.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    install_panic_hook();
    // A panic may leave a handle in a half-done state, but the handle is given up with the error.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result,
        Err(panic) => Err(engine_panicked().unwrap_or_else(|| resume_unwind(panic))),
    }
}

/// The error for the last panic of this thread, if it was caught and came out of the engine.
/// Returns it once.
pub fn engine_panicked() -> Option<StoreError> {
    ENGINE.take().then(panicked)
}

/// The error for a panic of the engine.
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
