/** A connection of your organization to a Xero tenant. */
export interface Connection {
  id: string;
  externalId?: string;
  tags: string[];
  /** The email addresses that get a letter with a link if it needs reconnecting. */
  contacts: string[];
  tenantId: string;
  tenantName: string;
  tenantType: string;
  status: 'active' | 'needs_reauth' | 'disconnected';
  /** What its consent granted; empty if that is not known. */
  grantedScopes: string[];
  /** What the app asks for and an active connection lacks. */
  missingScopes: string[];
  /** Unix seconds. */
  connectedAt: number;
  /** When it was moved to another system, which keeps it alive now. Unix seconds. */
  movedAt?: number;
}

/** An access token for one connection. Do not store it. */
export interface Token {
  accessToken: string;
  tenantId: string;
  /** Unix seconds. */
  expiresAt: number;
  warning?: string;
}

/** A refresh token of another system, and what it belongs to. */
export interface ImportRow {
  refreshToken: string;
  clientId?: string;
  tenantId?: string;
  externalId?: string;
  tags?: string[];
}

/** A link to make, by which a person without an account connects Xero, once. */
export interface NewConnectLink {
  /** The connection to reconnect. Without it, the link makes a new one. */
  bindingId?: string;
  /** Who asks, as the page says it. */
  requestedBy?: string;
  /** What for, as the page says it. */
  note?: string;
  externalId?: string;
  tags?: string[];
  /** Where the browser goes afterwards. */
  returnUrl?: string;
  /** Seconds; seven days if missing. */
  expiresIn?: number;
  /** Where Evergrant sends the link. Without it, send it yourself. */
  email?: string;
}

/** A link, without its secret. */
export interface ConnectLink extends NewConnectLink {
  id: string;
  status: 'open' | 'used' | 'cancelled' | 'expired';
  /** What became of the last consent, such as `connected` or `declined`. */
  outcome?: string;
  /** Unix seconds. */
  expiresAt: number;
}

/** What became of one imported row. */
export interface ImportReport {
  outcome: string;
  message: string;
  tryAgain: boolean;
  bindings: string[];
  detail?: string;
}

/** What happened to a connection. */
export interface ConnectionEvent {
  id: string;
  /** Such as `connection.created` or `connection.needs_reconnecting`. */
  type: string;
  /** RFC 3339, UTC. */
  timestamp: string;
  data: {
    message: string;
    connection?: { id: string; externalId?: string; tags: string[]; tenantId: string; tenantName: string };
    [more: string]: unknown;
  };
}

/** A page of events. */
export interface EventPage {
  events: ConnectionEvent[];
  nextCursor: string;
  hasMore: boolean;
}

/** Which connections to list. All filters have to match. */
export interface Filter {
  status?: Connection['status'];
  externalId?: string;
  tag?: string;
  /** Only connections that lack a scope that the app asks for. */
  missingScopes?: true;
}

