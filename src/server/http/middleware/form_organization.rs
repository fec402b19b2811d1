//! Reads which organization a form was rendered for. A form of a page that was left behind must change nothing in the
//! organization that the person works in now.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::named_organization::PARAMETER;
use crate::model::OrgId;
use crate::server::auth::Caller;

/// The field by which a form names the organization that it was rendered for.
const FIELD: &str = "org_id";

/// The organizations that a form names. A page names one; a program's post may name none.
#[derive(Clone, Default)]
pub struct FormOrganization(Vec<OrgId>);

impl FormOrganization {
    /// Reads the fields of a form.
    pub fn in_form(form: &[u8]) -> Self {
        let fields = form_urlencoded::parse(form).filter(|(name, _)| name == FIELD);
        Self(fields.map(|(_, id)| OrgId(id.into_owned())).collect())
    }

    /// Returns what the form of this request names.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }

    /// Returns whether the form names an organization other than the one that the caller works in now.
    pub fn is_stale(&self, caller: &Caller) -> bool {
        self.0.iter().any(|named| caller.org.as_ref().is_none_or(|org| org.id != *named))
    }

    /// Returns a page's path with the organization that the form names. Opening it switches to that organization.
    pub fn on_page(&self, page: &str) -> String {
        let [org] = self.0.as_slice() else { return page.to_owned() };
        // A page without an organization renders forms that name an empty one.
        if org.as_str().is_empty() {
            return page.to_owned();
        }
        let mut parameter = form_urlencoded::Serializer::new(String::new());
        parameter.append_pair(PARAMETER, org.as_str());
        let separator = if page.contains('?') { '&' } else { '?' };
        format!("{page}{separator}{}", parameter.finish())
    }
}

impl<S: Sync> FromRequestParts<S> for FormOrganization {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrgView, Role};

    #[test]
    fn form_is_stale_if_it_names_any_other_organization() {
        let org = OrgView { id: "a".into(), name: "Harbour Group".into(), role: Role::Owner, attention: 0 };
        let person = |org: Option<OrgView>| Caller {
            user_id: "u".into(),
            email: "ann@example.com".into(),
            orgs: org.iter().cloned().collect(),
            org,
            session_hash: "hash".into(),
            locked_orgs: Vec::new(),
            locked_org: None,
            read: None,
            is_enrolling: false,
            factor_due: None,
            external_org: None,
            proof: None,
            time_zone: None,
        };
        let (member, outsider) = (person(Some(org)), person(None));
        for (form, stale) in [
            ("name=x", false),
            ("org_id=a", false),
            ("org_id=b", true),
            ("org%5Fid=b&name=x", true),
            ("org_id=a&org_id=b", true),
            ("org_id=", true),
        ] {
            assert_eq!(FormOrganization::in_form(form.as_bytes()).is_stale(&member), stale, "{form}");
        }
        let page = |form: &str, page| FormOrganization::in_form(form.as_bytes()).on_page(page);
        assert_eq!(page("org_id=a", "/settings/members"), "/settings/members?org=a");
        assert_eq!(page("org_id=a%26b", "/settings/members?page=2"), "/settings/members?page=2&org=a%26b");
        for form in ["name=x", "org_id=", "org_id=a&org_id=b"] {
            assert_eq!(page(form, "/settings/members"), "/settings/members", "{form}");
        }
        assert!(!FormOrganization::in_form(b"name=x").is_stale(&outsider));
        assert!(FormOrganization::in_form(b"org_id=a").is_stale(&outsider), "the membership has ended");
    }
}
