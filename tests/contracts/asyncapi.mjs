// Judges a document as AsyncAPI's command line does: by its parser, with the specification's own rules.
// Prints what it finds and exits with 1 when anything is worse than a hint.
import { readFile } from 'node:fs/promises';
import { Parser, DiagnosticSeverity } from '@asyncapi/parser';

const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(await readFile(file, 'utf8'), { source: file });
const bad = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
for (const { code, message, path } of bad) {
  console.log(`${path.join('.')}: ${message} (${code})`);
}
if (document === undefined || bad.length > 0) {
  process.exit(1);
}
console.log(`${file}: AsyncAPI ${document.version()}, ${document.channels().all().length} channels`);
