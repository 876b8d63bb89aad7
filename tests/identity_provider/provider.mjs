// The provider, on loopback. Its settings come as JSON in the first argument; it says "listening" when it is.
//
// Nobody types a password here: GET /interaction/UID?account=NAME signs that person in. What the provider says of people
// is changed by PUT /people/NAME, and a person who is deleted there is refused from then on.

import { Provider } from "oidc-provider";
import { generateKeyPairSync } from "node:crypto";

const { issuer, port, client } = JSON.parse(process.argv[2]);
const people = new Map();
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ["sub", "amr"], profile: ["preferred_username", "employee", "groups", "training"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
  // By itself it calls no loopback address, where everything is here.
  fetch: (url, { dispatcher: _, ...options }) => globalThis.fetch(url, options),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" }] },
  pkce: { required: () => true },
  ttl: { AccessToken: 7200, IdToken: 7200, Interaction: 300, RefreshToken: 3600, Session: 3600, Grant: 3600 },
  async findAccount(_ctx, name) {
    return people.has(name) ? { accountId: name, claims: () => ({ sub: name, ...people.get(name) }) } : undefined;
  },
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(" "));
    await grant.save();
    return grant;
  },
});

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

provider.use(async (ctx, next) => {
  const url = new URL(ctx.url, issuer);
  const [, place, name] = url.pathname.split("/");
  if (place === "people") {
    if (ctx.method === "PUT") people.set(name, await body(ctx.req));
    else people.delete(name);
    ctx.status = 204;
  } else if (place === "interaction") {
    const amr = (url.searchParams.get("amr") ?? "pwd mfa").split(" ");
    const login = { accountId: url.searchParams.get("account"), amr };
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login }));
  } else {
    await next();
  }
});

provider.listen(port, "127.0.0.1", () => console.log("listening"));
