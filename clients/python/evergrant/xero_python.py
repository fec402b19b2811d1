"""Lets the client of the package xero-python call Xero through Evergrant."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from xero_python.api_client import ApiClient, Configuration
from xero_python.api_client.oauth2 import OAuth2Token

from . import Evergrant

__all__ = ["adapt", "api_client"]


def api_client(evergrant: Evergrant) -> ApiClient:
    """Returns an `ApiClient` that authenticates at Evergrant. It never refreshes a token."""
    # xero-python asks for a refresh only of a token that has expired.
    token = {"access_token": evergrant.key, "token_type": "Bearer", "expires_at": 2**62, "expires_in": 2**31, "scope": ["-"]}
    configuration = Configuration(oauth2_token=OAuth2Token(client_id="-", client_secret="-"))
    return ApiClient(configuration, oauth2_token_getter=lambda: token, oauth2_token_saver=lambda _: None)


def adapt(api: Any, evergrant: Evergrant, id: str) -> Any:
    """Lets an API object call Xero as a connection: `adapt(AccountingApi(api_client(evergrant)), evergrant, id)`.

    The tenant id that its methods take is not looked at, because a connection has one tenant.
    """
    api.base_url = evergrant.xero_url(id) + urlsplit(api.base_url).path
    return api
