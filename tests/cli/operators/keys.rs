//! `evergrant keys rotate`, beside running servers.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evergrant::server::domain::{AccessToken, RefreshToken, TokenSet};
use evergrant::server::store::{AttemptEnd, NewGrant};
use evergrant::server::tokens::{Kept, Spool};
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::sync::watch;

use super::{Place, Said};
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{Connected, consent};

/// Grants whose texts are only there to be sealed anew.
const IDLE: usize = 250;
/// The ring is in a file, not in the environment.
const FROM_FILE: (&str, &str) = ("EVERGRANT_KEYS", "");

fn key_file(place: &Place) -> PathBuf {
    place.folder.path().join("data/keys")
}

/// A place whose servers have the test's key in a file.
async fn place_with_a_file(database: TestDatabase) -> Place {
    let place = Place::on(database).await;
    std::fs::write(key_file(&place), format!("test:{}=\n", "A".repeat(43))).unwrap();
    std::fs::set_permissions(key_file(&place), std::fs::Permissions::from_mode(0o600)).unwrap();
    place
}

fn kids(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(key_file(place)).unwrap();
    text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

async fn sealed_with(place: &Place, kid: &str) -> i64 {
    let row = sqlx::query(
        "SELECT COUNT(CASE WHEN access_token_enc LIKE $1 THEN 1 END) + COUNT(CASE WHEN refresh_token_enc LIKE $1 THEN 1 END) \
         FROM integration_grants",
    );
    row.bind(format!("v1.{kid}.%")).fetch_one(place.store.database().pool()).await.unwrap().get(0)
}

/// The last line of a command that prints its progress first.
fn result(said: &Said) -> Value {
    serde_json::from_str(said.out.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{}", said.all))
}

/// A key of a result, by its id.
fn key<'a>(result: &'a Value, kid: &str) -> &'a Value {
    let keys = result["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == kid).unwrap_or_else(|| panic!("no {kid} in {result}"))
}

/// Servers that refresh and are asked whether they are ready, all the time.
struct Load {
    stop: Arc<AtomicBool>,
    done: watch::Sender<usize>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    async fn on(place: &Place, servers: &[Instance]) -> Self {
        let cookie = servers[0].sign_in(&place.provider).await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let mut callers = Vec::new();
        for server in servers {
            let refresh = place.provider.client.post(format!("{}/api/integrations/xero/refresh", server.base));
            let refresh = refresh.header(COOKIE, &cookie).form(&[("clicked", "false")]);
            let ready = place.provider.client.get(format!("{}/readyz", server.base));
            let (stop, done) = (Arc::clone(&stop), done.clone());
            callers.push(tokio::spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    for request in [&refresh, &ready] {
                        match request.try_clone().unwrap().send().await {
                            Err(error) => wrong.push(error.to_string()),
                            Ok(answer) => {
                                let (status, text) = (answer.status(), answer.text().await.unwrap());
                                if text != "ready\n" && !text.contains("\"success\":true") {
                                    wrong.push(format!("{status}: {text}"));
                                }
                            }
                        }
                    }
                    done.send_modify(|rounds| *rounds += 1);
                }
                wrong
            }));
        }
        Self { stop, done, callers }
    }

    /// Waits for so many more rounds.
    async fn go_on(&self, rounds: usize) {
        let mut done = self.done.subscribe();
        let until = *done.borrow() + rounds;
        done.wait_for(|rounds| *rounds >= until).await.unwrap();
    }

    async fn assert_nothing_failed(self, db: &str) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            assert_eq!(caller.await.unwrap(), Vec::<String>::new(), "{db}");
        }
    }
}

async fn idle_grants(place: &Place) {
    let org = place.store.add_org("Idle").await.unwrap().unwrap();
    for number in 0..IDLE {
        let tokens = TokenSet {
            access_token: AccessToken::new(format!("access-{number}")),
            refresh_token: RefreshToken::new(format!("refresh-{number}")),
            expires_at: place.clock.now() + 1800,
            scopes: String::new(),
        };
        let new = NewGrant { org_id: org.clone(), xero_user_id: "u".into(), auth_event_id: "e".into(), tokens };
        place.store.insert_grant(new).await.unwrap();
    }
}

