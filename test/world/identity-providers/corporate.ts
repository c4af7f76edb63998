// "corporate", the company's own OpenID provider: discovery, JWKS, ES256 ID tokens, userinfo (OpenID Connect Core 1.0).
import {
  type IdentityProvider,
  type IdentityProviderOptions,
  openIdentityProvider,
} from './identity-provider.ts';
import { corporatePeople } from './people.ts';

export type CorporateProvider = IdentityProvider & { userinfoEndpoint: string };

export async function openCorporateProvider(options: IdentityProviderOptions): Promise<CorporateProvider> {
  const provider = await openIdentityProvider(
    {
      name: 'corporate',
      title: 'Corporate',
      accent: '#1f5fbf',
      people: corporatePeople,
      scopes: ['openid', 'offline_access', 'profile', 'email'],
      routes: { authorization: '/authorize', token: '/token', revocation: '/revoke', userinfo: '/userinfo' },
    },
    options,
  );
  return { ...provider, userinfoEndpoint: `${provider.issuer}/userinfo` };
}
