//! Asks the server for regions of a page.

use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, DomParser, Element, RequestInit, Response, SupportedType};

use super::page_organization;
use crate::model::{ORGANIZATION_HEADER, REGIONS_HEADER};

/// How long an answer may take, in milliseconds.
const TIMEOUT_MS: u32 = 20_000;

/// The answer to a request for regions.
pub enum Fetched {
    /// An element with the regions in it.
    Regions(Element),
    /// The page shows another organization, or its session has ended: it must be loaded again.
    Reload,
    /// No answer of use.
    Nothing,
}

/// Fetches the regions with these ids, with commas between them, of the page at this address.
pub async fn fetch(address: &str, regions: &str) -> Fetched {
    let header = |name: &str, value: &str| Array::of2(&name.into(), &value.into());
    let options = RequestInit::new();
    options
        .set_headers(&Array::of2(&header(REGIONS_HEADER, regions), &header(ORGANIZATION_HEADER, &page_organization())));
    options.set_signal(Some(&AbortSignal::timeout_with_u32(TIMEOUT_MS)));
    let response = JsFuture::from(window().fetch_with_str_and_init(address, &options)).await;
    let Some(response) = response.ok().and_then(|response| response.dyn_into::<Response>().ok()) else {
        return Fetched::Nothing;
    };
    match response.status() {
        200 => parse(&response).await.map_or(Fetched::Nothing, Fetched::Regions),
        205 => Fetched::Reload,
        _ => Fetched::Nothing,
    }
}

async fn parse(response: &Response) -> Option<Element> {
    let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
    DomParser::new().ok()?.parse_from_string(&text, SupportedType::TextHtml).ok()?.document_element()
}
