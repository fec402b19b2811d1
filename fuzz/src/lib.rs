//! What holds whatever comes in, a file per kind of input. Each `hold` takes one input and panics where its property
//! doesn't hold: the fuzzer feeds it noise, the tests feed it the inputs that are kept in `corpus/`.

pub mod api_keys;
pub mod callback;
pub mod ciphertext;
pub mod provider_replies;
pub mod retry_after;
