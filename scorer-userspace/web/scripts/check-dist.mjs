// Builds anew and compares with dist/, byte for byte: what is committed is what the sources give.

import { readdir, readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

const root = new URL("..", import.meta.url).pathname;
process.chdir(root);
const fresh = await mkdtemp(join(tmpdir(), "scorer-dist-"));
try {
  await build({ root, logLevel: "warn", build: { outDir: fresh, emptyOutDir: true } });
  const [committed, built] = [await files(join(root, "dist")), await files(fresh)];
  const names = [...new Set([...committed.keys(), ...built.keys()])].sort();
  const wrong = names.filter((name) => !committed.get(name)?.equals(built.get(name) ?? Buffer.alloc(0)));
  if (wrong.length) {
    console.error(`dist/ is not what the sources give; run \`npm run build\` and commit it:\n  ${wrong.join("\n  ")}`);
    process.exitCode = 1;
  } else console.log(`dist/ is what the sources give (${names.length} files)`);
} finally {
  await rm(fresh, { recursive: true });
}

async function files(folder) {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return new Map(
    await Promise.all(
      names.map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(folder.length + 1), await readFile(path)];
      }),
    ),
  );
}
