//! Fuzz target for the property in `ciphertext`.

#![no_main]

use evergrant_fuzz::ciphertext::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
