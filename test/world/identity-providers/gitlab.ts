// "gitlab", a plain OAuth 2.0 provider (RFC 6749) with GitLab's addresses and answers: no ID token unless `openid` is
// asked for, no `iss` in the authorization response, and a REST address that says who a bearer token belongs to.
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import {
  type IdentityProvider,
  type IdentityProviderOptions,
  openIdentityProvider,
} from './identity-provider.ts';
import { gitlabPeople } from './people.ts';

export type GitlabProvider = IdentityProvider & { userinfoEndpoint: string };

const userPath = '/api/v4/user';
const authorizePath = '/oauth/authorize';

export async function openGitlabProvider(options: IdentityProviderOptions): Promise<GitlabProvider> {
  const provider = await openIdentityProvider(
    {
      name: 'gitlab',
      title: 'GitLab (demo)',
      accent: '#d9531e',
      people: gitlabPeople,
      scopes: ['openid', 'read_user', 'api', 'profile', 'email'],
      routes: { authorization: authorizePath, token: '/oauth/token', revocation: '/oauth/revoke' },
      middleware: answerAsGitlab,
    },
    options,
  );
  return { ...provider, userinfoEndpoint: provider.issuer + userPath };
}

async function answerAsGitlab(
  provider: Provider,
  ctx: KoaContextWithOIDC,
  next: () => Promise<void>,
): Promise<void> {
  if (ctx.path === userPath) return answerUser(provider, ctx);
  await next();
  if (ctx.path.startsWith(authorizePath)) removeIss(ctx);
}

async function answerUser(provider: Provider, ctx: KoaContextWithOIDC): Promise<void> {
  const value = /^Bearer (\S+)$/i.exec(ctx.get('authorization'))?.[1];
  const token = value === undefined ? undefined : await provider.AccessToken.find(value);
  const person = gitlabPeople.find(({ subject }) => subject === token?.accountId);
  if (!token?.isValid || !person) {
    ctx.status = 401;
    ctx.set('www-authenticate', 'Bearer realm="Protected by OAuth 2.0", error="invalid_token"');
    ctx.body = { message: '401 Unauthorized' };
    return;
  }
  ctx.body = {
    id: Number(person.subject),
    username: person.username,
    name: person.name,
    email: person.email,
  };
}

function removeIss(ctx: KoaContextWithOIDC): void {
  const location = URL.parse(ctx.response.get('location'));
  if (!location?.searchParams.has('iss')) return;
  location.searchParams.delete('iss');
  ctx.set('location', location.href);
}
