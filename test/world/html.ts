// Reads forms, links and refreshes out of the plain pages that identity providers and the gateway render.

export type Form = {
  action: URL;
  method: 'GET' | 'POST';
  fields: Record<string, string>;
  buttons: Record<string, string>[];
  attributes: Record<string, string>;
};

/** The forms of a page, with what a person would send without touching them. */
export function parseForms(body: string, url: URL): Form[] {
  return [...body.matchAll(/<form\b[^>]*>([\s\S]*?)<\/form>/gi)].map((match) => {
    const attributes = readAttributes(match[0].slice(0, match[0].indexOf('>') + 1));
    const form: Form = {
      action: new URL(attributes.action || url.href, url),
      method: attributes.method?.toLowerCase() === 'post' ? 'POST' : 'GET',
      fields: {},
      buttons: [],
      attributes,
    };
    const inside = match[1] ?? '';
    const outside = attributes.id === undefined ? '' : findAssociated(body, attributes.id);
    for (const [tag, element] of (inside + outside).matchAll(/<(input|button)\b[^>]*>/gi)) {
      addControl(form, element?.toLowerCase() ?? '', readAttributes(tag));
    }
    return form;
  });
}

/** The addresses of the links on a page. */
export function parseLinks(body: string, url: URL): URL[] {
  return [...body.matchAll(/<a\b[^>]*>/gi)].flatMap(([tag]) => {
    const href = readAttributes(tag).href;
    return href === undefined ? [] : [new URL(href, url)];
  });
}

/** The content of `<meta http-equiv=refresh>`. */
export function findMetaRefresh(body: string): string | null {
  for (const [tag] of body.matchAll(/<meta\b[^>]*>/gi)) {
    const attributes = readAttributes(tag);
    if (attributes['http-equiv']?.toLowerCase() === 'refresh') return attributes.content ?? null;
  }
  return null;
}

/** Controls outside the form that name it by their `form` attribute. */
function findAssociated(body: string, id: string): string {
  return [...body.matchAll(/<(?:input|button)\b[^>]*>/gi)]
    .map(([tag]) => tag)
    .filter((tag) => readAttributes(tag).form === id)
    .join('');
}

function addControl(form: Form, element: string, attributes: Record<string, string>): void {
  const type = attributes.type?.toLowerCase() ?? (element === 'button' ? 'submit' : 'text');
  if (type === 'submit') {
    form.buttons.push(attributes.name === undefined ? {} : { [attributes.name]: attributes.value ?? '' });
    return;
  }
  if (attributes.name === undefined || type === 'button' || type === 'reset') return;
  if ((type === 'checkbox' || type === 'radio') && attributes.checked === undefined) return;
  form.fields[attributes.name] = attributes.value ?? (type === 'checkbox' ? 'on' : '');
}

function readAttributes(tag: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  const inner = tag.replace(/^<\w+/, '').replace(/\/?>$/, '');
  for (const match of inner.matchAll(/([^\s"'=<>/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?/g)) {
    attributes[(match[1] ?? '').toLowerCase()] = decodeEntities(match[2] ?? match[3] ?? match[4] ?? '');
  }
  return attributes;
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return entities[name] ?? whole;
  });
}
