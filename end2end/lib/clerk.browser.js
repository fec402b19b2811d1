// A stand-in for Clerk's script with the same interface but none of its design. Its state comes from the stand-in
// issuer. The token is in a cookie of the page and is renewed before it expires.
(() => {
  const api = new URL(document.currentScript.src).origin;
  const publishableKey = document.currentScript.dataset.clerkPublishableKey;
  const listeners = new Set();
  let token;
  let people = [];
  let organizations = [];

  const call = async (path, body = {}) => {
    const answer = await fetch(`${api}/v1/${path}`, { method: 'POST', body: JSON.stringify({ publishableKey, ...body }) });
    return answer.json();
  };

  const renew = async () => {
    token = (await call('token')).jwt;
    document.cookie = `__session=${token ?? ''}; Path=/; SameSite=Lax${token ? '' : '; Max-Age=0'}`;
    return token;
  };

  const secondsLeft = () => (token ? JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))).exp : 0) - Date.now() / 1000;

  const sync = async () => {
    const state = await call('state');
    ({ people, organizations } = state);
    clerk.user = state.session && people.find((one) => one.id === state.session.user);
    clerk.organization = state.session && (organizations.find((one) => one.id === state.session.organization) ?? null);
    clerk.session = state.session && {
      id: state.session.id,
      status: 'active',
      getToken: async () => (secondsLeft() > 10 ? token : renew()),
    };
    await renew();
    for (const listener of listeners) listener({ user: clerk.user, session: clerk.session, organization: clerk.organization });
  };

  const element = (name, properties, ...children) => {
    const created = Object.assign(document.createElement(name), properties);
    created.append(...children);
    return created;
  };
  const button = (text, onClick, label) => {
    const created = element('button', { type: 'button', className: 'standin', textContent: text });
    created.addEventListener('click', onClick);
    if (label) created.setAttribute('aria-label', label);
    return created;
  };
  // Clerk's components add their styles to the page at run time.
  const addStyles = () => {
    document.head.append(element('style', { textContent: '.standin { font: inherit; min-height: 36px; padding: 0 12px }' }));
  };

  const clerk = {
    session: null,
    user: null,
    organization: null,
    async load({ ui }) {
      if (!ui?.ClerkUI) throw new Error('no user interface');
      addStyles();
      await sync();
      setInterval(renew, 45_000);
    },
    addListener(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async setActive({ organization }) {
      await call('active', { organization });
      await sync();
    },
    async signOut() {
      await call('sign-out');
      await sync();
    },
    mountSignIn(node) {
      const email = element('input', { type: 'email', className: 'standin', autocomplete: 'username' });
      const form = element('form', { className: 'stack' }, element('label', { className: 'field' }, element('span', {}, 'Email address'), email), element('button', { className: 'button primary' }, 'Continue'));
      form.addEventListener('submit', async (event) => {
        event.preventDefault();
        await call('sign-in', { email: email.value });
        await sync();
      });
      node.append(form);
    },
    mountUserButton(node) {
      const signOut = button('Sign out', () => clerk.signOut());
      signOut.hidden = true;
      signOut.style.position = 'absolute';
      signOut.style.insetInlineEnd = '16px';
      node.append(button('A', () => (signOut.hidden = !signOut.hidden), 'Open user menu'), signOut);
    },
    mountOrganizationSwitcher(node) {
      const select = element('select', { className: 'standin', ariaLabel: 'Organization' }, element('option', { value: '' }, 'No organization'));
      select.setAttribute('aria-label', 'Organization');
      for (const one of organizations) select.append(element('option', { value: one.id }, one.name));
      select.value = clerk.organization?.id ?? '';
      select.addEventListener('change', () => clerk.setActive({ organization: select.value || null }));
      node.append(select);
    },
  };
  window.Clerk = clerk;
})();
