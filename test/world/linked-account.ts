// An account at a provider, linked by a person who is signed in, as the gateway's pages will have it done.
import { createCommandId } from '../../schemas/ids.ts';
import { Secret } from '../../schemas/secret.ts';
import type { SignedIn, TestVault } from './vault.ts';

/** Goes to the provider and comes back. @returns the id of the link, which is not confirmed yet */
export async function completeLink(
  { vault }: Pick<TestVault, 'vault'>,
  { partition, accessToken }: Pick<SignedIn, 'partition' | 'accessToken'>,
  provider: string,
  /** In place of the subject that the providers have for everybody. */
  subject?: string,
): Promise<string> {
  const { interactionUid } = await vault.linker.begin(partition, { accessToken, provider });
  const leg = await vault.signIn.beginLeg(interactionUid);
  const state = new Secret(new URL(leg.authorizationUrl).searchParams.get('state')!);
  const { status } = await vault.signIn.completeLeg(
    {
      providers: [leg.provider],
      parameters: { state, ...(subject !== undefined && { code: new Secret(subject) }) },
      browserBinding: leg.browserBinding,
    },
    createCommandId(),
  );
  if (status !== 'complete') throw new Error(`the link is ${status}`);
  return interactionUid;
}

export async function linkAccount(
  world: Pick<TestVault, 'vault'>,
  person: Pick<SignedIn, 'partition' | 'accessToken'>,
  provider: string,
  subject?: string,
) {
  const interactionUid = await completeLink(world, person, provider, subject);
  const { accessToken } = person;
  return world.vault.linker.link(person.partition, { accessToken, interactionUid, confirmed: true });
}
