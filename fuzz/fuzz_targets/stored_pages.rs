//! Any bytes as a database file, page by page.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tombolo::store::fuzzing::pages(bytes));
