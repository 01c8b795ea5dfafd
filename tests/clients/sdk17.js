// The runtime of the newest integration SDK through the life of a job. Arguments: the server, a
// number of hosts, and whether uploads are packed. Prints the job that it ends with.
const sdk = require('@jupiterone/integration-sdk-runtime');

const [base, count, packed] = process.argv.slice(2);
const hosts = Number(count);
const logger = sdk.createIntegrationLogger({ name: 'probe', invocationConfig: {} });
const apiClient = sdk.createApiClient({
  apiBaseUrl: base,
  account: 'acct',
  accessToken: 'tmb_0123456789',
  compressUploads: packed === 'packed',
});

(async () => {
  const context = await sdk.initiateSynchronization({
    logger,
    apiClient,
    source: 'integration-managed',
    integrationInstanceId: 'sdk17-instance',
  });
  const entities = Array.from({ length: hosts }, (_, i) => ({
    _key: `h${i}`,
    _type: 'sdk_host',
    _class: ['Host'],
    displayName: `h${i}`,
    _rawData: [{ name: 'default', rawData: { id: i, text: 'x'.repeat(500) } }],
  }));
  const relationships = Array.from({ length: hosts - 1 }, (_, i) => ({
    _key: `r${i}`,
    _type: 'sdk_host_uses_host',
    _class: 'USES',
    _fromEntityKey: `h${i}`,
    _toEntityKey: `h${i + 1}`,
    displayName: 'USES',
  }));
  // Several batches at once, relationships beside the entities that they join.
  await Promise.all([
    sdk.uploadGraphObjectData(context, { entities, relationships: [] }, 100_000),
    sdk.uploadGraphObjectData(context, { entities: [], relationships }, 20_000),
  ]);
  const seen = await sdk.synchronizationStatus(context);
  if (seen.status !== 'AWAITING_UPLOADS') throw new Error(`status ${seen.status}`);
  const job = await sdk.finalizeSynchronization({ ...context, partialDatasets: { types: [] } });
  const late = await sdk
    .uploadGraphObjectData(context, { entities: entities.slice(0, 1), relationships: [] })
    .then(() => 'taken', (error) => `${error} ${error.cause ?? ''}`);
  if (!/already ended/.test(late)) throw new Error(`a late upload: ${late}`);
  const other = await sdk.initiateSynchronization({ logger, apiClient, source: 'api', scope: 'gone' });
  const gone = await sdk.abortSynchronization({ ...other, reason: 'test' });
  if (gone.status !== 'ABORTED') throw new Error(`status ${gone.status}`);
  console.log(JSON.stringify(job));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
