//! The problems that the JSON API can return.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// A problem type (RFC 9457). The value is the `code` member and the end of the `type` URI.
    ProblemCode {
        MissingKey = "missing-key",
        InvalidKey = "invalid-key",
        ExpiredKey = "expired-key",
        PersonalKey = "personal-key",
        MissingScope = "missing-scope",
        LimitedKey = "limited-key",
        NoSuchConnection = "no-such-connection",
        NotConnected = "not-connected",
        TokenReachesOtherOrganizations = "token_reaches_other_organizations",
        InvalidMinTtl = "invalid-min-ttl",
        TooManyRequests = "too-many-requests",
        NotFresh = "not-fresh",
        TooShort = "too-short",
        InvalidArgument = "invalid-argument",
        ExternalIdTaken = "external-id-taken",
        PreconditionFailed = "precondition-failed",
        IdempotencyKeyReused = "idempotency-key-reused",
        IdempotencyInProgress = "idempotency-in-progress",
        DisconnectFailed = "disconnect-failed",
        XeroPathForbidden = "xero-path-forbidden",
        NulCharacter = "nul-character",
        BodyIncomplete = "body-incomplete",
        BodyTooLarge = "body-too-large",
        TimedOut = "timed-out",
        XeroBodyIncomplete = "xero-body-incomplete",
        XeroLimitReached = "xero-limit-reached",
        XeroUnreachable = "xero-unreachable",
        XeroNoAnswer = "xero-no-answer",
        XeroTenantGone = "xero-tenant-gone",
        XeroScopeMissing = "xero-scope-missing",
        NoSuchLink = "no-such-link",
        ReturnUrlNotAllowed = "return-url-not-allowed",
        TooManyLinks = "too-many-links",
        TooManyMails = "too-many-mails",
        NoSuchRoute = "no-such-route",
        MethodNotAllowed = "method-not-allowed",
        Internal = "internal",
    }
);

