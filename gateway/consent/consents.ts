/**
 * No client gets in unless the person who signs in approved it: on the page of this sign-in, or in an earlier one of this
 * browser, where everything that the page would show is the same. Who says whose browser it is is the account session; a
 * sign-in that ends as somebody else is asked about all the same. Where the memory fails, the page is there.
 */
import type { IncomingMessage } from 'node:http';
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import type { Log } from '../../schemas/log.ts';
import { isVaultUnavailable } from '../authorization-server/vault-failure.ts';
import type { VaultClient } from '../vault-client.ts';
import type { AccountCookie } from './account-cookie.ts';
import { approvableOf, digestOf, type Question } from './question.ts';

export interface Consents {
  /** The person of this browser, if they need not be asked. */
  findApprover(request: IncomingMessage, question: Question): Promise<Principal | null>;
  /** Where this person let this client in; null: nowhere. `principal`: as whom the sign-in goes on. */
  find(
    request: IncomingMessage,
    uid: string,
    question: Question,
    principal: Principal,
  ): Promise<GivenConsent | null>;
  /** The answer of the page. */
  give(uid: string, question: Question): Promise<void>;
  /** The sign-in is over, and its session open. @returns the cookie of the browser; null: it gets none */
  signedIn(
    request: IncomingMessage,
    answer: { question: Question; given: GivenConsent | null },
    session: { principal: Principal; grantId: string },
  ): Promise<string | null>;
}

/** Only what was answered on the page is remembered, for that long after it. */
export type GivenConsent = 'on-page' | 'before';

interface Options {
  readonly vault: Pick<VaultClient, 'putRecord' | 'findRecord' | 'findApprover' | 'openAccountSession'>;
  readonly cookie: AccountCookie;
  /** For so long an answer of the page counts. */
  readonly interactionSeconds: number;
  readonly log: Log;
}

const givenSchema = z.object({ shown: z.string() });

export function createConsents({ vault, cookie, interactionSeconds, log }: Options): Consents {
  async function isGivenOnPage(uid: string, question: Question): Promise<boolean> {
    const given = givenSchema.safeParse(await vault.findRecord('Consent', 'id', uid));
    return given.success && given.data.shown === digestOf(question);
  }

  async function findApprover(request: IncomingMessage, question: Question): Promise<Principal | null> {
    const asked = approvableOf(question);
    const accountSession = cookie.find(request);
    if (asked === null || accountSession === null || question.prompt !== undefined) return null;
    try {
      return await vault.findApprover({ accountSession, asked });
    } catch (error) {
      if (!isVaultUnavailable(error)) throw error;
      log.warn({ err: error }, 'what was approved before is not known now: the person is asked');
      return null;
    }
  }

  return {
    findApprover,

    async find(request, uid, question, principal) {
      if (await isGivenOnPage(uid, question)) return 'on-page';
      const approver = await findApprover(request, question);
      return approver?.iss === principal.iss && approver.sub === principal.sub ? 'before' : null;
    },

    give: (uid, question) =>
      vault.putRecord('Consent', uid, { shown: digestOf(question) }, interactionSeconds),

    async signedIn(request, { question, given }, { principal, grantId }) {
      const approved = given === 'on-page' ? approvableOf(question) : null;
      try {
        const former = cookie.find(request);
        const { accountSession } = await vault.openAccountSession({ principal, grantId, approved, former });
        return cookie.create(accountSession);
      } catch (error) {
        if (!(error instanceof RefusedError) && !isVaultUnavailable(error)) throw error;
        log.warn({ err: error }, 'a consent could not be remembered: the person will be asked again');
        return null;
      }
    },
  };
}
