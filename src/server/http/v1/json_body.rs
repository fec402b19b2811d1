//! JSON objects in the bodies of requests. serde would also take a list for one, and its items for the fields in their
//! order.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::problem::Problem;

/// Refuses a body that is no JSON object. `what` says what it should be.
pub fn require_object(body: &[u8], what: &str) -> Result<(), Problem> {
    if body.trim_ascii_start().starts_with(b"{") { Ok(()) } else { Err(Problem::invalid_argument(what)) }
}

/// Reads a list of objects. The error says nothing of what is in them.
pub fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Map<String, Value>>::deserialize(deserializer)?.into_iter();
    objects
        .map(|one| T::deserialize(Value::Object(one)).map_err(|_| D::Error::custom("an object is not valid")))
        .collect()
}
