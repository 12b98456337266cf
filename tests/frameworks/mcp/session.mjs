// Call every tool and read every resource with the client of a TypeScript SDK; print the results.
// The first argument is the package. The second is JSON: address, token, calls, foreign and uris.
const [, , sdk, input] = process.argv;
const { address, token, calls, foreign, uris } = JSON.parse(input);

const v1 = sdk === "@modelcontextprotocol/sdk";
const { Client } = await import(v1 ? `${sdk}/client/index.js` : sdk);
const { StreamableHTTPClientTransport } = await import(v1 ? `${sdk}/client/streamableHttp.js` : sdk);

const client = new Client({ name: "tests", version: "1" }, v1 ? {} : { versionNegotiation: { mode: "auto" } });
const transport = new StreamableHTTPClientTransport(new URL(address), {
  requestInit: { headers: { Authorization: `Token ${token}` } },
});
await client.connect(transport);

// The client checks a structured result by the output schema of the tool that it has listed.
const { tools } = await client.listTools();
const call = async ([name, args]) => [name, await client.callTool({ name, arguments: args })];
const called = Object.fromEntries(await Promise.all(Object.entries(calls).map(call)));
const refused = Object.fromEntries(await Promise.all(Object.entries(foreign).map(call)));
const unknown = await client.callTool({ name: "nothing", arguments: {} }).catch((error) => error.message);
const { resources } = await client.listResources();
const { resourceTemplates } = await client.listResourceTemplates();
const read = await Promise.all(uris.map((uri) => client.readResource({ uri })));
const version = transport.protocolVersion ?? client.getNegotiatedProtocolVersion?.();
const server = client.getServerVersion();
await client.close();

console.log(JSON.stringify({ version, server, tools, called, refused, unknown, resources, resourceTemplates, read }));
