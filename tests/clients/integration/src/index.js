// An integration of one step: an account with 600 hosts, and a person whom another source may know.
const sdk = require('@jupiterone/integration-sdk-core');

const entity = (_key, _type, _class, more) =>
  sdk.createIntegrationEntity({
    entityData: { source: { id: _key }, assign: { _key, _type, _class, displayName: _key, name: _key, ...more } },
  });

exports.invocationConfig = {
  instanceConfigFields: {},
  async validateInvocation() {},
  integrationSteps: [
    {
      id: 'fetch',
      name: 'Fetch',
      entities: [
        { resourceName: 'Account', _type: 'probe_account', _class: 'Account' },
        { resourceName: 'Host', _type: 'probe_host', _class: 'Host' },
      ],
      relationships: [
        { _type: 'probe_account_has_host', _class: 'HAS', sourceType: 'probe_account', targetType: 'probe_host' },
      ],
      dependsOn: [],
      async executionHandler({ jobState }) {
        const account = await jobState.addEntity(
          entity('probe-account:1', 'probe_account', 'Account', { vendor: 'x', accountId: '1' }),
        );
        for (let i = 0; i < 600; i++) {
          const host = await jobState.addEntity(
            entity(`probe-host:${i}`, 'probe_host', 'Host', { hostname: `h${i}` }),
          );
          await jobState.addRelationship(
            sdk.createDirectRelationship({ _class: 'HAS', from: account, to: host }),
          );
        }
        await jobState.addRelationship(
          sdk.createMappedRelationship({
            _class: 'OWNS',
            _type: 'probe_account_owned_by_person',
            _key: 'probe-account:1|owned|alice',
            source: account,
            target: {
              _type: 'probe_person',
              _key: 'person:alice',
              _class: 'Person',
              email: 'alice@example.com',
              displayName: 'Alice',
            },
            relationshipDirection: 'REVERSE',
            targetFilterKeys: [['_class', 'email']],
          }),
        );
        if (process.env.PROBE_FAILS) throw new Error('the provider is down');
      },
    },
  ],
};