/// Starts a rotation and kills it once it has sealed something anew.
async fn rotate_and_kill(place: &Place) {
    let mut child = place.command(&["keys", "rotate", "--json"], &[FROM_FILE]).stdout(Stdio::piped()).spawn().unwrap();
    tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut seen = Vec::new();
        let is_sealing = lines.inspect(|line| seen.push(line.clone())).any(|line| line.contains("resealed"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_sealing && seen[0].contains(r#""progress":"made""#), "{seen:?}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_fails_no_read_and_goes_on_after_a_kill() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let place = place_with_a_file(database).await;
        // Less than the buffer, so that every call finds the grant due.
        place.provider.control("settings", json!({ "access_ttl": 300 })).await;
        let org = add_ana(&place.store).await;
        let connected = consent(&place.store, &place.provider, org, &["harbour"], 300).await;
        idle_grants(&place).await;
        let another = TempDir::new().unwrap();
        let shared = key_file(&place).display().to_string();
        let settings = [FROM_FILE, ("EVERGRANT_KEYS_FILE", shared.as_str())];
        let mut servers = vec![Instance::start(&place.database, &place.provider, place.folder.path(), &settings)];
        if db == "PostgreSQL" {
            servers.push(Instance::start(&place.database, &place.provider, another.path(), &settings));
        }
        let load = Load::on(&place, &servers).await;
        load.go_on(2).await;

        rotate_and_kill(&place).await;
        let ring = kids(&place);
        assert_eq!((ring.len(), ring[1].as_str()), (2, "test"), "{db}");
        let (new, old) = (sealed_with(&place, &ring[0]).await, sealed_with(&place, "test").await);
        assert!(new > 0 && old > 0 && new + old == 2 * (i64::try_from(IDLE).unwrap() + 1), "{db}: {new}, {old}");
        load.go_on(4).await;

        let said = place.run_with(&["keys", "rotate", "--json"], &[FROM_FILE]).await;
        assert_eq!(said.code, Some(0), "{db}: {}", said.all);
        assert!(said.out.starts_with(r#"{"kid":"#) && said.out.contains("resumed"), "{db}: {}", said.all);
        let ended = result(&said);
        assert_eq!((kids(&place), &ended["kid"]), (ring.clone(), &json!(ring[0])), "{db}: no further key is made");
        assert_eq!((sealed_with(&place, "test").await, &ended["refused"]), (0, &json!([])), "{db}");
        assert_eq!((&key(&ended, "test")["mayGo"], &key(&ended, &ring[0])["mayGo"]), (&json!(true), &json!(false)));
        load.go_on(4).await;
        assert_eq!(sealed_with(&place, "test").await, 0, "{db}: the servers seal with the new key");

        let soon = place.run_with(&["keys", "rotate", "--retire"], &[FROM_FILE]).await;
        assert!(soon.code == Some(1) && soon.all.contains("again in a minute"), "{db}: {}", soon.all);
        sqlx::query("UPDATE instances SET sealing_since = 0").execute(place.store.database().pool()).await.unwrap();
        let retired = place.run_with(&["keys", "rotate", "--retire", "--json"], &[FROM_FILE]).await;
        assert_eq!(
            (retired.code, result(&retired)),
            (Some(0), json!({ "retired": ["test"] })),
            "{db}: {}",
            retired.all
        );
        assert_eq!(kids(&place), ring[..1], "{db}");
        load.go_on(2).await;
        load.assert_nothing_failed(db).await;

        // A start with the new key alone.
        servers.clear();
        let server = [Instance::start(&place.database, &place.provider, place.folder.path(), &settings)];
        let load = Load::on(&place, &server).await;
        load.go_on(1).await;
        load.assert_nothing_failed(db).await;
        for said in [said, soon, retired] {
            said.assert_free_of_secrets(&[&connected]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sealed_with_a_key_that_a_running_server_lacks() {
    for database in TestDatabase::each().await {
        let place = place_with_a_file(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        let elsewhere = TempDir::new().unwrap();
        // With a copy of the old ring of its own.
        let mut server = Instance::start(&place.database, &place.provider, elsewhere.path(), &[]);
        let said = place.run_with(&["keys", "rotate", "--wait", "1s"], &[FROM_FILE]).await;
        let who = server.base.trim_start_matches("http://");
        assert!(said.code == Some(1) && said.all.contains(&format!("{who} can't open key k")), "{}", said.all);
        assert_eq!((kids(&place).len(), sealed_with(&place, "test").await), (2, 2), "{}", place.database.name);
        let doctor = place.run_with(&["doctor"], &[FROM_FILE]).await;
        assert!(doctor.out.contains(&format!("yet: {who}")) && doctor.code == Some(0), "{}", doctor.all);

        server.kill();
        let ring = std::fs::read_to_string(key_file(&place)).unwrap();
        let _server = Instance::start(&place.database, &place.provider, elsewhere.path(), &[("EVERGRANT_KEYS", &ring)]);
        let said = place.run_with(&["keys", "rotate"], &[FROM_FILE]).await;
        assert!(said.code == Some(0) && said.out.starts_with("Going on with key k"), "{}", said.all);
        assert!(said.out.contains("Nothing needs test any more"), "{}", said.all);
        assert_eq!((kids(&place).len(), sealed_with(&place, "test").await), (2, 0));
        said.assert_free_of_secrets(&[&shop]);
    }
}

/// A successor of the grant's that waits in this place's spool, sealed with the test's key.
async fn spool_a_successor(place: &Place, connected: &Connected) {
    let held = place.store.grant(&connected.grant).await.unwrap().unwrap();
    let tokens = TokenSet {
        access_token: AccessToken::new("a2"),
        refresh_token: RefreshToken::new("r2"),
        expires_at: held.expires_at,
        scopes: String::new(),
    };
    let rotation = place.store.seal_rotation(&held, &tokens).unwrap();
    let end = AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(200), correlation_id: None };
    let kept = Kept { rotation, attempt: "an attempt".into(), end };
    Spool::open(&place.folder.path().join("data/spool")).unwrap().keep(&kept).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stays_for_as_long_as_anything_needs_it() {
    for database in TestDatabase::each().await {
        let place = place_with_a_file(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        spool_a_successor(&place, &shop).await;
        let said = place.run_with(&["keys", "rotate"], &[FROM_FILE]).await;
        assert!(said.code == Some(0) && said.out.contains("Keep test. It is needed by token sets"), "{}", said.all);
        let retired = place.run_with(&["keys", "rotate", "--retire"], &[FROM_FILE]).await;
        assert!(retired.code == Some(0) && retired.out.starts_with("No key may go"), "{}", retired.all);
        let doctor = place.run_with(&["doctor"], &[FROM_FILE]).await;
        assert!(
            doctor.out.contains(&format!("1 token set waits for the database, of {}", shop.grant)),
            "{}",
            doctor.all
        );

        // A flight puts it in place, still sealed with the old key; the next rotation goes on with that.
        let refreshed = place.run_with(&["grants", "refresh", "--all-due"], &[FROM_FILE]).await;
        assert_eq!((refreshed.code, sealed_with(&place, "test").await), (Some(0), 2), "{}", refreshed.all);
        let doctor = place.run_with(&["doctor"], &[FROM_FILE]).await;
        assert!(doctor.out.contains("keys rotate seals the rest"), "{}", doctor.all);
        let again = place.run_with(&["keys", "rotate"], &[FROM_FILE]).await;
        assert!(again.code == Some(0) && again.out.contains("Nothing needs test any more"), "{}", again.all);
        let retired = place.run_with(&["keys", "rotate", "--retire"], &[FROM_FILE]).await;
        assert!(retired.code == Some(0) && retired.out.starts_with("Took test out of"), "{}", retired.all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_in_the_environment_is_changed_by_hand_and_sealed_with_by_the_command() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        place.connect("Corner Shop", &["southerly"], 1800).await;
        let said = place.run(&["keys", "rotate"]).await;
        assert!(said.code == Some(1) && said.all.contains("Put a new key before it"), "{}", said.all);
        let both = format!("next:{}=,test:{}=", "I".repeat(43), "A".repeat(43));
        let said = place.run_with(&["keys", "rotate"], &[("EVERGRANT_KEYS", &both)]).await;
        assert!(said.code == Some(0) && said.out.starts_with("Going on with key next"), "{}", said.all);
        assert_eq!((sealed_with(&place, "test").await, sealed_with(&place, "next").await), (0, 2));
        let said = place.run_with(&["keys", "rotate", "--retire"], &[("EVERGRANT_KEYS", &both)]).await;
        assert!(said.code == Some(1) && said.all.contains("Take out what may go yourself: test"), "{}", said.all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_were_swapped_cut_short_or_changed_are_named_and_left_as_they_are() {
    for database in TestDatabase::each().await {
        let place = place_with_a_file(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        let group = place.connect("Harbour Group", &["harbour"], 1800).await;
        let rename = [
            // One grant's in another's place, and one that lacks its end.
            format!(
                "UPDATE integration_grants SET access_token_enc = (SELECT access_token_enc FROM integration_grants \
                 WHERE id = '{}') WHERE id = '{}'",
                group.grant, shop.grant
            ),
            format!(
                "UPDATE integration_grants SET refresh_token_enc = SUBSTR(refresh_token_enc, 1, 60) WHERE id = '{}'",
                group.grant
            ),
        ];
        for statement in rename {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(place.store.database().pool()).await.unwrap();
        }
        let named =
            [format!("access token of grant {}", shop.grant), format!("refresh token of grant {}", group.grant)];
        let doctor = place.run_with(&["doctor"], &[FROM_FILE]).await;
        let rotated = place.run_with(&["keys", "rotate", "--json"], &[FROM_FILE]).await;
        assert_eq!((doctor.code, rotated.code), (Some(1), Some(1)), "{}{}", doctor.all, rotated.all);
        let ended = result(&rotated);
        for name in named {
            assert!(doctor.out.contains(&name) && ended["refused"].to_string().contains(&name), "{}", doctor.all);
        }
        assert_eq!((&ended["resealed"], &key(&ended, "test")["mayGo"]), (&json!(2), &json!(false)), "{ended}");
        let refused = place.run_with(&["grants", "refresh", "--grant", group.grant.as_str()], &[FROM_FILE]).await;
        assert!(refused.code == Some(1) && refused.all.contains("a refresh token doesn't open"), "{}", refused.all);
        for said in [doctor, rotated, refused] {
            said.assert_free_of_secrets(&[&shop, &group]);
        }
    }
}
