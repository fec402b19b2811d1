//! The names and help texts of the metrics.

pub const EXCHANGES: &str = "evergrant_exchanges_total";
pub const EXCHANGE_TIME: &str = "evergrant_exchange_duration_seconds";
pub const JOINED: &str = "evergrant_refreshes_joined_total";
pub const LEASE_WAIT: &str = "evergrant_lease_wait_seconds";
pub const FENCED: &str = "evergrant_commits_fenced_total";
pub const SPOOLED: &str = "evergrant_token_sets_spooled_total";
pub const LOST_AUDIT_EVENTS: &str = "evergrant_audit_events_lost_total";
pub const REFUSED: &str = "evergrant_grants_refused";
pub const REFUSALS_HELD: &str = "evergrant_refusals_held";
pub const MISPLACED: &str = "evergrant_spool_misplaced_token_sets";
pub const SPOOL: &str = "evergrant_spool_token_sets";
pub const ALARM: &str = "evergrant_alarm_raised";
pub const BREAKER: &str = "evergrant_breaker_open";
pub const DATABASE: &str = "evergrant_database_up";
pub const GRANTS: &str = "evergrant_grants";
pub const OLDEST_REFRESH_TOKEN_AGE: &str = "evergrant_refresh_token_oldest_age_seconds";
pub const REQUESTS: &str = "evergrant_http_requests_total";
pub const REQUEST_TIME: &str = "evergrant_http_request_duration_seconds";
pub const OUTBOX_EVENTS: &str = "evergrant_outbox_events";
pub const DELIVERIES_PENDING: &str = "evergrant_deliveries_pending";
pub const OLDEST_OVERDUE_DELIVERY: &str = "evergrant_delivery_oldest_overdue_seconds";
pub const DELIVERIES: &str = "evergrant_deliveries_total";
pub const PROXIED_CALLS: &str = "evergrant_proxied_calls_total";
pub const PROXIED_BYTES: &str = "evergrant_proxied_bytes_total";
pub const STREAMS: &str = "evergrant_event_streams";
pub const CONNECTIONS: &str = "evergrant_http_connections";
pub const KEY_USES: &str = "evergrant_encryption_key_uses";
pub const SIGN_INS: &str = "evergrant_sign_ins_total";
pub const PROOFS: &str = "evergrant_proofs_total";
pub const LIMITED_ATTEMPTS: &str = "evergrant_limited_attempts_total";
pub const SCOPE_REFUSALS: &str = "evergrant_scope_refusals_total";
pub const BUILD: &str = "evergrant_build_info";
pub const STARTED: &str = "process_start_time_seconds";

/// The help text of each metric.
pub const HELP: &[(&str, &str)] = &[
    (EXCHANGES, "Refresh tokens sent to Xero, by trigger and outcome."),
    (EXCHANGE_TIME, "How long an exchange took until Xero answered or it failed."),
    (JOINED, "Callers that joined a running refresh of the same grant in this process."),
    (LEASE_WAIT, "How long refreshes waited for another process's lease on the grant."),
    (FENCED, "Results discarded because the grant had a newer generation or another lease holder."),
    (SPOOLED, "Token sets spooled because the database did not accept them."),
    (LOST_AUDIT_EVENTS, "Audit events of vended tokens that could not be written. The log has them."),
    (REFUSED, "Grants whose token Xero refused, while that is checked or held. They count as failing, too."),
    (REFUSALS_HELD, "1 while refusals of several organizations' grants are held, so that none ends, else 0."),
    (MISPLACED, "Token sets in the spool that belong to no grant of this database. Look at evergrant doctor."),
    (SPOOL, "Token sets in the spool now. If it isn't 0 for minutes, an operator is needed."),
    (ALARM, "1 while Xero refuses this app's own credentials, else 0."),
    (BREAKER, "1 while the circuit breaker of Xero's token endpoint is open, else 0."),
    (DATABASE, "1 if the database answered the last scrape that queried it, else 0."),
    (GRANTS, "Grants that aren't revoked, by health: active, failing, needs_reauth."),
    (OLDEST_REFRESH_TOKEN_AGE, "Age of the oldest refresh token in use. Xero ends one at 60 days, 5184000 seconds."),
    (REQUESTS, "HTTP requests answered, by method, route and status."),
    (REQUEST_TIME, "How long HTTP requests took until the response headers, by method and route."),
    (OUTBOX_EVENTS, "Outbox events that haven't been fanned out yet."),
    (DELIVERIES_PENDING, "Deliveries that wait for their next attempt."),
    (OLDEST_OVERDUE_DELIVERY, "How long the most overdue delivery has been overdue."),
    (DELIVERIES, "Delivery attempts, by outcome: delivered, again, given_up."),
    (PROXIED_CALLS, "Calls of programs to Xero, by outcome: answered, limited, unreachable, no_answer."),
    (PROXIED_BYTES, "Bytes of the bodies of those calls, by direction: sent to Xero, received from Xero."),
    (STREAMS, "Event streams that are open now."),
    (CONNECTIONS, "Connections to the main address that are open now."),
    (KEY_USES, "Values that the most used encryption key has sealed. Rotate it before 2^32, 4294967296."),
    (
        SIGN_INS,
        "Sign-ins, by outcome: signed_in, code_required, wrong_credentials, wrong_code, expired, limited, delegated, failed, or the provider's; and by limit.",
    ),
    (
        PROOFS,
        "Proofs of who somebody signed in is, by outcome: proven, wrong_password, wrong_code, limited, sign_in_again.",
    ),
    (
        LIMITED_ATTEMPTS,
        "Attempts refused because a limit is used up, by purpose: login, password_reset, second_factor, invitation, connect_link; and by limit.",
    ),
    (SCOPE_REFUSALS, "Consents whose scopes Xero refused, by cause. Look at evergrant doctor."),
    (BUILD, "1, labeled with the running version."),
    (STARTED, "When this process started, in unix seconds."),
];

/// Returns every metric's name.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    HELP.iter().map(|(name, _)| *name)
}
