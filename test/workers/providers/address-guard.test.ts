import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AddressKind, kindOfAddress } from '../../../workers/providers/address-guard.ts';

const test = suite('address-guard');

const expected: Record<AddressKind, string[]> = {
  public: [
    '8.8.8.8',
    '172.32.0.1',
    '192.167.255.255',
    '2a00:1450:4001::200e',
    '2001:4860:4860::8888',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ],
  private: [
    '10.1.2.3',
    '127.0.0.1',
    '127.255.255.255',
    '100.64.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '::1',
    'fd12:3456::1',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::a00:1',
    '64:ff9b::192.168.1.1',
    '0:0:0:0:0:ffff:127.0.0.1',
    '198.18.0.1',
  ],
  forbidden: [
    '0.0.0.0',
    '::',
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '100.100.100.200',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    '224.0.0.1',
    '255.255.255.255',
    'ff02::1',
    '::10.0.0.1',
    '::ffff:0:10.0.0.1',
    '::ffff:0.0.0.0',
    '64:ff9b::',
    '64:ff9b:1::a00:1',
    '168.63.129.16',
    '::ffff:168.63.129.16',
    'fd00:ec2::23',
    'fd20:ce::254',
    '0.1.2.3',
    '192.0.0.192',
    '2001:2::1',
    '100::1',
    'fec0::1',
    '0177.0.0.1',
    '2130706433',
    '2002:a00:1::1',
    '2001:0:a00:1::1',
    'not an address',
  ],
};

for (const [kind, addresses] of Object.entries(expected))
  for (const address of addresses)
    test(`${address} is ${kind}`, () => {
      assert.is(kindOfAddress(address), kind);
    });

test.run();
