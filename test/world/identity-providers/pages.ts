// The pages of a demo identity provider. Everything a page needs is in the page: no third-party asset, no script.
import type { Person } from './people.ts';

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

function renderPage(title: string, accent: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: color-mix(in srgb, ${accent} 12%, Canvas); }
main { width: min(22rem, calc(100vw - 4rem)); padding: 2rem; border-radius: .75rem; border-top: .4rem solid ${accent}; background: Canvas; box-shadow: 0 .5rem 2rem #0003; }
h1 { margin: 0 0 1rem; font-size: 1.3rem; }
label { display: block; margin-bottom: 1rem; }
input { display: block; width: 100%; box-sizing: border-box; padding: .5rem; font: inherit; border: 1px solid GrayText; border-radius: .4rem; }
button { width: 100%; padding: .6rem; font: inherit; font-weight: 600; color: #fff; background: ${accent}; border: 0; border-radius: .4rem; cursor: pointer; }
.problem { color: #b00020; font-weight: 600; }
.note { margin: 1.5rem 0 0; font-size: .9rem; color: GrayText; }
code { font-size: .95em; }
</style>
</head>
<body><main>
${body}
</main></body>
</html>
`;
}

/** `title` is the company the provider plays, `accent` the colour that tells its pages from the other's. */
export function createPages(name: string, title: string, accent: string, people: Person[]) {
  const hint = people
    .map(
      (person) => `<code>${escapeHtml(person.username)}</code> / <code>${escapeHtml(person.password)}</code>`,
    )
    .join(' or ');
  const signInNote = `<p class="note">This company is part of the demo. Sign in as ${hint}.</p>`;
  return {
    login: (action: string, problem?: string) =>
      renderPage(
        `Sign in to ${title}`,
        accent,
        `<h1>Sign in to ${escapeHtml(title)}</h1>
${problem ? `<p class="problem" role="alert">${escapeHtml(problem)}</p>` : ''}
<form method="post" action="${escapeHtml(action)}" data-provider="${escapeHtml(name)}">
<label>User name <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>
${signInNote}`,
      ),
    home: (signOutPath: string) =>
      renderPage(
        title,
        accent,
        `<h1>${escapeHtml(title)}</h1>
<p>An identity provider of the demo. <a href="${escapeHtml(signOutPath)}">Sign out</a> here to come back as another person.</p>
${signInNote}`,
      ),
    signOut: (form: string) =>
      renderPage(
        `Sign out of ${title}`,
        accent,
        `<h1>Sign out of ${escapeHtml(title)}?</h1>
${form}
<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`,
      ),
    signedOut: () => renderPage(`Signed out of ${title}`, accent, '<h1>You are signed out</h1>'),
    error: (code: string, description: string) =>
      renderPage(
        `${title}: ${code}`,
        accent,
        `<h1>That did not work</h1>
<p class="problem" role="alert">${escapeHtml(code)}</p>
<p>${escapeHtml(description)}</p>`,
      ),
  };
}
