// An OIDC provider for tests: oidc-provider, with accounts and clients that are made up as they are named.
//   node provider.mjs MODULES PORT
//
// People log in as ROLE.TENANT with any password; machines are the clients machine.ROLE.TENANT with the secret `secret`.
// Both get access tokens with the claims tollgate: { role, tenant } for the audience that ends the name of the resource
// they ask for, `urn:resource:tollgate` or another. Keys are kept in keys.json, so that a restart keeps them. Beside the provider itself there is /control, for what providers do not let
// anybody do: rotate the keys at once, and sign whatever is asked for.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const [modules, port] = process.argv.slice(2);
const { Provider } = await import(`${modules}/node_modules/oidc-provider/lib/index.js`);
const jose = await import(`${modules}/node_modules/jose/dist/webapi/index.js`);

const issuer = `http://127.0.0.1:${port}`;
const resources = 'urn:resource:';
const keysFile = 'keys.json';

const newKeys = () =>
  Promise.all(
    [['RS256', {}], ['ES256', {}], ['EdDSA', { crv: 'Ed25519' }]].map(async ([alg, options]) => {
      const { privateKey } = await jose.generateKeyPair(alg, { extractable: true, ...options });
      return { ...(await jose.exportJWK(privateKey)), kid: randomUUID(), alg, use: 'sig' };
    }),
  );

const claimsOf = (name) => {
  const [role, tenant] = name.split('.');
  return { tollgate: { role, tenant } };
};

const clientOf = (id) => {
  if (id === 'console') {
    return {
      client_id: id,
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: ['https://console.example/callback', 'https://console.example/v1/sessions/oidc/callback'],
    };
  }
  return id.startsWith('machine.')
    ? { client_id: id, client_secret: 'secret', grant_types: ['client_credentials'], response_types: [], redirect_uris: [] }
    : undefined;
};

// Everything in memory; clients are whoever is asked for.
const rows = new Map();
class Adapter {
  constructor(kind) {
    this.kind = kind;
  }
  key(id) {
    return `${this.kind} ${id}`;
  }
  async upsert(id, payload) {
    rows.set(this.key(id), payload);
  }
  async find(id) {
    return this.kind === 'Client' ? clientOf(id) : rows.get(this.key(id));
  }
  async findByUid(uid) {
    return [...rows].find(([key, row]) => key.startsWith(`${this.kind} `) && row.uid === uid)?.[1];
  }
  async findByUserCode() {
    return undefined;
  }
  async consume(id) {
    rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    rows.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, row] of rows) if (row.grantId === grantId) rows.delete(key);
  }
}

const configuration = (keys) => ({
  adapter: Adapter,
  jwks: { keys },
  cookies: { keys: [createHash('sha256').update(port).digest('hex')] },
  pkce: { required: () => true },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  extraTokenClaims: async (_, token) => claimsOf(token.accountId ?? token.clientId.slice('machine.'.length)),
  // Whoever logs in has consented.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid');
    grant.addResourceScope(`${resources}tollgate`, 'api');
    await grant.save();
    return grant;
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `${resources}tollgate`,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'api',
        audience: resource.slice(resources.length),
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

let keys = existsSync(keysFile) ? JSON.parse(readFileSync(keysFile, 'utf8')) : await newKeys();
let answer;
// The first keys of each algorithm sign; those behind them are still published.
const use = (published) => {
  keys = published;
  writeFileSync(keysFile, JSON.stringify(keys));
  answer = new Provider(issuer, configuration(keys)).callback();
};
use(keys);

const body = async (request) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? {} : JSON.parse(text);
};

// { alg, kid, header, claims, stranger }: a token with these claims, signed with the key of `alg`, or with a stranger's.
const sign = async ({ alg = 'RS256', header = {}, claims, stranger = false }) => {
  const jwk = (stranger ? await newKeys() : keys).find((key) => key.alg === alg);
  const known = keys.find((key) => key.alg === alg);
  const signing = new jose.SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt', kid: known.kid, ...header });
  return signing.sign(await jose.importJWK(jwk, alg));
};

const control = {
  '/control/rotate': async ({ keep = false }) => {
    use([...(await newKeys()), ...(keep ? keys : [])]);
    return 'rotated';
  },
  '/control/sign': sign,
};

// How often each path was asked for, so that tests can tell that nothing is fetched with every request.
const counts = {};

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  counts[pathname] = (counts[pathname] ?? 0) + 1;
  if (pathname === '/control/counts') {
    response.end(JSON.stringify(counts));
  } else if (control[pathname]) {
    try {
      response.end(await control[pathname](await body(request)));
    } catch (error) {
      response.writeHead(500).end(String(error.stack));
    }
  } else {
    answer(request, response);
  }
}).listen(Number(port), '127.0.0.1');
