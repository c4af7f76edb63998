import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AuthorizationServerOptions,
  createAuthorizationServer,
} from '../../../gateway/authorization-server/authorization-server.ts';
import { createBootId } from '../../../schemas/ids.ts';
import { createLog } from '../../../schemas/log.ts';
import { createInMemoryVault } from '../in-memory-vault.ts';

const issuer = 'http://localhost:4483';
const vault = createInMemoryVault({
  issuer,
  providers: ['corporate'],
  authorizationEndpoint: () => 'http://localhost:1/authorize',
});
const corporate = { name: 'corporate', displayName: 'Corporate' };
function create(changes: Partial<AuthorizationServerOptions>): string | null {
  const options: AuthorizationServerOptions = {
    issuer,
    instance: vault,
    vault,
    upstreams: [corporate],
    cookieKeys: [randomBytes(32)],
    log: createLog({ process: 'test', bootId: createBootId(), level: 'silent' }),
    ...changes,
  };
  try {
    createAuthorizationServer(options);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

test('what cannot be served is refused at the start, with the reason', () => {
  assert.is(create({}), null);
  assert.match(create({ issuer: 'localhost' }) ?? '', 'must be an http or https URL');
  assert.match(create({ issuer: 'http://localhost:4483/path' }) ?? '', 'a path is not supported');
  assert.match(create({ issuer: 'http://localhost:4484' }) ?? '', 'the vault signs for the issuer');
  assert.match(create({ cookieKeys: [] }) ?? '', 'cookieKeys');
  assert.match(create({ upstreams: [] }) ?? '', 'upstreams');
  const shared = { callbackPath: '/oauth/callback/corporate' };
  const two = [corporate, { name: 'gitlab', displayName: 'GitLab', ...shared }];
  assert.match(create({ upstreams: two }) ?? '', 'the same callback path');
  assert.match(create({ upstreams: [{ ...corporate, callbackPath: '/mcp' }] }) ?? '', 'must begin with');
  assert.match(create({ upstreams: [{ ...corporate, callbackPath: '/oauth/token' }] }) ?? '', 'is taken');
});

test.run();
