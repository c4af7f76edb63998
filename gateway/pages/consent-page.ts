/**
 * Shown before anyone is sent to a provider, and before the next one where the first says that it is somebody else who
 * signs in: who asks, where the person returns to, and where they will sign in (RFC 6749 section 10.2, RFC 8252 section
 * 8.6). Whatever the client says of itself is shown as its own claim.
 */
import { isLoopback } from '../../schemas/config/address.ts';
import type { LoginPolicy } from '../../schemas/config/auth-server.ts';
import { type Html, html, type Page } from './page.ts';

export interface ConsentProvider {
  /** As the operator calls it. */
  readonly displayName: string;
  readonly host?: string;
  /** What it is asked for. */
  readonly scopes?: readonly string[];
  /** Left out: the sign-in needs it. */
  readonly loginPolicy?: LoginPolicy;
}

export interface ConsentRequest {
  /** What the client calls itself; undefined if it gave no name. */
  readonly clientName: string | undefined;
  /** The host at which the client publishes itself, which was visited; undefined of one that registered. */
  readonly publisher?: string | undefined;
  readonly redirectUri: string;
  /** Asked in the middle of the way: somebody has signed in, and had not approved this in this browser. */
  readonly signedIn?: boolean;
  /** In the order of the chain; with those that it never leads to, for the client reaches their accounts too. */
  readonly providers: readonly ConsentProvider[];
  readonly csrfToken: string;
  readonly host: string;
}

export function createConsentPage(request: ConsentRequest): Page {
  const name = displayedName(request.clientName);
  const redirect = new URL(request.redirectUri);
  const isOnDemand = ({ loginPolicy }: ConsentProvider) => loginPolicy === 'on_demand';
  const onDemand = request.providers.filter(isOnDemand);
  return {
    title: 'Allow access? · Latchkey',
    host: request.host,
    body: html`<h1>Allow <bdi>${name ?? 'an application without a name'}</bdi> to use your tools?</h1>
<p>It will be able to call every tool that ${request.host} offers, as you.</p>
${
  request.publisher === undefined
    ? html``
    : html`<p>It is published by <b>${request.publisher}</b>.</p>
`
}${
  name === undefined
    ? html``
    : html`<p class="soft">The name is what the application calls itself. Nobody has verified it.</p>
`
}${request.signedIn === true ? signedInAlready(request.providers) : html``}<h2>You will sign in with</h2>
<ol class="steps">
${request.providers.filter((provider) => !isOnDemand(provider)).map(providerItem)}</ol>
${onDemand.length === 0 ? html`` : linkedAccounts(onDemand)}<p class="soft">Latchkey keeps the access it gets there. The application never sees it.</p>
<h2>Then you return to</h2>
${targetOf(redirect)}
<form method="post">
<input type="hidden" name="csrf" value="${request.csrfToken}">
<div class="actions">
<button name="decision" value="cancel">Cancel</button>
<button class="primary" name="decision" value="approve">Approve</button>
</div>
</form>`,
  };
}

function signedInAlready([first]: readonly ConsentProvider[]): Html {
  return html`<p class="warning" role="note">You have signed in already. If you did not expect this question, this browser may be signed in with ${first?.displayName ?? 'a provider'} as somebody else than you.</p>
`;
}

function linkedAccounts(providers: readonly ConsentProvider[]): Html {
  return html`<h2>It can also use what you have linked at</h2>
<ul class="steps">
${providers.map(providerItem)}</ul>
`;
}

function providerItem({ displayName, host, scopes = [], loginPolicy }: ConsentProvider): Html {
  const needless = loginPolicy === 'optional' ? 'you may refuse there' : undefined;
  const details = [host, scopes.join(' '), needless].filter(Boolean).join(' · ');
  return html`<li><span>${displayName}${details === '' ? html`` : html`<small>${details}</small>`}</span></li>\n`;
}

function targetOf(redirect: URL): Html {
  if (isLoopback(redirect)) return loopbackTarget(redirect);
  return redirect.protocol === 'https:' ? webTarget(redirect) : applicationTarget(redirect);
}

/** RFC 8252 section 8.4: nobody can say which application has claimed the scheme. */
function applicationTarget(redirect: URL): Html {
  return html`<p class="address"><b>An application on this computer</b><code>${redirect.href}</code></p>
<p class="warning" role="note">Whichever application here opens addresses that begin with ${redirect.protocol} will receive the answer. Approve only if you have just started to sign in from it.</p>`;
}

function loopbackTarget(redirect: URL): Html {
  return html`<p class="address"><b>This computer</b><code>${redirect.href}</code></p>
<p class="warning" role="note">Any program on this computer could be waiting at this address. Approve only if you have just started to sign in from an application here.</p>`;
}

function webTarget(redirect: URL): Html {
  return html`<p class="address"><b>${redirect.host}</b><code>${redirect.href}</code></p>
<p class="soft">Approve only if you know this address and have just started to sign in there.</p>`;
}

/**
 * Control and formatting characters can turn the text around or hide parts of it, so they are dropped; a name
 * longer than a line is cut.
 */
function displayedName(name: string | undefined): string | undefined {
  const visible = name
    ?.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  if (!visible) return undefined;
  const characters = [...visible];
  return characters.length <= 60 ? visible : `${characters.slice(0, 59).join('')}…`;
}
