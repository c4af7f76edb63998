/** `header_injection`: every request to the backend carries one fixed header, the same for everybody. */
import type { Secret } from '../../schemas/secret.ts';
import type { OutgoingStrategy } from './outgoing-strategy.ts';

export function createHeaderInjection(options: { headerName: string; value: Secret }): OutgoingStrategy {
  const headers = () => ({ [options.headerName]: options.value.reveal() });
  return {
    providers: [],
    forNobody: headers,
    headers: () => ({ headers: headers(), injected: null }),
  };
}
