// A person at the browser: signs in at whichever demo provider asks, approves what Latchkey asks, and ends where the
// application waits for them.
import type { Browser, Page } from './browser.ts';

/** The user name at each provider; the demo people's passwords follow from their names. */
export type Person = { corporate: string; gitlab: string };

export const alice: Person = { corporate: 'alice', gitlab: 'alice' };
export const bob: Person = { corporate: 'bob', gitlab: 'bob' };

const maxPages = 10;

/** Walks from `start` to the first address that begins with `stopAt`; a page without a way on is returned as it is. */
export async function walkThroughSignIn(
  browser: Browser,
  start: URL | string,
  {
    person,
    stopAt,
    decision = 'approve',
  }: { person: Person; stopAt: string; decision?: 'approve' | 'cancel' },
): Promise<Page> {
  let page = await browser.goto(start, { stopAt });
  for (let pages = 0; pages < maxPages && page.status === 200; pages++) {
    const form = browser.forms()[0];
    if (form === undefined) return page;
    const provider = form.attributes['data-provider'];
    if (provider === undefined) {
      page = await browser.submit({}, { stopAt, button: decision });
      continue;
    }
    const username = person[provider as keyof Person];
    page = await browser.submit({ username, password: `${username}-demo` }, { stopAt });
  }
  return page;
}
