//! A form that is refused keeps what was typed, says at its field why, and takes the focus there.

use reqwest::StatusCode;

use crate::support::browser::Page;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::test_server::TestServer;

/// Returns the tags of the elements with this `name`, of which two forms may have one each.
fn tags_of<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let tag = |(at, _): (usize, &str)| {
        let (start, end) = (page[..at].rfind('<').unwrap(), at + page[at..].find('>').unwrap());
        &page[start..end]
    };
    page.match_indices(&format!("name=\"{name}\"")).map(tag).collect()
}

/// Returns the tag of the first element with this `name`.
fn tag_of<'a>(page: &'a str, name: &str) -> &'a str {
    tags_of(page, name).first().unwrap_or_else(|| panic!("there is no field {name}: {page}"))
}

/// Asserts that the page's one refusal is at this field, in the title and nowhere else.
fn assert_refused_at(page: &str, field: &str, words: &str) {
    let refused: Vec<_> =
        tags_of(page, field).into_iter().filter(|tag| tag.contains("aria-invalid=\"true\"")).collect();
    let [tag] = refused[..] else { panic!("{field}: one field is refused: {refused:?}") };
    assert!(tag.contains("autofocus"), "{field}: {tag}");
    assert!(tag.contains("aria-describedby=\"refusal"), "{field}: {tag}");
    assert!(page.contains("<title>Error: "), "{field}: the title says nothing");
    assert_eq!(page.matches("id=\"refusal\"").count(), 1, "{field}");
    assert_eq!(page.matches(words).count(), 1, "{field}: it is said once");
}

#[apply(each_database!)]
async fn refused_form_is_shown_again_as_it_was_typed(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    for (action, form, page, field, words) in [
        (
            "/api/members/invite",
            &[("role", "admin"), ("email", "not an address")][..],
            "/settings/members",
            "email",
            "isn't an email address",
        ),
        ("/api/organizations/create", &[("name", " ")], "/settings/members", "name", "1 to 80 characters"),
        (
            "/api/notifications/webhooks/add",
            &[("url", "ftp://hooks.example/é")],
            "/settings/notifications",
            "url",
            "No webhook was added",
        ),
        (
            "/api/api-keys/create",
            &[("name", ""), ("scopes[0]", "tokens:read")],
            "/settings/api-keys",
            "name",
            "at most 100 characters",
        ),
    ] {
        let refused = demo.post_from(page, action, form).await;
        assert_eq!((refused.status, refused.location()), (StatusCode::SEE_OTHER, page), "{db}: {action}");
        let shown = demo.page_text(page).await;
        let (_, typed) = form[form.len() - 1];
        assert_refused_at(&shown, field, words);
        assert!(shown.contains(&typed.replace('&', "&amp;")), "{db}: {action} forgot {typed}");
        let again = demo.page_text(page).await;
        assert!(!again.contains("id=\"refusal\"") && !again.contains("<title>Error"), "{db}: {action} is said once");
        assert!(!again.contains("not an address") && !again.contains("ftp://"), "{db}: the next form is a new one");
    }
}

#[apply(each_database!)]
async fn form_that_stands_on_several_pages_is_refused_where_it_was_sent_from(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_in("Harbour Group").await;
    for page in ["/organizations", "/settings/members"] {
        let refused = demo.post_from(page, "/api/organizations/create", &[("name", " ")]).await;
        assert_eq!(refused.location(), page);
        assert_refused_at(&demo.page_text(page).await, "name", "1 to 80 characters");
    }
}

#[apply(each_database!)]
async fn refusal_of_no_field_is_in_the_title_and_takes_the_focus(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_in("Harbour Group").await;
    demo.post("/api/integrations/xero/disconnect", &[("binding_id", "unknown")]).await;
    let shown = demo.page_text("/settings/integrations").await;
    let tags = shown.split('<').filter_map(|tag| tag.split('>').next());
    let notices: Vec<&str> = tags.filter(|tag| tag.contains("class=\"notice\"") && !tag.contains("hidden")).collect();
    let [tag] = notices[..] else { panic!("{notices:#?}") };
    assert!(["role=\"alert\"", "tabindex=\"-1\"", "autofocus"].iter().all(|one| tag.contains(one)), "{tag}");
    assert!(shown.contains("<title>Error: "), "the title says nothing");
    let again = demo.page_text("/settings/integrations").await;
    assert!(!again.contains("<title>Error: "), "it is said once");
}

#[apply(each_database!)]
async fn refused_choices_are_kept_and_only_in_the_same_session(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    let form = [("name", "Weekly close"), ("life", "365d")];
    demo.post("/api/api-keys/create", &form).await;
    let shown = demo.page_text("/settings/api-keys").await;
    assert!(tag_of(&shown, "name").contains("value=\"Weekly close\""), "{db}");
    assert!(!tag_of(&shown, "scopes[0]").contains("checked"), "{db}: none was ticked");
    assert!(tag_of(&shown, "scopes[0]").contains("autofocus"), "{db}");
    assert!(shown.contains("Choose at least one permission"), "{db}");

    demo.post("/api/api-keys/create", &form).await;
    let typed = demo.cookie("evergrant_typed").unwrap();
    demo.post("/api/session/logout", &[]).await;
    let next = app.demo_in("Harbour Group").await;
    next.set_cookie("evergrant_typed", &typed);
    assert!(!next.page_text("/settings/api-keys").await.contains("Weekly close"), "{db}: it was another session's");
}

#[apply(each_database!)]
async fn refused_sign_in_keeps_the_address_and_no_password(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let db = server.database().name;
    server.add_user("ann@example.com", "Harbour Group").await;
    let ann = server.browser();
    let form = [("email", "ann@example.com"), ("password", "a wrong password")];
    let refused: Page = ann.post("/api/session/login", &form).await;
    assert!(!ann.cookie("evergrant_typed").unwrap().contains("wrong"), "{db}");
    let shown = ann.page_text(refused.location()).await;
    assert!(shown.contains("<title>Error: Sign in"), "{db}");
    assert!(tag_of(&shown, "email").contains("value=\"ann@example.com\""), "{db}");
    let password = tag_of(&shown, "password");
    assert!(password.contains("autofocus") && password.contains("aria-invalid=\"true\""), "{db}: {password}");
    assert!(!shown.contains("a wrong password"), "{db}");
}

#[apply(each_database!)]
async fn form_that_needs_a_proof_is_given_back_after_it(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let db = server.database().name;
    let (ann, _) = server.signed_in_user("ann@example.com", "Harbour Group").await;
    server.advance(11 * 60);
    let form = [("name", "Nightly export"), ("scopes[0]", "tokens:read")];
    let asked = ann.post_from("/settings/api-keys", "/api/api-keys/create", &form).await;
    assert!(asked.location().starts_with("/account/confirm?"), "{db}: {}", asked.location());
    let proof = [("proof", "a wrong password"), ("next", "/settings/api-keys")];
    let refused = ann.post("/api/session/proof", &proof).await;
    let shown = ann.page_text(refused.location()).await;
    assert!(tag_of(&shown, "proof").contains("aria-invalid=\"true\"") && shown.contains("<title>Error: "), "{db}");

    let proof = [("proof", crate::support::test_server::PASSWORD), ("next", "/settings/api-keys")];
    ann.post("/api/session/proof", &proof).await;
    let shown = ann.page_text("/settings/api-keys").await;
    assert!(tag_of(&shown, "name").contains("value=\"Nightly export\"") && !shown.contains("<title>Error"), "{db}");
}
