/** Lifetimes of the authorization server, in seconds. */
export interface AuthorizationServerSettings {
  readonly accessTokenSeconds: number;
  readonly authorizationCodeSeconds: number;
  /** How long a refresh token may lie unused; the session ends all of them. */
  readonly refreshTokenSeconds: number;
  /** Absolute: after this time the person signs in again. */
  readonly sessionSeconds: number;
  /** From the authorization request to the end of the chain. */
  readonly interactionSeconds: number;
}

const minute = 60;
const day = 24 * 60 * minute;

export const defaultSettings: AuthorizationServerSettings = {
  accessTokenSeconds: 10 * minute,
  authorizationCodeSeconds: minute,
  refreshTokenSeconds: 7 * day,
  sessionSeconds: 14 * day,
  interactionSeconds: 30 * minute,
};
