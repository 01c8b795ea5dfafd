//! Any bytes as a block of bodies, a record and a value.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tombolo::store::fuzzing::bodies(bytes));
