//! Fuzz target for the property in `callback`.

#![no_main]

use evergrant_fuzz::callback::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
