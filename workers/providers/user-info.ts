/**
 * Reads who the person is from a resource that the access token opens: the provider's own, with its own field
 * names.
 */
import type { UserInfoSettings } from '../../schemas/config/provider-config.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import { type AnswerFields, textOf } from './answer-fields.ts';
import type { ProviderDependencies } from './provider.ts';

/** `subject` is null where none of the fields holds one. */
export type UserInfo = Omit<UpstreamAccount, 'subject'> & { subject: string | null };

export async function fetchUserInfo(
  settings: UserInfoSettings,
  tokens: TokenSet,
  { fetch, log }: Pick<ProviderDependencies, 'fetch' | 'log'>,
): Promise<UserInfo> {
  const body = await read();
  if (body === null)
    throw new RefusedError('upstream-unavailable', 'the userinfo endpoint gave no usable answer');
  return {
    subject: findText(body, settings.subjectFields),
    name: findText(body, settings.nameFields),
    email: findText(body, settings.emailFields),
  };

  async function read(): Promise<AnswerFields | null> {
    try {
      const response = await fetch(settings.endpointUrl, {
        method: settings.httpMethod,
        headers: {
          accept: 'application/json',
          'user-agent': 'latchkey',
          ...settings.additionalHeaders,
          authorization: `Bearer ${tokens.accessToken.reveal()}`,
        },
      });
      const body: unknown = response.status === 200 ? await response.json() : null;
      if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as AnswerFields;
      log.warn({ status: response.status }, 'the userinfo endpoint gave no usable answer');
    } catch (error) {
      log.warn({ error }, 'the userinfo endpoint cannot be asked');
    }
    return null;
  }
}

function findText(body: AnswerFields, fields: readonly string[]): string | null {
  for (const field of fields) {
    const text = Object.hasOwn(body, field) ? textOf(body[field]) : null;
    if (text !== null) return text;
  }
  return null;
}
