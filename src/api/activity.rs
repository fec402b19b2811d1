//! Server functions over the journal.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ActivityView, ApiError, AttemptView, BindingId, ChangesView};

/// What `/activity` shows: a page of the organisation's journal, newest first.
#[server(prefix = "/api", endpoint = "activity", input = PostUrl, output = Json)]
pub async fn activity(
    /// One connection's alone.
    #[server(default)]
    connection: Option<BindingId>,
    /// Those that ended so; a word that is none of ours filters nothing.
    #[server(default)]
    outcome: Option<String>,
    /// Those older than this place, as an earlier answer named it.
    #[server(default)]
    before: Option<String>,
) -> Result<ActivityView, ApiError> {
    use crate::model::{ActivityFilter, Cursor, Outcome};
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::by_somebody().await?;
    let outcome = outcome.and_then(|outcome| Outcome::parse(&outcome));
    let filter = ActivityFilter { connection: connection.filter(|id| !id.0.is_empty()), outcome };
    let after = before.and_then(|before| Cursor::parse(&before));
    let view = async { Ok(views::activity(&asked.state.store, &asked.org()?.id, filter, after).await?) };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// What `/activity?show=changes` shows: a page of what was done in the organisation and by whom, newest first.
#[server(prefix = "/api", endpoint = "activity/changes", input = PostUrl, output = Json)]
pub async fn changes(
    /// One kind of change alone; a word that is none of ours filters nothing.
    #[server(default)]
    action: Option<String>,
    /// What one kind of actor did alone.
    #[server(default)]
    actor: Option<String>,
    /// Those older than this place, as an earlier answer named it.
    #[server(default)]
    before: Option<String>,
) -> Result<ChangesView, ApiError> {
    use crate::model::{Action, ActorKind, ChangesFilter, Cursor};
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::by_somebody().await?;
    let filter = ChangesFilter {
        action: action.and_then(|action| Action::parse(&action)),
        actor: actor.and_then(|actor| ActorKind::parse(&actor)),
    };
    let after = before.and_then(|before| Cursor::parse(&before));
    let view = async { Ok(views::changes(&asked.state.store, asked.org()?, filter, after).await?) };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// The connection's last attempts, newest first, at most fifty.
#[server(prefix = "/api", endpoint = "integrations/xero/history", input = PostUrl, output = Json)]
pub async fn connection_history(binding_id: BindingId) -> Result<Vec<AttemptView>, ApiError> {
    use crate::server::http::asked::{Asked, not_found};

    let asked = Asked::by_somebody().await?;
    let attempts = async {
        let (store, org) = (&asked.state.store, &asked.org()?.id);
        store.binding(org, &binding_id).await?.ok_or_else(not_found)?;
        Ok(store.attempts_of_binding(org, &binding_id, 50).await?)
    };
    let attempts = attempts.await;
    asked.answer(attempts, |_| None)
}
