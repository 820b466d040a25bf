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
});
