// Looks at pages in Chromium: pictures of them in light, dark, on a phone and on paper, and what is wrong with them.
//
//     node check-page.mjs OUT PAGE...
//
// Writes OUT/NAME-{light,dark,phone,phone-dark,print}.png, and prints a line of JSON for each page: its bytes,
// milliseconds until it is shown, errors of scripts and of the network, violations that axe-core finds (WCAG 2.2 A and AA, and
// best practices) in light, dark and on a phone, whether it is wider than a phone, and which tables that are seen at once have
// to be moved sideways there. Exits with 1 if anything is wrong.

import { readFileSync, statSync, mkdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [out, ...pages] = process.argv.slice(2);
if (!out || pages.length === 0) {
  console.error("usage: node check-page.mjs OUT PAGE...");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
mkdirSync(out, { recursive: true });
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const looks = [
  { name: "light", width: 1200, height: 900, scheme: "light" },
  { name: "dark", width: 1200, height: 900, scheme: "dark" },
  { name: "phone", width: 360, height: 780, scheme: "light" },
  { name: "phone-dark", width: 360, height: 780, scheme: "dark" },
  // A4 without its margins, on a computer that likes it dark.
  { name: "print", width: 720, height: 1000, scheme: "dark", media: "print" },
];
let bad = false;
for (const file of pages) {
  const name = basename(file).replace(/\.html$/, "") === "report" ? basename(resolve(file, "..")) : basename(file, ".html");
  const told = { page: file, bytes: statSync(file).size, shown_ms: 0, errors: [], requests: [], violations: [], wide: false, sideways: [] };
  for (const look of looks) {
    const page = await browser.newPage();
    page.on("console", (message) => message.type() === "error" && told.errors.push(message.text()));
    page.on("pageerror", (error) => told.errors.push(String(error)));
    page.on("dialog", async (dialog) => {
      told.errors.push(`a dialog was opened: ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) told.requests.push(request.url());
    });
    await page.setViewport({ width: look.width, height: look.height, deviceScaleFactor: look.width < 500 ? 2 : 1 });
    // The type comes first: it resets the features.
    await page.emulateMediaType(look.media ?? "screen");
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: look.scheme }]);
    const begun = performance.now();
    await page.goto("file://" + resolve(file), { waitUntil: "load" });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    if (look.name === "light") told.shown_ms = Math.round(performance.now() - begun);
    told.wide ||= look.width < 500 && (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth));
    if (look.name === "phone") {
      told.sideways = await page.evaluate(() =>
        [...document.querySelectorAll(".wide")]
          .filter((box) => !box.closest("details:not([open])") && box.scrollWidth > box.clientWidth)
          .map((box) => box.getAttribute("aria-label")),
      );
    }
    await page.screenshot({ path: `${out}/${name}-${look.name}.png`, fullPage: true });
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of found.violations) {
      const where = violation.nodes.slice(0, 3).map((node) => node.target.join(" "));
      told.violations.push({ look: look.name, rule: violation.id, impact: violation.impact, nodes: violation.nodes.length, where });
    }
    await page.close();
  }
  const wrong = told.errors.length + told.requests.length + told.violations.length + told.sideways.length > 0 || told.wide;
  bad ||= wrong || told.bytes > 2e6 || told.shown_ms > 1000;
  console.log(JSON.stringify(told));
}
await browser.close();
process.exit(bad ? 1 : 0);
