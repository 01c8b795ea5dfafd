//! Any bytes as the contents of a tile: identities, or edges.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tombolo::store::fuzzing::tiles(bytes));
