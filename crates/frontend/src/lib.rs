//! The browser's entry point. A package of its own, so that only the wasm build links a dynamic library.

// Keeps the islands, which register themselves by exported functions, in the module.
use evergrant as _;

/// Hydrates the islands of the server-rendered page.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
