// Clerk's part of a page: its parts are mounted, our own calls carry its token, and the page follows when somebody
// signs in, signs out or switches organisation. Every page is the server's, rendered by the token in the cookie, so
// following means going to a page; that happens only once the server takes the cookie, and never in a loop.
(() => {
  const here = document.currentScript.dataset;
  /** How long a call of ours waits for Clerk's script, and the cookie for its new token, in milliseconds. */
  const PATIENCE = 10_000;
  const STEP = 250;
  /** More pages than this in a minute that nobody asked for are a loop. */
  const MOST = 8;
  const MEMORY = 'evergrant.clerk';

  let clerk;
  let heard;
  const loaded = new Promise((resolve) => (heard = resolve));
  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  const token = async () => {
    const ready = await Promise.race([loaded, pause(PATIENCE)]);
    // Without one the cookie says who asks, or nobody does.
    return ready?.session ? ready.session.getToken().catch(() => null) : null;
  };

  // Our own calls: the server functions, and the page that an island reads again.
  const plainFetch = window.fetch.bind(window);
  window.fetch = async (input, init) => {
    const request = new Request(input, init);
    const { origin, pathname } = new URL(request.url);
    if (origin === location.origin && !pathname.startsWith('/pkg/')) {
      const bearer = await token();
      if (bearer) request.headers.set('authorization', `Bearer ${bearer}`);
    }
    return plainFetch(request);
  };

  const problem = (text) => {
    const place = document.getElementById('clerk-problem');
    if (place) {
      place.querySelector('p').textContent = text;
      place.hidden = false;
    }
  };

  /** Waits until what the server makes of the cookie is what is wanted. */
  const until = async (wanted) => {
    for (const end = Date.now() + PATIENCE; Date.now() < end; await pause(STEP)) {
      await clerk.session?.getToken().catch(() => null);
      const answer = await plainFetch('/api/session', { cache: 'no-store' }).catch(() => null);
      if (answer?.ok && wanted(await answer.json())) return true;
    }
    return false;
  };

  /** Counts a page that nobody asked for; `false` when it is one too many. */
  const allowed = () => {
    try {
      const now = Date.now();
      const before = JSON.parse(sessionStorage.getItem(MEMORY) ?? '[]').filter((at) => now - at < 60_000);
      if (before.length >= MOST) return false;
      sessionStorage.setItem(MEMORY, JSON.stringify([...before, now]));
    } catch {
      // A browser without storage; what is below waits for the server's word all the same.
    }
    return true;
  };

  const go = (to) => {
    if (allowed()) location.assign(to);
    else problem('This page kept on changing by itself, so it was stopped. Reload it to try again.');
  };

  let entering = false;
  const enter = async () => {
    if (entering) return;
    entering = true;
    if (await until((seen) => seen.signedIn)) go(here.next ?? '/');
    else problem('Clerk says that you are signed in, and Evergrant does not accept it. Reload the page; if it goes on, tell whoever runs Evergrant.');
    entering = false;
  };

  let following;
  const follow = async (organization) => {
    if (following === organization) return;
    following = organization;
    const there = await until((seen) => seen.signedIn && (seen.organization ?? '') === organization);
    if (following !== organization) return;
    following = undefined;
    // What lies deeper belongs to the organisation that was left.
    const list = '/settings/integrations';
    if (there) go(location.pathname.startsWith(list) ? list : location.pathname);
    else problem('Evergrant does not know the organisation that you chose. Reload the page, or choose another one.');
  };

  let leaving = false;
  const leave = () => {
    if (leaving || !allowed()) return;
    leaving = true;
    const form = Object.assign(document.createElement('form'), { method: 'post', action: '/api/session/logout' });
    document.body.append(form);
    form.submit();
  };

  const changed = ({ session, organization }) => {
    // Undefined is between two states, and a pending session waits for its person.
    if (session === undefined || session?.status === 'pending') return;
    if (here.page === 'sign-in') {
      if (session) enter();
    } else if (session === null) {
      leave();
    } else if (organization !== undefined && (organization?.id ?? '') !== (here.organization ?? '')) {
      follow(organization?.id ?? '');
    }
  };

  const mount = (id, how, options) => {
    const place = document.getElementById(id);
    if (!place) return;
    place.replaceChildren();
    clerk[how](place, options);
  };

  // The scripts before this point in the page have run by then.
  document.addEventListener('DOMContentLoaded', async () => {
    try {
      clerk = window.Clerk;
      await clerk.load({ ui: { ClerkUI: window.__internal_ClerkUICtor } });
    } catch (error) {
      heard(null);
      problem('Clerk, which knows who you are, cannot be reached. Check your network, then reload the page.');
      return;
    }
    heard(clerk);
    mount('clerk-organization', 'mountOrganizationSwitcher');
    mount('clerk-user', 'mountUserButton');
    if (!clerk.session) mount('clerk-sign-in', 'mountSignIn', { fallbackRedirectUrl: here.next ?? '/' });
    clerk.addListener(changed);
    changed({ session: clerk.session ?? null, organization: clerk.organization });
  });
})();
