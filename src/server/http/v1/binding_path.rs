//! The binding in a route's path.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::model::BindingId;

/// The id in the path. One that is not UTF-8 matches no binding.
pub struct BindingPath(pub BindingId);

impl<S: Send + Sync> FromRequestParts<S> for BindingPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let id = Path::<BindingId>::from_request_parts(parts, state).await;
        Ok(Self(id.map_or_else(|_| BindingId(String::new()), |Path(id)| id)))
    }
}
