//! Feeds the fuzzer's inputs to `retry_after`'s property.

#![no_main]

use evergrant_fuzz::retry_after::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| hold(input));
