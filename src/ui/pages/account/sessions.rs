//! Where the person is signed in.

use leptos::prelude::*;

use super::words;
use crate::model::{AccountSession, AccountView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Renders the section.
pub fn sessions(view: &AccountView) -> impl IntoView + use<> {
    let rows = view.sessions.iter().map(row).collect_view();
    let others = view.sessions.iter().any(|one| !one.is_current);
    view! {
        <section aria-labelledby="sessions">
            <div class="section-head">
                <h2 id="sessions">{words::WHERE_YOU_ARE_SIGNED_IN}</h2>
            </div>
            <div class="stack">
                <ul class="connections" aria-label="Browsers">{rows}</ul>
                {others
                    .then(|| {
                        view! {
                            <form method="post" action="/api/account/end-other-sessions">
                                <button class="button">{words::SIGN_OUT_EVERYWHERE_ELSE}</button>
                            </form>
                        }
                    })}
            </div>
        </section>
    }
}

fn row(one: &AccountSession) -> impl IntoView + use<> {
    let title = format!("session-{}", one.id);
    let end = (!one.is_current).then(|| {
        view! {
            <form method="post" action="/api/account/end-session">
                <input type="hidden" name="session" value=one.id.clone() />
                <button class="button" aria-describedby=title.clone()>
                    {words::SIGN_OUT}
                </button>
            </form>
        }
    });
    view! {
        <li class="connection brief" data-key=one.id.clone()>
            <div class="connection-name">
                <h3 id=title>{browser_name(one.user_agent.as_deref())}</h3>
                {one.is_current.then(|| Badge::plain(Tone::Good, words::THIS_BROWSER).render())}
                <span class="meta">
                    {words::session_times(
                        one.address.clone(),
                        time::absolute(one.last_seen_at),
                        time::absolute(one.created_at),
                    )}
                </span>
            </div>
            {end}
        </li>
    }
    .rendered()
}

/// Names a browser by what it says of itself: "Firefox on Windows". Browsers claim to be others too, so the order counts.
fn browser_name(user_agent: Option<&str>) -> String {
    let Some(text) = user_agent else { return words::UNKNOWN_BROWSER.to_owned() };
    let first =
        |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name);
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => words::browser_on(browser, system),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => text.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_is_named_by_what_it_says_of_itself() {
        for (text, name) in [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl/8.5.0"),
        ] {
            assert_eq!(browser_name(Some(text)), name);
        }
        assert_eq!(browser_name(None), "Unknown browser");
    }
}
