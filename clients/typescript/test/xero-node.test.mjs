// xero-node's own client, calling Xero through Evergrant.

import assert from 'node:assert/strict';
import test from 'node:test';

import { AccountingApi } from 'xero-node';

import { Evergrant } from '../dist/evergrant.js';

const { EVERGRANT_URL, EVERGRANT_KEY } = process.env;

test('xero-node reads an organisation and creates an invoice', async () => {
  const evergrant = new Evergrant(EVERGRANT_URL, EVERGRANT_KEY);
  const { value: connection } = await evergrant.connections({ status: 'active' }).next();
  const accounting = evergrant.adapt(new AccountingApi(), connection.id);
  const { body } = await accounting.getOrganisations(connection.tenantId);
  assert.equal(body.organisations[0].name, connection.tenantName);
  const invoices = { invoices: [{ type: 'ACCREC', contact: { name: 'Kauri Joinery' }, lineItems: [{ description: 'Beans' }] }] };
  const created = await accounting.createInvoices(connection.tenantId, invoices);
  assert.equal(created.body.invoices[0].lineItems[0].description, 'Beans');
});
