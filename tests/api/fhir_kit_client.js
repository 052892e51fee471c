// Walks the FHIR door with npm fhir-kit-client: argv = base address, folder with node_modules. Prints what it saw as JSON.
const [, , baseUrl, folder] = process.argv;
const Client = require(require.resolve("fhir-kit-client", { paths: [folder] }));

async function status(promise) {
  try {
    await promise;
    return 200;
  } catch (error) {
    return error.response ? error.response.status : String(error);
  }
}

async function main() {
  const client = new Client({ baseUrl });
  const seen = {};
  seen.fhirVersion = (await client.capabilityStatement()).fhirVersion;
  const body = { resourceType: "Patient", name: [{ text: "Nguyễn Thị Sông" }], gender: "female" };
  const made = await client.create({ resourceType: "Patient", body });
  seen.created = made.meta.versionId;
  const read = await client.read({ resourceType: "Patient", id: made.id });
  seen.name = read.name[0].text;
  const updated = await client.update({ resourceType: "Patient", id: made.id, body: { ...read, gender: "male" } });
  seen.updated = updated.meta.versionId;
  const patch = [{ op: "replace", path: "/gender", value: "other" }];
  const patched = await client.patch({ resourceType: "Patient", id: made.id, JSONPatch: patch });
  seen.patched = patched.gender;
  seen.vread = (await client.vread({ resourceType: "Patient", id: made.id, version: "1" })).gender;
  seen.history = (await client.history({ resourceType: "Patient", id: made.id })).entry.length;
  await client.create({ resourceType: "Patient", body });
  let page = await client.search({ resourceType: "Patient", searchParams: { _count: 1 } });
  seen.pages = 0;
  while (page) {
    seen.pages += (page.entry || []).length;
    page = await client.nextPage({ bundle: page });
  }
  const bundle = { resourceType: "Bundle", type: "transaction", entry: [{ resource: body, request: { method: "POST", url: "Patient" } }] };
  seen.transaction = (await client.transaction({ body: bundle })).entry[0].response.status.slice(0, 3);
  const meta = await client.operation({ name: "meta", resourceType: "Patient", id: made.id, method: "get" });
  seen.operation = meta.parameter[0].valueMeta.versionId;
  await client.delete({ resourceType: "Patient", id: made.id });
  seen.gone = await status(client.read({ resourceType: "Patient", id: made.id }));
  process.stdout.write(JSON.stringify(seen));
}

main().catch((error) => {
  process.stderr.write(String(error.stack || error));
  process.exit(1);
});
