"""xero-python's own client, calling Xero through Evergrant."""

import os
import unittest

from evergrant import Evergrant
from evergrant.xero_python import adapt, api_client
from xero_python.accounting import AccountingApi, Contact, Invoice, Invoices, LineItem


class XeroPythonTest(unittest.TestCase):
    def test_xero_python_reads_an_organisation_and_creates_an_invoice(self) -> None:
        with Evergrant(os.environ["EVERGRANT_URL"], os.environ["EVERGRANT_KEY"]) as evergrant:
            connection = next(evergrant.connections(status="active"))
            accounting = adapt(AccountingApi(api_client(evergrant)), evergrant, connection.id)
            organisations = accounting.get_organisations(connection.tenant_id)
            self.assertEqual(organisations.organisations[0].name, connection.tenant_name)
            invoice = Invoice(type="ACCREC", contact=Contact(name="Kauri Joinery"), line_items=[LineItem(description="Beans")])
            created = accounting.create_invoices(connection.tenant_id, Invoices(invoices=[invoice]))
            self.assertEqual(len(created.invoices), 1)


if __name__ == "__main__":
    unittest.main()
