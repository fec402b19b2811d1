//! Server functions for the activity pages: refresh attempts and the audit log.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ActivityView, ApiError, BindingId, ChangesView};

/// Returns one page of the organization's refresh attempts for `/activity`, newest first.
#[server(prefix = "/api", endpoint = "activity", input = PostUrl, output = Json)]
pub async fn activity(
    /// Only attempts of this connection.
    #[server(default)]
    connection: Option<BindingId>,
    /// Only attempts with this outcome; an unknown value is ignored.
    #[server(default)]
    outcome: Option<String>,
    /// Only entries older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
    /// The first day, such as `2026-11-23`.
    #[server(default)]
    from: Option<String>,
    /// The last day.
    #[server(default)]
    to: Option<String>,
    /// The time zone of the days, by its IANA name. Without one, it is the person's own.
    #[server(default)]
    zone: Option<String>,
    /// Selects entries by people and API keys whose email address or name contains this text. Ignores case.
    #[server(default)]
    person: Option<String>,
) -> Result<ActivityView, ApiError> {
    use crate::model::{ActivityFilter, ActivityRange, Cursor, Outcome};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let outcome = outcome.and_then(|outcome| Outcome::parse(&outcome));
    let connection = connection.filter(|id| !id.0.is_empty());
    let filter = ActivityFilter { connection, outcome, ..ActivityFilter::default() };
    let range = ActivityRange::typed(from, to, zone, person);
    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let range = views::in_zone(range, ctx.caller.time_zone.as_deref());
        let reader = (&ctx.org()?.id, &ctx.viewer()?);
        Ok(views::activity(&ctx.state.store, reader, filter, range, after).await?)
    })
    .await
    .without_flash()
}

/// Returns one page of the organization's audit log for `/activity?show=changes`, newest first.
#[server(prefix = "/api", endpoint = "activity/changes", input = PostUrl, output = Json)]
pub async fn changes(
    /// Only this kind of change; an unknown value is ignored.
    #[server(default)]
    action: Option<String>,
    /// Only changes by this kind of actor; an unknown value is ignored.
    #[server(default)]
    actor: Option<String>,
    /// Only entries older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
    /// The first day, such as `2026-11-23`.
    #[server(default)]
    from: Option<String>,
    /// The last day.
    #[server(default)]
    to: Option<String>,
    /// The time zone of the days, by its IANA name. Without one, it is the person's own.
    #[server(default)]
    zone: Option<String>,
    /// Selects entries by people and API keys whose email address or name contains this text. Ignores case.
    #[server(default)]
    person: Option<String>,
) -> Result<ChangesView, ApiError> {
    use crate::model::{Action, ActivityRange, ActorKind, ChangesFilter, Cursor};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let filter = ChangesFilter {
        action: action.and_then(|action| Action::parse(&action)),
        actor: actor.and_then(|actor| ActorKind::parse(&actor)),
        ..ChangesFilter::default()
    };
    let range = ActivityRange::typed(from, to, zone, person);
    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let range = views::in_zone(range, ctx.caller.time_zone.as_deref());
        let reader = (ctx.org()?, &ctx.viewer()?);
        Ok(views::changes(&ctx.state.store, reader, filter, range, after).await?)
    })
    .await
    .without_flash()
}
