//! Gives a refused form back as it was typed: a cookie carries its values to the page that shows it again. Secrets are
//! never among them, because only the fields named here are kept. A form whose session had ended is given back after the
//! sign-in, to the same person alone.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::limits::MAX_BODY_BYTES;
use crate::model::{Flash, FlashMessage, LoginProblem, Tone, TypedForm, UserId, paths};
use crate::server::auth::Caller;
use crate::server::auth::cookie::{
    FLASH_COOKIE, TYPED_FORM_COOKIE, cookie_name, read_cookie, session_hashes, write_cookie,
};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::http::flash::with_cookie;
use crate::server::http::state::AppState;

/// Each form that people type into, and its fields whose values are kept. The others are secrets.
const FORMS: &[(&str, &[&str])] = &[
    (paths::SESSION_LOGIN, &["email"]),
    (paths::SESSION_CODE, &[]),
    (paths::SESSION_OIDC_LINK, &[]),
    (paths::SESSION_FORGOT, &["email"]),
    (paths::SESSION_RESET, &[]),
    (paths::ACCEPT_INVITATION, &["email"]),
    ("/api/account/change-email", &["email"]),
    ("/api/account/change-password", &[]),
    ("/api/account/confirm-second-factor", &[]),
    ("/api/account/remove-second-factor", &[]),
    ("/api/account/set-name", &["name"]),
    ("/api/account/set-time-zone", &["time_zone"]),
    ("/api/api-keys/create", &["name", "life", "scopes", "bindings"]),
    ("/api/api-keys/limit", &["key_id", "reach", "bindings"]),
    ("/api/api-keys/rename", &["key_id", "name"]),
    ("/api/integrations/contacts/set", &["binding_id", "contacts"]),
    (
        "/api/integrations/links/create",
        &["binding_id", "requested_by", "note", "email", "lifetime", "external_id", "tags", "return_url"],
    ),
    ("/api/integrations/links/return-urls", &["urls"]),
    ("/api/members/invite", &["role", "email"]),
    ("/api/notifications/webhooks/add", &["url"]),
    ("/api/organizations/create", &["name"]),
    ("/api/organizations/rename", &["name"]),
];

/// How long the values are kept, in seconds: a form that needs a fresh proof of identity is shown again after it.
const MAX_AGE_SECONDS: i64 = 10 * 60;

/// The most that the cookie holds, in bytes. Browsers refuse cookies of more than 4,096. Values that don't fit are
/// dropped.
const MAX_COOKIE_BYTES: usize = 3_500;

/// The characters of a hash by which the cookie names whose it is: the session's, or the person's after their session has
/// ended. The next person in this browser sees nothing.
const OWNER_CHARACTERS: usize = 16;

/// Marks a name whose value stands for several ids, and the name of the mark that values were dropped. No field has it.
const PACKED: char = '~';

/// How many ids are packed into a value. Some 200 bytes are dropped or kept together.
const IDS_PER_VALUE: usize = 10;

/// The bytes of an id.
const ID_BYTES: usize = 16;

/// Keeps what was typed if the form is refused.
pub async fn keep_typed_form(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let action = request.uri().path().to_owned();
    let Some((_, kept)) = FORMS.iter().find(|(form, _)| *form == action).filter(|_| is_plain_form(&request)) else {
        return next.run(request).await;
    };
    let headers = request.headers().clone();
    let (head, body) = request.into_parts();
    let Ok(form) = to_bytes(body, MAX_BODY_BYTES).await else { return StatusCode::BAD_REQUEST.into_response() };
    let response = next.run(Request::from_parts(head, Body::from(form.clone()))).await;
    let Some(refusal) = refusal(&state, &response) else { return response };
    let owner = match refusal.has_session {
        true => Some(session(&state, &headers)),
        false => person(&state, &headers).await,
    };
    let Some(owner) = owner else { return response };
    let typed = TypedForm { page: refusal.page, action, values: kept_values(&form, kept), is_incomplete: false };
    let url = &state.config.public_url;
    let cookie = write_cookie(url, TYPED_FORM_COOKIE, &encode(&typed, &owner), MAX_AGE_SECONDS);
    with_cookie(response, cookie)
}

