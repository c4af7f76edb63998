/** Says what went wrong where no client can be told, and what the person can do. Holds nothing of an upstream. */
import { type Html, html, type Page } from './page.ts';

export interface ErrorText {
  readonly heading: string;
  readonly explanation: string;
  /** An error code of OAuth, or a detail for the developer of the client. */
  readonly detail?: string;
  /** Where the application waits; the person decides whether to go there. */
  readonly wayBack?: URL;
}

export function createErrorPage(text: ErrorText, host: string): Page {
  return {
    title: `${text.heading} · Latchkey`,
    host,
    body: html`<h1>${text.heading}</h1>
<p>${text.explanation}</p>
${text.detail === undefined ? html`` : html`<p><code>${text.detail}</code></p>`}
${text.wayBack === undefined ? html`` : wayBackTo(text.wayBack)}`,
  };
}

function wayBackTo(target: URL): Html {
  return html`<h2>The application waits at</h2>
<p class="address"><b>${target.host}</b><code>${target.origin}${target.pathname}</code></p>
<div class="actions"><a class="button" href="${target.href}">Return to it</a></div>`;
}

export const errorTexts = {
  expired: {
    heading: 'This sign-in cannot go on',
    explanation:
      'It has expired, has ended already, or was started in another browser. Go back to your application and start again.',
  },
  unavailable: {
    heading: 'Not available right now',
    explanation:
      'A part of this service does not answer. Nothing is lost: wait a moment and load this page again.',
  },
  broken: {
    heading: 'Something went wrong',
    explanation: 'The request could not be completed. Go back to your application and start again.',
  },
  unknownClient: {
    heading: 'This application is not known here',
    explanation:
      'Its registration has ended or was made at another server. Remove the authorization for this server that your application has stored, and connect anew.',
  },
  refused: {
    heading: 'This request cannot be answered',
    explanation:
      'The application sent a request that this server does not accept, and it is not safe to send you back there.',
  },
  refusedWithWayBack: {
    heading: 'This request cannot be answered',
    explanation:
      'An application sent a request that this server does not accept. Return to it only if you know its address and have just started to sign in there.',
  },
  notFound: {
    heading: 'Page not found',
    explanation: 'There is nothing at this address.',
  },
  forged: {
    heading: 'This answer was not accepted',
    explanation: 'It did not come from the page that asked the question. Go back and choose again.',
  },
} as const satisfies Record<string, ErrorText>;
