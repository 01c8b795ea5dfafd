//! The promises of a mapping file about a run: its tests, judged on the edges made, and its guards, the
//! limits at which a run stops.

mod guard_checks;
mod tests_of_mapping;

pub use guard_checks::OVERRIDES;
pub(super) use guard_checks::{guard_age, guard_percent, guard_whole};
pub(super) use tests_of_mapping::listed_offenders;
pub use tests_of_mapping::query_test_outcome;