/** A problem of Evergrant's. */
export class EvergrantError extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** The code of the problem, such as `not-connected`; undefined if something between us answered. */
  readonly code: string | undefined;
  /** After how many seconds to try again, if that can help. */
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string | undefined, message: string, retryAfter: number | undefined) {
    super(message);
    this.name = 'EvergrantError';
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** A program's access to the connections of its organization. */
export class Evergrant {
  readonly #base: string;
  readonly #key: string;
  readonly #fetch: typeof fetch;

  /** `url` is Evergrant's address, `key` an API key (`egk_…`). */
  constructor(url: string, key: string, options: { fetch?: typeof fetch } = {}) {
    this.#base = `${url.replace(/\/+$/, '')}/api/v1/`;
    this.#key = key;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** Lists the connections, oldest first, and reads further pages as they are needed. */
  async *connections(filter: Filter = {}): AsyncGenerator<Connection> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value));
    for (;;) {
      const page = await this.#json<{ bindings: Connection[]; nextCursor?: string }>('GET', `bindings?${query}`);
      yield* page.bindings;
      if (page.nextCursor === undefined) return;
      query.set('cursor', page.nextCursor);
    }
  }

  /** Returns one connection. */
  connection(id: string): Promise<Connection> {
    return this.#json('GET', binding(id));
  }

  /** Sets your id, your tags and the contacts of a connection. A missing field stays as it is; null removes the id. */
  label(id: string, labels: { externalId?: string | null; tags?: string[]; contacts?: string[] }): Promise<Connection> {
    return this.#json('PATCH', binding(id), labels);
  }

  /** Refreshes a connection's token now. Programs hardly ever need this. */
  refresh(id: string): Promise<{ expiresAt: number }> {
    return this.#json('POST', `${binding(id)}/refresh`);
  }

  /** Disconnects a connection, at Xero and in Evergrant. */
  disconnect(id: string): Promise<{ removedAtXero: boolean }> {
    return this.#json('DELETE', binding(id));
  }

  /** Returns an access token that is valid for at least `minTtl` seconds. Prefer `xeroFetch`. */
  token(id: string, minTtl = 300): Promise<Token> {
    return this.#json('GET', `${binding(id)}/token?min_ttl=${minTtl}`);
  }

  /** Returns the events after a cursor, the oldest first. Store `nextCursor`, and read on from there. */
  events(cursor?: string): Promise<EventPage> {
    return this.#json('GET', cursor === undefined ? 'events' : `events?cursor=${encodeURIComponent(cursor)}`);
  }

  /**
   * Calls Xero's API as a connection, like `fetch`. `path` begins with the API family, such as
   * `api.xro/2.0/Invoices?page=1`. Evergrant adds the token and the tenant, and waits for its turn within Xero's limits.
   * Throws an EvergrantError for a problem of Evergrant's; every response of Xero's is returned, also 4xx and 5xx.
   */
  async xeroFetch(id: string, path: string, init: RequestInit = {}): Promise<Response> {
    const response = await this.#send(`${binding(id)}/xero/${path.replace(/^\/+/, '')}`, init);
    // Xero has problem details of its own, with the same content type.
    if (response.headers.has('x-evergrant-problem')) throw await problemOf(response);
    return response;
  }

  /**
   * Lets an API object of xero-node call Xero through Evergrant:
   * `const accounting = evergrant.adapt(new AccountingApi(), id)`. The tenant id that its methods take is not looked at,
   * because a connection has one tenant.
   */
  adapt<T extends { basePath: string; accessToken: string }>(api: T, id: string): T {
    const family = new URL(api.basePath).pathname;
    api.basePath = `${this.#base}${binding(id)}/xero${family}`;
    api.accessToken = this.#key;
    return api;
  }

  /** Makes a connect link. Its `url` has a secret and is not shown again. */
  createConnectLink(link: NewConnectLink = {}): Promise<{ id: string; url: string; expiresAt: number }> {
    return this.#json('POST', 'connect-links', link);
  }

  /** Returns a connect link and what became of it. */
  connectLink(id: string): Promise<ConnectLink> {
    return this.#json('GET', `connect-links/${encodeURIComponent(id)}`);
  }

  /** Cancels an open connect link. */
  async cancelConnectLink(id: string): Promise<void> {
    const response = await this.#send(`connect-links/${encodeURIComponent(id)}`, { method: 'DELETE' });
    if (!response.ok) throw await problemOf(response);
  }

  /** Imports up to 20 refresh tokens of another system, which must have stopped. Reports are in the order of the rows. */
  async importTokens(rows: ImportRow[], oldSystemStopped: boolean): Promise<ImportReport[]> {
    return (await this.#json<{ rows: ImportReport[] }>('POST', 'import', { oldSystemStopped, rows })).rows;
  }

  #send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.#key}`);
    // The key belongs to Evergrant alone.
    return this.#fetch(this.#base + path, { ...init, headers, redirect: 'error' });
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const response = await this.#send(path, { method, ...json });
    if (!response.ok) throw await problemOf(response);
    return (await response.json()) as T;
  }
}

function binding(id: string): string {
  return `bindings/${encodeURIComponent(id)}`;
}

async function problemOf(response: Response): Promise<EvergrantError> {
  const text = await response.text();
  let problem: { code?: string; detail?: string } = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy between us answered. Its page says nothing to a program.
  }
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const message = problem.detail ?? `Evergrant answered ${response.status}`;
  return new EvergrantError(response.status, problem.code, message, Number.isFinite(retryAfter) ? retryAfter : undefined);
}