/// Returns the form that this page gives back. Its cookie is to be expired once the page has shown it.
pub fn read(state: &AppState, headers: &HeaderMap, path: &str, caller: Option<&Caller>) -> Option<TypedForm> {
    let text = read_cookie(&state.config.public_url, headers, TYPED_FORM_COOKIE)?;
    let of_session = parse(&text, &session(state, headers));
    of_session.or_else(|| parse(&text, &tag_of(&caller?.user_id))).filter(|form| form.page == path)
}

fn is_plain_form(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    request.method() == Method::POST && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn session(state: &AppState, headers: &HeaderMap) -> String {
    let hash = session_hashes(&state.config.public_url, headers).into_iter().next().unwrap_or_default();
    hash.chars().take(OWNER_CHARACTERS).collect()
}

/// Returns the name of the person whose session has ended; `None` if nothing is left of it.
async fn person(state: &AppState, headers: &HeaderMap) -> Option<String> {
    let hash = session_hashes(&state.config.public_url, headers).into_iter().next()?;
    let user = state.store.user_of_session(&hash).await;
    let user = user.inspect_err(|error| tracing::warn!(%error, "failed to look up an ended session")).ok()??;
    Some(tag_of(&user))
}

fn tag_of(user: &UserId) -> String {
    hash_secret(&Secret::new(user.as_str())).chars().take(OWNER_CHARACTERS).collect()
}

/// Where a refused form leads back to.
struct Refusal {
    /// The path of the page that shows the form.
    page: String,
    /// Whether the session lasts, or there was none.
    has_session: bool,
}

/// Returns where a refused form leads back to; `None` if it was not refused. A form that needs a fresh proof of identity or
/// a new session leads back after the page that asks for it.
fn refusal(state: &AppState, response: &Response) -> Option<Refusal> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let base = Url::parse(state.config.public_url.origin()).ok()?;
    let target = base.join(location).ok()?;
    let parameter = |name: &str| target.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let name = format!("{}=", cookie_name(&state.config.public_url, FLASH_COOKIE));
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    let flash = cookies.filter_map(|cookie| cookie.strip_prefix(&name)?.split(';').next()).find_map(Flash::parse);
    let problem = parameter("problem").and_then(|problem| LoginProblem::parse(&problem));
    let is_refused =
        flash.is_some_and(|flash| flash.tone() != Tone::Good) || problem.is_some_and(|one| one.is_refusal());
    let has_session = problem != Some(LoginProblem::SessionEnded);
    let next = parameter("next").filter(|_| target.path() == paths::PROOF || !has_session);
    let page = next.and_then(|next| base.join(&next).ok()).unwrap_or(target);
    (is_refused || !has_session).then(|| Refusal { page: page.path().to_owned(), has_session })
}

/// Returns the values to keep. `scopes[2]` is one of the field `scopes`.
fn kept_values(form: &[u8], kept: &[&str]) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(form).into_owned();
    let named = pairs.map(|(name, value)| (name.split('[').next().unwrap_or_default().to_owned(), value));
    named.filter(|(name, value)| kept.contains(&name.as_str()) && !names_a_password(value)).collect()
}

/// Returns whether an address contains a user name or a password, which is refused and not kept.
fn names_a_password(value: &str) -> bool {
    Url::parse(value.trim()).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

fn encode(typed: &TypedForm, owner: &str) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.append_pair("owner", owner).append_pair("page", &typed.page).append_pair("action", &typed.action);
    let mut text = text.finish();
    let mark = format!("&{}", encode_pair(&PACKED.to_string(), ""));
    let mut is_incomplete = false;
    for (name, value) in packed(&typed.values) {
        let pair = encode_pair(&name, &value);
        if text.len() + 1 + pair.len() + mark.len() <= MAX_COOKIE_BYTES {
            text.push('&');
            text.push_str(&pair);
        } else {
            is_incomplete = true;
        }
    }
    if is_incomplete {
        text.push_str(&mark);
    }
    text
}

