/**
 * Every rule of the configuration under its stable id, with what is wrong and what to write instead in general; a
 * problem says the same about one place. docs/configuration.md lists them from here.
 */

export interface RuleText {
  /** What holds where the rule is content. */
  readonly title: string;
  readonly wrong: string;
  readonly instead: string;
}

export const ruleTexts = {
  'F-01': {
    title: 'the file can be read',
    wrong: 'The file does not exist, is a folder, or may not be read',
    instead: 'The path of a file that this user may read, with `--config`',
  },
  'F-02': {
    title: 'the file is YAML',
    wrong: 'A line is not YAML, a key is given twice, or aliases multiply',
    instead: 'What the report says of that line and column',
  },
  'F-03': {
    title: 'every key is known',
    wrong: 'There is no such key at this place',
    instead: 'The key that was meant, or the place where it belongs; the report guesses both',
  },
  'F-04': {
    title: 'no feature is asked for that Latchkey does not have',
    wrong: 'A key or value is one of ToolHive that Latchkey does not have, or not yet',
    instead: 'Nothing, or what the table of refused keys says',
  },
  'F-05': {
    title: 'every value is there and of the right kind',
    wrong: 'A value is missing, of another kind, or not in its range',
    instead: 'A value as in the tables of keys',
  },
  'F-06': {
    title: 'the file holds no secret',
    wrong: 'A secret stands in the file: under a key of its own, in an address, or as the value of a header',
    instead: 'The key that names the environment variable or the file that holds it',
  },
  'F-07': {
    title: 'the authorization server is configured in one place',
    wrong: '`authServer` is in the main file and in authserver-config.yaml beside it',
    instead: 'One of the two',
  },
  'F-08': {
    title: 'every secret can be read where it is needed',
    wrong:
      'An environment variable is not set or empty, a file cannot be read or is empty, or what is in it is to be sent as a header and cannot',
    instead: 'The name of a variable or file that the process has',
  },
  'V-01': {
    title: 'the token of a provider needs an authorization server, or accounts that are linked',
    wrong: 'A strategy uses the token of a provider, but there is no `authServer` and no `linking.providers`',
    instead: '`authServer.runConfig.upstreams`, `linking.providers`, or `type: unauthenticated`',
  },
  'V-02': {
    title: 'a provider that a strategy names is configured',
    wrong: '`providerName` or `subjectProviderName` is not among the upstreams, or `linking.providers`',
    instead: 'The `name` of an upstream, or linked provider',
  },
  'V-03': {
    title: 'who the subject of a token exchange is',
    wrong:
      '`token_exchange` or `aws_sts` has no `subjectProviderName`, so it would send on what the caller presents',
    instead: '`subjectProviderName` with the name of a provider',
  },
  'V-04': {
    title: 'the authorization server and the incoming auth have one issuer',
    wrong: '`incomingAuth.oidc.issuer` differs from `authServer.runConfig.issuer` in any character',
    instead: 'The same issuer in both places',
  },
  'V-05': {
    title: 'the authorization server is configured correctly by itself',
    wrong:
      'A value in `authServer` is missing or of another kind, or an upstream lacks the block of its type',
    instead:
      '`oidc_config` for `type: oidc`, `oauth2_config` for `type: oauth2`, with the keys of the tables',
  },
  'V-06': {
    title: '`upstream_inject` names its provider',
    wrong: '`providerName` is empty or missing',
    instead: '`upstreamInject: {providerName: gitlab}`',
  },
  'V-07': {
    title: 'tokens can be issued for the audience that is accepted',
    wrong: '`incomingAuth.oidc.audience` is not among `allowed_audiences`',
    instead: 'The audience in both places',
  },
  'V-08': {
    title: 'an embedded authorization server needs `incomingAuth.type: oidc`',
    wrong: 'There is an `authServer`, but its tokens would not be asked for',
    instead: '`type: oidc` with issuer and audience, or no `authServer`',
  },
  'V-09': {
    title: 'the first provider is required, for it says who the person is',
    wrong: 'The first upstream has another `login_policy`',
    instead: '`login_policy: required`, or another provider first',
  },
  'V-10': {
    title: 'provider names are different',
    wrong: 'Two upstreams have the same `name`',
    instead: 'A name of its own for each',
  },
  'V-11': {
    title: 'provider names are not reserved',
    wrong: 'A name is a word of Latchkey such as `vault` or `gateway`, or is `default` beside others',
    instead: 'Another name, such as `gateway-idp`',
  },
  'V-12': {
    title: 'names have a form that fits paths, subjects and tool names',
    wrong:
      'The name of a provider or backend does not match `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`, or is too long',
    instead: 'At most 63 lower-case letters, digits, and hyphens between them',
  },
  'V-13': {
    title: 'the issuer is in its normal form (RFC 8414 section 2)',
    wrong:
      'The issuer has a query, a fragment, a user, a slash at its end, upper-case letters or a default port',
    instead: 'The address that the report shows',
  },
  'V-14': {
    title: 'the authorization server and its providers are reached by https',
    wrong: 'An address is http to another machine',
    instead: 'The https address; http is for localhost only',
  },
  'V-15': {
    title: 'credentials are not sent to a backend in clear text',
    wrong: 'A backend with credentials is reached by http on another machine',
    instead: 'The https address, unless the network between is private to both',
  },
  'V-16': {
    title: 'backend names are different',
    wrong: 'Two backends have the same `name`',
    instead: 'A name of its own for each',
  },
  'V-17': {
    title: 'an OIDC provider is asked for `openid`',
    wrong: '`scopes` of an `oidc_config` lack `openid`',
    instead: '`scopes: [openid, ...]`',
  },
  'V-18': {
    title: 'an injected header has one value',
    wrong:
      '`headerInjection` has none, or more than one, of `headerValue`, `headerValueEnv` and `headerValueFile`',
    instead: 'One of them',
  },
  'V-19': {
    title: 'a header that is set is one that may be set',
    wrong:
      'A header is not the name of one, belongs to HTTP or MCP, or has a value that cannot stand in a header',
    instead: 'The header that is expected there, such as `X-API-Key`, with one line of plain ASCII',
  },
  'V-20': {
    title: 'the resource is the MCP endpoint, and tokens can be issued for it',
    wrong: '`resource`, or the audience, is not the address of the MCP endpoint, or they differ',
    instead: "The issuer's origin with `/mcp`, as `audience` and in `allowed_audiences`",
  },
  'V-21': {
    title: 'a provider in a private network is allowed to be there',
    wrong: 'A provider is on this machine or in a private network, and requests to it are refused',
    instead: '`allow_private_ips: true` in its block, if it is really there',
  },
  'V-22': {
    title: 'a strategy has the block of its type and no other',
    wrong: 'A block belongs to another type, or the one of this type is missing',
    instead: '`headerInjection` for `header_injection`, `upstreamInject` for `upstream_inject`',
  },
  'V-23': {
    title: 'strategies and time limits belong to a backend',
    wrong: 'A name in `outgoingAuth.backends` or `perWorkload` is that of no backend',
    instead: 'The `name` of a backend',
  },
  'V-24': {
    title: 'a secret has one source',
    wrong: 'Variable and file are both named, or a user of NATS has no password',
    instead: 'One of the two',
  },
  'V-25': {
    title: 'additional authorization parameters leave the protocol alone',
    wrong: 'A parameter is one that Latchkey sets itself, such as `state` or `redirect_uri`',
    instead: 'Nothing; remove it',
  },
  'V-26': {
    title: 'the provider sends the browser back to a path that Latchkey serves',
    wrong: '`redirect_uri` is not a path at which this provider is expected',
    instead: 'Nothing, and `<issuer>/oauth/callback/<name>` at the provider',
  },
  'V-27': {
    title: 'providers do not share a callback path',
    wrong: 'Several providers have the one shared `redirect_uri` (RFC 9700 section 4.4)',
    instead: 'Nothing, and `<issuer>/oauth/callback/<name>` at each provider',
  },
  'V-28': {
    title: 'lifetimes are safe',
    wrong:
      'An access token lives longer than 60 minutes, a code longer than 10, a session longer than 31 days, or a refresh token or session no longer than an access token',
    instead: '`access_token_lifespan: 10m`, `auth_code_lifespan: 1m`, `refresh_token_lifespan: 168h`',
  },
  'V-29': {
    title: 'tool names of two backends stay apart',
    wrong: '`prefixFormat` is the same for all backends, or has a character that tool names cannot have',
    instead: '`prefixFormat: "{workload}_"`',
  },
  'V-30': {
    title: 'there is a backend',
    wrong: '`backends` is empty',
    instead: '`backends: [{name: ..., url: ..., transport: streamable-http}]`',
  },
  'V-31': {
    title: 'a plain OAuth 2.0 provider says who the person is',
    wrong: 'An `oauth2_config` has neither or both of `userinfo` and `identity_from_token`',
    instead: 'One of the two',
  },
  'V-32': {
    title: 'the gateway listens where the issuer points',
    wrong: 'The issuer is this machine, but its port is not the one on which the gateway listens',
    instead: 'The same port in both places, unless something forwards',
  },
  'V-33': {
    title: 'keys that Latchkey has no need of',
    wrong: 'A key of ToolHive is accepted, but has no effect',
    instead: 'Nothing; it may be removed',
  },
  'V-34': {
    title: 'a preset knows what it must, and nothing that it has no use for',
    wrong: 'A parameter of the preset is missing, unknown, misshaped or not used, or the type is another',
    instead: 'The parameters of the preset (docs/providers.md)',
  },
  'V-35': {
    title: 'the way to revoke has an address',
    wrong: '`revocation_style` without `revocation_endpoint`',
    instead: 'Both, or neither',
  },
  'V-36': {
    title: 'each client registration of a provider is named once',
    wrong: 'A client id is named twice among `client_id` and `previous_clients`',
    instead: 'Each client id once',
  },
  'V-37': {
    title: 'the addresses of a provider can be used',
    wrong: 'An issuer has a query or is the address of its discovery document, or an address has a fragment',
    instead: 'The issuer as the provider names it; addresses without `#`',
  },
  'V-38': {
    title: 'nobody behind Latchkey is Latchkey itself',
    wrong: "A provider has Latchkey's own issuer, or a backend is its own MCP endpoint",
    instead: 'The address of the provider or the MCP server',
  },
  'V-39': {
    title: 'allowed audiences are resources (RFC 8707 section 2)',
    wrong: 'An audience has a fragment, or is there twice',
    instead: 'Each address once, without `#`',
  },
  'V-40': {
    title: 'the client certificate of NATS has its key',
    wrong: 'One of `certFile` and `keyFile` is missing',
    instead: 'Both, or neither',
  },
  'V-41': {
    title: 'the password of NATS is not sent in clear text',
    wrong: 'A server of NATS is another machine, reached without TLS and with a user',
    instead: '`tls://HOST:PORT`, unless the network between is private to the processes',
  },
  'V-42': {
    title: 'refreshes come before they are needed',
    wrong: '`refreshAheadSeconds` is not longer than `minValidSeconds`',
    instead: 'More seconds, or 0 for no refresh in the background',
  },
  'V-43': {
    title: 'a person is known by what does not change',
    wrong: 'An e-mail address or a login name is the subject',
    instead: 'The claim or field with an id, such as `sub`, `oid` or `id`',
  },
  'V-44': {
    title: 'no tool is hidden behind the prefix of another backend',
    wrong: 'The prefix of one backend begins like that of another',
    instead: '`prefixFormat: "{workload}_"`',
  },
  'V-50': {
    title: 'priority has an order',
    wrong: '`priorityOrder` is missing, or names a backend twice',
    instead: '`conflictResolution: priority` and the backends, the most important first',
  },
  'V-51': {
    title: 'a tool or prompt has one name, and a name one of them',
    wrong:
      'A backend has two entries in one list, an override takes a name twice, or a name is none for a tool',
    instead: 'One entry for each backend, and a name of its own for each tool and prompt',
  },
  'V-52': {
    title: 'no header of a caller stands for a credential',
    wrong: 'A header in `passthroughHeaders` belongs to the caller, to HTTP, to MCP, or to a strategy',
    instead: 'Headers that say nothing about who calls, such as `X-Request-Id`',
  },
  'V-55': {
    title: 'each client is named once',
    wrong: 'Two entries of `clients` have the same `client_id`',
    instead: 'One entry, with all redirect URIs',
  },
  'V-56': {
    title: 'a client returns to a safe address',
    wrong:
      'A redirect URI of `clients` is neither https nor on loopback nor of a scheme in `redirect_uri_schemes`, or can be read in two ways',
    instead:
      'An https address, or http to localhost, 127.0.0.1 or [::1], without user information or fragment',
  },
  'V-57': {
    title: 'a scheme belongs to an application',
    wrong: 'A scheme in `redirect_uri_schemes` is one that browsers or systems open themselves',
    instead: 'The scheme that an application has registered for itself, such as `com.example.app`',
  },
  'V-60': {
    title: 'what is for an external issuer stands where there is one',
    wrong: 'There is an `authServer`, and a key that is for tokens of an external issuer',
    instead: 'Nothing, or no `authServer`',
  },
  'V-61': {
    title: 'the audience is Latchkey, and not a client',
    wrong: '`audience` is `clientId`, so an ID token of that client can look like an access token',
    instead: 'The identifier of an API of its own at the issuer',
  },
  'V-62': {
    title: 'the issuer is asked about tokens by a client of its own',
    wrong:
      '`introspectionUrl` without `clientId` or its secret, a secret without it, or two sources of the secret',
    instead: '`introspectionUrl`, `clientId`, and `clientSecretEnv` or `clientSecretFile`',
  },
  'V-63': {
    title: 'callers who are nobody have no accounts, and others prove who they are',
    wrong:
      '`type: oidc` without `oidc`, or with `gateway.publicUrl`; or `type: anonymous` with `oidc`, `linking.providers` or `upstream_inject`',
    instead: '`type: oidc` with issuer and audience, or strategies that send no token of a person',
  },
  'V-64': {
    title: 'not everybody may call',
    wrong: '`type: anonymous`: callers are not asked who they are',
    instead: '`type: oidc`, unless everybody who reaches the gateway may call every tool',
  },
  'V-65': {
    title: 'a token exchange knows with what it proves itself',
    wrong: 'A client secret without a client, or an actor whose token has two places or none',
    instead: '`clientId` beside the client secret; one of `tokenEnv` and `tokenFile`',
  },
  'V-66': {
    title: 'there is a role to assume',
    wrong: 'A strategy `aws_sts` has neither `fallbackRoleArn` nor `roleMappings`',
    instead: 'One of the two',
  },
  'V-67': {
    title: 'there is one way in which Latchkey is a client of a provider',
    wrong:
      'An `oauth2_config` has no client id and no `dcr_config`, or `dcr_config` beside a client id or secret',
    instead: '`client_id` with its secret, or `dcr_config`',
  },
  'V-68': {
    title: 'it is said where Latchkey registers itself',
    wrong:
      'A `dcr_config` has neither or both of `discovery_url` and `registration_endpoint`, or revokes as GitHub',
    instead: '`discovery_url`, or else `registration_endpoint`',
  },
  'O-01': {
    title: 'the provider answers',
    wrong: 'An address of the provider cannot be reached, is refused, or answers with an error',
    instead: 'The address of the provider, as this machine reaches it',
  },
  'O-02': {
    title: 'the discovery document is that of the issuer',
    wrong: 'It is no JSON object, or is of another issuer',
    instead: 'The issuer exactly as the provider names it',
  },
  'O-03': {
    title: 'the provider has what a sign-in needs, and an external issuer its keys',
    wrong:
      'The document lacks the authorization endpoint, the token endpoint or the keys, or these cannot be read',
    instead: 'The issuer of an OpenID Connect provider, or `type: oauth2`; `jwksUrl` of an external issuer',
  },
  'O-04': {
    title: 'the provider offers PKCE with S256',
    wrong: 'It offers other methods only; a warning where it does not say',
    instead: 'Nothing here; switch it on at the provider',
  },
  'O-05': {
    title: 'the provider offers the code flow and refresh tokens',
    wrong: 'It does not name `code`, `query` or `authorization_code`; a warning for `refresh_token`',
    instead: 'Nothing here; switch it on at the provider',
  },
  'O-06': {
    title: 'the client proves itself in a way that the provider takes',
    wrong: 'The configured method is not one of the provider; a warning for a client without a secret',
    instead: '`token_endpoint_auth_method` with a method that it has, or nothing',
  },
  'O-07': {
    title: 'the scopes are those of the provider',
    wrong: 'A scope is not among those that the provider names (a warning)',
    instead: 'Scopes that it has',
  },
  'O-08': {
    title: 'a person stays the same with another client',
    wrong: 'The provider has pairwise subjects only, and `sub` is the subject (a warning)',
    instead: '`subject_claim` with what is the same for all clients',
  },
  'O-09': {
    title: 'the provider tells who signed out there',
    wrong: 'A sign-in leads there, and it does not offer back-channel logout (a warning)',
    instead:
      'Nothing here; at the provider, `<issuer>/oauth/backchannel-logout/<name>` as the address for it',
  },
  'O-10': {
    title: 'a person is the same for every client of the external issuer',
    wrong: 'The issuer has pairwise subjects only, and `linking.principalClaim` is `sub` (a warning)',
    instead: '`linking.principalClaim` with what is the same for all clients',
  },
  'O-11': {
    title: 'Latchkey can register itself at the provider',
    wrong: 'The document at `discovery_url` names no `registration_endpoint`',
    instead: 'Nothing here; switch it on at the provider, or `client_id` in place of `dcr_config`',
  },
} as const satisfies Record<string, RuleText>;
export type RuleId = keyof typeof ruleTexts;
