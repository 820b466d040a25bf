// A browser on the dashboard, and what each test expects of every page.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { start } from "../mock/server.mjs";

/** A running scorer to test against; the mock where none is named. */
export const REAL = process.env.SCORER_URL?.replace(/\/$/, "") ?? null;
/** Whether calls keep coming in. */
export const LIVE = !REAL || process.env.SCORER_LIVE === "1";
export const SCREENSHOTS =
  process.env.SCORER_SCREENSHOTS ?? fileURLToPath(new URL("../../../target/screenshots/", import.meta.url));
const CHROMIUM = process.env.SCORER_CHROMIUM ?? "/usr/bin/chromium";

mkdirSync(SCREENSHOTS, { recursive: true });

/** The dashboard with data: `{ url, token, close }`. */
export async function site(options = {}) {
  if (REAL && !options.mode)
    return {
      url: REAL,
      token: process.env.SCORER_TOKEN ?? "",
      viewer: process.env.SCORER_VIEWER_TOKEN ?? null,
      close: async () => {},
    };
  const mock = await start(options);
  return { ...mock, token: "admin", viewer: "viewer" };
}

let browser;
export async function open() {
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--force-color-profile=srgb"],
  });
  return browser;
}
export async function shut() {
  await browser?.close();
  browser = undefined;
}

/**
 * Does `what` with a new page. Fails on an error in the console, a refusal by the content security
 * policy, or a request to anywhere else. `problems` allows for failed requests (status 400 and up).
 */
export async function visit(
  at,
  { hash = "", token = at.token, dark = true, size = [1440, 900], problems = false },
  what,
) {
  const context = await (
    await open()
  ).newContext({
    viewport: { width: size[0], height: size[1] },
    colorScheme: dark ? "dark" : "light",
    timezoneId: "Europe/London",
    locale: "en-GB",
  });
  const page = await context.newPage();
  // Two cores may have other work to do.
  page.setDefaultTimeout(60_000);
  const wrong = [];
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const failed = /Failed to load resource/.test(message.text());
    // A scorer that only serves records has no stream.
    if (failed && (problems || (!LIVE && /\/v1\/stream/.test(message.location().url)))) return;
    wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => request.url().startsWith(at.url) || wrong.push(`a request to ${request.url()}`));
  page.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  if (token)
    await page.addInitScript(
      (t) => sessionStorage.getItem("scorer.token") ?? sessionStorage.setItem("scorer.token", t),
      token,
    );
  try {
    await page.goto(`${at.url}/${hash}`);
    await what(page);
    assert.deepEqual(wrong, [], "the console, the content security policy, other hosts");
  } catch (error) {
    await page.screenshot({ path: `${SCREENSHOTS}/failed-${Date.now()}.png` });
    if (wrong.length) console.error(wrong);
    throw error;
  } finally {
    await context.close();
  }
}

export const shot = (page, name) => page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });

/** Waits until nothing is loading. */
export async function settled(page) {
  await page.locator(".shell").waitFor();
  await page.waitForFunction(() => !document.querySelector(".main .skeleton"));
  await page.evaluate(() => document.fonts.ready);
}
