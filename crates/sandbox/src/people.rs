//! The demo people who can consent on the consent page, and the demo tenants that they can connect.

use std::sync::LazyLock;

/// A person who can consent. Every person may connect every tenant.
pub struct Person {
    /// The name for [`Sandbox::mint`](crate::Sandbox::mint).
    pub key: &'static str,
    /// Xero's user id, a UUID.
    pub xero_user_id: &'static str,
    /// First name.
    pub given_name: &'static str,
    /// Last name.
    pub family_name: &'static str,
    /// Email address.
    pub email: &'static str,
    /// The role that the consent page shows.
    pub role: &'static str,
}

impl Person {
    /// Returns the first and the last name.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }
}

/// A Xero organization or practice.
pub struct Tenant {
    /// The name for [`Sandbox::mint`](crate::Sandbox::mint).
    pub key: &'static str,
    /// Xero's tenant id, a UUID.
    pub tenant_id: &'static str,
    /// The name, unless a control route changed it.
    pub name: &'static str,
    /// The registered name.
    pub legal_name: &'static str,
    /// `ORGANISATION` or `PRACTICE`.
    pub tenant_type: &'static str,
    /// ISO 3166 country code.
    pub country: &'static str,
    /// ISO 4217 currency code.
    pub currency: &'static str,
    /// Xero's name of the time zone.
    pub timezone: &'static str,
    /// Xero's short code.
    pub short_code: &'static str,
    /// Xero's `OrganisationType`.
    pub organization_type: &'static str,
    /// Day and month.
    pub financial_year_end: (u8, u8),
    /// Whether it is a Xero demo company.
    pub is_demo: bool,
}

/// All people.
pub const PEOPLE: &[Person] = &[
    Person {
        key: "mere",
        xero_user_id: "1f0c7c1e-6a3b-4b0e-9d52-3f1b6f0a2c11",
        given_name: "Mere",
        family_name: "Tane",
        email: "mere.tane@example.com",
        role: "Owner",
    },
    Person {
        key: "jonas",
        xero_user_id: "2a9d4e57-0c84-4f6f-8b7e-5d2c9e1b7a22",
        given_name: "Jonas",
        family_name: "Berg",
        email: "jonas.berg@example.com",
        role: "Accountant",
    },
    Person {
        key: "priya",
        xero_user_id: "3c6b1f80-95d2-4a1c-a3f4-7e8d0c5f4b33",
        given_name: "Priya",
        family_name: "Nair",
        email: "priya.nair@example.com",
        role: "Bookkeeper",
    },
];

/// Defaults that most tenants share.
const NEW_ZEALAND: Tenant = Tenant {
    key: "",
    tenant_id: "",
    name: "",
    legal_name: "",
    tenant_type: "ORGANISATION",
    country: "NZ",
    currency: "NZD",
    timezone: "NEWZEALANDSTANDARDTIME",
    short_code: "",
    organization_type: "COMPANY",
    financial_year_end: (31, 3),
    is_demo: false,
};

/// All tenants that the consent page offers.
pub const TENANTS: &[Tenant] = &[
    Tenant {
        key: "harbour",
        tenant_id: "c3f2a0d4-51f7-4c0e-8a39-0b6c8e7d1a01",
        name: "Harbour Coffee",
        legal_name: "Harbour Coffee Roasters Limited",
        short_code: "!hC01x",
        ..NEW_ZEALAND
    },
    Tenant {
        key: "kauri",
        tenant_id: "d81e6b73-2f4a-4d9b-9c15-6a7f3e2b5c02",
        name: "Kauri Joinery",
        legal_name: "Kauri Joinery Limited",
        short_code: "!kJ02y",
        ..NEW_ZEALAND
    },
    Tenant {
        key: "demo",
        tenant_id: "fe79f7dd-b6d4-4a92-ba7b-538af6289c58",
        name: "Demo Company (NZ)",
        legal_name: "Demo Company (NZ)",
        short_code: "!23eYt",
        is_demo: true,
        ..NEW_ZEALAND
    },
    Tenant {
        key: "southerly",
        tenant_id: "a4b97c21-8e36-4f5d-b0c8-1d9e2f6a7b03",
        name: "Southerly Cycles",
        legal_name: "Southerly Cycles Pty Ltd",
        country: "AU",
        currency: "AUD",
        timezone: "AUSEASTERNSTANDARDTIME",
        short_code: "!sC04z",
        financial_year_end: (30, 6),
        ..NEW_ZEALAND
    },
    Tenant {
        key: "fernhill",
        tenant_id: "b5c08d32-9f47-4061-81d9-2e0f307b8c04",
        name: "Fernhill Community Trust",
        legal_name: "Fernhill Community Trust",
        short_code: "!fT05w",
        organization_type: "NOTFORPROFIT",
        ..NEW_ZEALAND
    },
    Tenant {
        key: "practice",
        tenant_id: "e7d1af54-b169-4283-93fb-40215a9dae05",
        name: "Berg & Nair Accountants",
        legal_name: "Berg & Nair Accountants Limited",
        tenant_type: "PRACTICE",
        short_code: "!bN06v",
        organization_type: "PRACTICE",
        ..NEW_ZEALAND
    },
];

pub(crate) fn person(key: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.key == key)
}

pub(crate) fn person_by_id(xero_user_id: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.xero_user_id == xero_user_id)
}

/// How many generated tenants there are.
const GENERATED_TENANTS: usize = 300;

/// Returns the generated tenants: as many clients as a practice has. The consent page doesn't offer them; they are minted
/// by their keys `generated-0`, `generated-1` and so on.
fn generated_tenants() -> &'static [Tenant] {
    static GENERATED: LazyLock<Vec<Tenant>> = LazyLock::new(|| (0..GENERATED_TENANTS).map(generated_tenant).collect());
    &GENERATED
}

fn generated_tenant(number: usize) -> Tenant {
    let name = &*format!("Client {number:03} Limited").leak();
    Tenant {
        key: format!("generated-{number}").leak(),
        tenant_id: format!("00000000-0000-4000-8004-{number:012}").leak(),
        name,
        legal_name: name,
        short_code: "!gC00x",
        ..NEW_ZEALAND
    }
}

fn all_tenants() -> impl Iterator<Item = &'static Tenant> {
    TENANTS.iter().chain(generated_tenants())
}

pub(crate) fn tenant(key: &str) -> Option<&'static Tenant> {
    all_tenants().find(|tenant| tenant.key == key)
}

pub(crate) fn tenant_by_id(tenant_id: &str) -> Option<&'static Tenant> {
    all_tenants().find(|tenant| tenant.tenant_id == tenant_id)
}
