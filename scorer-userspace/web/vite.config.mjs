import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

// What the browser gets is the same bytes for the same sources, and asks for nothing but its own
// files: no inline scripts, styles or data URIs, which `default-src 'self'` would refuse.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8601" } },
  plugins: [
    {
      name: "licences",
      generateBundle() {
        this.emitFile({ type: "asset", fileName: "assets/licences.txt", source: licences() });
      },
    },
  ],
});

/** The licences of all that is built in, which must go along with it. */
function licences() {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const built = Object.entries(packages).filter(([folder, { dev, optional }]) => folder && !dev && !optional);
  const texts = built.map(([folder, { version, license }]) => {
    const files = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file));
    const text = files.map((file) => readFileSync(`${folder}/${file}`, "utf8").trim()).join("\n\n");
    return `${folder.replace(/^node_modules\//, "")} ${version} (${license})\n\n${text}`;
  });
  return `The dashboard of scorer is under Apache-2.0. Built into it are:\n\n${texts.join(`\n\n${"-".repeat(72)}\n\n`)}\n`;
}
