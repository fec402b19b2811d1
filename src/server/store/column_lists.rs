//! Column lists of the tables whose rows are read whole.
//!
//! `SELECT *` would include a column that a newer version's migration adds while this version runs. A statement that
//! was prepared before would then fail on either database, so servers of two versions could not run at the same time.

/// Expands `columns!("g.": id, org_id)` to `"g.id, g.org_id"`.
macro_rules! columns {
    ($of:literal: $first:ident $(, $more:ident)*) => {
        concat!($of, stringify!($first) $(, ", ", $of, stringify!($more))*)
    };
}
pub(super) use columns;

macro_rules! grant_columns {
    ($of:literal) => {
        columns!($of: id, org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, access_token_enc, refresh_token_enc, expires_at,
            refresh_token_issued_at, status, generation, lease_owner, lease_until, failure_count, next_attempt_at,
            last_error, last_failure, last_refreshed_at, last_used_at, reply_lost_at, refused_at, previous_token_enc, previous_generation, prove_by, exported_at)
    };
}
pub(super) use grant_columns;

macro_rules! attempt_columns {
    ($of:literal) => {
        columns!($of: id, grant_id, trigger, actor, started_at, finished_at, duration_ms, outcome, error_code,
            http_status, trace_id,
            correlation_id)
    };
}
pub(super) use attempt_columns;

macro_rules! event_columns {
    ($of:literal) => {
        columns!($of: id, org_id, kind, binding_id, grant_id, tenant_id, tenant_name, external_id, tags, reason, ends_at,
            occurred_at)
    };
}
pub(super) use event_columns;

macro_rules! delivery_columns {
    ($of:literal) => {
        columns!($of: id, event_id, org_id, channel, target_id, status, attempts, created_at, last_attempt_at,
            next_attempt_at, last_http_status, last_error)
    };
}
pub(super) use delivery_columns;