impl ProblemCode {
    /// Returns the HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::MissingKey | Self::InvalidKey | Self::ExpiredKey | Self::PersonalKey => 401,
            Self::XeroBodyIncomplete | Self::BodyIncomplete | Self::NulCharacter => 400,
            Self::MissingScope | Self::LimitedKey | Self::XeroPathForbidden | Self::XeroScopeMissing => 403,
            Self::NoSuchConnection | Self::NoSuchLink | Self::NoSuchRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::NotConnected
            | Self::TokenReachesOtherOrganizations
            | Self::XeroTenantGone
            | Self::IdempotencyInProgress
            | Self::ExternalIdTaken
            | Self::TooManyLinks => 409,
            Self::PreconditionFailed => 412,
            Self::BodyTooLarge => 413,
            Self::InvalidMinTtl | Self::InvalidArgument | Self::IdempotencyKeyReused | Self::ReturnUrlNotAllowed => 422,
            Self::TooManyRequests | Self::TooManyMails | Self::XeroLimitReached => 429,
            Self::Internal => 500,
            Self::NotFresh | Self::TooShort | Self::XeroUnreachable | Self::DisconnectFailed | Self::TimedOut => 503,
            Self::XeroNoAnswer => 504,
        }
    }

    /// Returns the `title` member.
    pub fn title(self) -> &'static str {
        match self {
            Self::MissingKey => "An API key is required",
            Self::InvalidKey => "The API key is not valid",
            Self::ExpiredKey => "The API key has expired",
            Self::PersonalKey => "Keys that people create are not accepted",
            Self::MissingScope => "The API key lacks a scope",
            Self::LimitedKey => "The key is limited to some connections",
            Self::NoSuchConnection => "Connection not found",
            Self::NotConnected => "The connection must be reconnected",
            Self::TokenReachesOtherOrganizations => "The token would open another organisation's Xero data",
            Self::InvalidMinTtl => "min_ttl is out of range",
            Self::TooManyRequests => "Too many requests",
            Self::NotFresh => "No valid token is available right now",
            Self::TooShort => "The token expires too soon",
            Self::InvalidArgument => "An argument is not valid",
            Self::ExternalIdTaken => "Another connection has this externalId",
            Self::PreconditionFailed => "The connection has changed",
            Self::IdempotencyKeyReused => "Another request had this Idempotency-Key",
            Self::IdempotencyInProgress => "The same call is running",
            Self::DisconnectFailed => "The connection could not be removed",
            Self::XeroPathForbidden => "This path of Xero's API is not reachable",
            Self::NulCharacter => "The path or the query contains a NUL",
            Self::XeroBodyIncomplete => "The call's body did not arrive",
            Self::BodyIncomplete => "The request's body did not arrive",
            Self::BodyTooLarge => "The request's body is too long",
            Self::TimedOut => "The call took too long",
            Self::XeroLimitReached => "A limit of Xero's is reached",
            Self::XeroUnreachable => "Xero can't be reached",
            Self::XeroNoAnswer => "Xero's response was lost",
            Self::XeroTenantGone => "Xero no longer gives access to this organisation",
            Self::XeroScopeMissing => "The connection lacks a scope of Xero's",
            Self::NoSuchLink => "Connect link not found",
            Self::ReturnUrlNotAllowed => "The return address is not allowed",
            Self::TooManyLinks => "Too many open connect links",
            Self::TooManyMails => "Too many emails to one address",
            Self::NoSuchRoute => "Route not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Internal => "Something went wrong on our side",
        }
    }

    /// Says when the problem occurs and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::MissingKey => {
                "The request has no Authorization header with a bearer token. Send Authorization: Bearer and the key."
            }
            Self::InvalidKey => {
                "The key is malformed, unknown or revoked. Ask an owner or admin of the organisation for a new one."
            }
            Self::ExpiredKey => "The key has expired. Ask an owner or admin of the organisation for a new one.",
            Self::PersonalKey => {
                "A person created the key, and Evergrant would not notice that they leave the organisation, because it receives no webhooks from Clerk. Ask your Evergrant administrator to set CLERK_WEBHOOK_SECRET, or for a key from the command line."
            }
            Self::MissingScope => "The key lacks the scope that detail names. Create a key with that scope.",
            Self::LimitedKey => {
                "The call would reach more than the connections that the key is limited to. Use a key for all connections, or call Xero through /api/v1/bindings/ID/xero."
            }
            Self::NoSuchConnection => {
                "The key's organisation has no connection with this id, or the key is limited to others. GET /api/v1/bindings lists its connections."
            }
            Self::NotConnected => {
                "The connection was disconnected, or its access was removed in Xero. Don't retry: a person has to reconnect it."
            }
            Self::TokenReachesOtherOrganizations => {
                "The Xero user who made this connection also connected another organisation's Xero, and an access token of a user opens everything that the user connected. Call Xero through /api/v1/bindings/ID/xero instead, or have a Xero user reconnect it who connects nothing else."
            }
            Self::InvalidMinTtl => {
                "min_ttl isn't a whole number of seconds from 0 to 1800: Xero's access tokens are valid for 30 minutes."
            }
            Self::TooManyRequests => "The key has reached its rate limit. Wait as many seconds as Retry-After says.",
            Self::NotFresh => {
                "The token has expired and Xero doesn't issue a new one right now. The connection is safe. Wait as many seconds as Retry-After says."
            }
            Self::TooShort => {
                "The token is valid, but not for as long as min_ttl asks, and Xero doesn't issue a new one right now. Ask for less, or wait as many seconds as Retry-After says, if it is present."
            }
            Self::InvalidArgument => "A parameter or a field of the body is not valid; detail says which and why.",
            Self::ExternalIdTaken => {
                "An externalId is unique within the organisation. GET /api/v1/bindings?externalId= finds the connection that has it."
            }
            Self::PreconditionFailed => {
                "It was changed since you read it: If-Match names another version. Read the connection again, then repeat the change."
            }
            Self::IdempotencyKeyReused => {
                "An Idempotency-Key names one request for 24 hours, and this one has another path or body. Send a new key with a new request."
            }
            Self::IdempotencyInProgress => {
                "A call with this Idempotency-Key has not ended yet. Wait as many seconds as Retry-After says, then repeat it to get its response."
            }
            Self::DisconnectFailed => "Xero did not remove the connection, so nothing was changed. Try again later.",
            Self::XeroPathForbidden => {
                "Only paths below api.xro, payroll.xro, files.xro, assets.xro, projects.xro, finance.xro and bankfeeds.xro are passed on."
            }
            Self::NulCharacter => "No ID or label contains a NUL character. Remove it from the path or the query.",
            Self::BodyIncomplete => {
                "The whole body was not received in time. Nothing was done. Send the request again."
            }
            Self::BodyTooLarge => "A body may have 128 kB. Nothing was done. Send fewer rows at once.",
            Self::TimedOut => {
                "Evergrant's database or Xero did not answer in time, and the call may still be done. Read what became of it before you repeat it."
            }
            Self::XeroBodyIncomplete => {
                "The connection failed before the whole body was received. Nothing was sent to Xero."
            }
            Self::XeroLimitReached => {
                "The call waited for its turn, and nothing was sent to Xero. limit names the limit. Wait as many seconds as Retry-After says."
            }
            Self::XeroUnreachable => {
                "No connection to Xero could be made, so nothing was sent. Wait as many seconds as Retry-After says."
            }
            Self::XeroNoAnswer => {
                "The call was sent and no response arrived, so Xero may have acted on it. Repeat a write only with the same Idempotency-Key."
            }
            Self::XeroTenantGone => {
                "Somebody may have removed the access in Xero. Evergrant checks the connection; a person may have to reconnect it."
            }
            Self::XeroScopeMissing => {
                "The consent does not cover this call. Evergrant's administrator sets the scopes, then a person has to reconnect the connection."
            }
            Self::NoSuchLink => {
                "The key's organisation has no connect link with this id. GET /api/v1/connect-links lists its open ones."
            }
            Self::ReturnUrlNotAllowed => {
                "returnUrl has to begin with one of the organisation's return addresses. An owner adds them under Settings, Integrations."
            }
            Self::TooManyMails => {
                "Five emails with links go to an address of an organisation, and then one in half an hour. No link was created. Leave email out and send the link yourself, or try again later."
            }
            Self::TooManyLinks => "An organisation may have 500 open connect links. Cancel some, or let them expire.",
            Self::NoSuchRoute => {
                "GET /api/v1/bindings lists the connections, GET /api/v1/bindings/ID/token returns an access token of one."
            }
            Self::MethodNotAllowed => "Use GET.",
            Self::Internal => {
                "Try again in a moment. If this keeps happening, give your Evergrant administrator the reference, which finds the cause in the log."
            }
        }
    }
}
