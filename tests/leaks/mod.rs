//! Secret leaks: a whole user journey runs with logs at `trace`. Then logs, pages, responses, command output, exported
//! traces and the database are scanned for every secret in every likely encoding.
//!
//! A second test plants a secret and shows that the scan finds it in each of these places.

mod journey;
mod scan;

use journey::Journey;
use scan::SecretScanner;

use crate::support::databases::TestDatabase;

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_journey_leaks_no_secret(database: TestDatabase) {
    let db = database.name;
    let mut journey = Journey::on(database).await;
    journey.run_all().await;
    journey.capture_database().await;
    journey.stop_server().await;
    let secrets = journey.scanner().await;
    assert!(secrets.len() > 50, "{db}: only {} secrets: the journey is incomplete", secrets.len());
    let log = journey.captured.iter().find(|(place, _)| place == "the server's log").map(|(_, text)| text.len());
    assert!(log > Some(100_000), "{db}: the log has only {log:?} bytes: it is not at trace level");
    let exported = journey.captured.iter().find(|(place, _)| place == "exported traces").map(|(_, bytes)| bytes.len());
    assert!(exported > Some(10_000), "{db}: only {exported:?} bytes of traces: the journey is incomplete");
    let found: Vec<String> = journey.captured.iter().flat_map(|(place, text)| secrets.find_in(place, text)).collect();
    assert!(found.is_empty(), "{db}: {} leaks\n{}", found.len(), found.join("\n"));
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_secret_is_found_in_every_place(database: TestDatabase) {
    let db = database.name;
    let mut journey = Journey::on(database).await;
    let secret = journey.plant_secret().await;
    journey.capture_database().await;
    journey.stop_server().await;
    let secrets = SecretScanner::new([("a token".to_owned(), secret)]);
    for place in
        ["the server's log", "grants list --json", "GET /settings/integrations", "exported traces", "the database"]
    {
        let (_, text) = journey.captured.iter().find(|(heard, _)| heard == place).expect("every place was captured");
        assert!(!secrets.find_in(place, text).is_empty(), "{db}: not found in {place}");
    }
}
