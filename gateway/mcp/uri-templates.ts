/**
 * Whether a URI can have been made from a template (RFC 6570), in a number of steps that is limited whatever the two are:
 * templates are words of backends, and one expression after another makes a regular expression run for ever.
 */

/** Of all templates that are tried. It goes down; where nothing is left, nothing fits. */
export interface Effort {
  steps: number;
}

/** A character, or one and more of all but these. */
type Element = { readonly character: string } | { readonly except: string };

export function fitsTemplate(uri: string, template: string, effort: Effort): boolean {
  effort.steps -= template.length;
  const elements = effort.steps < 0 ? null : elementsOf(template);
  if (elements === null) return false;
  /** Up to where the template may have been read, each place once. */
  let places = [0];
  const seenAt = new Array<number>(elements.length + 1).fill(-1);
  for (const [at, character] of [...uri].entries()) {
    const next: number[] = [];
    const add = (place: number) => {
      if (seenAt[place] === at) return;
      seenAt[place] = at;
      next.push(place);
    };
    effort.steps -= places.length;
    if (places.length === 0 || effort.steps < 0) return false;
    for (const place of places) {
      const element = elements[place];
      if (element === undefined) continue;
      if ('character' in element) {
        if (element.character === character) add(place + 1);
      } else if (!element.except.includes(character)) {
        add(place);
        add(place + 1);
      }
    }
    places = next;
  }
  return places.includes(elements.length);
}

function elementsOf(template: string): Element[] | null {
  const elements: Element[] = [];
  for (const [, literal = '', expression] of template.matchAll(/([^{}]+)|\{([^{}]*)\}|[{}]/g)) {
    for (const character of literal) elements.push({ character });
    if (literal !== '') continue;
    if (expression === undefined) return null;
    elements.push(...elementsOfExpression(expression));
  }
  return elements;
}

function elementsOfExpression(expression: string): Element[] {
  const [, operator = '', list = ''] = /^([+#./?&]?)(.*)$/s.exec(expression)!;
  const names = list.split(',').map((name) => name.replace(/(\*|:\d+)$/, '').trim());
  const isOne = names.length === 1 && !list.endsWith('*');
  const literal = (text: string) => [...text].map((character) => ({ character }));
  switch (operator) {
    case '+':
    case '#':
      return [{ except: '' }];
    case '.':
    case '/':
      return [...literal(operator), { except: isOne ? '/,' : ',' }];
    case '?':
    case '&':
      return names.flatMap((name, place) => [
        ...literal(`${place === 0 ? operator : '&'}${name}=`),
        { except: '&' },
      ]);
    default:
      return [{ except: isOne ? '/,' : '/' }];
  }
}
