// Reads an AsyncAPI document with the published parser: prints what that says against it and the operations it finds,
// and ends with 0 when there is neither an error nor a warning. (It would have each document be of the newest
// version; 3.0.0 is what most tools read.)
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const NEWEST = "asyncapi-latest-version";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const against = diagnostics.filter((diagnostic) => diagnostic.code !== NEWEST);
for (const { code, message, path } of against) {
  console.log(`${code} at ${path.join("/")}: ${message}`);
}
for (const operation of document?.operations().all() ?? []) {
  console.log(`operation ${operation.id()}`);
}
process.exitCode = document && against.length === 0 ? 0 : 1;
