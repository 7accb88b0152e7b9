// The OpenID provider of the tests: npm oidc-provider with two pages and one
// back door. Called as `node provider.mjs CONFIG.json`; prints its issuer once it
// listens.
//
// The back door, POST /test/revoke with email=…, does what a user does on the
// provider's own account page: it takes back every grant.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import Provider, { errors, interactionPolicy } from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// One flat store for every model, so that grants can be found by account.
const rows = new Map();
class Store {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async upsert(id, payload, ttl) {
    rows.set(this.key(id), { model: this.model, id, payload, until: ttl ? Date.now() + ttl * 1000 : Infinity });
  }
  live(row) { return row && row.until > Date.now() ? row.payload : undefined; }
  async find(id) { return this.live(rows.get(this.key(id))); }
  async findByUid(uid) {
    for (const row of rows.values()) if (row.model === this.model && row.payload.uid === uid) return this.live(row);
  }
  async findByUserCode() {}
  async consume(id) { rows.get(this.key(id)).payload.consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { rows.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, row] of rows) if (row.payload.grantId === grantId) rows.delete(key);
  }
}

function revokeGrants(email) {
  let revoked = 0;
  for (const [key, row] of rows) {
    if (row.model === 'Grant' && row.payload.accountId === email) {
      rows.delete(key);
      revoked++;
    }
  }
  return revoked;
}

const names = new Map(config.accounts.map((a) => [a.email.toLowerCase(), a.name]));

function findAccount(ctx, id) {
  if (names.size > 0 && !names.has(id)) return undefined;
  return {
    accountId: id,
    claims: async () => ({ sub: id, email: id, email_verified: true, name: names.get(id) ?? id.split('@')[0], preferred_username: id }),
  };
}

// Microsoft and Google know prompt=select_account; OpenID Connect Core 3.1.2.1 has it too.
const { Prompt, Check, base } = interactionPolicy;
const policy = base();
policy.get('login').checks.add(new Check('account_chosen', 'an account must be chosen', (ctx) => {
  const { oidc } = ctx;
  return oidc.prompts.has('select_account') && !oidc.result?.login ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT;
}));
policy.add(new Prompt({ name: 'select_account', requestable: true }));

const offersRefresh = (client, scopes) => client.grantTypeAllowed('refresh_token') && (config.refreshAlways || scopes.has('offline_access'));

const settings = {
  adapter: Store,
  clients: config.clients,
  findAccount,
  scopes: ['openid', 'offline_access', 'email', 'profile', ...config.scopes],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: false, // email in the ID token itself, as Microsoft and Google do
  cookies: { keys: ['mailroom-tests'] },
  interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    rpInitiatedLogout: { enabled: false },
  },
  pkce: { required: () => config.requirePKCE },
  issueRefreshToken: async (ctx, client, code) => offersRefresh(client, code.scopes),
  rotateRefreshToken: config.rotate,
  // What introspection answers beside the standard members; Dovecot asks for it.
  extraTokenClaims: async (ctx, token) => ({ email: token.accountId }),
  ttl: {
    AccessToken: config.accessTokenSeconds,
    RefreshToken: 14 * 86400,
    AuthorizationCode: 60,
    IdToken: 3600,
    Interaction: 3600,
    Session: 3600,
    Grant: 14 * 86400,
  },
  renderError: async (ctx, out) => {
    ctx.type = 'html';
    ctx.body = page('Refused', `<p id="error">${escape(out.error)}</p><p>${escape(out.error_description ?? '')}</p>`);
  },
};

const escape = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${escape(title)}</title>
<style>body{font:16px/1.5 sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}input,button{font:inherit;padding:.4rem .8rem;margin:.3rem .3rem .3rem 0}</style>
</head><body><main><h1>${escape(title)}</h1>${body}</main></body></html>`;

const loginPage = (uid, params, complaint) => page('Sign in', `${complaint ? `<p id="complaint" role="alert">${escape(complaint)}</p>` : ''}
<form id="login-form" method="post" action="/interaction/${uid}/login">
<label for="login">Address</label> <input id="login" name="login" type="email" required value="${escape(params.login_hint ?? '')}">
<button id="signin" type="submit">Sign in</button></form>
<form method="post" action="/interaction/${uid}/deny"><button id="cancel" type="submit">Cancel</button></form>`);

const consentPage = (uid, params, accountId) => page('Permission', `<p><b id="client">${escape(params.client_id)}</b> asks <b id="account">${escape(accountId)}</b> for</p>
<ul id="scopes">${String(params.scope).split(' ').map((s) => `<li>${escape(s)}</li>`).join('')}</ul>
<form id="consent-form" method="post" action="/interaction/${uid}/confirm"><button id="consent" type="submit">Accept</button></form>
<form method="post" action="/interaction/${uid}/deny"><button id="deny" type="submit">Refuse</button></form>`);

function readForm(req) {
  return new Promise((resolve, reject) => {
    let text = '';
    req.on('data', (chunk) => { text += chunk; });
    req.on('end', () => resolve(new URLSearchParams(text)));
    req.on('error', reject);
  });
}

function sendPage(res, status, html) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(html);
}

async function consent(provider, details) {
  const { prompt, params, session, grantId } = details;
  const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const missing = prompt.details;
  if (missing.missingOIDCScope) grant.addOIDCScope(missing.missingOIDCScope.join(' '));
  if (missing.missingOIDCClaims) grant.addOIDCClaims(missing.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missing.missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  return { consent: { grantId: await grant.save() } };
}

async function interact(provider, req, res) {
  const [, , uid, action] = new URL(req.url, 'http://peer').pathname.split('/');
  const details = await provider.interactionDetails(req, res);
  const { prompt, params, session } = details;
  const finish = (result, merge) => provider.interactionFinished(req, res, result, { mergeWithLastSubmission: merge });
  if (action === 'deny') return finish({ error: 'access_denied', error_description: 'The user refused.' }, false);
  if (action === 'login') {
    const email = ((await readForm(req)).get('login') ?? '').trim().toLowerCase();
    if (!findAccount(null, email)) return sendPage(res, 422, loginPage(uid, { login_hint: email }, 'There is no such account.'));
    return finish({ login: { accountId: email }, select_account: {} }, false);
  }
  if (action === 'confirm') return finish(await consent(provider, details), true);
  return sendPage(res, 200, prompt.name === 'consent' ? consentPage(uid, params, session.accountId) : loginPage(uid, params));
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, settings);
  provider.on('server_error', (ctx, err) => console.error(err));
  const standard = provider.callback();
  server.on('request', async (req, res) => {
    try {
      if (req.url.startsWith('/interaction/')) return await interact(provider, req, res);
      if (req.url === '/test/revoke' && req.method === 'POST') {
        return res.end(String(revokeGrants((await readForm(req)).get('email').toLowerCase())));
      }
      return await standard(req, res);
    } catch (err) {
      if (err instanceof errors.SessionNotFound) return sendPage(res, 400, page('Refused', '<p id="error">This sign-in has ended. Begin again.</p>'));
      console.error(err);
      return sendPage(res, 500, page('Refused', `<p id="error">${escape(err.message)}</p>`));
    }
  });
  console.log(`issuer ${issuer}`);
});
