//! Properties that must hold for any input, one module per kind of input. Each `hold` checks one input and panics if
//! the property is violated. The fuzzer generates inputs; the tests use those in `corpus/`.

pub mod api_keys;
pub mod callback;
pub mod ciphertext;
pub mod provider_replies;
pub mod retry_after;
