/**
 * What an operator may order: keys are changed, people are forgotten, grants and approvals are taken away. Nothing of it gives out what
 * is sealed.
 */
import type { Principal } from '../../schemas/identity.ts';
import type { ListedApproval } from '../../schemas/messages/operator-requests.ts';
import { approvalLifeMs } from '../authorization/approval.ts';
import type { Consents } from '../authorization/consents.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import type { KeyRotation } from '../sealing/key-rotation.ts';
import type { RotatedKeys, RotatingSigningKeys } from '../signing/signing-keys.ts';
import type { Forgetting, Forgotten } from './forget-user.ts';
import type { GrantAdministration } from './grant-administration.ts';

export interface OperatorCommands extends Pick<KeyRotation, 'rewrap' | 'use'> {
  /** Has this worker read its key ring again, and says what it has. */
  loadKeyRing(sealWith: string | null): Promise<{ worker: string; keyIds: string[]; current: string }>;
  rotateSigningKey(early: boolean): Promise<RotatedKeys>;
  findUser(provider: string, subject: string): { userId: string };
  findPrincipalKey(principal: Principal): { principalKey: string };
  forgetUser(partition: number, principal: Principal): Promise<Forgotten>;
  /** Whether this worker, which may be another than the one that forgot, has nothing left that opens. */
  hasForgotten(principal: Principal): Promise<{ worker: string; forgotten: boolean }>;
  listGrants(request: {
    principal: Principal;
    provider: string | null;
    after: string | null;
  }): ReturnType<GrantAdministration['list']>;
  revokeGrants(
    partition: number,
    request: { principal: Principal; provider: string | null },
  ): Promise<{ revoked: number }>;
  readonly forecast: Pick<GrantAdministration, 'forecast' | 'listEnding'>;
  listApprovals(userId: string): Promise<{ approvals: ListedApproval[] }>;
  removeApprovals(userId: string, clientId: string | null): Promise<{ removed: number }>;
}

interface Options {
  readonly consents: Pick<Consents, 'list' | 'remove'>;
  readonly worker: string;
  /** The iss of people who signed in here. */
  readonly realm: string;
  readonly keyRing: KeyRing;
  readonly index: IdentityIndex;
  readonly dataKeys: DataKeys;
  readonly rotation: KeyRotation;
  readonly signingKeys: Pick<RotatingSigningKeys, 'rotate'>;
  readonly forgetting: Forgetting;
  readonly grants: GrantAdministration;
  /** Refuses a principal of another partition. */
  readonly assertOurs: (partition: number, principal: Principal) => void;
  readonly holdsAnything: (principalKey: string) => boolean;
  /** Resolves when this worker has read everything that is in the streams now. */
  readonly caughtUp: () => Promise<void>;
}

export function createOperatorCommands(options: Options): OperatorCommands {
  const { worker, realm, keyRing, index, dataKeys, rotation, forgetting, grants, consents } = options;
  const { holdsAnything, caughtUp, assertOurs, signingKeys } = options;
  const keyOf = (userId: string) => index.principalKey({ iss: realm, sub: userId });
  return {
    ...rotation,
    async loadKeyRing(sealWith) {
      await keyRing.load(sealWith);
      return { worker, keyIds: [...keyRing.keyIds()], current: keyRing.current() };
    },
    rotateSigningKey: (early) => signingKeys.rotate({ early }),
    findUser: (provider, subject) => ({ userId: index.userId(provider, subject) }),
    findPrincipalKey: (principal) => ({ principalKey: index.principalKey(principal) }),
    forgetUser: forgetting.forget,
    listGrants: ({ principal, provider, after }) =>
      grants.list(index.principalKey(principal), provider, after),
    async revokeGrants(partition, { principal, provider }) {
      assertOurs(partition, principal);
      return { revoked: await grants.revoke(partition, index.principalKey(principal), provider) };
    },
    forecast: grants,
    async listApprovals(userId) {
      const approvals = await consents.list(keyOf(userId));
      return {
        approvals: approvals.map(({ clientId, redirectHost, at }) => ({
          ...{ clientId, redirectHost },
          approvedAt: at,
          until: at + approvalLifeMs,
        })),
      };
    },
    removeApprovals: async (userId, clientId) => ({
      removed: await consents.remove(keyOf(userId), clientId),
    }),
    async hasForgotten(principal) {
      await caughtUp();
      const principalKey = index.principalKey(principal);
      return { worker, forgotten: dataKeys.find(principalKey) === null && !holdsAnything(principalKey) };
    },
  };
}
