// A browser as far as sign-in needs one: cookies, redirects, `<meta http-equiv=refresh>`, links and forms. It records
// every address it visited.
import { CookieJar } from './cookie-jar.ts';
import { type Form, findMetaRefresh, parseForms, parseLinks } from './html.ts';

export type Page = { url: URL; status: number; headers: Headers; body: string };

const maxSteps = 40;

export class Browser {
  readonly cookies = new CookieJar();
  /** Every address visited, in order, with the status it answered. */
  readonly trace: { method: string; url: string; status: number }[] = [];
  #page: Page | null = null;

  get page(): Page {
    if (this.#page === null) throw new Error('the browser has not opened a page');
    return this.#page;
  }

  /**
   * Opens an address and follows redirects and refreshes to the page a person would see. An address that starts
   * with `stopAt` is not requested: it becomes the page, with status 0.
   */
  async goto(address: string | URL, { stopAt }: { stopAt?: string } = {}): Promise<Page> {
    return this.#navigate('GET', new URL(address, this.#page?.url), null, stopAt);
  }

  /** Fills in the form (`button` names one of several, by its value) and sends it. */
  async submit(
    fields: Record<string, string> = {},
    { stopAt, button, formIndex = 0 }: { stopAt?: string; button?: string; formIndex?: number } = {},
  ): Promise<Page> {
    const form = this.forms()[formIndex];
    if (!form) throw new Error(`${withoutQuery(this.page.url)} shows no form`);
    const pressed =
      button === undefined
        ? form.buttons[0]
        : form.buttons.find((each) => Object.values(each).includes(button));
    if (button !== undefined && !pressed)
      throw new Error(`${withoutQuery(this.page.url)} has no button ${button}`);
    const body = new URLSearchParams({ ...form.fields, ...pressed, ...fields });
    if (form.method === 'POST') return this.#navigate('POST', form.action, body, stopAt);
    form.action.search = body.toString();
    return this.#navigate('GET', form.action, null, stopAt);
  }

  forms(): Form[] {
    return parseForms(this.page.body, this.page.url);
  }

  links(): URL[] {
    return parseLinks(this.page.body, this.page.url);
  }

  async #navigate(
    method: 'GET' | 'POST',
    url: URL,
    body: URLSearchParams | null,
    stopAt?: string,
  ): Promise<Page> {
    for (let step = 0; step < maxSteps; step++) {
      if (stopAt !== undefined && url.href.startsWith(stopAt)) {
        this.trace.push({ method, url: url.href, status: 0 });
        this.#page = { url, status: 0, headers: new Headers(), body: '' };
        return this.#page;
      }
      const page = await this.#request(method, url, body);
      this.#page = page;
      const next = findNext(page);
      if (next === null) return page;
      // Fetch standard, HTTP-redirect fetch: 307 and 308 repeat the request, the others become GET.
      if (page.status !== 307 && page.status !== 308) {
        method = 'GET';
        body = null;
      }
      url = next;
    }
    throw new Error(`more than ${maxSteps} redirects, the last to ${withoutQuery(url)}`);
  }

  async #request(method: 'GET' | 'POST', url: URL, body: URLSearchParams | null): Promise<Page> {
    const headers = new Headers({ accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
    const cookies = this.cookies.find(url);
    if (cookies.length > 0)
      headers.set('cookie', cookies.map(({ name, value }) => `${name}=${value}`).join('; '));
    if (method === 'POST') headers.set('origin', this.#page?.url.origin ?? 'null');
    const response = await fetch(url, {
      method,
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(30_000),
    });
    for (const setCookie of response.headers.getSetCookie()) this.cookies.store(url, setCookie);
    const page = { url, status: response.status, headers: response.headers, body: await response.text() };
    this.trace.push({ method, url: url.href, status: response.status });
    return page;
  }
}

function findNext(page: Page): URL | null {
  const location = page.headers.get('location');
  if (page.status >= 300 && page.status < 400 && location !== null) return new URL(location, page.url);
  const header = page.headers.get('refresh');
  const refresh = header ?? findMetaRefresh(page.body);
  const target =
    refresh === null ? null : /^\s*\d+\s*[;,]\s*(?:url\s*=\s*)?['"]?(.*?)['"]?\s*$/i.exec(refresh)?.[1];
  return target ? new URL(target, page.url) : null;
}

function withoutQuery(url: URL): string {
  return url.origin + url.pathname;
}
