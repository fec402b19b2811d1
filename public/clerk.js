// Connects Clerk to a page: mounts its components, sends its token with our own calls, and loads the right page after a
// sign-in, a sign-out or a switch of organization. The server renders every page from the token in the cookie, so a
// page is loaded only once the server accepts the cookie, and a limit prevents loops.
(() => {
  const here = document.currentScript.dataset;
  /** How long our calls wait for Clerk's script, and page loads for the new cookie, in milliseconds. */
  const PATIENCE = 10_000;
  const STEP = 250;
  /** More automatic page loads per minute than this are a loop. */
  const MOST = 8;
  const MEMORY = 'evergrant.clerk';

  let clerk;
  let heard;
  const loaded = new Promise((resolve) => (heard = resolve));
  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  const token = async () => {
    const ready = await Promise.race([loaded, pause(PATIENCE)]);
    // Without a token, the cookie alone identifies the caller.
    return ready?.session ? ready.session.getToken().catch(() => null) : null;
  };

  // Our own calls: server functions, and pages that an island reads again.
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

  /** Waits until the session that the server reads from the cookie satisfies `wanted`. */
  const until = async (wanted) => {
    for (const end = Date.now() + PATIENCE; Date.now() < end; await pause(STEP)) {
      await clerk.session?.getToken().catch(() => null);
      const answer = await plainFetch('/api/session', { cache: 'no-store' }).catch(() => null);
      if (answer?.ok && wanted(await answer.json())) return true;
    }
    return false;
  };

  /** Counts an automatic page load. Returns `false` if it exceeds the limit. */
  const allowed = () => {
    try {
      const now = Date.now();
      const before = JSON.parse(sessionStorage.getItem(MEMORY) ?? '[]').filter((at) => now - at < 60_000);
      if (before.length >= MOST) return false;
      sessionStorage.setItem(MEMORY, JSON.stringify([...before, now]));
    } catch {
      // A browser without storage. The wait for the server's session still prevents most loops.
    }
    return true;
  };

  const go = (to) => {
    if (allowed()) location.assign(to);
    else problem('This page kept reloading, so it was stopped. Reload it to try again.');
  };

  let entering = false;
  const enter = async () => {
    if (entering) return;
    entering = true;
    if (await until((seen) => seen.signedIn)) go(here.next ?? '/');
    else problem('Clerk says that you are signed in, but Evergrant does not accept it. Reload the page. If this keeps happening, tell your Evergrant administrator.');
    entering = false;
  };

  let following;
  const follow = async (organization) => {
    if (following === organization) return;
    following = organization;
    const there = await until((seen) => seen.signedIn && (seen.organization ?? '') === organization);
    if (following !== organization) return;
    following = undefined;
    // Deeper pages belong to the previous organization.
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
    // Unlike `submit`, this is an event, by which the page knows that it must not load itself again meanwhile.
    form.requestSubmit();
  };

  const changed = ({ session, organization }) => {
    // Undefined is a transition, and a pending session still needs input from the person.
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

  // By then, Clerk's deferred scripts have run.
  document.addEventListener('DOMContentLoaded', async () => {
    try {
      clerk = window.Clerk;
      await clerk.load({ ui: { ClerkUI: window.__internal_ClerkUICtor } });
    } catch (error) {
      heard(null);
      problem('Clerk, which signs you in, cannot be reached. Check your network, then reload the page.');
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
