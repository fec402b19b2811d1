//! Fuzz target for the property in `api_keys`.

#![no_main]

use evergrant_fuzz::api_keys::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
