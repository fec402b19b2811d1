//! How much the API takes from one program.

use std::num::NonZeroU32;

use clap::Args;

#[derive(Args, Clone)]
pub struct ApiSettings {
    /// How many calls a minute the API takes with one key, at each instance.
    #[arg(long = "api-rate", env = "EVERGRANT_API_RATE", value_name = "NUMBER", default_value = "600")]
    pub(super) rate: NonZeroU32,
}
