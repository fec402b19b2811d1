"""Calls Xero through Evergrant: no tokens, no refreshes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

__all__ = ["Connection", "EventPage", "Evergrant", "EvergrantError", "ImportReport", "Token"]

_UNSET: Any = object()


@dataclass(frozen=True)
class Connection:
    """A connection of your organization to a Xero tenant. Times are in Unix seconds."""

    id: str
    external_id: str | None
    tags: tuple[str, ...]
    #: email addresses that get a letter with a link if it needs reconnecting
    contacts: tuple[str, ...]
    tenant_id: str
    tenant_name: str
    tenant_type: str
    #: active, needs_reauth or disconnected
    status: str
    #: what its consent granted; empty if that is not known
    granted_scopes: tuple[str, ...]
    #: what the app asks for and an active connection lacks
    missing_scopes: tuple[str, ...]
    connected_at: int
    #: when it was moved to another system, which keeps it alive now
    moved_at: int | None

    @classmethod
    def _of(cls, body: Mapping[str, Any]) -> Connection:
        return cls(
            id=body["id"],
            external_id=body.get("externalId"),
            tags=tuple(body["tags"]),
            contacts=tuple(body["contacts"]),
            tenant_id=body["tenantId"],
            tenant_name=body["tenantName"],
            tenant_type=body["tenantType"],
            status=body["status"],
            granted_scopes=tuple(body["grantedScopes"]),
            missing_scopes=tuple(body["missingScopes"]),
            connected_at=body["connectedAt"],
            moved_at=body.get("movedAt"),
        )


@dataclass(frozen=True, repr=False)
class Token:
    """An access token for one connection. Do not store it. `expires_at` is in Unix seconds."""

    access_token: str
    tenant_id: str
    expires_at: int
    warning: str | None


@dataclass(frozen=True)
class EventPage:
    """A page of events, each as webhooks get it: a mapping with `id`, `type`, `timestamp` and `data`."""

    events: tuple[Mapping[str, Any], ...]
    next_cursor: str
    has_more: bool


@dataclass(frozen=True)
class ImportReport:
    """What became of one imported row."""

    outcome: str
    message: str
    try_again: bool
    bindings: tuple[str, ...]
    detail: str | None


class EvergrantError(Exception):
    """A problem of Evergrant's. `code` is None if something between us answered."""

    def __init__(self, status: int, code: str | None, detail: str, retry_after: float | None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        #: After how many seconds to try again, if that can help.
        self.retry_after = retry_after


class Evergrant:
    """A program's access to the connections of its organization.

    `url` is Evergrant's address, `key` an API key (`egk_…`). Use it as a context manager, or call `close`.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 150.0, transport: httpx.BaseTransport | None = None) -> None:
        #: The API key.
        self.key = key
        self._base = f"{url.rstrip('/')}/api/v1/"
        self._client = httpx.Client(
            base_url=self._base,
            headers={"authorization": f"Bearer {key}"},
            timeout=timeout,
            # The key belongs to Evergrant alone.
            follow_redirects=False,
            transport=transport,
        )

    def __enter__(self) -> Evergrant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections to Evergrant."""
        self._client.close()

    def connections(
        self,
        *,
        status: str | None = None,
        external_id: str | None = None,
        tag: str | None = None,
        missing_scopes: bool = False,
    ) -> Iterator[Connection]:
        """Lists the connections, oldest first, and reads further pages as they are needed.

        With `missing_scopes`, only those that lack a scope that the app asks for.
        """
        given = {"status": status, "externalId": external_id, "tag": tag, "missingScopes": "true" if missing_scopes else None}
        query = {name: value for name, value in given.items() if value is not None}
        while True:
            page = self._json("GET", "bindings", params=query)
            yield from map(Connection._of, page["bindings"])
            if "nextCursor" not in page:
                return
            query["cursor"] = page["nextCursor"]

    def connection(self, id: str) -> Connection:
        """Returns one connection."""
        return Connection._of(self._json("GET", _binding(id)))

    def label(
        self,
        id: str,
        *,
        external_id: str | None = _UNSET,
        tags: Sequence[str] = _UNSET,
        contacts: Sequence[str] = _UNSET,
    ) -> Connection:
        """Sets your id, your tags and the contacts of a connection.

        What is left out stays as it is; None removes the id.
        """
        given = {"externalId": external_id, "tags": tags, "contacts": contacts}
        body = {name: value for name, value in given.items() if value is not _UNSET}
        return Connection._of(self._json("PATCH", _binding(id), json=body))

    def refresh(self, id: str) -> int:
        """Refreshes a connection's token now and returns when it expires. Programs hardly ever need this."""
        return self._json("POST", f"{_binding(id)}/refresh")["expiresAt"]

    def disconnect(self, id: str) -> bool:
        """Disconnects a connection. Returns whether Xero no longer has it."""
        return self._json("DELETE", _binding(id))["removedAtXero"]

    def token(self, id: str, *, min_ttl: int = 300) -> Token:
        """Returns an access token that is valid for at least `min_ttl` seconds. Prefer `xero`."""
        body = self._json("GET", f"{_binding(id)}/token", params={"min_ttl": min_ttl})
        return Token(body["accessToken"], body["tenantId"], body["expiresAt"], body.get("warning"))

    def events(self, cursor: str | None = None) -> EventPage:
        """Returns the events after a cursor, the oldest first. Store `next_cursor`, and read on from there."""
        page = self._json("GET", "events", params={} if cursor is None else {"cursor": cursor})
        return EventPage(tuple(page["events"]), page["nextCursor"], page["hasMore"])

    def xero(self, id: str, path: str, *, method: str = "GET", **request: Any) -> httpx.Response:
        """Calls Xero's API as a connection.

        `path` begins with the API family, such as `api.xro/2.0/Invoices`. Further arguments are those of
        `httpx.Client.request`. Evergrant adds the token and the tenant, and waits for its turn within Xero's limits.
        Every response of Xero's is returned, also 4xx and 5xx.
        """
        response = self._client.request(method, f"{_binding(id)}/xero/{path.lstrip('/')}", **request)
        # Xero has problem details of its own, with the same content type.
        if "x-evergrant-problem" in response.headers:
            raise _problem_of(response)
        return response

    def xero_url(self, id: str) -> str:
        """Returns the URL under which a connection has Xero's API, for another HTTP client. It needs the key as bearer."""
        return f"{self._base}{_binding(id)}/xero"

    def create_connect_link(self, **link: Any) -> tuple[str, str]:
        """Makes a link by which a person without an account connects Xero, once. Returns its id and its URL.

        The URL has a secret and is not shown again. Arguments, all optional: `bindingId`, `requestedBy`, `note`,
        `externalId`, `tags`, `returnUrl`, `expiresIn` in seconds, and `email`, where Evergrant sends the link.
        """
        created = self._json("POST", "connect-links", json=link)
        return created["id"], created["url"]

    def connect_link(self, id: str) -> Mapping[str, Any]:
        """Returns a connect link and what became of it: a mapping with `id`, `status`, `expiresAt` and more."""
        return self._json("GET", f"connect-links/{quote(id, safe='')}")

    def cancel_connect_link(self, id: str) -> None:
        """Cancels an open connect link."""
        response = self._client.request("DELETE", f"connect-links/{quote(id, safe='')}")
        if not response.is_success:
            raise _problem_of(response)

    def import_tokens(self, rows: Sequence[Mapping[str, Any]], *, old_system_stopped: bool) -> list[ImportReport]:
        """Imports up to 20 refresh tokens of another system, which must have stopped.

        A row has `refreshToken`, and `clientId`, `tenantId`, `externalId` and `tags` where they are known.
        """
        body = self._json("POST", "import", json={"oldSystemStopped": old_system_stopped, "rows": list(rows)})
        return [
            ImportReport(row["outcome"], row["message"], row["tryAgain"], tuple(row["bindings"]), row.get("detail"))
            for row in body["rows"]
        ]

    def _json(self, method: str, path: str, **request: Any) -> Any:
        response = self._client.request(method, path, **request)
        if not response.is_success:
            raise _problem_of(response)
        return response.json()


def _binding(id: str) -> str:
    return f"bindings/{quote(id, safe='')}"


def _problem_of(response: httpx.Response) -> EvergrantError:
    try:
        problem = response.json()
    except ValueError:
        # A proxy between us answered. Its page says nothing to a program.
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    try:
        retry_after = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        retry_after = None
    detail = problem.get("detail") or f"Evergrant answered {response.status_code}"
    return EvergrantError(response.status_code, problem.get("code"), detail, retry_after)
