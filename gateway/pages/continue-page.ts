/**
 * Leads the browser on after a form was posted. With `form-action 'self'` Chromium follows no redirect to another
 * origin after a form POST, so the answer is a page that refreshes at once, with a link for who refuses that.
 */
import { html, type Page } from './page.ts';

export function createContinuePage(target: string, host: string): Page {
  const { hostname, protocol } = new URL(target);
  const isOnTheWeb = protocol === 'https:' || protocol === 'http:';
  return {
    title: 'One moment · Latchkey',
    host,
    refreshTo: target,
    body: html`<h1>One moment</h1>
<p>You are being taken to ${isOnTheWeb ? hostname : 'the application that you came from'}.</p>
<div class="actions"><a class="button primary" href="${target}">Continue</a></div>`,
  };
}