fn encode_pair(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// Packs the ids of a field, of which there may be hundreds.
fn packed(values: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut ids: Vec<(&String, Vec<Uuid>)> = Vec::new();
    for (name, value) in values {
        match Uuid::parse_str(value).ok().filter(|id| id.to_string() == *value) {
            None => all.push((name.clone(), value.clone())),
            Some(id) => match ids.iter_mut().find(|(known, _)| *known == name) {
                Some((_, ids)) => ids.push(id),
                None => ids.push((name, vec![id])),
            },
        }
    }
    for (name, ids) in ids {
        for some in ids.chunks(IDS_PER_VALUE) {
            let bytes: Vec<u8> = some.iter().flat_map(|id| *id.as_bytes()).collect();
            all.push((format!("{name}{PACKED}"), URL_SAFE_NO_PAD.encode(bytes)));
        }
    }
    all
}

fn parse(text: &str, owner: &str) -> Option<TypedForm> {
    let mut pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
    let mut next = |wanted: &str| pairs.next().filter(|(name, _)| name == wanted).map(|(_, value)| value);
    let (of, page, action) = (next("owner")?, next("page")?, next("action")?);
    if of != owner {
        return None;
    }
    let mut form = TypedForm { page, action, ..TypedForm::default() };
    for (name, value) in pairs {
        match name.strip_suffix(PACKED) {
            Some("") => form.is_incomplete = true,
            Some(name) => {
                let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
                let ids = bytes.chunks_exact(ID_BYTES).filter_map(|id| Uuid::from_slice(id).ok());
                form.values.extend(ids.map(|id| (name.to_owned(), id.to_string())));
            }
            None => form.values.push((name, value)),
        }
    }
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_form_survives_the_cookie_in_its_own_session_alone() {
        let values = kept_values(
            b"name=Nightly+%26+%C3%A9&scopes%5B0%5D=a&scopes%5B2%5D=b&password=secret&org_id=o",
            &["name", "scopes"],
        );
        let typed = TypedForm {
            page: "/settings/api-keys".into(),
            action: "/api/api-keys/create".into(),
            values,
            is_incomplete: false,
        };
        assert_eq!(typed.value("name"), Some("Nightly & é"));
        assert!(typed.has("scopes", "a") && typed.has("scopes", "b") && !typed.has("scopes", "c"));
        assert_eq!(typed.value("password"), None);
        let text = encode(&typed, "ann");
        assert!(
            !text.contains("secret") && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte))
        );
        assert_eq!(parse(&text, "ann"), Some(typed));
        assert_eq!(parse(&text, "bob"), None);
        assert_eq!(parse("", ""), None);
        assert_eq!(parse("a=b&c=d", ""), None);
    }

    #[test]
    fn values_that_do_not_fit_are_dropped_and_the_others_stay() {
        let long = ("note".to_owned(), "é".repeat(1_000));
        let values = vec![long, ("email".to_owned(), "ann@example.com".to_owned())];
        let typed = TypedForm { values, ..TypedForm::default() };
        let text = encode(&typed, "");
        assert!(text.len() <= MAX_COOKIE_BYTES);
        let parsed = parse(&text, "").unwrap();
        assert_eq!((&parsed.values[..], parsed.is_incomplete), (&typed.values[1..], true), "and the form says so");
    }

    #[test]
    fn many_ids_fit_and_it_is_said_if_more_are_dropped() {
        let of = |count: usize| {
            let ids = (0..count).map(|_| ("bindings".to_owned(), Uuid::new_v4().to_string())).collect();
            TypedForm { values: ids, page: "/settings/api-keys".into(), ..TypedForm::default() }
        };
        for (count, fits) in [(1, true), (140, true), (300, false)] {
            let typed = of(count);
            let text = encode(&typed, "ann");
            assert!(text.len() <= MAX_COOKIE_BYTES);
            let parsed = parse(&text, "ann").unwrap();
            assert_eq!((parsed.values == typed.values, parsed.is_incomplete), (fits, !fits), "{count}");
        }
    }

    #[test]
    fn no_secret_is_kept() {
        assert!(kept_values(b"url=https%3A%2F%2Fann%3Apw%40example.com", &["url"]).is_empty());
        let kept: Vec<&str> = FORMS.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
        for word in ["password", "code", "proof", "secret", "token"] {
            assert!(kept.iter().all(|field| !field.contains(word)), "{word}");
        }
    }
}
