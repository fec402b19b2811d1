//! Fuzz target for the property in `retry_after`.

#![no_main]

use evergrant_fuzz::retry_after::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
