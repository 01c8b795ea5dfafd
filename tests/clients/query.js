// The Node client, which knows one address: it is told ours before it begins. Argument: the server.
// Early releases export the class itself, later ones by its name.
const exported = require('@jupiterone/jupiterone-client-nodejs');
const JupiterOneClient = exported.JupiterOneClient ?? exported;

const base = process.argv[2];

async function main() {
  const client = new JupiterOneClient({ account: 'acct', accessToken: 'tmb_0123456789', dev: true });
  client.apiUrl = base;
  client.queryEndpoint = `${base}/graphql`;
  client.rulesEndpoint = `${base}/rules/graphql`;
  const ready = await client.init();
  const rows = await ready.queryV1('FIND probe_host');
  if (rows.length !== 600) throw new Error(`${rows.length} hosts`);
  const made = await ready.createEntity('k', 'server', ['Server'], { a: 1 });
  const id = made.vertex.entity._id;
  await ready.updateEntity(id, { a: 2 });
  const [server] = await ready.queryV1("FIND Server WITH _key = 'k'");
  if (server.properties.a !== 2) throw new Error(JSON.stringify(server));
  await ready.deleteEntity(id);
  if ((await ready.queryV1('FIND Server')).length) throw new Error('it is still there');
  console.log('done');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
