/** Says what went wrong where no client can be told, and what the person can do. Holds nothing of an upstream. */
import { html, type Page } from './page.ts';

export interface ErrorText {
  readonly heading: string;
  readonly explanation: string;
  /** An error code of OAuth, or a detail for the developer of the client. */
  readonly detail?: string;
}

export function createErrorPage(text: ErrorText, host: string): Page {
  return {
    title: `${text.heading} · Latchkey`,
    host,
    body: html`<h1>${text.heading}</h1>
<p>${text.explanation}</p>
${text.detail === undefined ? html`` : html`<p><code>${text.detail}</code></p>`}`,
  };
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
  notFound: {
    heading: 'Page not found',
    explanation: 'There is nothing at this address.',
  },
  forged: {
    heading: 'This answer was not accepted',
    explanation: 'It did not come from the page that asked the question. Go back and choose again.',
  },
} as const satisfies Record<string, ErrorText>;
