/**
 * Server-sent events with the data of each as it comes (WHATWG HTML, section 9.2.6, event streams): a parser that hands
 * on whole events would hold a large one until its end.
 */

export type EventPart =
  /** More data of the event that has begun; `type`: as far as it was said yet. */
  | { readonly kind: 'data'; readonly type: string; readonly text: string }
  | { readonly kind: 'end'; readonly type: string; readonly id: string | null }
  | { readonly kind: 'retry'; readonly afterMs: number };

export interface EventReader {
  /** null: a line that is no data is longer than any that means something. */
  read(text: string): EventPart[] | null;
}

const defaultType = 'message';
const dataStart = 'data:';
const maxFieldLength = 64 * 1024;
const lineEnd = /[\r\n]/g;

export function createEventReader(): EventReader {
  /** The line that has begun, while it is not known to be data. */
  let line = '';
  let kind: 'unknown' | 'data' | 'comment' = 'unknown';
  let afterReturn = false;
  let type = defaultType;
  let id: string | null = null;
  let dataLines = 0;
  let parts: EventPart[] = [];

  function addData(text: string): void {
    if (text !== '') parts.push({ kind: 'data', type, text });
  }

  function beginData(value: string): void {
    addData(dataLines === 0 ? value : `\n${value}`);
    dataLines += 1;
  }

  function addText(text: string, isEnd: boolean): void {
    if (kind === 'data') addData(text);
    if (kind !== 'unknown') return;
    line += text;
    if (line.startsWith(':')) kind = 'comment';
    if (!line.startsWith(dataStart) || (line.length === dataStart.length && !isEnd)) return;
    kind = 'data';
    beginData(withoutSpace(line.slice(dataStart.length)));
  }

  function endLine(): void {
    if (kind === 'unknown') {
      if (line === '') endEvent();
      else endField();
    }
    kind = 'unknown';
    line = '';
  }

  function endField(): void {
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : withoutSpace(line.slice(colon + 1));
    if (name === 'data') beginData(value);
    else if (name === 'event') type = value === '' ? defaultType : value;
    else if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) parts.push({ kind: 'retry', afterMs: Number(value) });
  }

  function endEvent(): void {
    // One without data says where to go on from, if it says anything.
    if (dataLines > 0 || id !== null) parts.push({ kind: 'end', type, id });
    type = defaultType;
    id = null;
    dataLines = 0;
  }

  return {
    read(text) {
      parts = [];
      let from = 0;
      if (text !== '' && afterReturn) {
        afterReturn = false;
        if (text[0] === '\n') from = 1;
      }
      while (from < text.length) {
        lineEnd.lastIndex = from;
        const found = lineEnd.test(text);
        const end = found ? lineEnd.lastIndex - 1 : text.length;
        addText(text.slice(from, end), found);
        if (kind === 'unknown' && line.length > maxFieldLength) return null;
        if (!found) break;
        endLine();
        from = end + 1;
        if (text[end] !== '\r') continue;
        if (from === text.length) afterReturn = true;
        else if (text[from] === '\n') from += 1;
      }
      return parts;
    },
  };
}

function withoutSpace(value: string): string {
  return value.startsWith(' ') ? value.slice(1) : value;
}
