// A real browser, where one is installed: Chromium as Debian has it, driven by playwright-core.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const quietly = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

export const chromiumPath: string | null = findChromium();

/** With a profile of its own, which goes when it is closed. */
export async function openChromium(path: string): Promise<AsyncDisposable & { browser: Browser }> {
  const browser = await chromium.launch({ executablePath: path, headless: true, args: quietly });
  return { browser, [Symbol.asyncDispose]: () => browser.close() };
}

function findChromium(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    for (const name of names) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here.
      }
    }
  return null;
}
