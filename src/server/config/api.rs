//! The rate limit of the API.

use std::num::NonZeroU32;

use clap::Args;

#[derive(Args, Clone)]
pub struct ApiSettings {
    /// How many API calls a minute one key may make, at each instance.
    #[arg(long = "api-rate", env = "EVERGRANT_API_RATE", value_name = "NUMBER", default_value = "600")]
    pub(super) rate: NonZeroU32,
}
