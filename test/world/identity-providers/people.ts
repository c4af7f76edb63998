// The people of the demo world. They exist at both providers, each time with another subject, name and e-mail
// address, so that a tool's answer shows at once as whom, and at which provider, the backend was reached.
import type { AccountClaims } from 'oidc-provider';

export type Person = { username: string; password: string; subject: string; name: string; email: string };

export const corporatePeople: Person[] = [
  {
    username: 'alice',
    password: 'alice-demo',
    subject: 'corp-7f21',
    name: 'Alice Adams',
    email: 'alice.adams@corporate.example',
  },
  {
    username: 'bob',
    password: 'bob-demo',
    subject: 'corp-93c4',
    name: 'Bob Brown',
    email: 'bob.brown@corporate.example',
  },
];

export const gitlabPeople: Person[] = [
  {
    username: 'alice',
    password: 'alice-demo',
    subject: '50001',
    name: 'Alice at GitLab',
    email: 'alice@gitlab.example',
  },
  {
    username: 'bob',
    password: 'bob-demo',
    subject: '50002',
    name: 'Bob at GitLab',
    email: 'bob@gitlab.example',
  },
];

export function toClaims(person: Person): AccountClaims {
  return {
    sub: person.subject,
    name: person.name,
    preferred_username: person.username,
    email: person.email,
    email_verified: true,
  };
}
