// Walks through the pages of a running `zenei demo` in Debian's Chromium, as a person on duty does: from the board, whose counts move by themselves, to a
// lock and its incident, which is acknowledged, noted, and silenced after a preview; then the other language and the dark theme. Fails at a console error,
// a failed request, text that axe-core finds hard to use, or markup of a device that became part of a page.
//   node walk.mjs PROGRAM [--pictures FOLDER]
// PROGRAM is the zenei to try. With a folder it also takes a picture of each page in both languages and themes, and at a phone's width.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const tools = createRequire(pathToFileURL(join(process.env.ZENEI_BROWSER_DIR, "package.json")));
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");

// How long any step may take on a busy machine. A guess.
const STEP_MS = 120_000;
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

const [program, ...options] = process.argv.slice(2);
const pictures = options[0] === "--pictures" ? options[1] : undefined;
if (!program) {
  console.error("usage: node walk.mjs PROGRAM [--pictures FOLDER]");
  process.exit(2);
}

// Starts the demo; gives its address for a browser, and ends it.
async function demo() {
  const child = spawn(program, ["demo", "--seed", "1"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const url = await new Promise((found, failed) => {
    let text = "";
    child.stdout.on("data", (bytes) => {
      text += bytes;
      const match = text.match(/http:\/\/127\.0\.0\.1:\d+\/\S*/);
      if (match) found(match[0]);
    });
    ended.then((code) => failed(new Error(`the demo ended with ${code}: ${text}`)));
  });
  const end = async () => {
    child.kill("SIGINT");
    await ended;
  };
  return { url, end };
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

// Collects what a page complains of.
function watch(page, complaints) {
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console of ${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script of ${page.url()}: ${error}`));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} for ${response.url()}`);
  });
}

// What axe-core finds on a page.
async function judge(page, complaints) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }),
  );
  check(found.passes.length > 5, "axe-core looked at nothing");
  for (const one of found.violations) {
    const where = one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160));
    complaints.push(`axe on ${page.url()}: ${one.id}: ${one.help}: ${where.join(" | ")}`);
  }
}

// The step, and how long it took.
async function step(name, work) {
  const from = Date.now();
  const done = await work();
  console.log(`${String(Date.now() - from).padStart(6)} ms  ${name}`);
  return done;
}

// Loads a page again until it has such a link: a fault needs some simulated days to show, and a lock some until it is stored.
async function firstLink(page, at, link) {
  const found = page.locator(`main a[href^="${link}"]`).first();
  const until = Date.now() + 2 * STEP_MS;
  while (Date.now() < until) {
    await page.goto(at);
    if (await found.count()) return found.getAttribute("href");
    await page.waitForTimeout(1_000);
  }
  throw new Error(`${at} has no link to ${link}`);
}

async function walk(page, entrance, complaints) {
  const root = new URL(entrance).origin;
  await step("the board, whose count moves by itself", async () => {
    await page.goto(entrance);
    const count = page.locator('[data-live="received"]');
    const before = await count.textContent();
    await page.waitForFunction((was) => document.querySelector('[data-live="received"]').textContent !== was, before);
    await judge(page, complaints);
  });
  const lock = await step("a lock, found in the fleet", async () => {
    await page.click('nav a[href="/fleet"]');
    await judge(page, complaints);
    await page.goto(root + (await firstLink(page, `${root}/fleet`, "/locks/")));
    await page.waitForSelector(".uplot canvas");
    await judge(page, complaints);
    return new URL(page.url()).pathname;
  });
  const incident = await step("an incident", () => firstLink(page, `${root}/`, "/incidents/"));
  await step("acknowledged, with a note", async () => {
    await page.goto(root + incident);
    await judge(page, complaints);
    await page.click('button[value="acknowledge"]');
    await page.waitForSelector('button[value="acknowledge"]');
    const note = "read <b>twice</b> & understood";
    await page.fill("#note", note);
    await page.locator('form:has(#note) button').click();
    await page.locator("#timeline ~ ol", { hasText: note }).waitFor();
    check((await page.locator("main b").count()) === 0, "the note's markup became part of the page");
  });
  await step("silenced, after a preview", async () => {
    await page.locator('main a[href^="/silences?"]').click();
    await page.fill('[name="reason"]', "the parts are on their way");
    await judge(page, complaints);
    await page.locator('form[action="/silences/preview"] button').first().click();
    await judge(page, complaints);
    await page.locator('form[action="/silences"] button').first().click();
    await page.locator("main", { hasText: "the parts are on their way" }).waitFor();
    await judge(page, complaints);
  });
  await step("the other language, the dark theme", async () => {
    await page.goto(root + incident);
    const before = await page.getAttribute("html", "lang");
    await page.click("#other-language");
    await page.waitForFunction((was) => document.documentElement.lang !== was, before);
    await page.click('[data-theme-choice="dark"]');
    await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    await judge(page, complaints);
  });
  return { root, pages: places(incident, lock) };
}

