"""Runs against a server in sandbox mode: EVERGRANT_URL and EVERGRANT_KEY, a key with all scopes."""

import os
import time
import unittest

from evergrant import Evergrant, EvergrantError

URL, KEY = os.environ["EVERGRANT_URL"], os.environ["EVERGRANT_KEY"]


class EvergrantTest(unittest.TestCase):
    def setUp(self) -> None:
        self.evergrant = Evergrant(f"{URL}/", KEY)
        self.addCleanup(self.evergrant.close)
        self.active = next(self.evergrant.connections(status="active"))

    def assert_fails(self, status: int, code: str, call) -> None:
        with self.assertRaises(EvergrantError) as raised:
            call()
        self.assertEqual((raised.exception.status, raised.exception.code), (status, code))

    def test_connections_are_listed_read_and_labeled(self) -> None:
        labeled = self.evergrant.label(self.active.id, external_id="py-1", tags=["py"])
        self.assertEqual((labeled.external_id, labeled.tags), ("py-1", ("py",)))
        named = [one.id for one in self.evergrant.connections(external_id="py-1")]
        self.assertEqual(named, [self.active.id])
        self.assertIsNone(self.evergrant.label(self.active.id, external_id=None).external_id)
        self.assertEqual(self.evergrant.connection(self.active.id).tags, ("py",), "what is left out stays")
        self.evergrant.label(self.active.id, tags=[])
        contacts = self.evergrant.label(self.active.id, contacts=["py@example.com"]).contacts
        self.assertEqual(contacts, ("py@example.com",))
        lacking = [one.id for one in self.evergrant.connections(missing_scopes=True)]
        self.assertEqual(self.active.id in lacking, bool(self.active.missing_scopes))

    def test_connect_links_are_made_read_and_canceled(self) -> None:
        id, url = self.evergrant.create_connect_link(note="Monthly books", expiresIn=600)
        self.assertIn("token=", url)
        self.assertEqual(self.evergrant.connect_link(id)["status"], "open")
        self.evergrant.cancel_connect_link(id)
        self.assertEqual(self.evergrant.connect_link(id)["status"], "cancelled")
        self.assert_fails(404, "no-such-link", lambda: self.evergrant.cancel_connect_link(id))

    def test_xero_is_called_with_the_connections_token_and_tenant(self) -> None:
        response = self.evergrant.xero(self.active.id, "/api.xro/2.0/Organisation", headers={"accept": "application/json"})
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json()["Organisations"][0]["Name"], self.active.tenant_name)
        token = self.evergrant.token(self.active.id)
        self.assertGreater(token.expires_at, time.time())
        self.assertNotIn(token.access_token, repr(token))
        self.assertGreaterEqual(self.evergrant.refresh(self.active.id), token.expires_at)

    def test_problem_of_xeros_is_a_response(self) -> None:
        response = self.evergrant.xero(self.active.id, "bankfeeds.xro/1.0/Statements", method="POST", json={})
        self.assertEqual((response.status_code, response.headers["content-type"]), (400, "application/problem+json"))
        self.assertEqual(response.json()["type"], "invalid-request")

    def test_events_are_read_on_from_a_cursor(self) -> None:
        first = self.evergrant.events()
        self.assertFalse(first.has_more)
        rest = self.evergrant.events(first.next_cursor)
        self.assertEqual((rest.events, rest.next_cursor), ((), first.next_cursor))

    def test_problems_are_errors_with_a_code(self) -> None:
        self.assert_fails(404, "no-such-connection", lambda: self.evergrant.connection("no such"))
        self.assert_fails(403, "xero-path-forbidden", lambda: self.evergrant.xero(self.active.id, "connections"))
        with Evergrant(URL, "egk_wrong") as stranger:
            self.assert_fails(401, "invalid-key", lambda: stranger.connection("x"))
        rows = [{"refreshToken": "used-long-ago"}]
        self.assert_fails(422, "invalid-argument", lambda: self.evergrant.import_tokens(rows, old_system_stopped=False))
        [report] = self.evergrant.import_tokens(rows, old_system_stopped=True)
        self.assertEqual((report.outcome, report.bindings), ("refused", ()))


if __name__ == "__main__":
    unittest.main()
