//! Any bytes as the small rows: counters, scopes, jobs, names, labels.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tombolo::store::fuzzing::rows(bytes));
