//! Any bytes as a column of integers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tombolo::store::fuzzing::columns(bytes));
