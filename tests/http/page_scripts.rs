//! Which pages load scripts: those with islands, and no others.

use evergrant::model::paths;
use reqwest::StatusCode;

use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;

/// Pages with a parameter, and one that doesn't exist.
const FURTHER_PAGES: &[&str] = &["/connect/none", "/settings/integrations/none", "/nowhere"];

/// What a page with islands loads, and starts it with.
const MODULE: [&str; 3] = ["evergrant.wasm", "evergrant.js", "type=\"module\""];

#[apply(each_database!)]
async fn page_loads_scripts_exactly_if_it_has_an_island(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    for (browser, with_scripts) in [(app.browser(), false), (app.demo_browser().await, true)] {
        let mut seen = Vec::new();
        for path in paths::PAGES.iter().chain(FURTHER_PAGES) {
            let page = browser.get(path).await;
            if page.status == StatusCode::SEE_OTHER {
                continue;
            }
            let has_island = page.text.contains("<leptos-island");
            for script in MODULE {
                assert_eq!(page.text.contains(script), has_island, "{path}: {script}: {}", page.text);
            }
            seen.push((*path, has_island));
        }
        let with_islands = [paths::HOME, "/settings/integrations/none", "/nowhere"];
        assert!(with_islands.iter().all(|page| seen.contains(&(*page, true)) == with_scripts), "{seen:?}");
        for bare in [paths::FORGOT_PASSWORD, paths::UNSUBSCRIBE, paths::API_REFERENCE, "/connect/none"] {
            assert!(seen.contains(&(bare, false)), "{bare}: {seen:?}");
        }
    }
}

#[apply(each_database!)]
async fn browser_requests_only_the_stylesheet_and_with_low_priority_the_wasm_before_it_paints(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let page = app.demo_browser().await.page_text(paths::INTEGRATIONS).await;
    let tags_of = |name: &str| -> Vec<String> {
        let tags = page.split('<').filter_map(|tag| tag.split('>').next());
        tags.filter(|tag| tag.split(' ').next() == Some(name)).map(str::to_owned).collect()
    };
    let (links, scripts) = (tags_of("link"), tags_of("script"));
    let is_early = |link: &&String| ["rel=\"stylesheet\"", "preload\""].iter().any(|rel| link.contains(rel));
    let early: Vec<&String> = links.iter().filter(is_early).collect();
    let [stylesheet, wasm] = early[..] else { panic!("{links:#?}") };
    assert!(stylesheet.contains("evergrant.css\""), "{stylesheet}");
    assert!(wasm.contains("evergrant.wasm\"") && wasm.contains("fetchpriority=\"low\""), "{wasm}");
    assert!(scripts.iter().all(|script| !script.contains("src=")), "{scripts:#?}");
    assert_eq!(scripts.iter().filter(|script| script.contains("type=\"module\"")).count(), 1, "{scripts:#?}");
}

#[apply(each_database!)]
async fn failure_page_loads_no_script(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.demo_browser().await;
    let database = app.database().open().await;
    sqlx::query("ALTER TABLE sessions RENAME TO broken_sessions").execute(database.pool()).await.unwrap();
    let failed = browser.get("/").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(failed.text.contains("Something went wrong"), "{}", failed.text);
    assert!(MODULE.iter().all(|script| !failed.text.contains(script)), "{}", failed.text);
}
