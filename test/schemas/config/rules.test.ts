import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ruleTexts } from '../../../schemas/config/rule-texts.ts';
import { cases as addresses } from './rules/addresses.ts';
import { cases as aggregation } from './rules/aggregation.ts';
import { cases as authServerIntegration } from './rules/auth-server-integration.ts';
import { cases as awsSts } from './rules/aws-sts.ts';
import { cases as backends } from './rules/backends.ts';
import { cases as clients } from './rules/clients.ts';
import { cases as externalIssuer } from './rules/external-issuer.ts';
import { cases as fetchedAddresses } from './rules/fetched-addresses.ts';
import { cases as headerInjection } from './rules/header-injection.ts';
import { cases as issuer } from './rules/issuer.ts';
import { cases as presets } from './rules/presets.ts';
import { cases as previousClients } from './rules/previous-clients.ts';
import { cases as processes } from './rules/processes.ts';
import { cases as registration } from './rules/registration.ts';
import { cases as tokenExchange } from './rules/token-exchange.ts';
import { cases as upstreams } from './rules/upstreams.ts';
import { cases as writtenSecrets } from './rules/written-secrets.ts';
import { load, loadChanged, sampleConfig, told } from './sample-config.ts';

const test = suite('configuration rules');

const cases = [
  ...addresses,
  ...aggregation,
  ...authServerIntegration,
  ...awsSts,
  ...backends,
  ...clients,
  ...externalIssuer,
  ...fetchedAddresses,
  ...headerInjection,
  ...issuer,
  ...presets,
  ...previousClients,
  ...processes,
  ...registration,
  ...tokenExchange,
  ...upstreams,
  ...writtenSecrets,
];

test('the sample has no problem', () => {
  assert.equal(told(load(sampleConfig())), []);
});

for (const { rule, what, change, told: expected = [], warning } of cases) {
  test(`${rule} ${expected.some((text) => text.startsWith(rule)) ? 'speaks of' : 'accepts'} ${what}`, () => {
    const loaded = loadChanged(change);
    assert.equal(told(loaded), expected);
    assert.is(loaded.config !== null, expected.length === 0 || warning === true);
    for (const { message, fix } of loaded.problems) {
      assert.ok(message.length > 8 && fix.length > 8);
      assert.not.match(`${message}${fix}`, /undefined|\[object/);
    }
  });
}

test('every rule has a case that triggers it and one that does not', () => {
  const spoken = new Set(cases.flatMap(({ told = [] }) => told.map((text) => text.slice(0, 4))));
  // What is wrong with files, keys and kinds is tested with the loading.
  const ruleIds = Object.keys(ruleTexts).filter((rule) => rule.startsWith('V-'));
  assert.equal(
    ruleIds.filter((rule) => !spoken.has(rule)),
    [],
  );
});

test.run();
