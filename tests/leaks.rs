//! No token, key, password or session id is where it must not be: a whole journey with logs at `trace`, and a search
//! through logs, pages, answers, what commands print, traces and the database, for every secret there was, in every form that
//! we can think of. Each place is then shown to be one where the search finds what is there.

mod journey;
mod scan;

use journey::Stage;
use scan::Secrets;

use crate::support::databases::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_journey_leaves_no_secret_behind() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let mut stage = Stage::on(database).await;
        stage.play().await;
        stage.dump_the_database().await;
        stage.stop().await;
        let secrets = stage.secrets().await;
        assert!(secrets.len() > 50, "{db}: {} secrets is no journey", secrets.len());
        let log = stage.heard.iter().find(|(place, _)| place == "the server's log").map(|(_, text)| text.len());
        assert!(log > Some(100_000), "{db}: a log of {log:?} bytes isn't one at trace");
        let exported = stage.heard.iter().find(|(place, _)| place == "what was exported").map(|(_, bytes)| bytes.len());
        assert!(exported > Some(10_000), "{db}: traces of {exported:?} bytes are none of a journey");
        let found: Vec<String> = stage.heard.iter().flat_map(|(place, text)| secrets.found_in(place, text)).collect();
        assert!(found.is_empty(), "{db}: {} leaks\n{}", found.len(), found.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_planted_is_found_wherever_it_comes_out() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let mut stage = Stage::on(database).await;
        let secret = stage.plant().await;
        stage.dump_the_database().await;
        stage.stop().await;
        let secrets = Secrets::of([("a token".to_owned(), secret)]);
        for place in [
            "the server's log",
            "grants list --json",
            "GET /settings/integrations",
            "what was exported",
            "the database",
        ] {
            let (_, text) = stage.heard.iter().find(|(heard, _)| heard == place).expect("every place was looked at");
            assert!(!secrets.found_in(place, text).is_empty(), "{db}: not found in {place}");
        }
    }
}
