import type { RuleCase } from './rule-case.ts';
import { awsSts } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-03',
    what: 'an AWS role whose subject is the own token',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ subjectProviderName: undefined });
    },
    told: ['V-03 outgoingAuth.default.awsSts.subjectProviderName'],
  },
  {
    rule: 'V-66',
    what: '`aws_sts` without any role',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ fallbackRoleArn: undefined });
    },
    told: ['V-66 outgoingAuth.default.awsSts'],
  },
  {
    rule: 'V-66',
    what: '`aws_sts` with all that it can have',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({
        roleMappings: [{ claim: 'admins', roleArn: 'arn:aws-cn:iam::123456789012:role/a/b', priority: 1 }],
        roleClaim: 'roles',
        sessionDuration: 900,
        sessionNameClaim: 'email',
        subjectTokenType: 'id_token',
        stsEndpoint: 'http://127.0.0.1:4566',
        allowPrivateIps: true,
      });
    },
  },
  {
    rule: 'V-14',
    what: 'STS over http',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ stsEndpoint: 'http://sts.example.com' });
    },
    told: ['V-14 outgoingAuth.default.awsSts.stsEndpoint'],
  },
];
