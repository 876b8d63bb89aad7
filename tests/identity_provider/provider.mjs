// Providers on loopback, as many as are asked for: starting this process takes longer than most tests with a provider.
//
// Its own port comes in the first argument; it says "listening" when it is. POST / with {issuer, port, client} starts a
// provider that knows nobody, and is answered when that listens; DELETE /PORT ends it.
//
// Nobody types a password here: GET /interaction/UID?account=NAME signs that person in. What a provider says of people
// is changed by PUT /people/NAME, and a person who is deleted there is refused from then on.

import { Provider } from "oidc-provider";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const running = new Map();

function start({ issuer, port, client }) {
  const people = new Map();
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
  return provider.listen(port, "127.0.0.1");
}

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

const control = createServer(async (request, response) => {
  if (request.method === "POST") {
    const asked = await body(request);
    const server = start(asked);
    await once(server, "listening");
    running.set(String(asked.port), server);
  } else {
    const port = request.url.slice(1);
    const server = running.get(port);
    running.delete(port);
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }
  response.writeHead(204).end();
});
control.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