// Every page, by a name for its pictures.
function places(incident, lock) {
  return {
    board: "/",
    incidents: "/incidents",
    incident,
    lock,
    fleet: "/fleet",
    compare: "/fleet/compare?dimension=fw",
    batteries: "/fleet/batteries?days=30",
    rules: "/rules",
    rule: "/rules/motor-effort",
    gateways: "/gateways",
    ble: "/ble",
    "dead-letters": "/dead-letters",
    silences: "/silences",
    search: "/search?q=BL",
    login: "/login",
  };
}

// Each page in both languages and themes and at both widths: no complaint, nothing wider than the window, and a picture where they are wanted.
async function everyPage(context, { root, pages }, complaints) {
  const page = await context.newPage();
  watch(page, complaints);
  for (const [width, size] of [["wide", WIDE], ["phone", PHONE]]) {
    await page.setViewportSize(size);
    for (const theme of ["light", "dark"]) {
      for (const lang of ["en", "ja"]) {
        await context.addCookies([
          { name: "zenei_theme", value: theme, url: root },
          { name: "zenei_lang", value: lang, url: root },
        ]);
        for (const [name, path] of Object.entries(pages)) {
          await page.goto(root + path);
          const found = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dataset.theme]);
          check(found[0] === lang && found[1] === theme, `${path} is in ${found}, not in ${lang}, ${theme}`);
          const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          if (wider > 0) complaints.push(`${path} is ${wider} pixels wider than the ${width} window`);
          if (lang === "ja") await judge(page, complaints);
          if (pictures) {
            await page.waitForTimeout(300);
            await page.screenshot({ path: join(pictures, `${name}-${lang}-${theme}-${width}.png`), fullPage: true });
          }
        }
      }
    }
  }
  await page.close();
}

// Without scripts each page still reads: it has a heading and no empty main part, and a lock's charts are pictures.
async function withoutScripts(browser, state, { root, pages }, complaints) {
  const context = await browser.newContext({ javaScriptEnabled: false, storageState: state });
  const page = await context.newPage();
  watch(page, complaints);
  for (const path of Object.values(pages)) {
    await page.goto(root + path);
    const text = await page.locator("main").innerText();
    check(text.length > 40, `${path} reads ${JSON.stringify(text)} without scripts`);
  }
  await page.goto(root + pages.lock);
  check((await page.locator("main svg, main img[src*='.svg']").count()) > 0, "a lock has no chart without scripts");
  await context.close();
}

async function main() {
  if (pictures) mkdirSync(pictures, { recursive: true });
  const shown = await step("the demo starts", demo);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const complaints = [];
  try {
    const context = await browser.newContext({ viewport: WIDE, locale: "en-GB", timezoneId: "Asia/Tokyo" });
    context.setDefaultTimeout(STEP_MS);
    const page = await context.newPage();
    watch(page, complaints);
    const found = await walk(page, shown.url, complaints);
    await step("every page, in both languages and themes, at both widths", () => everyPage(context, found, complaints));
    await step("every page without scripts", async () => withoutScripts(browser, await context.storageState(), found, complaints));
  } finally {
    await browser.close();
    await shown.end();
  }
  const told = [...new Set(complaints)];
  told.forEach((complaint) => console.error(complaint));
  if (told.length) throw new Error(`${told.length} complaints`);
  console.log("walked through every page: no complaint");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
