//! Fuzz target for the property in `provider_replies`.

#![no_main]

use evergrant_fuzz::provider_replies::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
