/** Where the endpoints are, below the origin of the issuer. */
export const authorizePath = '/oauth/authorize';
export const tokenPath = '/oauth/token';
export const revokePath = '/oauth/revoke';
export const registerPath = '/oauth/register';
export const jwksPath = '/.well-known/jwks.json';
export const callbackPath = '/oauth/callback';
/** Below it is an address for each provider. */
export const logoutPath = '/oauth/backchannel-logout';

/** `uid` is of the library's own alphabet; encoded all the same, because it also comes out of the vault. */
export const interactionPath = (uid: string) => `/oauth/interaction/${encodeURIComponent(uid)}`;
export const interactionEndPath = (uid: string) => `${interactionPath(uid)}/done`;
