// Opens what the demo needs around Latchkey: two identity providers and two backends that know people by them.
import { openWhoamiBackend } from './backends/whoami.ts';
import type { DemoConfiguration, DemoOptions } from './demo-configuration.ts';
import { openCorporateProvider } from './identity-providers/corporate.ts';
import { openGitlabProvider } from './identity-providers/gitlab.ts';

/** Short, so that whoever watches the demo sees a refresh soon. */
const gitlabAccessTokenSeconds = 180;

export async function openDemoWorld(options: DemoOptions, configuration: DemoConfiguration): Promise<void> {
  const { origins, ports, clientSecrets, redirectUris, backchannelLogoutUri, stateDir } = configuration;
  const listenOn = options.listenOn ?? '127.0.0.1';
  await Promise.all([
    openCorporateProvider({
      port: ports.corporate,
      host: new URL(origins.corporate).hostname,
      listenOn,
      clientSecret: clientSecrets.corporate,
      redirectUris: redirectUris.corporate,
      backchannelLogoutUri,
      stateDir,
    }),
    openGitlabProvider({
      port: ports.gitlab,
      host: new URL(origins.gitlab).hostname,
      listenOn,
      clientSecret: clientSecrets.gitlab,
      redirectUris: redirectUris.gitlab,
      accessTokenSeconds: options.gitlabAccessTokenSeconds ?? gitlabAccessTokenSeconds,
      stateDir,
    }),
    openWhoamiBackend({
      name: 'corporate-tools',
      userinfoUrl: `${origins.corporate}/userinfo`,
      port: ports.corporateTools,
      listenOn,
    }),
    openWhoamiBackend({
      name: 'gitlab-tools',
      userinfoUrl: `${origins.gitlab}/api/v4/user`,
      port: ports.gitlabTools,
      listenOn,
    }),
  ]);
}
